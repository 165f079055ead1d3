"""From a response to a result or an error, without I/O."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import examples as ex
from wavix_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    DecodeError,
    Number,
    NumberDocument,
    NumberPage,
    Operation,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    Success,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
    _codec,
    errors,
    to_dict,
)
from wavix_async._http import Response, read_response
from wavix_async.resources.numbers import GET, LIST, RELEASE, UPDATE, UPLOAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Api

quick = settings(deadline=None, max_examples=75)


def answer(
    status: int, payload: Any = None, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    content = json.dumps(payload).encode() if body is None else body
    return Response(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, content)


def test_a_success() -> None:
    value, drifts = read_response(GET, answer(200, ex.number()))

    assert ex.same(to_dict(value), ex.number())
    assert not drifts


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    assert read_response(GET, answer(status, ex.number()))[0].id == 501


def test_a_success_with_drift_tells_it() -> None:
    _, drifts = read_response(GET, answer(200, ex.number(id="501", new=1)))

    assert sorted((d.model, d.field, d.kind, d.path) for d in drifts) == [
        ("Number", "id", "type", "$.id"),
        ("Number", "new", "unknown", "$.new"),
    ]


def test_lists() -> None:
    value, drifts = read_response(UPLOAD, answer(201, [ex.document(), ex.document(id=2)]))

    assert [type(each) for each in value] == [NumberDocument, NumberDocument]
    assert not drifts
    assert read_response(UPLOAD, answer(201, []))[0] == []


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_body_confirms_where_there_is_nothing_else_to_say(status: int) -> None:
    assert read_response(RELEASE, answer(status, body=b"")) == (Success(success=True), [])


@pytest.mark.req_04
@pytest.mark.parametrize("operation", [GET, LIST, UPDATE, UPLOAD])
@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_body_is_a_broken_answer_where_there_is_something_to_say(
    operation: Operation[Any], status: int
) -> None:
    with pytest.raises(DecodeError, match=rf"HTTP {status} with an empty body") as caught:
        read_response(operation, answer(status, body=b""))

    assert caught.value.retryable
    assert caught.value.status == status


@pytest.mark.req_04
@pytest.mark.parametrize(
    "body", [b"{", b"{}}", b"[1,", b"nope", b"\xff\xfe", b'{"id":1', b"<html>", b" ", b"\x00", b'{"a": tru', b"'x'"]
)
def test_a_body_that_is_not_json(body: bytes) -> None:
    with pytest.raises(DecodeError, match="a body that is not JSON, or incomplete JSON") as caught:
        read_response(GET, answer(200, body=body))

    assert caught.value.retryable
    assert caught.value.outcome == "unknown"


@pytest.mark.req_04
@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        (GET, None),
        (GET, []),
        (GET, [ex.number()]),
        (GET, "text"),
        (GET, 5),
        (GET, True),
        (LIST, []),
        (LIST, [ex.number()]),
        (UPLOAD, {}),
        (UPLOAD, ex.document()),
        (UPLOAD, None),
        (RELEASE, None),
        (RELEASE, "ok"),
    ],
)
def test_an_answer_of_quite_another_kind(operation: Operation[Any], payload: Any) -> None:
    with pytest.raises(DecodeError, match="that is not an answer to") as caught:
        read_response(operation, answer(200, payload))

    assert caught.value.retryable
    assert ("JSON null" in str(caught.value)) == (payload is None)
    assert "NoneType" not in str(caught.value)


@pytest.mark.req_23
@pytest.mark.parametrize(
    "kind", ["text/html", "text/plain; charset=utf-8", "application/xml", "application/octet-stream"]
)
def test_a_content_type_that_is_not_json(kind: str) -> None:
    with pytest.raises(DecodeError, match=r"content type .* where JSON was expected"):
        read_response(GET, answer(200, ex.number(), headers={"Content-Type": kind}))


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/problem+json", "text/json", ""])
def test_content_types_that_are(kind: str) -> None:
    assert read_response(GET, answer(200, ex.number(), headers={"Content-Type": kind}))[0].id == 501


@pytest.mark.req_23
def test_an_excerpt_is_bounded() -> None:
    with pytest.raises(DecodeError) as caught:
        read_response(GET, answer(200, body=b"<" * 1_000_000))

    assert len(str(caught.value)) < 500
    assert len(str(caught.value.details)) == 2000


@pytest.mark.req_24
@pytest.mark.parametrize("field", [{"success": False}, {"error": True}, {"success": False, "error": True}])
def test_a_failure_inside_a_2xx(field: dict[str, bool]) -> None:
    with pytest.raises(APIError, match=r"HTTP 200 for PATCH .*: It broke") as caught:
        read_response(UPDATE, answer(200, {**field, "message": "It broke"}))

    assert type(caught.value) is APIError
    assert (caught.value.status, caught.value.outcome) == (200, "rejected")


@pytest.mark.req_24
@pytest.mark.parametrize("payload", [{"success": True}, ex.number(), {"success": True, "message": "done"}])
@pytest.mark.parametrize("status", [400, 404, 500, 503, 301, 100])
def test_an_error_status_is_an_error_whatever_the_body_says(status: int, payload: dict[str, Any]) -> None:
    with pytest.raises(errors.error_for_status(status)) as caught:
        read_response(GET, answer(status, payload))

    assert caught.value.status == status
    assert caught.value.details == payload


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"X-Request-Id": "a"}, "a"),
        ({"CF-Ray": "c"}, "c"),
        ({"X-Request-Id": "a", "CF-Ray": "c"}, "a"),
        ({"X-Request-Id": ""}, None),
        ({"X-Request-Id": "a\x1b[31m\x07\u202e"}, "a\\x1b[31m\\x07\\u202e"),
        ({}, None),
    ],
)
def test_the_request_id(headers: dict[str, str], found: str | None) -> None:
    for response in (answer(500, {}, headers=headers), answer(200, body=b"x", headers=headers)):
        with pytest.raises(WavixError) as caught:
            read_response(GET, response)
        assert caught.value.request_id == found


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"error_code": "012"}, "012"),
        ({"error_code": 12}, "12"),
        ({"code": 0}, "0"),
        ({"error_class": "permanent"}, "permanent"),
        ({"error_code": "1", "code": "2"}, "1"),
        ([{"code": "501"}], "501"),
        ({"code": True}, None),
        ({"code": None}, None),
        ({"code": {}}, None),
        ([], None),
        ([5], None),
        ("text", None),
        (None, None),
    ],
)
def test_the_code(payload: Any, code: str | None) -> None:
    with pytest.raises(ServerError) as caught:
        read_response(GET, answer(500, payload))

    assert caught.value.code == code


def test_hints() -> None:
    with pytest.raises(AuthenticationError, match="Check api_key, and the IP addresses"):
        read_response(GET, answer(401, {"message": "Access denied"}))
    with pytest.raises(APIError, match="needs the scope numbers:write"):
        read_response(UPDATE, answer(403, {"message": "Access denied"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["message", "errors", "error", "detail", "title", "error_dids", "code", "success", "error_code"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@pytest.mark.req_23
@pytest.mark.req_24
@given(st.integers(100, 999).filter(lambda status: not 200 <= status < 300), json_values)
@quick
def test_any_error_body_gives_an_api_error_with_a_bounded_message(status: int, payload: Any) -> None:
    with pytest.raises(APIError) as caught:
        read_response(GET, answer(status, payload))

    assert type(caught.value) is errors.error_for_status(status)
    assert f"HTTP {status} for GET /v1/numbers/{{id}}: " in str(caught.value)
    assert len(str(caught.value)) < 800


@pytest.mark.req_24
@given(st.sampled_from([GET, LIST, RELEASE, UPLOAD]), st.binary() | json_values.map(lambda v: json.dumps(v).encode()))
@quick
def test_any_2xx_body_gives_a_result_or_one_of_our_errors(operation: Operation[Any], body: bytes) -> None:
    try:
        value, _ = read_response(operation, answer(200, body=body))
    except (DecodeError, APIError, OutcomeUnknownError):
        return
    assert isinstance(value, Number | NumberPage | Success | list)


@pytest.mark.req_24
def test_an_error_body_of_nothing_but_brackets() -> None:
    with pytest.raises(ServerError):
        read_response(GET, answer(500, body=b"[" * 980 + b"]" * 980))


@pytest.mark.xfail(
    _codec.loads.__module__ == "orjson",
    strict=True,
    reason="orjson reads integers beyond 64 bits as floats: the digits are lost",
)
def test_a_huge_integer_comes_through() -> None:
    value, _ = read_response(GET, answer(200, ex.number(free_min=10**20 + 1)))

    assert to_dict(value)["free_min"] == 10**20 + 1


# --- a result under a key ---

WRAPPED = Operation("GET", "/v1/calls/{id}", Number, unwrap="call")
WRAPPED_LIST = Operation("GET", "/v1/calls", list[NumberDocument], unwrap="calls")
WRAPPED_DICT = Operation("GET", "/v1/calls/{id}", dict, unwrap="call")


@pytest.mark.parametrize("more", [{}, {"success": True}, {"success": True, "error": False}])
def test_a_result_under_a_key(more: dict[str, Any]) -> None:
    value, drifts = read_response(WRAPPED, answer(200, {"call": ex.number(), **more}))

    assert ex.same(to_dict(value), ex.number())
    assert not drifts


def test_without_the_key_the_body_is_the_result() -> None:
    value, drifts = read_response(WRAPPED, answer(200, ex.number()))

    assert ex.same(to_dict(value), ex.number())
    assert not drifts


@pytest.mark.parametrize("own", ["text", 5, None])
def test_a_field_of_the_result_that_has_the_name_of_the_key(own: object) -> None:
    value, drifts = read_response(WRAPPED, answer(200, ex.number(call=own)))

    assert value.id == 501
    assert dict(value.extra) == {"call": own}
    assert [drift.path for drift in drifts] == ["$.call"]


def test_a_list_under_a_key_and_a_bare_one() -> None:
    for payload in ({"calls": [ex.document()]}, [ex.document()]):
        value, drifts = read_response(WRAPPED_LIST, answer(200, payload))
        assert [type(each) for each in value] == [NumberDocument]
        assert not drifts
    assert read_response(WRAPPED_LIST, answer(200, {"calls": []})) == ([], [])


def test_a_dict_under_a_key() -> None:
    for payload in ({"call": {"a": 1}}, {"a": 1}):
        assert read_response(WRAPPED_DICT, answer(200, payload))[0] == {"a": 1}


@pytest.mark.req_25
def test_a_field_beside_the_key_is_drift_and_no_error() -> None:
    value, drifts = read_response(WRAPPED, answer(200, {"call": ex.number(id="1", new=2), "next": "x", "meta": None}))

    assert dict(value.extra) == {"new": 2}
    assert sorted((d.model, d.field, d.kind, d.path, d.found) for d in drifts) == [
        ("Number", "id", "type", "$.call.id", "str"),
        ("Number", "meta", "unknown", "$.meta", "NoneType"),
        ("Number", "new", "unknown", "$.call.new", "int"),
        ("Number", "next", "unknown", "$.next", "str"),
    ]


def test_drift_in_a_list_under_a_key() -> None:
    _, drifts = read_response(WRAPPED_LIST, answer(200, {"calls": [ex.document(id="1")]}))

    assert [drift.path for drift in drifts] == ["$.calls[0].id"]


def test_null_under_a_key_is_nothing() -> None:
    optional: Operation[Any] = Operation("GET", "/v1/call", Number | None, unwrap="call")

    assert read_response(WRAPPED_LIST, answer(200, {"calls": None}))[0] == []
    assert read_response(optional, answer(200, {"call": None}))[0] is None


def test_an_error_is_no_answer_although_nothing_would_be_one() -> None:
    optional: Operation[Any] = Operation("GET", "/v1/call", Number | None)

    with pytest.raises(DecodeError, match="that is not an answer to"):
        read_response(optional, answer(200, {"error_code": 5}))


@pytest.mark.req_04
@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        (WRAPPED, {"call": []}),
        (WRAPPED, {"call": {}}),
        (WRAPPED, {"call": {"other": 1}}),
        (WRAPPED, {"call": None}),
        (WRAPPED, {"call": "text"}),
        (WRAPPED, {}),
        (WRAPPED, []),
        (WRAPPED_LIST, {"calls": {}}),
        (WRAPPED_LIST, {}),
        (WRAPPED_LIST, "text"),
    ],
)
def test_a_key_that_holds_no_answer(operation: Operation[Any], payload: Any) -> None:
    with pytest.raises(DecodeError, match="that is not an answer to") as caught:
        read_response(operation, answer(200, payload))
    assert caught.value.retryable


@pytest.mark.req_24
def test_a_failure_beside_the_key() -> None:
    with pytest.raises(APIError, match="It broke"):
        read_response(WRAPPED, answer(200, {"success": False, "message": "It broke", "call": ex.number()}))


# --- errors, through a client ---

ERROR_BODIES: list[tuple[int, Any, str]] = [
    (400, {"success": False, "message": "The label is too long"}, "The label is too long"),
    (400, {"message": "No such event"}, "No such event"),
    (422, {"message": "Balance too low"}, "Balance too low"),
    (400, {"error": True, "message": "Already deleted", "deleted_at": "2025-01-31"}, "Already deleted"),
    (400, {"success": False, "error": True, "message": "Gone", "deleted_at": None}, "Gone"),
    (401, {"success": False, "error": True, "message": "Unknown key"}, "Unknown key"),
    (400, {"success": False, "message": "Invalid", "errors": {"to": "is missing"}}, "Invalid; to: is missing"),
    (
        400,
        {"success": False, "message": "Invalid", "errors": ["to is missing", "from too"]},
        "Invalid; to is missing; from too",
    ),
    (400, {"success": False, "message": "Invalid", "errors": [{"message": "to is missing"}]}, "Invalid; to is missing"),
    (403, {"success": False, "message": "Not for you", "error_code": "012"}, "Not for you"),
    (503, {"success": True, "message": "The list cannot be read"}, "The list cannot be read"),
    (404, {"error": "Nothing here"}, "Nothing here"),
    (
        422,
        {"error": "Not in stock", "error_dids": ["14155550123", "14155550124"]},
        "Not in stock; 14155550123, 14155550124",
    ),
    (
        400,
        [{"code": 501, "message": "Website unreachable"}, {"code": 502, "message": "Too short"}],
        "Website unreachable; Too short",
    ),
    (
        422,
        {"type": "about:blank", "title": "Bad template", "status": 422, "detail": "Placeholder 2 is empty"},
        "Placeholder 2 is empty",
    ),
    (422, {"title": "Bad template", "error_class": "permanent"}, "Bad template"),
    (500, {}, "no reason given"),
    (500, None, "no reason given"),
    (500, [], "no reason given"),
    (500, "text", "text"),
    (500, {"message": None, "error": None}, "no reason given"),
    (500, {"message": {"nested": 1}}, "no reason given"),
]


@pytest.mark.req_24
@pytest.mark.parametrize(("status", "payload", "said"), ERROR_BODIES)
async def test_every_shape_of_error_gives_a_clear_message(
    api: Api, wavix: WavixClient, status: int, payload: Any, said: str
) -> None:
    api.answer("GET", "/v1/numbers/1", payload, status=status, headers={"X-Request-Id": "req-7"})

    with pytest.raises(errors.error_for_status(status)) as caught:
        await wavix.numbers.get(1)
    error = caught.value
    assert str(error).startswith(f"HTTP {status} for GET /v1/numbers/1: {said}")
    assert (error.status, error.request_id, error.attempts, error.details) == (status, "req-7", 1, payload)
    assert error.outcome == ("unknown" if status >= 500 else "rejected")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.details, again.elapsed) == (str(error), payload, error.elapsed)


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"success": False, "message": "Invalid", "error": {"to": "is missing"}}, "to"),
        ({"error": {"message": "Nothing here"}}, "Nothing here"),
        ({"errors": "to is missing"}, "to is missing"),
    ],
)
async def test_more_shapes_of_errors(api: Api, wavix: WavixClient, payload: Any, said: str) -> None:
    api.answer("GET", "/v1/numbers/1", payload, status=400)

    with pytest.raises(BadRequestError, match=said):
        await wavix.numbers.get(1)


@pytest.mark.req_23
@pytest.mark.req_24
@pytest.mark.parametrize("kind", ["text/plain", "text/html; charset=utf-8", "application/json"])
async def test_an_error_that_is_no_json(api: Api, wavix: WavixClient, kind: str) -> None:
    api.answer("GET", "/v1/numbers/1", body=b"<html>" + b"upstream is down " * 500, status=502, content_type=kind)

    with pytest.raises(ServerError, match="HTTP 502") as caught:
        await wavix.numbers.get(1)
    assert str(caught.value.details).startswith("<html>upstream is down")
    assert len(str(caught.value.details)) == 2000
    assert len(str(caught.value)) < 400


@pytest.mark.req_24
async def test_an_error_in_plain_text_gives_its_reason(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/1", body=b"upstream connect timeout", status=503, content_type="text/plain")

    with pytest.raises(ServerError, match="upstream connect timeout"):
        await wavix.numbers.get(1)


@pytest.mark.req_24
async def test_a_problem_document(api: Api, wavix: WavixClient) -> None:
    problem = {"type": "x", "title": "Bad template", "detail": "Empty", "error_class": "permanent"}
    api.answer("GET", "/v1/numbers/1", problem, status=422, content_type="application/problem+json")

    with pytest.raises(UnprocessableEntityError, match="Empty") as caught:
        await wavix.numbers.get(1)
    assert caught.value.code == "permanent"


@pytest.mark.req_24
async def test_a_refusal_names_the_remedy(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/1", {"message": "Access denied"}, status=401)
    api.answer("PATCH", "/v1/numbers/1", {"message": "Access denied"}, status=403)

    with pytest.raises(AuthenticationError, match="Check api_key"):
        await wavix.numbers.get(1)
    with pytest.raises(PermissionDeniedError, match=r"for PATCH /v1/numbers/1: .* needs the scope numbers:write"):
        await wavix.numbers.update(1, sms_enabled=True)


@pytest.mark.req_24
@pytest.mark.parametrize("payload", [{"success": True, "message": "ok"}, ex.number(), ex.number(success=True)])
async def test_an_error_status_is_never_a_success(api: Api, wavix: WavixClient, payload: dict[str, Any]) -> None:
    api.answer("PATCH", "/v1/numbers/1", payload, status=503)

    with pytest.raises(ServerError) as caught:
        await wavix.numbers.update(1, sms_enabled=True)
    assert caught.value.outcome == "unknown"


@pytest.mark.req_24
@pytest.mark.parametrize("more", [{"success": False}, {"error": True}, {"success": False, "error": True}])
@pytest.mark.parametrize("status", [200, 201])
async def test_a_failure_under_a_2xx_is_an_error(
    api: Api, wavix: WavixClient, status: int, more: dict[str, Any]
) -> None:
    for method in ("GET", "PATCH"):
        api.answer(method, "/v1/numbers/1", {"message": "It did not work", **more}, status=status)

    for call in (wavix.numbers.get(1), wavix.numbers.update(1, sms_enabled=True)):
        with pytest.raises(APIError, match="It did not work") as caught:
            await call
        assert (caught.value.status, caught.value.outcome, caught.value.retryable) == (status, "rejected", False)


@pytest.mark.req_23
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(api: Api, wavix: WavixClient, status: int) -> None:
    api.answer("GET", "/v1/numbers/1", body=b"", status=status, headers={"Location": "https://elsewhere.example.net"})

    with pytest.raises(APIError, match=f"HTTP {status}"):
        await wavix.numbers.get(1)
    assert len(api.sent) == 1


@pytest.mark.req_07
@pytest.mark.req_24
async def test_retry_after_is_passed_on(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/1", {"message": "slow down"}, status=429, headers={"Retry-After": "7"})

    with pytest.raises(RateLimitError, match="slow down") as caught:
        await wavix.numbers.get(1)
    assert caught.value.retry_after == pytest.approx(7.0)
    assert caught.value.retryable
