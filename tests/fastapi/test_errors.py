"""`install_error_handlers`: what a caller hears of each error, what it does not hear, and what the schema says."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any

import pytest

pytest.importorskip("fastapi")

from fastapi import APIRouter, Depends, FastAPI, WebSocket
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.serving import Served
from wavix_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BulkError,
    BulkReport,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    DisconnectedError,
    InputError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
    errors,
    fleet,
)
from wavix_async._http import Response, read_response
from wavix_async.fastapi import WavixDep, get_wavix, install_error_handlers, problem_response
from wavix_async.fastapi._errors import _KINDS
from wavix_async.resources.numbers import UPDATE
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

SECRET = "key-0f9c https://api.wavix.test/v1/numbers/15125550100 {'call_status_url': 'https://hooks.example'}"
"""What an error may hold, and no caller may read."""

ANSWERS: dict[str, tuple[int, str]] = {
    "WavixError": (500, "about:blank"),
    "InputError": (422, "/problems/invalid-input"),
    "ConfigurationError": (500, "about:blank"),
    "ClientClosedError": (503, "/problems/stopping"),
    "StoppedError": (503, "/problems/stopping"),
    "JournalError": (500, "about:blank"),
    "TransportError": (502, "/problems/upstream-error"),
    "ConnectError": (502, "/problems/upstream-unreachable"),
    "DisconnectedError": (502, "/problems/upstream-error"),
    "AttemptTimeoutError": (504, "/problems/upstream-timeout"),
    "DeadlineExceededError": (504, "/problems/upstream-timeout"),
    "WaitTimeoutError": (504, "/problems/upstream-timeout"),
    "OutcomeUnknownError": (502, "/problems/outcome-unknown"),
    "DecodeError": (502, "/problems/upstream-error"),
    "APIError": (502, "/problems/upstream-error"),
    "BadRequestError": (400, "/problems/invalid-input"),
    "AuthenticationError": (502, "/problems/upstream-error"),
    "PaymentRequiredError": (502, "/problems/upstream-error"),
    "PermissionDeniedError": (502, "/problems/upstream-error"),
    "NotFoundError": (404, "/problems/not-found"),
    "ConflictError": (409, "/problems/conflict"),
    "ContentTooLargeError": (413, "/problems/content-too-large"),
    "UnprocessableEntityError": (422, "/problems/invalid-input"),
    "RateLimitError": (429, "/problems/rate-limited"),
    "ServerError": (502, "/problems/upstream-error"),
    "BulkError": (502, "/problems/bulk-incomplete"),
}
QUOTING = {
    "BadRequestError",
    "NotFoundError",
    "ConflictError",
    "ContentTooLargeError",
    "UnprocessableEntityError",
}
"""Those that tell what the API said."""

CLASSES = [kind for name, kind in vars(errors).items() if name in errors.__all__ and inspect.isclass(kind)]
CLASSES.append(BulkError)


class ReportsError(WavixError):
    """Added later, below nothing else."""


class TeapotError(APIError):
    """Added later."""


class LineBusyError(TransportError):
    """Added later."""


class NoSuchFieldError(InputError):
    """Added later."""


class GoneError(NotFoundError):
    """Added later."""


def raising(error: Exception) -> FastAPI:
    """Return an application with one route, and one websocket, that raise an error."""
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    @app.websocket("/feed")
    async def feed(websocket: WebSocket) -> None:
        if websocket.scope["accept"]:
            await websocket.accept()
        raise error

    return app


async def answer(error: Exception, app: FastAPI | None = None) -> httpx.Response:
    return await Served(app or raising(error)).http.get("/")


async def problem(error: Exception) -> dict[str, Any]:
    told = await answer(error)
    assert told.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = told.json()
    assert body["status"] == told.status_code
    return body


# --- the table ---


def test_every_class_of_error_has_been_thought_about() -> None:
    assert {kind.__name__ for kind in CLASSES} == set(ANSWERS)
    assert set(_KINDS) == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
async def test_each_class_has_its_answer(kind: type[WavixError]) -> None:
    told = await problem(kind("What happened."))

    assert (told["status"], told["type"]) == ANSWERS[kind.__name__]
    assert told["title"]
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", told["instance"])
    assert told["retryable"] is kind.default_retryable
    assert told.get("outcome") == (None if kind is BulkError else kind.default_outcome)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ReportsError, (500, "about:blank")),
        (TeapotError, (502, "/problems/upstream-error")),
        (LineBusyError, (502, "/problems/upstream-error")),
        (NoSuchFieldError, (422, "/problems/invalid-input")),
        (GoneError, (404, "/problems/not-found")),
    ],
)
async def test_a_class_that_is_added_later_is_answered_as_what_it_is_below(
    kind: type[WavixError], expected: tuple[int, str]
) -> None:
    told = await problem(kind("What happened."))

    assert (told["status"], told["type"]) == expected


async def test_titles_are_constant_for_a_type() -> None:
    titles: dict[str, set[str]] = {}
    for kind in CLASSES:
        told = await problem(kind("What happened."))
        titles.setdefault(told["type"], set()).add(told["title"])
    assert all(len(each) == 1 for each in titles.values()), titles


@pytest.mark.parametrize(("status", "expected"), [(500, 502), (502, 502), (503, 503), (504, 502), (599, 502)])
async def test_a_server_that_is_not_available_is_not_a_bad_gateway(status: int, expected: int) -> None:
    told = await answer(ServerError("HTTP 503", status=status))

    assert told.status_code == expected
    assert told.json()["outcome"] == "unknown"
    assert told.json()["retryable"] is True


@pytest.mark.parametrize(
    ("seconds", "header"),
    [
        (2.0, "2"),
        (2.01, "3"),
        (0.2, "1"),
        (0.0, "0"),
        (-1.0, "0"),
        (86400.5, "86401"),
        (None, None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
async def test_retry_after_is_whole_seconds_and_never_too_few(seconds: float | None, header: str | None) -> None:
    errors_with_it = [
        RateLimitError("Too many.", retry_after=seconds),
        ServerError("HTTP 503", status=503, retry_after=seconds),
    ]
    for error in errors_with_it:
        assert (await answer(error)).headers.get("Retry-After") == header
    # Elsewhere it would say that trying again then will do.
    assert "Retry-After" not in (await answer(AuthenticationError("No.", retry_after=seconds))).headers


async def test_of_an_outcome_it_says_what_the_error_knows() -> None:
    assert (await problem(DeadlineExceededError("Late.", outcome="not_sent")))["outcome"] == "not_sent"
    assert (await problem(ClientClosedError("Closed.", outcome="unknown")))["outcome"] == "unknown"
    assert (await problem(OutcomeUnknownError("Sent once.")))["retryable"] is False
    assert "may have been carried out" in (await problem(OutcomeUnknownError("Sent once.")))["detail"]
    assert (await problem(ConnectError("Refused.")))["outcome"] == "not_sent"


async def test_of_a_bulk_it_counts() -> None:
    report = BulkReport(
        succeeded=3, failed=1, unknown=2, not_sent=0, failures=[], requests=9, rate_limited=0, elapsed=1.0
    )
    told = await problem(BulkError(SECRET, report=report))

    assert told["counts"] == {"updated": 3, "failed": 1, "unknown": 2, "not_sent": 0}
    assert told["detail"] == "3 updated, 1 failed, 2 unknown, 0 not sent."
    assert "outcome" not in told
    assert "key-0f9c" not in json.dumps(told)


# --- what is not told ---


@pytest.mark.parametrize("kind", sorted(CLASSES, key=lambda kind: kind.__name__))
async def test_nothing_of_ours_is_disclosed(kind: type[WavixError]) -> None:
    error = kind(f"HTTP 400 for PATCH {SECRET}") if kind is not InputError else kind("page must be 1 or more.")
    error.details = SECRET if kind.__name__ in QUOTING else {"message": SECRET}
    error.code = "code 42"  # never a part of the random instance
    error.request_id = "req-7"
    error.__cause__ = ValueError(SECRET)
    error.add_note(SECRET)
    told = await answer(error)

    assert not [word for word in SECRET.split() if word in told.text], told.text
    assert ("code 42" in told.text) == (kind.__name__ in QUOTING or kind is InputError)
    only_for_us = {
        "AuthenticationError",
        "PaymentRequiredError",
        "PermissionDeniedError",
        "ConfigurationError",
        "JournalError",
    }
    assert ("req-7" in told.text) == (kind.__name__ not in only_for_us | {"WavixError"})


async def test_of_our_key_and_account_a_caller_cannot_tell() -> None:
    kinds = [AuthenticationError, errors.PaymentRequiredError, errors.PermissionDeniedError]
    told = [await problem(kind("No.", code="7", details={"message": "balance too low"})) for kind in kinds]

    for each in told:
        del each["instance"]
    assert told[0] == told[1] == told[2]
    assert "detail" not in told[0]


@pytest.mark.parametrize(
    ("details", "detail"),
    [
        ({"success": False, "message": "Record not found"}, "Record not found"),
        ({"error_code": 1042, "errors": {"city": ["is missing"]}}, "city: ['is missing']"),
        ([{"code": "7", "title": "Not allowed", "detail": "The number is in use"}], "The number is in use"),
        ("default backend - 404", None),
        ("<html>nginx/1.25 on 10.0.0.7</html>", None),
        ({}, None),
        (None, None),
    ],
)
async def test_what_the_api_said_of_the_input_is_passed_on(details: object, detail: str | None) -> None:
    body = details.encode() if isinstance(details, str) else json.dumps(details).encode()
    with pytest.raises(APIError) as caught:
        read_response(UPDATE, Response(422, {}, body))
    told = await problem(caught.value)

    # The page of a proxy says nothing about the input.
    is_page = isinstance(details, str)
    assert isinstance(caught.value, UnprocessableEntityError) is not is_page
    assert (told["status"], told["outcome"]) == ((502, "unknown") if is_page else (422, "rejected"))

    assert told.get("detail") == detail
    assert told.get("code") == caught.value.code


async def test_our_own_message_about_the_input_is_passed_on() -> None:
    async with WavixClient("key", base_url="http://127.0.0.1:1") as wavix:
        with pytest.raises(InputError) as caught:
            await wavix.numbers.get(-5)
    told = await problem(caught.value)

    assert told["status"] == 422
    assert told["detail"] == "number_id must be a positive integer."


@pytest.mark.parametrize(
    "message",
    [
        "NumberUpdate.sms_relay_url must be a string; got URL('https://hooks.example/?token=SECRET').",
        "Cannot read /srv/SECRET/plan.csv.",
        r"Cannot read C:\SECRET\plan.csv.",
        "ids must be numbers, got ['SECRET'\n, 1]: pass Number.id.",
    ],
)
async def test_a_value_that_may_be_the_services_own_is_not_passed_on(message: str) -> None:
    assert "SECRET" not in json.dumps(await problem(InputError(message)))


async def test_a_file_that_cannot_be_read_is_the_services_affair(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(fleet.FleetFileError) as caught:
        fleet.read("/nowhere/SECRET/plan.csv")
    told = await problem(caught.value)

    assert told["status"] == 500
    assert "SECRET" not in json.dumps(told)
    assert [record.levelno for record in records(caplog)] == [logging.ERROR]


@pytest.mark.parametrize("fact", ["reason", "code", "request_id"])
async def test_texts_of_others_are_bounded_and_can_be_written(fact: str) -> None:
    told = await problem(NotFoundError("No.", status=404, **{fact: "a\ud800" + "b" * 9_000}))
    shown = told["detail" if fact == "reason" else fact]

    assert shown.startswith("a?b")
    assert len(shown) <= 2_000


async def test_what_an_answer_held_is_not_logged_and_no_line_is_forged(caplog: pytest.LogCaptureFixture) -> None:
    await problem(DecodeError('No JSON. It began: {"sms_relay_url": "https://x/?token=SECRET"'))
    await problem(ServerError("HTTP 500 for GET /x: a\n2026-01-01 ERROR forged.", status=500))
    read, failed = records(caplog)

    assert "SECRET" not in read.getMessage()
    assert len(failed.getMessage().splitlines()) == 1


async def test_the_schema_of_one_application_is_its_own() -> None:
    def application() -> FastAPI:
        app = FastAPI()
        install_error_handlers(app)

        @app.get("/")
        async def read(wavix: Annotated[WavixClient, Depends(get_wavix)]) -> None: ...

        return app

    application().openapi()["components"]["schemas"]["WavixProblem"]["properties"].clear()

    assert application().openapi()["components"]["schemas"]["WavixProblem"]["properties"]


async def test_a_middleware_answers_with_the_same_problem() -> None:
    response = problem_response(RateLimitError("Too many.", retry_after=2.5))

    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    assert response.media_type == "application/problem+json"


# --- against the sandbox ---


@pytest.fixture
async def service() -> AsyncIterator[tuple[Served, Sandbox]]:
    async with Sandbox(numbers=5) as sandbox:
        options = {"api_key": sandbox.api_key, "base_url": sandbox.url, "retry": RetryPolicy.none()}
        app = FastAPI()
        install_error_handlers(app)

        @app.patch("/lines/{line}")
        async def change(line: int, url: str, wavix: WavixDep) -> str | None:
            return (await wavix.numbers.update(line, call_status_url=url)).call_status_url

        async with WavixClient(**options) as wavix:  # type: ignore[arg-type]
            app.dependency_overrides[get_wavix] = lambda: wavix
            yield Served(app), sandbox


@pytest.mark.parametrize(
    ("kind", "status", "type_", "outcome"),
    [
        ("status_400", 400, "invalid-input", "rejected"),
        ("status_401", 502, "upstream-error", "rejected"),
        ("status_402", 502, "upstream-error", "rejected"),
        ("status_403", 502, "upstream-error", "rejected"),
        ("status_404", 404, "not-found", "rejected"),
        ("status_409", 409, "conflict", "rejected"),
        ("status_413", 413, "content-too-large", "rejected"),
        ("status_418", 502, "upstream-error", "rejected"),
        ("status_422", 422, "invalid-input", "rejected"),
        ("status_429", 429, "rate-limited", "rejected"),
        ("status_500", 502, "upstream-error", "unknown"),
        ("status_503", 503, "upstream-unavailable", "unknown"),
        ("reset_after", 502, "upstream-error", "unknown"),
        ("garbage", 502, "upstream-error", "unknown"),
    ],
)
async def test_what_goes_wrong_there_is_reported_here(
    service: tuple[Served, Sandbox], kind: str, status: int, type_: str, outcome: str
) -> None:
    served, sandbox = service
    sandbox.fail_next(kind)
    told = await served.http.patch("/lines/1001", params={"url": "https://hooks.example/secret"})

    assert told.status_code == status
    body = told.json()
    assert (body["type"], body["outcome"]) == (f"/problems/{type_}", outcome)
    for secret in (sandbox.api_key, sandbox.url, "/v1/numbers", "hooks.example"):
        assert secret not in told.text
    assert sandbox.stats.requests == 1


async def test_a_number_that_is_not_there(service: tuple[Served, Sandbox]) -> None:
    served, _ = service
    told = await served.http.patch("/lines/999999", params={"url": "https://hooks.example"})

    assert told.status_code == 404
    assert "Record not found" in told.json()["detail"]


# --- beside other handlers ---


async def test_a_handler_of_ones_own_goes_before() -> None:
    app = raising(NotFoundError("No."))

    @app.exception_handler(NotFoundError)
    async def own(request: object, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("no such line", 410)

    assert (await answer(NotFoundError("No."), app)).status_code == 410


async def test_errors_of_others_stay_as_they_are() -> None:
    app = raising(LookupError("not ours"))

    @app.get("/lines/{line}")
    async def read_line(line: int) -> int:
        return line

    with pytest.raises(LookupError, match="not ours"):
        await answer(LookupError(), app)
    refused = await Served(app).http.get("/lines/x")
    assert (refused.status_code, refused.headers["Content-Type"]) == (422, "application/json")


async def test_types_can_begin_with_a_url() -> None:
    app = raising(NotFoundError("No."))
    install_error_handlers(app, type_base="https://docs.example.com/problems#")

    told = (await answer(NotFoundError("No."), app)).json()
    assert told["type"] == "https://docs.example.com/problems#not-found"
    response = problem_response(WavixError("?"), type_base="https://docs.example.com/")
    assert json.loads(bytes(response.body))["type"] == "about:blank"


async def test_it_serves_starlette() -> None:
    async def fail(request: object) -> None:
        raise NotFoundError("No.")

    app = Starlette(routes=[Route("/", fail)])
    install_error_handlers(app)
    assert (await Served(app).http.get("/")).json()["type"] == "/problems/not-found"


# --- websockets ---


async def closed(error: Exception, *, accepted: bool, extensions: dict[str, Any] | None = None) -> list[Any]:
    app = raising(error)

    async def with_choice(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "accept": accepted}, receive, send)

    return await Served(with_choice).websocket("/feed", extensions=extensions)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NotFoundError(SECRET), 1008, "There is no such object"),
        (RateLimitError(SECRET), 1013, "Too many requests"),
        (ServerError(SECRET, status=503), 1013, "The provider is not available"),
        (DisconnectedError(SECRET), 1011, "The provider gave no usable answer"),
        (ConfigurationError(SECRET), 1011, "Internal Server Error"),
    ],
)
async def test_a_websocket_is_closed_with_a_code(error: WavixError, code: int, reason: str) -> None:
    for accepted in (True, False):
        messages = await closed(error, accepted=accepted)
        assert messages[-1] == {"type": "websocket.close", "code": code, "reason": reason}
        assert len(messages) == 1 + accepted


async def test_a_websocket_is_refused_with_the_problem_where_the_server_can() -> None:
    error = RateLimitError("Too many.", retry_after=1.5)
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    start, body = await closed(error, accepted=False, extensions=extensions)

    assert (start["type"], start["status"]) == ("websocket.http.response.start", 429)
    assert (b"retry-after", b"2") in start["headers"]
    assert json.loads(body["body"])["type"] == "/problems/rate-limited"
    # Once it is accepted it is too late for that.
    assert (await closed(error, accepted=True, extensions=extensions))[-1]["code"] == 1013


async def test_a_websocket_that_is_gone_is_left_alone() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.websocket("/feed")
    async def feed(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()
        raise NotFoundError("No.")

    assert [message["type"] for message in await Served(app).websocket("/feed")] == ["websocket.accept"]


def test_every_title_fits_into_a_websocket() -> None:
    assert all(len(kind.title.encode()) <= 123 for kind in _KINDS.values())


# --- for the operator ---


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "wavix_async.fastapi"]


@pytest.mark.parametrize("kind", [AuthenticationError, errors.PaymentRequiredError, errors.PermissionDeniedError])
async def test_what_only_the_operator_can_mend_is_logged(
    kind: type[WavixError], caplog: pytest.LogCaptureFixture
) -> None:
    error = kind("HTTP 401 for GET /v1/numbers/15125550100: Access denied.", status=401, request_id="req-7")
    told = await problem(error)
    (record,) = records(caplog)

    assert record.levelno == logging.ERROR
    assert "Access denied" in record.getMessage()
    assert "15125550100" not in record.getMessage()
    assert record.exc_info is None
    facts = vars(record)
    assert (facts["error"], facts["status"], facts["request_id"]) == (kind.__name__, 401, "req-7")
    assert facts["instance"] == told["instance"]


@pytest.mark.parametrize("error", [ConfigurationError("rate must be a number."), ReportsError("Unheard of.")])
async def test_what_is_a_fault_of_the_service_is_logged_with_its_trace(
    error: WavixError, caplog: pytest.LogCaptureFixture
) -> None:
    told = await problem(error)
    (record,) = records(caplog)

    assert told["status"] == 500
    assert "detail" not in told
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_what_fails_upstream_is_a_warning_and_what_the_caller_can_mend_is_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = await problem(ServerError("HTTP 500 for GET /v1/numbers/1: no reason given.", status=500))
    (record,) = records(caplog)
    assert record.levelno == logging.WARNING
    assert vars(record)["instance"] == told["instance"]

    caplog.clear()
    for error in (BadRequestError("No."), NotFoundError("No."), InputError("No."), RateLimitError("Too many.")):
        await problem(error)
    assert records(caplog) == []


UNCONFIGURED = """
import asyncio, logging
{before}
from wavix_async import AuthenticationError, ServerError
from wavix_async.fastapi import problem_response
for error in (AuthenticationError("HTTP 401: Access denied."), ServerError("HTTP 500: Oops.")):
    problem_response(error)
