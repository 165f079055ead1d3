"""Every error of the sandbox has the shape that the API uses."""

import asyncio
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientSession, FormData

from wavix_async.sandbox import Sandbox


async def ask(sandbox: Sandbox, method: str, path: str, key: str | None = "", **options: Any) -> tuple[int, Any]:
    headers = {} if key is None else {"Authorization": f"Bearer {key or sandbox.api_key}"}
    async with ClientSession(sandbox.url) as session, session.request(method, path, headers=headers, **options) as got:
        return got.status, await got.json()


@pytest.mark.parametrize("key", [None, "wrong", "schlüssel"])
@pytest.mark.parametrize("path", ["/v1/numbers", "/v1/numbers?appid=sandbox-key", "/v1/unknown"])
async def test_wrong_key(key: str | None, path: str) -> None:
    async with Sandbox() as sandbox:
        assert await ask(sandbox, "GET", path, key=key) == (
            401,
            {"success": False, "error": True, "message": "Access denied"},
        )


async def test_own_key() -> None:
    async with Sandbox(api_key="my-key") as sandbox:
        assert sandbox.api_key == "my-key"
        assert (await ask(sandbox, "GET", "/v1/numbers/1001", key="my-key"))[0] == 200
        assert (await ask(sandbox, "GET", "/v1/numbers/1001", key="sandbox-key"))[0] == 401


@pytest.mark.parametrize(
    ("scopes", "read", "write"),
    [
        (None, 200, 200),
        ({"numbers": "write"}, 200, 200),
        ({"numbers": "read"}, 200, 403),
        ({"numbers": "none"}, 403, 403),
        ({"cdrs": "read"}, 403, 403),
    ],
)
async def test_scopes(scopes: Any, read: int, write: int) -> None:
    async with Sandbox(scopes=scopes) as sandbox:
        for path in ("/v1/numbers", "/v1/numbers/1001"):
            assert (await ask(sandbox, "GET", path))[0] == read
        change = {"sms_enabled": True}
        status, answer = await ask(sandbox, "PATCH", "/v1/numbers/1001", json=change)
        assert status == write
        if status == 403:
            assert answer == {"success": False, "message": "The feature is disabled for your account."}
        assert (await ask(sandbox, "PATCH", "/v1/numbers", json={"ids": [1001], **change}))[0] == write
        assert (await ask(sandbox, "DELETE", "/v1/numbers?ids=1001"))[0] == write
        assert sandbox.stats.updates[1001] == (2 if write == 200 else 0)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b'{"transcription_threshold": NaN}', "body"),
        (b"[" * 100_000, "body"),
        (b'{"sms_enabled": "true"}', "sms_enabled"),
        (b'{"sms_enabled": 1}', "sms_enabled"),
        (b'{"sms_enabled": null}', "sms_enabled"),
        (b'{"call_recording_enabled": null}', "call_recording_enabled"),
        (b'{"transcription_enabled": 0}', "transcription_enabled"),
        (b'{"transcription_threshold": 6.5}', "transcription_threshold"),
        (b'{"transcription_threshold": true}', "transcription_threshold"),
        (b'{"transcription_threshold": -1}', "transcription_threshold"),
        (b'{"sms_relay_url": "example.com"}', "sms_relay_url"),
        (b'{"sms_relay_url": "http://[x"}', "sms_relay_url"),
        (b'{"call_status_url": "ftp://example.com"}', "call_status_url"),
        (b'{"call_status_url": 5}', "call_status_url"),
        (b'{"smsEnabled": true}', "smsEnabled"),
        (b'{"destinations": {}}', "destinations"),
        (b'{"destinations": null}', "destinations"),
        (b'{"destinations": [5]}', "destinations[0]"),
        (b'{"destinations": [{"priority": 1, "transport": 1}]}', "destinations[0].destination"),
        (b'{"destinations": [{"destination": " ", "priority": 1, "transport": 1}]}', "destinations[0].destination"),
        (b'{"destinations": [{"destination": "a", "transport": 1}]}', "destinations[0].priority"),
        (b'{"destinations": [{"destination": "a", "priority": 1, "transport": 2}]}', "destinations[0].transport"),
        (b'{"destinations": [{"destination": "a", "priority": 1, "transport": true}]}', "destinations[0].transport"),
        (b'{"destinations": [{"destination": "a", "priority": 1, "transport": 5}]}', "destinations[0].trunk_id"),
        (b'{"destinations": [{"destination": "a", "priority": 1, "transport": 1, "x": 1}]}', "destinations[0].x"),
    ],
)
async def test_bad_update(body: bytes, name: str) -> None:
    async with Sandbox(numbers=1) as sandbox:
        before = sandbox.numbers[1001]
        status, answer = await ask(sandbox, "PATCH", "/v1/numbers/1001", data=body)
        assert status == 400
        assert answer["success"] is False
        assert answer["message"].split(": ")[0] == f"Missing or invalid parameter {name}"
        assert sandbox.numbers[1001] == before


