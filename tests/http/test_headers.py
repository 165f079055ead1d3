"""Headers, query parameters, the idempotency key and the program's name: what a caller may add to requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import BASE, KEY
from tests.support import examples as ex
from tests.support.clients import client
from wavix_async import (
    AttemptStart,
    ConfigurationError,
    InputError,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    WavixClient,
    WavixError,
    to_dict,
)
from wavix_async.models import MessageCreate

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.conftest import Api

MESSAGE: Any = {"from_": "Acme", "to": "447700900123", "message_body": {"text": "Hi"}}


def header(api: Api, name: str, at: int = -1) -> str | None:
    return next((value for key, value in (api.sent[at].headers or {}).items() if key.lower() == name.lower()), None)


async def test_headers_and_query_are_added_to_every_call(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True)
    api.answer("PATCH", "/v1/numbers/1", ex.number(id=1, sms_enabled=True), repeat=True)
    api.answer("GET", "/v1/numbers", ex.number_page(ex.number(id=1)), repeat=True)
    async with client() as wavix:
        traced = wavix.with_options(headers={"X-Team": "billing", "X-Trace": "1"}, query={"trace": True, "page": 9})
        await traced.numbers.get(1)
        assert (header(api, "X-Team"), api.last.query) == ("billing", [("page", "9"), ("trace", "true")])
        await traced.with_options(headers={"x-trace": "2"}, query={"trace": "no"}).numbers.update(1, sms_enabled=True)
        assert (header(api, "X-Team"), header(api, "X-Trace")) == ("billing", "2")
        assert header(api, "Content-Type") == "application/json"
        assert api.last.query == [("page", "9"), ("trace", "no")]
        # What the call sets itself takes precedence.
        await traced.numbers.list(page=1)
        assert ("page", "1") in api.last.query
        await traced.numbers.bulk_update({1: NumberUpdate(sms_enabled=True)})
        assert header(api, "X-Team") == "billing"
        await wavix.numbers.get(1)
        assert (header(api, "X-Team"), api.last.query) == (None, [])


async def test_a_call_without_a_method_takes_headers(api: Api) -> None:
    api.answer("GET", "/v1/trunks", {"trunks": []}, repeat=True)
    trunks = Operation("GET", "/v1/trunks", dict)
    async with client() as wavix:
        await wavix.with_options(headers={"X-Team": "billing"}).call(trunks, headers={"X-Other": "1"})
        assert (header(api, "X-Team"), header(api, "X-Other")) == ("billing", "1")
        with pytest.raises(ConfigurationError, match="must not set Host"):
            wavix.call(trunks, headers={"Host": "elsewhere"})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Authorization",
            "authorization",
            "Host",
            "Content-Length",
            "CONTENT-TYPE",
            "Transfer-Encoding",
            "Connection",
        ),
        *("Accept", "Accept-Encoding", "User-Agent", "Range", "Proxy-Authorization", "Expect", "Upgrade", "TE"),
    ],
)
def test_headers_of_the_client_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"headers must not set {name}: "):
        client().with_options(headers={name: "x"})


@pytest.mark.parametrize(
    "headers",
    [
        *({"X-A": "1\r\nX-B: 2"}, {"X-A": "1\n"}, {"X-A": "\0"}, {"X-A": "é"}, {"X-A\r\nX-B": "1"}, {"X A": "1"}),
        *({"": "1"}, {"X-A:": "1"}, {"X-A": 1}, {1: "x"}, [("X-A", "1")], "X-A: 1", {"X-A": "1", "x-a": "2"}),
    ],
)
def test_a_wrong_header_is_refused(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="headers"):
        client().with_options(headers=headers)


@pytest.mark.parametrize("query", ["a=1", [("a", 1)], {1: 2}, {"": 1}])
def test_a_wrong_query_is_refused(query: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"query must be a mapping|query has the name (1|'')"):
        client().with_options(query=query)


class Tracer:
    def __init__(self) -> None:
        self.urls: list[str] = []

    def __call__(self, event: object) -> None: ...

    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        from contextlib import nullcontext

        self.urls.append(str(start.url))
        return nullcontext()


async def test_values_that_are_secret_by_name_show_nowhere(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", {"message": "no"}, status=500)
    tracer = Tracer()
    async with client(observers=[tracer]) as wavix:
        secretive = wavix.with_options(
            headers={"X-Api-Key": "hush-1", "X-Id": "7"}, query={"token": "hush-2", "a": "b"}
        )
        assert "hush" not in repr(secretive) + repr(vars(secretive))
        with pytest.raises(WavixError) as caught:
            await secretive.numbers.get(1)
    assert (header(api, "X-Api-Key"), dict(api.last.query)) == ("hush-1", {"token": "hush-2", "a": "b"})
    assert "hush" not in f"{caught.value} {caught.value!r} {caught.value.__dict__}"
    assert tracer.urls == [f"{BASE}/v1/numbers/1?token=%3Chidden%3E&a=b"]
    assert repr(dict(api.last.headers)["X-Api-Key"]) == "'<hidden>'"
    with pytest.raises(ConfigurationError) as refused:
        client().with_options(headers={"X-Api-Key": "hush\n"})
    assert "hush" not in str(refused.value)


# --- the key of a message ---


async def test_an_idempotency_key_is_sent_under_both_names(api: Api) -> None:
    api.answer("POST", "/v3/messages", {**ex.MESSAGE, "to": MESSAGE["to"]}, status=201, repeat=True)
    async with client() as wavix:
        await wavix.with_options(headers={"X-Team": "a"}).messages.send(**MESSAGE, idempotency_key="order-7")
        names = ("Idempotency-Key", "X-Cio-Idempotency-Key", "X-Team")
        assert [header(api, name) for name in names] == ["order-7", "order-7", "a"]
        assert "idempotency_key" not in api.last.json
        await wavix.messages.send(**MESSAGE)
        assert [header(api, name) for name in names] == [None] * 3
    message = MessageCreate(**MESSAGE, idempotency_key="order-7")
    assert ("idempotency_key" in to_dict(message), dict(message)["idempotency_key"]) == (False, "order-7")


@pytest.mark.req_01
async def test_a_message_with_a_key_is_still_never_sent_twice(api: Api) -> None:
    import aiohttp

    api.mock.post(f"{BASE}/v3/messages", exception=aiohttp.ServerDisconnectedError(), repeat=True)
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        with pytest.raises(OutcomeUnknownError) as caught:
            await wavix.messages.send(**MESSAGE, idempotency_key="order-7")
    assert caught.value.attempts == 1


@pytest.mark.parametrize("key", ["", "  ", "a\r\nb", "é", "x" * 256, 7])
async def test_a_wrong_idempotency_key_is_refused(api: Api, key: Any) -> None:
    async with client() as wavix:
        with pytest.raises(InputError, match="idempotency_key"):
            await wavix.messages.send(**MESSAGE, idempotency_key=key)
    assert api.sent == []


# --- the name of the program ---


async def test_the_user_agent_names_the_program(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True)
    async with api_session() as session, client(app_info=("my-service", "1.2"), session=session) as wavix:
        await wavix.numbers.get(1)
    agent = header(api, "User-Agent") or ""
    assert agent.startswith("wavix-async/")
    assert agent.endswith(" my-service/1.2")


def api_session() -> Any:
    import aiohttp

    return aiohttp.ClientSession()


@pytest.mark.parametrize(
    "given",
    [
        *("my-service", "ab", ("a",), ("a", "b", "c"), ("my service", "1"), ("a", "1\r\nX: y"), ("", "1"), ("a", "")),
        *(("a", 1), ("a/b", "1"), ("é", "1"), ("a(b)", "1"), 5, ("a" * 101, "1")),
    ],
)
def test_a_wrong_app_info_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'\("my-service", "1\.2"\)'):
        WavixClient(KEY, app_info=given)
