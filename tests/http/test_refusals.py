"""What a refusal is: every status x kind of body x operation, for the definition and for the calls that rest on it."""

from __future__ import annotations

import pickle
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import examples as ex
from tests.support.bulk import client_of
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentTooLargeError,
    DecodeError,
    NotFoundError,
    Number,
    Operation,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Success,
    UnprocessableEntityError,
    WavixError,
)
from wavix_async._http import Response, Wait, decide, is_no_answer, is_request_error, read_response

if TYPE_CHECKING:
    from wavix_async import WavixClient

pytestmark = pytest.mark.req_27

GET = Operation("GET", "/v1/numbers/{id}", Number)
PATCH = Operation("PATCH", "/v1/numbers/{id}", Number, scope="numbers:write", idempotent=True)
POST = Operation("POST", "/v1/messages", Success, scope="messages:write")
DELETE = Operation("DELETE", "/v1/numbers/{id}", Success)
OPERATIONS = (GET, PATCH, POST, DELETE)

STATUSES = [*range(100, 200), *range(300, 600)]
# By default the statuses that have a name or a rule, and the ends of each class.
SAMPLE = sorted(
    {status.value for status in HTTPStatus if not 200 <= status < 300}
    | {199, 399, 405, 419, 420, 430, 444, 460, 498, 499, 509, 520, 524, 525, 529, 530, 540, 561, 598, 599}
)
EVERY_STATUS = pytest.mark.parametrize(
    "statuses", [SAMPLE, pytest.param(STATUSES, marks=pytest.mark.scale)], ids=["a sample", "all"]
)
JSON, HTML, TEXT = "application/json; charset=utf-8", "text/html; charset=utf-8", "text/plain"
PAGE = b"<html><head><title>Blocked</title></head><body>Request id 12</body></html>"
OF_THE_API = {
    "empty": (b"", JSON),
    "empty, of a page": (b"", HTML),
    "blank": (b"\r\n", TEXT),
    "an object": (b'{"success": false, "message": "no"}', JSON),
    "a problem": (b'{"title": "no"}', "application/problem+json"),
    "a list": (b'[{"code": 1, "message": "no"}]', JSON),
    "a JSON text": (b'"no"', JSON),
    "an object of a wrong type": (b'{"message": "no"}', HTML),
}
OF_A_PROXY = {
    "a page": (PAGE, HTML),
    "a page without a type": (PAGE, ""),
    "a page of a wrong type": (PAGE, JSON),
    "a text": (b"error code: 1020", TEXT),
    "a number as a text": (b"404", TEXT),
    "half an object": (b'{"message": "n', JSON),
    "a quoted word as a text": (b'"no"', TEXT),
}
BODIES = {**OF_THE_API, **OF_A_PROXY}
# Written out once more, and not imported: the table of the promise.
WHATEVER_THE_BODY = {401, 402, 403, 413, 414, 429, 431}
NEVER_A_REFUSAL = {408, 499}
CLASSES: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: ContentTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def rejects(status: int, body: str) -> bool:
    if not 400 <= status < 500 or status in NEVER_A_REFUSAL:
        return False
    return body in OF_THE_API or status in WHATEVER_THE_BODY


def class_of(status: int, body: str) -> type[APIError]:
    if status >= 500:
        return ServerError
    return CLASSES.get(status, APIError) if rejects(status, body) else APIError


def repeats(operation: Operation[Any], status: int, body: str) -> bool:
    """Whether a call is sent again after this answer, by default."""
    if status == 429:
        return True
    return operation.idempotent and not rejects(status, body) and not 300 <= status < 400


def response(status: int, body: str) -> Response:
    data, kind = BODIES[body]
    return Response(status, {"Content-Type": kind} if kind else {}, data)


def error_of(operation: Operation[Any], status: int, body: str) -> APIError:
    with pytest.raises(APIError) as caught:
        read_response(operation, response(status, body))
    return caught.value


@EVERY_STATUS
@pytest.mark.parametrize("body", BODIES)
def test_every_status_with_every_body(body: str, statuses: list[int]) -> None:
    for status in statuses:
        error = error_of(PATCH, status, body)
        where = f"{status} with {body}"
        assert type(error) is class_of(status, body), where
        assert error.outcome == ("rejected" if rejects(status, body) else "unknown"), where
        assert error.is_refusal is rejects(status, body), where
        assert error.is_page is (body in OF_A_PROXY), where
        assert error.retryable is (status == 429 or not rejects(status, body)), where
        assert is_no_answer(error) is not rejects(status, body), where
        assert is_request_error(error) is (status == 413 or (status in {400, 404, 422} and body in OF_THE_API)), where
        assert pickle.loads(pickle.dumps(error)).is_refusal is error.is_refusal


@EVERY_STATUS
@pytest.mark.parametrize("body", BODIES)
def test_every_decision(body: str, statuses: list[int]) -> None:
    for status in statuses:
        for operation in OPERATIONS:
            error = error_of(operation, status, body)
            said = decide(
                operation,
                RetryPolicy(),
                error,
                counted=1,
                jitter=0.5,
                time_left=100.0,
                take_retry=lambda: 0.0,
            )
            assert isinstance(said, Wait) is repeats(operation, status, body), f"{status} with {body}: {said}"


@pytest.mark.parametrize("body", BODIES)
def test_a_2xx_is_never_a_refusal_unless_it_says_so(body: str) -> None:
    for status in (*range(200, 209), 226, 299):
        with pytest.raises((DecodeError, APIError)) as caught:
            read_response(PATCH, response(status, body))
        says_no = body == "an object"
        assert isinstance(caught.value, APIError) is says_no
        assert caught.value.outcome == ("rejected" if says_no else "unknown")
        assert is_no_answer(caught.value) is not says_no


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("body", BODIES)
def test_a_firewall_is_not_told_as_a_wrong_key_or_a_missing_scope(status: int, body: str) -> None:
    error = error_of(PATCH, status, body)

    blamed = "api_key" in str(error) or "scope" in str(error)
    assert blamed is (body in OF_THE_API and status in {401, 403})
    assert ("a firewall or proxy" in str(error)) is (body in OF_A_PROXY)


