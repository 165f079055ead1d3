"""What the type checkers make of the client itself: groups, wrong names, and operations that the SDK lacks."""

import ssl
from collections.abc import Mapping
from typing import Any, Final, assert_type, cast

from yarl import URL

from wavix_async import Number, NumberPage, Operation, Receipt, Recording, Success, WavixClient
from wavix_async.resources.numbers import Numbers

PLAIN: Final = Operation("GET", "/v1/calls", dict[str, Any])
UNWRAPPED: Final = Operation("GET", "/v1/calls/{id}", Number, unwrap="call", reserved=("webhooks",))
WRAPPED: Final = Operation("POST", "/v1/voice-campaigns", Success, wrap="voice_campaign")
LISTED: Final = Operation("GET", "/v1/things", list[Number])
# mypy infers nothing from a union: the operation says it.
EITHER: Final[Operation[Number | NumberPage]] = Operation("GET", "/v1/things", cast("Any", Number | NumberPage))
NOTHING: Final[Operation[None]] = Operation("POST", "/v1/things", None)


async def calling(wavix: WavixClient) -> None:
    assert_type(await wavix.call(PLAIN, query={"page": 1}), dict[str, Any])
    assert_type(await wavix.call(UNWRAPPED, path={"id": "a"}), Number)
    assert_type(await wavix.call(WRAPPED, body={"contact": "1"}), Success)
    assert_type(await wavix.call(LISTED), list[Number])
    assert_type(await wavix.call(EITHER), Number | NumberPage)
    await wavix.call(NOTHING)

    Operation("GET", "/v1/calls", "dict")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operation("GET", "/v1/calls", Number | NumberPage)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operation("GET", "/v1/calls", Number | None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Operation("GET", "/v1/calls", dict, unwrap=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.call("/v1/calls")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def groups(wavix: WavixClient) -> None:
    assert_type(wavix.numbers, Numbers)
    assert_type(wavix.with_options(deadline=5), WavixClient)
    assert_type(wavix.with_options(deadline=5).numbers, Numbers)

    wavix.nubmers.get(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    wavix.foo()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def receipts(wavix: WavixClient) -> None:
    receipt = await wavix.receipt(wavix.numbers.get(1001))
    assert_type(receipt, Receipt[Number])
    assert_type(receipt.value, Number)
    assert_type(receipt.status, int | None)
    assert_type(receipt.headers, Mapping[str, str])
    assert_type(receipt.request_id, str | None)
    assert_type(receipt.attempts, int)
    assert_type((receipt.waited, receipt.elapsed), tuple[float, float])
    assert_type((await wavix.receipt(wavix.numbers.list())).value, NumberPage)
    assert_type((await wavix.receipt(wavix.numbers.list().to_list())).value, list[Number])
    assert_type((await wavix.receipt(wavix.call(PLAIN))).value, dict[str, Any])
    assert_type((await wavix.receipt(wavix.numbers.release(ids=[1]))).value, Success)
    with wavix.record(keep=1000) as calls:
        assert_type(calls, Recording)
    assert_type(calls[0], Receipt[Any])
    assert_type([call.request_id for call in calls], list[str | None])

    await wavix.receipt(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix.record(keep="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def more_of_a_request(wavix: WavixClient, proxy: URL, context: ssl.SSLContext) -> None:
    assert_type(wavix.with_options(headers={"X-A": "1"}, query={"a": 1, "b": [True]}), WavixClient)
    await wavix.call(PLAIN, headers={"X-A": "1"})
    await wavix.messages.send(from_="Acme", to="1", message_body={"text": "Hi"}, idempotency_key="order-7")
    WavixClient(proxy="http://proxy.example.com:8080", ssl=context, trust_env=True, app_info=("my-service", "1.2"))
    WavixClient(proxy=proxy)

    WavixClient(ssl=False)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WavixClient(app_info="my-service")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix.with_options(headers={"X-A": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await wavix.messages.send(idempotency_key="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
