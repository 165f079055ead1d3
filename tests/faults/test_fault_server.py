"""The fault server itself: tests against it prove something only if it works."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.faults.server import BIG_BODY_BYTES, BOMB_MEGABYTES, KINDS, Fault, FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

CHANGE = b'{"sms_enabled": true}'
PATCH = b"PATCH /v1/numbers/7 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(CHANGE), CHANGE)


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="module")
def shared() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(shared: FaultServer) -> FaultServer:
    shared.reset()
    return shared


def connect(server: FaultServer) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def raw(server: FaultServer, request: bytes = PATCH) -> bytes:
    """Everything the server says until it hangs up; with an `ok` it never does, so ask for another fault."""
    with connect(server) as connection:
        connection.sendall(request)
        said = b""
        while data := connection.recv(65536):
            said += data
        return said


def call(server: FaultServer, method: str, path: str, body: Any = None) -> Answer:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def patch(server: FaultServer, number: int = 7, **changes: Any) -> Answer:
    return call(server, "PATCH", f"/v1/numbers/{number}", changes or {"sms_enabled": True})


def test_a_change_is_merged_kept_and_counted(server: FaultServer) -> None:
    destination = {"destination": "12565378257", "transport": 4, "priority": 1}
    patch(server, sms_enabled=True)
    patch(server, call_status_url="https://example.com", destinations=[destination])
    number = call(server, "GET", "/v1/numbers/7").json()
    assert number["sms_enabled"] is True
    assert number["call_status_url"] == "https://example.com"
    assert number["destination"] == [{"id": 1, **destination}]
    assert server.numbers() == {7: number}
    counters = server.counters()
    assert counters["applied"] == {7: 2}
    assert counters["requests"] == {"PATCH /v1/numbers/7": 2, "GET /v1/numbers/7": 1}


def test_lists_batches_releases_and_posts(server: FaultServer) -> None:
    server.reset(numbers=250)
    page = call(server, "GET", "/v1/numbers?page=3&per_page=100").json()
    assert [item["id"] for item in page["items"]] == list(range(201, 251))
    assert page["pagination"] == {"current_page": 3, "per_page": 100, "total": 250, "total_pages": 3}
    call(server, "PATCH", "/v1/numbers", {"ids": [1, 2], "sms_enabled": True})
    call(server, "DELETE", "/v1/numbers/2")
    assert call(server, "GET", "/v1/numbers/2").status == 404
    assert call(server, "POST", "/v3/messages", {"to": "1"}).json() == {"success": True, "id": 1, "message_id": "1"}
    assert server.counters()["applied"] == {1: 1, 2: 2}
    assert server.counters()["posted"] == {"/v3/messages": 1}


def test_a_chunked_request_body_is_understood(server: FaultServer) -> None:
    server.set_schedule(["stale_keepalive"])
    head = b"PATCH /v1/numbers/7 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw(server, head + b'11\r\n{"sms_enabled": t\r\n4\r\nrue}\r\n0\r\n\r\n')
    assert server.numbers()[7]["sms_enabled"] is True


def test_a_connection_is_kept_alive(server: FaultServer) -> None:
    async def thrice() -> None:
        async with aiohttp.ClientSession(server.url) as session:
            for _ in range(3):
                async with session.patch("/v1/numbers/7", json={"sms_enabled": True}) as response:
                    assert (await response.json())["id"] == 7

    asyncio.run(thrice())
    assert server.counters()["connections"] == 1


@pytest.mark.parametrize(("kind", "applied"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset_is_a_reset(server: FaultServer, kind: str, applied: int) -> None:
    server.set_schedule([kind])
    with pytest.raises(ConnectionResetError):
        raw(server)
    server.assert_fired(kind, times=1)
    assert server.counters()["applied"].get(7, 0) == applied


@pytest.mark.parametrize(("kind", "applied"), [("close_before", 0), ("close_after", 1)])
def test_a_close_is_an_end_without_an_answer(server: FaultServer, kind: str, applied: int) -> None:
    server.set_schedule([kind])
    assert raw(server) == b""
    assert server.counters()["applied"].get(7, 0) == applied


def test_cut_answers_are_cut(server: FaultServer) -> None:
    server.set_schedule(["half_headers", "half_body", "chunked_cut"])
    assert b"\r\n\r\n" not in raw(server)
    head, _, body = raw(server).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    assert 0 < len(body) < length
    assert not raw(server).endswith(b"0\r\n\r\n")
    assert server.counters()["applied"] == {7: 3}


@pytest.mark.parametrize(
    ("kind", "status", "applied"),
    [
        ("garbage", 200, 1),
        ("empty_200", 200, 1),
        ("wrong_type", 200, 1),
        ("no_content", 204, 1),
        ("success_false", 200, 0),
        ("html_502", 502, 0),
        ("status_500", 500, 0),
        ("status_503", 503, 0),
        ("status_500_after", 500, 1),
        ("status_503_retry_after", 503, 0),
        ("status_429", 429, 0),
    ],
)
def test_whole_answers(server: FaultServer, kind: str, status: int, applied: int) -> None:
    server.set_schedule([kind])
    answer = patch(server)
    assert answer.status == status
    assert server.counters()["applied"].get(7, 0) == applied
    assert (answer.headers["Retry-After"] == "1") == (kind == "status_503_retry_after")
    if kind == "garbage":
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            answer.json()
    if kind in ("empty_200", "no_content"):
        assert answer.body == b""
    if kind in ("wrong_type", "html_502"):
        assert answer.headers.get_content_type() == "text/html"
    if kind == "success_false":
        assert answer.json()["success"] is False
    server.assert_fired(kind, times=1)


def test_headers_and_bodies_can_be_dictated(server: FaultServer) -> None:
    twice = (("Retry-After", "2"), ("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"))
    server.set_schedule([Fault("status_429", headers=twice), Fault("ok", body="[]")])
    assert patch(server).headers.get_all("Retry-After") == [value for _, value in twice]
    assert patch(server).body == b"[]"


def test_a_stall_lasts_until_the_client_hangs_up(server: FaultServer) -> None:
    server.set_schedule(["stall"])
    with connect(server) as connection:
        connection.sendall(PATCH)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert server.counters()["open"] == 1
    assert server.counters()["applied"] == {}


def test_slow_and_drip_take_their_time_and_reset_forgets_them(server: FaultServer) -> None:
    server.set_schedule([Fault("slow", delay=0.01), Fault("drip", delay=0.0001), Fault("slow", delay=0.05)])
    assert patch(server).json()["id"] == 7
    assert patch(server).json()["id"] == 7
    with connect(server) as connection:
        connection.sendall(PATCH)
        while server.counters()["total"] < 3:
            pass
        server.reset()
        assert connection.recv(1) == b""
    assert server.counters()["applied"] == {}


def test_bodies_that_are_too_much(server: FaultServer) -> None:
    server.set_schedule(["gzip_bomb", "big_body"])
    bomb = patch(server)
    assert bomb.headers["Content-Encoding"] == "gzip"
    assert len(bomb.body) < 1_000_000
    inflate, size, rest = zlib.decompressobj(16 + zlib.MAX_WBITS), 0, bomb.body
    while rest:
        size += len(inflate.decompress(rest, 1_000_000))
        rest = inflate.unconsumed_tail
    assert size == BOMB_MEGABYTES * 1_000_000
    assert len(patch(server).json()["padding"]) == BIG_BODY_BYTES


def test_a_stale_connection_answers_once(server: FaultServer) -> None:
    server.set_schedule(["stale_keepalive"])
    head, _, body = raw(server).partition(b"\r\n\r\n")
    assert b"connection: keep-alive" in head.lower()
    assert json.loads(body)["id"] == 7


def test_a_redirect_tells_whether_the_key_came_along(server: FaultServer) -> None:
    server.set_schedule(["redirect"])
    there = patch(server).headers["Location"]
    assert there == f"{server.other_origin}/v1/numbers/7"
    assert not there.startswith(server.url)
    with socket.create_connection(("127.0.0.1", int(server.other_origin.rpartition(":")[2])), timeout=5) as connection:
        connection.sendall(b"GET /v1/numbers/7 HTTP/1.1\r\nAuthorization: Bearer k\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    counters = server.counters()
    assert (counters["redirected"], counters["redirected_with_key"]) == (1, 1)


def test_a_rate_refuses_what_is_above(server: FaultServer) -> None:
    server.reset(rate=0.001, burst=2, retry_after=3)
    answers = [patch(server) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "3"
    assert server.counters()["limited"] == 1
    assert server.counters()["applied"] == {7: 2}


def test_chance_is_seeded_and_spares_other_methods(server: FaultServer) -> None:
    def story(seed: int) -> list[str]:
        server.reset(faults={"status_500": 0.3, "garbage": 0.2}, seed=seed, methods=["PATCH"])
        for _ in range(40):
            patch(server)
            assert call(server, "GET", "/v1/numbers/7").status == 200
        return [entry["fault"] for entry in server.log() if entry["method"] == "PATCH"]

    first = story(1)
    assert first == story(1) != story(2)
    assert {"status_500", "garbage", "ok"} == set(first)


def test_a_path_can_have_its_own_schedule(server: FaultServer) -> None:
    server.set_schedule(["status_500", "status_503"], path="/v1/numbers/8")
    assert [patch(server, number).status for number in (7, 8, 7, 8, 8)] == [200, 500, 200, 503, 200]


def test_two_writes_of_one_number_at_once_are_noticed(server: FaultServer) -> None:
    async def both(first: int, second: int) -> None:
        async with aiohttp.ClientSession(server.url) as session:
            answers = await asyncio.gather(
                *(session.patch(f"/v1/numbers/{n}", json={"sms_enabled": True}) for n in (first, second))
            )
            for answer in answers:
                await answer.read()

    server.reset(latency=0.03)
    asyncio.run(both(1, 2))
    assert server.counters()["overlapping_writes"] == 0
    assert server.counters()["peak_in_flight"] == 2
    asyncio.run(both(1, 1))
    assert server.counters()["overlapping_writes"] == 1


def test_a_fault_that_never_fired_fails_the_test(server: FaultServer) -> None:
    server.set_schedule(["garbage"])
    with pytest.raises(AssertionError, match="garbage should have fired"):
        server.assert_fired("garbage")
    patch(server)
    server.assert_fired("garbage")
    with pytest.raises(AssertionError, match="2 times"):
        server.assert_fired("garbage", times=2)


def test_a_misspelt_fault_is_refused(server: FaultServer) -> None:
    with pytest.raises(ValueError, match="no such fault: 'reset_afterwards'"):
        server.set_schedule(["reset_afterwards"])
    with pytest.raises(ValueError, match="no such fault"):
        FaultServer(faults={"status_999": 0.1})


def test_every_kind_can_fire(server: FaultServer) -> None:
    for kind in sorted(KINDS - {"stall", "stall_after"}):
        server.set_schedule([Fault(kind, delay=0.0)])
        try:
            patch(server)
        except (OSError, http.client.HTTPException):
            pass
        server.assert_fired(kind)


def test_the_process_ends_with_the_block() -> None:
    with FaultServer() as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    with pytest.raises(RuntimeError, match="has ended"):
        server.counters()