@pytest.mark.parametrize("body", BODIES)
def test_an_uncertain_answer_says_that_it_is_uncertain(body: str) -> None:
    for status in [101, 304, 308, 408, 499, *([404, 405, 425] if body in OF_A_PROXY else [])]:
        assert str(error_of(POST, status, body)).endswith(" The request may have been carried out."), status
    for status in (404, 405, 422):
        assert ("a proxy may have sent it" in str(error_of(POST, status, body))) is (body in OF_A_PROXY)


# --- whole calls ---


def client_that_gets(*replies: Reply, **options: Any) -> tuple[StubSession, WavixClient]:
    """A client whose requests are answered so, one each, and then well."""
    left = list(replies)
    good = Reply(body=ex.number(id=7, success=True))
    session = StubSession(lambda _: left.pop(0) if left else good, latency=0.01)
    return session, client_of(session, **{"retry": RetryPolicy(budget_per_second=1e6), **options})


def reply(status: int, body: str) -> Reply:
    data, kind = BODIES[body]
    return Reply(status, data, {"Content-Type": kind})


async def make(client: WavixClient, operation: Operation[Any]) -> Any:
    body = {"sms_enabled": True} if operation.method in {"PATCH", "POST"} else None
    return await client.call(operation, path={"id": 7} if "{id}" in operation.path else None, body=body)


@pytest.mark.req_01
@pytest.mark.req_05
@EVERY_STATUS
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.method)
def test_every_status_in_a_call(operation: Operation[Any], statuses: list[int]) -> None:
    """One answer of every status, each with another kind of body, and the next attempt would succeed."""
    names = list(BODIES)

    async def main() -> None:
        for place, status in enumerate(statuses):
            body = names[place % len(names)]
            session, client = client_that_gets(reply(status, body))
            where = f"{status} with {body}"
            if repeats(operation, status, body):
                await make(client, operation)
                assert session.requests == 2, where
                continue
            with pytest.raises(WavixError) as caught:
                await make(client, operation)
            error = caught.value
            assert (session.requests, error.attempts) == (1, 1), where
            assert error.status == status
            assert error.outcome == ("rejected" if rejects(status, body) else "unknown"), where
            sent_once = not operation.idempotent and not rejects(status, body)
            assert type(error) is (OutcomeUnknownError if sent_once else class_of(status, body)), where

    run_virtual(main())


@pytest.mark.req_23
@pytest.mark.parametrize(
    ("replies", "gone"),
    [
        ([reply(404, "a page"), reply(404, "an object")], True),
        ([reply(520, "a page"), reply(404, "empty")], True),
        ([reply(404, "an object")], False),
        ([reply(404, "a page")] * 4, False),
        ([reply(502, "a page"), *[reply(404, "a page")] * 3], False),
    ],
)
def test_only_the_api_says_that_a_released_number_is_gone(replies: list[Reply], gone: bool) -> None:
    """A release is done if a 404 of the API comes after an attempt that may have worked; a page tells nothing."""
    session, client = client_that_gets(*replies)
    if gone:
        assert run_virtual(make(client, DELETE)).already_gone is True
    else:
        with pytest.raises(APIError) as caught:
            run_virtual(make(client, DELETE))
        own = len(replies) == 1
        assert isinstance(caught.value, NotFoundError) is own
        assert caught.value.outcome == ("rejected" if own else "unknown")
    assert session.requests == len(replies)


@pytest.mark.parametrize(
    ("statuses", "status", "body", "requests"),
    [
        ({503}, 503, "a page", 2),
        ({503}, 502, "a page", 1),
        ({503}, 520, "empty", 1),
        ({503}, 404, "a page", 1),
        ({503}, 499, "empty", 1),
        (set(), 500, "an object", 1),
        ({502}, 404, "a page", 2),
        ({502}, 404, "an object", 1),
        ({502}, 408, "empty", 1),
        ({502}, 499, "empty", 1),
        ({404}, 404, "an object", 2),
        ({302}, 302, "empty", 2),
        (RetryPolicy().statuses - {501}, 501, "an object", 1),
        (RetryPolicy().statuses | {409}, 409, "an object", 2),
    ],
)
def test_statuses_of_ones_own_mean_what_they_say(statuses: set[int], status: int, body: str, requests: int) -> None:
    session, client = client_that_gets(reply(status, body), retry=RetryPolicy(statuses=frozenset(statuses)))

    if requests == 2:
        run_virtual(make(client, PATCH))
    else:
        with pytest.raises(APIError) as caught:
            run_virtual(make(client, PATCH))
        by_setting = status not in {404, 409} or body == "a page"
        assert (caught.value.not_retried is not None) is by_setting
    assert session.requests == requests


@pytest.mark.req_01
@pytest.mark.parametrize("body", BODIES)
def test_a_503_of_the_api_with_retry_after_is_a_promise_and_a_page_is_none(body: str) -> None:
    """The API did not carry out what it asks to send later; a proxy cannot know."""
    busy = reply(503, body)
    busy.headers["Retry-After"] = "1"
    session, client = client_that_gets(busy)
    if body in OF_THE_API:
        run_virtual(make(client, POST))
        assert session.requests == 2
        return
    with pytest.raises(OutcomeUnknownError) as caught:
        run_virtual(make(client, POST))
    assert (caught.value.status, caught.value.retry_after, session.requests) == (503, 1.0, 1)