@pytest.mark.parametrize("ids", [None, [], "1001", [1001, "1002"], [True], 1001])
async def test_bad_batch_ids(ids: Any) -> None:
    async with Sandbox() as sandbox:
        body = {"sms_enabled": True} if ids is None else {"ids": ids, "sms_enabled": True}
        assert await ask(sandbox, "PATCH", "/v1/numbers", json=body) == (
            400,
            {"success": False, "message": "Missing or invalid parameter ids"},
        )


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("per_page=0", "per_page"),
        ("per_page=-1", "per_page"),
        ("label_present=yes", "label_present"),
        ("city_id=Detroit", "city_id"),
    ],
)
async def test_bad_list(query: str, name: str) -> None:
    async with Sandbox() as sandbox:
        assert await ask(sandbox, "GET", f"/v1/numbers?{query}") == (
            400,
            {"success": False, "message": f"Missing or invalid parameter {name}"},
        )


@pytest.mark.parametrize("query", ["", "ids=", "ids=x", "ids=1001&dids=1", "dids="])
async def test_bad_release(query: str) -> None:
    async with Sandbox(numbers=3) as sandbox:
        status, answer = await ask(sandbox, "DELETE", f"/v1/numbers?{query}")
        assert status == 422
        assert answer["message"].startswith("Missing or invalid parameter ids")
        assert len(sandbox.numbers) == 3


async def test_sms_where_there_is_none() -> None:
    async with Sandbox(numbers=3, foreign=1.0) as sandbox:
        assert await ask(sandbox, "PATCH", "/v1/numbers/1001", json={"sms_enabled": True}) == (
            422,
            {"success": False, "message": "Inbound SMS can only be activated on US and CA phone numbers"},
        )
        status, answer = await ask(sandbox, "PATCH", "/v1/numbers/1001", json={"sms_relay_url": "https://example.com"})
        assert (status, answer["success"]) == (422, False)
        for harmless in ({"sms_enabled": False}, {"sms_relay_url": None}, {"call_recording_enabled": True}):
            assert (await ask(sandbox, "PATCH", "/v1/numbers/1001", json=harmless))[0] == 200


