"""From an operation to a request, without I/O."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from wavix_async import UNSET, InputError, NumberUpdate, Operation, Success, models
from wavix_async._http import Part, build_request
from wavix_async.resources.numbers import LIST, UPDATE, UPLOAD

BASE = URL("https://api.wavix.test/prefix")
NAMED = Operation("GET", "/v1/things/{id}/parts/{name}", Success)
quick = settings(deadline=None, max_examples=75)


class Colour(enum.StrEnum):
    RED = "red"


def test_a_request_without_anything() -> None:
    request = build_request(LIST, BASE)

    assert (request.method, str(request.url), request.body, request.parts) == ("GET", f"{BASE}/v1/numbers", None, None)


def test_a_request_with_a_path_and_a_body() -> None:
    request = build_request(UPDATE, BASE, {"id": 7}, body=NumberUpdate(sms_enabled=True, sms_relay_url=None))

    assert (request.method, str(request.url)) == ("PATCH", f"{BASE}/v1/numbers/7")
    assert json.loads(request.body or b"") == {"sms_enabled": True, "sms_relay_url": None}


def test_a_request_with_parts() -> None:
    request = build_request(UPLOAD, BASE, parts=[Part("a", b"1"), Part("b", b"2", "x.png", "image/png")])

    assert request.body is None
    assert [part.name for part in request.parts or ()] == ["a", "b"]
    assert "b'2'" not in repr(request), "a document does not belong into a log"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, []),
        ([], []),
        ([None], []),
        ("", [""]),
        ("a b&c=d?e#f/g+h%i;j", ["a b&c=d?e#f/g+h%i;j"]),
        ("ünï", ["ünï"]),
        (0, ["0"]),
        (2**70, [str(2**70)]),
        (True, ["true"]),
        (False, ["false"]),
        (["a", 1, True], ["a", "1", "true"]),
        (("a", "b"), ["a", "b"]),
        (Colour.RED, ["red"]),
        ([Colour.RED], ["red"]),
        (date(2025, 1, 31), ["2025-01-31"]),
        (datetime(2025, 1, 31, tzinfo=UTC), ["2025-01-31T00:00:00"]),
        (datetime(2025, 1, 31, 12, 0, 1, 999999), ["2025-01-31T12:00:01"]),  # noqa: DTZ001
        (datetime(2025, 1, 31, 1, tzinfo=timezone(timedelta(hours=2))), ["2025-01-30T23:00:00"]),
    ],
)
def test_query_values(value: object, sent: list[str]) -> None:
    url = str(build_request(LIST, BASE, query={"x": value, "y": None}).url)

    name = "x[]" if len(sent) > 1 else "x"
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=bool(sent)) == [
        (name, s) for s in sent
    ]
    assert ("?" in url) is bool(sent)


@given(st.dictionaries(st.text(min_size=1), st.text()))
@quick
def test_any_query_arrives(query: dict[str, str]) -> None:
    url = str(build_request(LIST, BASE, query=query).url)

    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == list(query.items())


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}), st.integers())
@quick
def test_any_path_value_stays_one_segment(text: str, number: int) -> None:
    url = build_request(NAMED, BASE, {"id": number, "name": text}).url
    split = urlsplit(str(url))

    assert (split.scheme, split.netloc, split.query, split.fragment) == ("https", "api.wavix.test", "", "")
    *start, last = split.path.split("/")
    assert start == ["", "prefix", "v1", "things", str(number), "parts"]
    assert unquote(last) == text


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_a_path_value_that_would_change_the_path(text: str) -> None:
    with pytest.raises(InputError, match=r"name must not be empty, '\.' or '\.\.': it is"):
        build_request(NAMED, BASE, {"id": 1, "name": text})


@pytest.mark.parametrize("text", ["../x", "a/b", "?q", "#f", "%2e%2e", "{id}", "\n", "a\\b"])
def test_path_values_are_quoted(text: str) -> None:
    path = urlsplit(str(build_request(NAMED, BASE, {"id": 1, "name": text}).url)).path

    assert path.startswith("/prefix/v1/things/1/parts/")
    assert unquote(path.rsplit("/", 1)[1]) == text


@pytest.mark.req_24
@pytest.mark.parametrize(
    "body",
    [NumberUpdate(destinations=[{"destination": "\ud800", "priority": 1, "transport": 1}]), {"ids": {1, 2}}, object()],
)
def test_a_body_that_cannot_be_written_is_an_input_error(body: Any) -> None:
    with pytest.raises(InputError, match=r"The body of PATCH /v1/numbers/\{id\} cannot be written as JSON"):
        build_request(UPDATE, BASE, {"id": 1}, body=body)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_becomes_null(value: float) -> None:
    with pytest.raises(InputError):
        build_request(UPDATE, BASE, {"id": 1}, body={"value": value})


@pytest.mark.parametrize("arguments", [{"query": {"label": "\udc80"}}, {"path": {"id": "\udc80"}}])
def test_a_text_that_no_url_can_hold_is_an_input_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        build_request(UPDATE, BASE, **{"path": {"id": 1}, **arguments})


# --- values of the path ---


def test_the_path_values_must_be_those_of_the_path() -> None:
    with pytest.raises(InputError, match=r"GET /v1/things/\{id\}/parts/\{name\} needs a value for 'name' in its path"):
        build_request(NAMED, BASE, {"id": 1})
    with pytest.raises(InputError, match="needs a value for 'id'"):
        build_request(NAMED, BASE)
    with pytest.raises(InputError, match="has no placeholder for 'ids', 'x' in its path"):
        build_request(NAMED, BASE, {"id": 1, "name": "a", "ids": 2, "x": 3})
    with pytest.raises(InputError, match="GET /v1/numbers has no placeholder for 'id' in its path"):
        build_request(LIST, BASE, {"id": 1})


@pytest.mark.parametrize("value", [None, b"x", True, 1.5, ["a"], {}])
def test_a_path_value_that_is_no_text(value: Any) -> None:
    with pytest.raises(InputError, match="name must be a string or an integer: it is a part of the URL, got"):
        build_request(NAMED, BASE, {"id": 1, "name": value})


@pytest.mark.parametrize("value", [b"x", {"a": 1}, {1}, object(), [b"x"]])
def test_a_query_value_that_is_no_text(value: Any) -> None:
    with pytest.raises(InputError, match="a must be a text, a number, a date or a list of them, got"):
        build_request(LIST, BASE, query={"a": value})


def test_a_query_model_is_sent_by_its_wire_names() -> None:
    query = models.MessageList(type="outbound", from_="x", limit=3)

    assert build_request(LIST, BASE, query=query).url.query == {"type": "outbound", "from": "x"}
    assert build_request(LIST, BASE, query={"a": UNSET, "b": 1}).url.query == {"b": "1"}


def test_an_enum_in_a_path() -> None:
    class Plain(enum.Enum):
        RED = "red"

    for value in (Colour.RED, Plain.RED):
        assert build_request(NAMED, BASE, {"id": 1, "name": value}).url.path == "/prefix/v1/things/1/parts/red"


@pytest.mark.parametrize("query", [None, {}, {"a": 1}])
def test_a_base_url_with_and_without_a_path(query: dict[str, object] | None) -> None:
    for base, path in (("https://api.wavix.test", ""), ("https://api.wavix.test:8443/a/b/", "/a/b")):
        url = build_request(UPDATE, URL(base), {"id": 7}, query).url
        assert url == URL(f"{URL(base).origin()}{path}/v1/numbers/7" + ("?a=1" if query else ""))


MESSAGE = Operation("GET", "/v3/messages/{id}", Success, reserved=("all", "sender-ids", "opt-outs"))


@pytest.mark.parametrize("word", ["all", "sender-ids", "opt-outs"])
def test_a_reserved_word_would_reach_another_operation(word: str) -> None:
    with pytest.raises(InputError, match=rf"id must not be '{word}': GET /v3/messages/\{{id\}} would reach another"):
        build_request(MESSAGE, BASE, {"id": word})


@pytest.mark.parametrize("word", ["ALL", "all ", "al", "alls", "sender-ids/1"])
def test_words_that_are_not_reserved(word: str) -> None:
    assert unquote(build_request(MESSAGE, BASE, {"id": word}).url.raw_path) == f"/prefix/v3/messages/{word}"


# --- a body under a key ---

WRAPPED = Operation("POST", "/v1/voice-campaigns", Success, wrap="voice_campaign")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (NumberUpdate(sms_relay_url=None, sms_enabled=True), {"sms_relay_url": None, "sms_enabled": True}),
        ({"contact": "123"}, {"contact": "123"}),
        (["a"], ["a"]),
    ],
)
def test_a_body_under_a_key(body: Any, sent: Any) -> None:
    assert json.loads(build_request(WRAPPED, BASE, body=body).body or b"") == {"voice_campaign": sent}


def test_no_body_under_a_key_is_no_body() -> None:
    assert build_request(WRAPPED, BASE).body is None


def test_a_body_under_a_key_that_cannot_be_written() -> None:
    with pytest.raises(InputError, match="The body of POST /v1/voice-campaigns cannot be written as JSON"):
        build_request(WRAPPED, BASE, body={"ids": {1}})