"""


@pytest.mark.parametrize(
    ("before", "warnings"),
    [
        ("", 0),
        ("logging.basicConfig()", 1),
        ("logging.basicConfig(); logging.getLogger('wavix_async').propagate = False", 0),
        ("logging.getLogger('wavix_async').addHandler(logging.StreamHandler())", 1),
    ],
)
def test_the_operator_hears_of_it_once_whether_logging_is_configured_or_not(before: str, warnings: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNCONFIGURED.format(before=before)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ},
    )

    assert done.stderr.count("Access denied") == 1
    assert done.stderr.count("Oops") == warnings


# --- the schema ---


async def fleet_of(wavix: WavixDep) -> WavixClient:
    return wavix


class Colour(BaseModel):
    name: str


@pytest.fixture
def described() -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/health")
    async def health() -> str:
        return "fine"

    @app.get("/direct/{line}", responses={404: {"description": "No such line"}})
    async def direct(line: int, wavix: WavixDep) -> int:
        return line

    @app.get("/through")
    async def through(fleet: Annotated[WavixClient, Depends(fleet_of)]) -> int:
        return 1

    router = APIRouter(prefix="/inner")

    @router.api_route("/both", methods=["PUT", "POST"], dependencies=[Depends(get_wavix)])
    async def both(colour: Colour) -> int:
        return 1

    outer = APIRouter()
    outer.include_router(router, prefix="/middle")
    app.include_router(outer, prefix="/outer")
    return app


STATUSES = {"400", "404", "409", "413", "422", "429", "500", "502", "503", "504"}


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
async def test_the_schema_tells_of_problems_where_there_can_be_some(described: FastAPI) -> None:
    schema = (await Served(described).http.get("/openapi.json")).json()
    paths = schema["paths"]

    assert set(paths["/health"]["get"]["responses"]) == {"200"}
    for path, method in [
        ("/direct/{line}", "get"),
        ("/through", "get"),
        ("/outer/middle/inner/both", "put"),
        ("/outer/middle/inner/both", "post"),
    ]:
        responses = paths[path][method]["responses"]
        assert set(responses) == {"200"} | STATUSES, path
        for status in STATUSES:
            content = responses[status]["content"]
            assert content["application/problem+json"] == {"schema": {"$ref": "#/components/schemas/WavixProblem"}}
            assert ("headers" in responses[status]) == (status in {"429", "503"})
            assert responses[status]["description"]
    assert schema["components"]["schemas"]["WavixProblem"]["required"]
    # What was said of these statuses before is still said.
    assert paths["/direct/{line}"]["get"]["responses"]["404"]["description"] == "No such line"
    assert set(paths["/direct/{line}"]["get"]["responses"]["422"]["content"]) == {
        "application/json",
        "application/problem+json",
    }


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_the_schema_is_that_of_the_routes_there_are(described: FastAPI) -> None:
    once = json.dumps(described.openapi())
    assert json.dumps(described.openapi()) == once

    described.add_api_route("/late", fleet_of, response_model=None)
    described.openapi_schema = None
    assert set(described.openapi()["paths"]["/late"]["get"]["responses"]) == {"200"} | STATUSES


def test_an_application_without_the_client_has_no_problems_in_its_schema() -> None:
    app = raising(NotFoundError("No."))
    assert "components" not in app.openapi()


def test_every_answer_is_one_that_the_schema_knows() -> None:
    assert {str(status) for status, _ in ANSWERS.values()} | {"503"} == STATUSES


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
@pytest.mark.parametrize("kind", CLASSES)
def test_every_problem_is_as_the_schema_says(kind: type[WavixError], described: FastAPI) -> None:
    schema = described.openapi()["components"]["schemas"]["WavixProblem"]
    error = kind("What happened.")
    error.code, error.request_id = "7", "req-7"
    told = json.loads(bytes(problem_response(error).body))

    assert set(schema["required"]) <= set(told) <= set(schema["properties"])
    types = {"string": str, "integer": int, "boolean": bool, "object": dict}
    for name, value in told.items():
        assert type(value) is types[schema["properties"][name]["type"]], name
