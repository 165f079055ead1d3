"""What the type checkers make of `wavix_async.testing`. Never run: mypy --strict and pyright read it."""

from collections.abc import Iterator, Mapping
from typing import Any, assert_type

from wavix_async import (
    DocumentType,
    InboundCallDestination,
    Number,
    NumberDocument,
    NumberPage,
    NumberUpdate,
    RateLimitError,
    Success,
    WavixClient,
)
from wavix_async.sandbox import Sandbox, SandboxRequest
from wavix_async.testing import make, make_destination, make_document, make_error, make_number, make_page, skip_waits


def factories() -> None:
    assert_type(make_number(sms_enabled=True), Number)
    assert_type(make_destination(), InboundCallDestination)
    assert_type(make_document(status="rejected"), NumberDocument)
    assert_type(make(Success, already_gone=True), Success)
    assert_type(make(DocumentType), DocumentType)
    assert_type(make_page(NumberPage), NumberPage)
    assert_type(make_page(NumberPage, [make_number()], page=2, total=100).items, list[Number])
    assert_type(make_error(RateLimitError, retry_after=3), RateLimitError)
    assert_type(make_error(RateLimitError, "slow down"), RateLimitError)


def waits(wavix: WavixClient, sandbox: Sandbox) -> None:
    skip_waits(wavix, sandbox.advance)
    skip_waits(wavix)


def sandboxes(sandbox: Sandbox) -> Iterator[Sandbox]:
    with Sandbox(numbers=10) as entered:
        assert_type(entered, Sandbox)
        yield entered
    sandbox.fail_next(429, retry_after=7)
    sandbox.fail_next("status_503", 2, "PATCH", message="closed")
    assert_type(sandbox.requests, tuple[SandboxRequest, ...])
    assert_type(sandbox.requests_to("PATCH /v1/*"), tuple[SandboxRequest, ...])
    assert_type(sandbox.requests[0].json, Any)
    assert_type(sandbox.messages, Mapping[str, dict[str, Any]])
    assert_type(sandbox.opt_outs["14155550100", None], dict[str, Any])
    assert_type(sandbox.receive("+14155550100", "15072429497", "Hi"), dict[str, Any])


def wrong(wavix: WavixClient, sandbox: Sandbox) -> None:
    make(NumberUpdate)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    make_page(Number)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    make_error(ValueError)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    make_number(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    skip_waits(sandbox)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    skip_waits(wavix, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    sandbox.fail_next(4.29)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