async def test_foreign_number_spoils_a_batch_as_a_whole() -> None:
    async with Sandbox(numbers=40, foreign=0.3) as sandbox:
        assert {number["country_short_name"] for number in sandbox.numbers.values()} > {"US"}
        status, _ = await ask(sandbox, "PATCH", "/v1/numbers", json={"ids": list(sandbox.numbers), "sms_enabled": True})
        assert status == 422
        assert not any(number["sms_enabled"] for number in sandbox.numbers.values())


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_unknown_number(method: str) -> None:
    async with Sandbox(numbers=3) as sandbox:
        for number_id in (0, 1000, 1004, 10**17):
            assert await ask(sandbox, method, f"/v1/numbers/{number_id}", json={}) == (
                404,
                {"success": False, "message": "Record not found"},
            )
        status, answer = await ask(sandbox, method, "/v1/numbers/abc", json={})
        assert (status, answer["message"]) == (400, "Missing or invalid parameter id")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/numbers", "GET, PATCH, DELETE"),
        ("PUT", "/v1/numbers/1001", "GET, PATCH"),
        ("GET", "/v1/numbers/papers", "POST"),
        ("DELETE", "/v1/numbers/1001/papers/1", "GET"),
    ],
)
async def test_wrong_method(method: str, path: str, allowed: str) -> None:
    async with Sandbox() as sandbox, ClientSession(sandbox.url) as session:
        key = {"Authorization": f"Bearer {sandbox.api_key}"}
        async with session.request(method, path, headers=key) as response:
            assert (response.status, response.headers["Allow"]) == (405, allowed)
            assert await response.json() == {"success": False, "message": "Method not allowed"}
        async with session.head("/v1/numbers", headers=key) as response:
            assert response.status == 405
        async with session.get("/v1/numbers/1001", headers=key) as response:
            assert (await response.json())["id"] == 1001


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/mydids", "/v2/numbers", "/v1/numbers/1001/papers"])
async def test_unknown_path(path: str) -> None:
    async with Sandbox() as sandbox:
        assert await ask(sandbox, "GET", path) == (404, {"success": False, "message": "Not found"})


def papers(**replaced: Any) -> FormData:
    data = FormData()
    fields = {"did_ids": "1001", "doc_id": "id", "doc_attachment": ("id.png", b"x"), **replaced}
    for name, value in fields.items():
        if isinstance(value, tuple):
            data.add_field(name, BytesIO(value[1]), filename=value[0])
        elif value is not None:
            data.add_field(name, value)
    return data


@pytest.mark.parametrize(
    ("replaced", "name"),
    [
        ({"did_ids": None}, "did_ids"),
        ({"did_ids": "1001,x"}, "did_ids"),
        ({"doc_id": None}, "doc_id"),
        ({"doc_id": "passport"}, "doc_id"),
        ({"doc_attachment": None}, "doc_attachment"),
        ({"doc_attachment": ("id.exe", b"x")}, "doc_attachment"),
        ({"doc_attachment": ("id.png", b"")}, "doc_attachment"),
        ({"doc_attachment": ("id.png", bytes(10 * 1024 * 1024 + 1))}, "doc_attachment"),
    ],
)
async def test_bad_upload(replaced: dict[str, Any], name: str) -> None:
    async with Sandbox() as sandbox:
        status, answer = await ask(sandbox, "POST", "/v1/numbers/papers", data=papers(**replaced))
        assert (status, answer["success"]) == (400, False)
        assert answer["message"].startswith(f"Missing or invalid parameter {name}")


async def test_other_bad_uploads() -> None:
    async with Sandbox() as sandbox:
        status, answer = await ask(sandbox, "POST", "/v1/numbers/papers", data=papers(did_ids="1001,5"))
        assert (status, answer["message"]) == (404, "Record not found: 5")
        assert (await ask(sandbox, "POST", "/v1/numbers/papers", json={}))[0] == 400
        broken = {"data": b"nonsense", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}
        async with ClientSession(sandbox.url) as session:
            broken["headers"] |= {"Authorization": f"Bearer {sandbox.api_key}"}
            async with session.post("/v1/numbers/papers", **broken) as response:
                assert response.status == 400
        too_large = papers(doc_attachment=("id.png", bytes(17 * 1024 * 1024)))
        assert (await ask(sandbox, "POST", "/v1/numbers/papers", data=too_large))[0] == 413


async def test_body_that_is_too_large() -> None:
    async with Sandbox() as sandbox:
        status, answer = await ask(sandbox, "PATCH", "/v1/numbers/1001", data=BytesIO(bytes(17 * 1024 * 1024)))
        assert (status, answer["success"]) == (413, False)


async def test_client_that_leaves_in_the_middle_of_a_body(caplog: pytest.LogCaptureFixture) -> None:
    async with Sandbox() as sandbox:
        _, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1]))
        writer.write(
            b"PATCH /v1/numbers/1001 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-key\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.close()
        await writer.wait_closed()
        while not sandbox.requests:
            await asyncio.sleep(0.01)
        assert sandbox.requests[0].status is None
    assert not caplog.records
