"""Routes: which handler answers, what a key may do, and what the sandbox counts."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import RLock

import pytest
from aiohttp.test_utils import make_mocked_request

from wavix_async.sandbox._server import ApiError, Call, Key, KeyRing, Reply, Route, Router, Timers


def say(text: str) -> Route:
    """Return a route whose answer names it and the ids it got; `text` is its method and path."""
    method, path = text.split()
    return Route(method, path, "things:write", lambda call: Reply.of(200, [text, *call.ids]))


def router(*routes: Route, scopes: Mapping[str, str] | None = None, charges: Counter[str] | None = None) -> Router:
    counter = Counter[str]() if charges is None else charges
    keys = KeyRing(lambda: datetime.now(UTC))
    keys.add(Key("key", scopes))
    return Router(routes, keys=keys, charges=counter, timers=Timers(float), lock=RLock())


async def ask(asked: Router, method: str, path: str, key: str = "key") -> tuple[int, bytes]:
    request = make_mocked_request(method, path, {"Authorization": f"Bearer {key}"})
    reply = await asked.answer(asked.find(request, *path.partition("?")[::2]))
    return reply.code, reply.payload


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/things", b'["GET /v1/things"]'),
        ("/v1/things?page=2", b'["GET /v1/things"]'),
        ("/v1/things/7", b'["GET /v1/things/{id}","7"]'),
        ("/v1/things/all", b'["GET /v1/things/all"]'),
        ("/v1/things/a%2Fb%20c", b'["GET /v1/things/{id}","a/b c"]'),
        ("/v1/th%69ngs/7", b'["GET /v1/things/{id}","7"]'),
        ("/v1/things/7/parts/8", b'["GET /v1/things/{id}/parts/{part_id}","7","8"]'),
    ],
)
async def test_path(path: str, answer: bytes) -> None:
    asked = router(
        say("GET /v1/things/{id}/parts/{part_id}"),
        say("GET /v1/things/{id}"),
        say("GET /v1/things/all"),
        say("GET /v1/things"),
    )
    assert await ask(asked, "GET", path) == (200, answer)


@pytest.mark.parametrize("path", ["/", "", "*", "/v1", "/v1/things", "/v1/things/", "/v1/things/7/", "/v2/things/7"])
async def test_unknown_path(path: str) -> None:
    with pytest.raises(ApiError, match="Not found") as caught:
        await ask(router(say("GET /v1/things/{id}")), "GET", path)
    assert caught.value.status == 404


async def test_wrong_method_names_those_that_exist() -> None:
    asked = router(say("GET /v1/things/{id}"), say("DELETE /v1/things/{id}"))
    with pytest.raises(ApiError, match="Method not allowed") as caught:
        await ask(asked, "PATCH", "/v1/things/7")
    assert (caught.value.status, caught.value.headers) == (405, "Allow: GET, DELETE\r\n")


def test_two_routes_for_one_operation() -> None:
    with pytest.raises(ValueError, match=r"two routes answer GET /v1/things/\{other\}"):
        router(say("GET /v1/things/{id}"), say("GET /v1/things/{other}"))


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (None, {"open", "read", "write"}),
        ({}, {"open"}),
        ({"things": "none", "others": "write"}, {"open"}),
        ({"things": "read"}, {"open", "read"}),
        ({"things": "write"}, {"open", "read", "write"}),
    ],
)
async def test_scopes(scopes: Mapping[str, str] | None, allowed: set[str]) -> None:
    needs = {"open": "", "read": "things:read", "write": "things:write"}
    routes = [Route("GET", f"/{name}", scope, lambda call: Reply.of(200, {})) for name, scope in needs.items()]
    asked = router(*routes, scopes=scopes)
    for name in needs:
        if name in allowed:
            assert await ask(asked, "GET", f"/{name}") == (200, b"{}")
        else:
            with pytest.raises(ApiError, match="disabled") as caught:
                await ask(asked, "GET", f"/{name}")
            assert caught.value.status == 403


async def test_the_key_is_checked_first() -> None:
    for method, path in (("GET", "/v1/things"), ("PUT", "/v1/things"), ("GET", "/v1/others")):
        with pytest.raises(ApiError, match="Access denied") as caught:
            await ask(router(say("GET /v1/things"), scopes={}), method, path, key="wrong")
        assert caught.value.status == 401


async def test_charges_are_counted_when_the_operation_has_been_carried_out() -> None:
    def plain(call: Call) -> Reply:
        if call.ids == ("refused",):
            raise ApiError(422, "no")
        return Reply.of(201, {})

    async def slow(call: Call) -> Reply:
        await asyncio.sleep(0)
        return plain(call)

    charges = Counter[str]()
    asked = router(
        Route("POST", "/v1/things/{id}", "", plain, charged=True),
        Route("PUT", "/v1/things/{id}", "", slow, charged=True),
        Route("GET", "/v1/things/{id}", "", plain),
        charges=charges,
    )
    for method in ("POST", "PUT", "GET"):
        for name in ("a", "b"):
            await ask(asked, method, f"/v1/things/{name}")
        with pytest.raises(ApiError):
            await ask(asked, method, "/v1/things/refused")
    assert charges == {"POST /v1/things/{id}": 2, "PUT /v1/things/{id}": 2}
