"""Every fault of the sandbox, as a client meets it, and the counters for it."""

import asyncio
import json
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import ClientSession, ClientTimeout

from wavix_async.sandbox import FAULT_KINDS, Faults, Sandbox

AFTER = {"reset_after", "half_body", "garbage", "slow"}
"""The kinds that carry the change out."""


async def patch(sandbox: Sandbox, number_id: int = 1001, timeout: float = 5) -> Any:
    """Turn SMS on once; return the status and the decoded body, or the exception that the client got."""
    async with ClientSession(sandbox.url, timeout=ClientTimeout(total=timeout)) as session:
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        try:
            async with session.patch(
                f"/v1/numbers/{number_id}", json={"sms_enabled": True}, headers=headers
            ) as response:
                return response.status, json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return error


EXPECTED: dict[str, Any] = {
    "reset_before": aiohttp.ClientOSError,
    "reset_after": aiohttp.ClientOSError,
    "half_body": aiohttp.ClientPayloadError,
    "garbage": json.JSONDecodeError,
    "status_500": 500,
    "status_502": json.JSONDecodeError,
    "status_503": 503,
    "slow": 200,
    "stall": TimeoutError,
}


@pytest.mark.parametrize("kind", FAULT_KINDS)
async def test_each_kind(kind: str) -> None:
    faults = Faults(**{kind: 1.0}, slow_seconds=0.1)
    async with Sandbox(numbers=3, faults=faults) as sandbox:
        start = asyncio.get_running_loop().time()
        outcome = await patch(sandbox, timeout=0.5 if kind == "stall" else 5)
        elapsed = asyncio.get_running_loop().time() - start
        expected = EXPECTED[kind]
        if isinstance(expected, int):
            assert outcome[0] == expected
        else:
            assert isinstance(outcome, expected)
        assert sandbox.numbers[1001]["sms_enabled"] is (kind in AFTER)
        assert sandbox.stats.updates[1001] == (kind in AFTER)
        assert sandbox.stats.faults == {kind: 1}
        if kind == "slow":
            assert elapsed >= 0.1
        while not sandbox.requests:
            await asyncio.sleep(0.01)
        (record,) = sandbox.requests
        assert (record.method, record.path, record.fault) == ("PATCH", "/v1/numbers/1001", kind)
        sent = {"half_body": 200, "garbage": 200, "slow": 200, "status_500": 500, "status_502": 502, "status_503": 503}
        assert record.status == sent.get(kind)
        assert sandbox.stats.answered == (kind in sent and kind != "half_body")


