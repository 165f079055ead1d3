"""Every error status on a real connection: what a call reports, how often it was sent, and what the server did."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import FAST
from tests.faults.server import Fault
from wavix_async import (
    APIError,
    AttemptTimeoutError,
    NotFoundError,
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    Success,
    WavixClient,
    WavixError,
    fleet,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.server import FaultServer

pytestmark = pytest.mark.req_27

GET = Operation("GET", "/v1/numbers/{id}", Number)
PATCH = Operation("PATCH", "/v1/numbers/{id}", Number, idempotent=True)
POST = Operation("POST", "/v1/messages", Success)
DELETE = Operation("DELETE", "/v1/numbers/{id}", Success)
OPERATIONS = [GET, PATCH, POST, DELETE]
STATUSES = [101, *range(300, 600)]
PAGE = "<html><head><title>Blocked</title></head><body>Request id 12</body></html>"
BODIES = {
    "empty": ("", "application/json"),
    "an object": ('{"success": false, "message": "no"}', "application/json"),
    "a JSON text": ('"no"', "application/json"),
    "an object of a wrong type": ('{"message": "no"}', "text/html"),
    "a page": (PAGE, "text/html"),
    "a page of a wrong type": (PAGE, "application/json"),
    "a text": ("error code: 1020", "text/plain"),
}
PAGES = {"a page", "a page of a wrong type", "a text"}
# By default one status in three, and those that mean something of their own.
SAMPLE = [
    status
    for status in STATUSES
    if status % 3 == 0
    or status
    in {101, 302, 304, 307, 308, *range(400, 416), 422, 425, 429, 431, 451, 499, *range(500, 506), 520, 524, 530}
]
IN_TURN = "each in turn"
EVERY_BODY = [IN_TURN, *(pytest.param(body, marks=pytest.mark.scale) for body in BODIES)]


def rejects(status: int, body: str) -> bool:
    if not 400 <= status < 500 or status in {408, 499}:
        return False
    return body not in PAGES or status in {401, 402, 403, 413, 414, 429, 431}


def fault(status: int, body: str, *, after: bool) -> Fault:
    text, kind = BODIES[body]
    return Fault(f"status_{status}{'_after' if after else ''}", headers=(("Content-Type", kind),), body=text)


async def make(client: WavixClient, operation: Operation[Any], number: int) -> Any:
    body = {"sms_enabled": True} if operation.method in {"PATCH", "POST"} else None
    return await client.call(operation, path={"id": number} if "{id}" in operation.path else None, body=body)


@pytest.mark.req_01
@pytest.mark.req_05
@pytest.mark.parametrize("bodies", EVERY_BODY)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.method)
async def test_every_status_tells_the_truth(
    faulty: FaultServer, make_client: Any, operation: Operation[Any], bodies: str
) -> None:
    """The server carries out what it does not refuse, and answers so: no failure is false, no POST goes out twice."""
    client = make_client()
    statuses = SAMPLE if bodies == IN_TURN else STATUSES
    for place, status in enumerate(statuses):
        body = list(BODIES)[place % len(BODIES)] if bodies == IN_TURN else bodies
        rejected = rejects(status, body)
        number = 1000 + status
        before = faulty.counters() if status % 20 == 0 else None
        faulty.set_schedule([fault(status, body, after=not rejected)])
        where = f"{status} with {body}"
        repeated = status == 429 or (operation.idempotent and not rejected and not 300 <= status < 400)
        if repeated:
            answer = await make(client, operation, number)
            if operation is DELETE and status != 429:
                assert answer.already_gone is True, where
        else:
            with pytest.raises(WavixError) as caught:
                await make(client, operation, number)
            error = caught.value
            assert (error.status, error.attempts) == (status, 1), where
            assert error.outcome == ("rejected" if rejected else "unknown"), where
            assert isinstance(error, OutcomeUnknownError) is (operation is POST and not rejected), where
        if before is not None:
            assert faulty.counters()["total"] - before["total"] == (2 if repeated else 1), where
    counters = faulty.counters()
    assert sum(counters["fired"][kind] for kind in counters["fired"] if kind.startswith("status_")) == len(statuses)
    if operation is POST:
        refused = [
            status
            for place, status in enumerate(statuses)
            if rejects(status, list(BODIES)[place % len(BODIES)] if bodies == IN_TURN else bodies)
        ]
        # Sent once each; a refused one was not carried out, except the 429, which was sent again.
        assert counters["posted"]["/v1/messages"] == len(statuses) - len(refused) + 1


@pytest.mark.req_04
@pytest.mark.parametrize("status", [100, 102, 103, 150, 199])
@pytest.mark.parametrize("operation", [GET, PATCH, POST], ids=lambda operation: operation.method)
async def test_an_interim_answer_is_no_answer(
    faulty: FaultServer, make_client: Any, operation: Operation[Any], status: int
) -> None:
    """aiohttp waits for the answer after a 1xx; if none comes, the attempt times out."""
    faulty.set_schedule([f"status_{status}"])
    client = make_client().with_options(timeout=0.3)
    if operation.idempotent:
        await make(client, operation, 7)
        assert faulty.counters()["total"] == 2
        return
    with pytest.raises(OutcomeUnknownError) as caught:
        await make(client, operation, 7)
    assert isinstance(caught.value.__cause__, AttemptTimeoutError)
    assert (caught.value.outcome, faulty.counters()["total"]) == ("unknown", 1)


async def test_a_page_of_a_proxy_is_not_a_number_that_is_gone(faulty: FaultServer, make_client: Any) -> None:
    faulty.set_schedule([fault(404, "a page", after=False)] * 4)
    with pytest.raises(APIError) as caught:
        await make(make_client(), GET, 7)
    assert not isinstance(caught.value, NotFoundError)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 4)


@pytest.mark.req_04
@pytest.mark.parametrize(
    "status",
    [
        *(404, 499, 520, 530),
        *(pytest.param(status, marks=pytest.mark.scale) for status in (*range(521, 528), 529, 599)),
    ],
)
async def test_one_answer_of_a_proxy_does_not_end_an_export(
    faulty: FaultServer, make_client: Any, tmp_path: Path, status: int
) -> None:
    faulty.reset(numbers=350)
    faulty.set_schedule(["ok", fault(status, "a page", after=False)])
    assert await fleet.export(make_client(), tmp_path / "fleet.csv") == 350
    faulty.assert_fired(f"status_{status}", times=1)


@pytest.mark.req_15
async def test_a_plan_takes_no_page_for_a_number_that_is_gone(faulty: FaultServer, make_client: Any) -> None:
    """Reading numbers one by one, a fleet believes only the API that a number is missing."""
    faulty.reset(numbers=10_000)
    desired = fleet.read((number, NumberUpdate(sms_enabled=True)) for number in range(1, 4))
    faulty.set_schedule([fault(404, "a page", after=False)] * 2, path="/v1/numbers/2")
    faulty.set_schedule([fault(404, "an object", after=False)], path="/v1/numbers/3")
    plan = await fleet.plan(make_client(), desired)
    faulty.assert_fired("status_404", times=3)
    assert (len(plan), plan.missing_count) == (2, 1)
    assert "3" in plan.missing[0]


@pytest.mark.req_17
@pytest.mark.req_21
@pytest.mark.parametrize("batch", [None, 25])
async def test_a_bulk_run_among_proxies_tells_the_truth(
    faulty: FaultServer, make_client: Any, batch: int | None
) -> None:
    """One request in five is answered with an uncertain status, carried out or not; all numbers are changed."""
    kinds = [f"status_{status}{how}" for status in (302, 408, 499, 520, 530) for how in ("", "_after")]
    faulty.reset(faults=dict.fromkeys(kinds, 0.02), methods=("PATCH",), seed=27)
    client = make_client(retry=FAST)
    ids = range(1, 601)
    report = await client.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(sms_enabled=True)), batch=batch)
    assert (report.updated, report.failed, report.unknown) == (600, 0, 0)
    state = faulty.numbers()
    assert all(state[number]["sms_enabled"] is True for number in ids)
    fired = faulty.counters()["fired"]
    assert sum(fired.get(kind, 0) for kind in kinds) > (50 if batch is None else 2)


# What follows an interim answer: its bytes, and whether a repeated call then works.
INTERIM = {
    "nothing": b"",
    "a body": b"Content-Length: 5\r\n\r\nhello",
    "a page": PAGE.encode(),
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.req_05
@pytest.mark.parametrize("status", [100, 101, 103])
@pytest.mark.parametrize("rest", INTERIM.values(), ids=INTERIM)
async def test_nothing_behind_an_interim_answer_is_taken_for_an_answer(status: int, rest: bytes) -> None:
    """The first connection ends after an interim answer and some bytes; the next attempt has one of its own."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length" in head:
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
        end = b"\r\n" if rest.startswith(b"Content-Length") else b"\r\n\r\n"
        if connections == 1 or b"POST" in head:
            writer.write(b"HTTP/1.1 %d Whatever%b%b" % (status, end, rest))
        else:
            body = json.dumps({"id": 7, "number": "12565378257", "sms_enabled": True}).encode()
            type_and_length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            # An interim answer before the answer is fine.
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n" + type_and_length + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, WavixClient("key", base_url=url, retry=FAST) as client:
        number = await make(client, PATCH, 7)
        assert (number.id, number.sms_enabled, connections) == (7, True, 2)
        with pytest.raises(OutcomeUnknownError) as caught:
            await make(client, POST, 7)
        assert (caught.value.outcome, caught.value.attempts, connections) == ("unknown", 1, 3)