async def raw(sandbox: Sandbox) -> bytes:
    """Send one PATCH over a bare socket; return everything that came back until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1]))
    body = b'{"sms_enabled": true}'
    writer.write(
        b"PATCH /v1/numbers/1001 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-key\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
async def test_drops_are_resets(kind: str) -> None:
    async with Sandbox() as sandbox:
        sandbox.fail_next(kind)
        with pytest.raises(ConnectionResetError):
            await raw(sandbox)


async def test_half_body_promises_the_whole() -> None:
    async with Sandbox() as sandbox:
        sandbox.fail_next("half_body")
        head, _, body = (await raw(sandbox)).partition(b"\r\n\r\n")
        lengths = [int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert len(body) == lengths[0] // 2 > 0


async def test_proxy_page_is_html() -> None:
    async with Sandbox() as sandbox, ClientSession(sandbox.url) as session:
        sandbox.fail_next("status_502")
        async with session.get("/v1/numbers") as response:
            assert (response.status, response.content_type) == (502, "text/html")
            assert "502 Bad Gateway" in await response.text()


async def test_mix_hits_the_share_and_every_kind_of_it() -> None:
    async with Sandbox(numbers=10, faults=0.3, seed=7) as sandbox:
        for _ in range(400):
            await patch(sandbox)
        hit = sandbox.stats.faults
        assert hit.keys() == set(FAULT_KINDS) - {"slow", "stall"}
        assert 0.22 * 400 <= hit.total() <= 0.38 * 400
        not_carried_out = hit.total() - sum(hit[kind] for kind in AFTER)
        assert sandbox.stats.updates[1001] == 400 - not_carried_out


async def test_faults_repeat_with_the_seed() -> None:
    async def kinds(seed: int) -> list[str | None]:
        async with Sandbox(faults=0.5, seed=seed) as sandbox:
            for _ in range(40):
                await patch(sandbox)
            first = [record.fault for record in sandbox.requests]
            sandbox.reset()
            for _ in range(40):
                await patch(sandbox)
            assert [record.fault for record in sandbox.requests] == first
            return first

    assert await kinds(1) == await kinds(1)
    assert await kinds(1) != await kinds(2)


async def test_fail_next_counts_and_matches() -> None:
    async with Sandbox() as sandbox:
        sandbox.fail_next("status_500", count=2, match="PATCH /v1/numbers/1002")
        sandbox.fail_next("status_422", match="*/1003")
        sandbox.fail_next("status_404", match=lambda method, path: method == "PATCH" and path.endswith("4"))
        assert [(await patch(sandbox, i))[0] for i in (1001, 1002, 1002, 1002, 1003, 1003, 1004, 1004)] == [
            *(200, 500, 500, 200, 422, 200),
            *(404, 200),
        ]
        assert sandbox.stats.faults == {"status_500": 2, "status_422": 1, "status_404": 1}
        sandbox.fail_next("status_500", match="GET")
        assert (await patch(sandbox))[0] == 200
        sandbox.fail_next("status_500", match="PATCH")
        assert (await patch(sandbox))[0] == 500


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("status_401", {"success": False, "error": True, "message": "Access denied"}),
        ("status_403", {"success": False, "message": "The feature is disabled for your account."}),
        ("status_429", {"success": False, "message": "Too many requests"}),
        ("status_402", {"success": False, "message": "Payment Required"}),
        ("status_599", {"success": False, "message": "Error"}),
    ],
)
async def test_ordered_statuses_speak_like_the_api(kind: str, body: dict[str, Any]) -> None:
    async with Sandbox() as sandbox:
        sandbox.fail_next(kind)
        assert await patch(sandbox) == (int(kind[7:]), body)
        assert sandbox.numbers[1001]["sms_enabled"] is False


async def test_ordered_429_has_retry_after() -> None:
    async with Sandbox(retry_after=7) as sandbox, ClientSession(sandbox.url) as session:
        sandbox.fail_next("status_429")
        async with session.get("/v1/numbers") as response:
            assert response.headers["Retry-After"] == "7"
        assert sandbox.stats.refused == 0


async def test_refused_requests_suffer_no_fault() -> None:
    async with Sandbox(rate=0.01, burst=1, faults=Faults(status_500=1)) as sandbox:
        assert [(await patch(sandbox))[0] for _ in range(3)] == [500, 429, 429]
        assert sandbox.stats.faults.total() == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Faults(reset_before=1.5), "Faults.reset_before"),
        (lambda: Faults(stall=-0.1), "Faults.stall"),
        (lambda: Faults(garbage=float("nan")), "Faults.garbage"),
        (lambda: Faults(half_body=cast("Any", "often")), "Faults.half_body"),
        (lambda: Faults(slow=0.6, stall=0.6), "add up to 1.2"),
        (lambda: Faults(slow_seconds=-1), "Faults.slow_seconds"),
        (lambda: Sandbox(faults=2), "0.02 for 2 %"),
        (lambda: Sandbox(faults=-0.1), "0.02 for 2 %"),
        (lambda: Sandbox().fail_next("explode"), "reset_before"),
        (lambda: Sandbox().fail_next("status_200"), "status_400 to status_599"),
        (lambda: Sandbox().fail_next("stall", count=0), "count must be 1 or more"),
    ],
)
def test_wrong_faults(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_extreme_shares_are_allowed() -> None:
    assert sum(Faults.mix(1.0).chances().values()) == pytest.approx(1)
    assert not any(Faults.mix(0).chances().values())
    assert Faults(reset_before=0.5, reset_after=0.5).chances()["reset_after"] == 0.5
