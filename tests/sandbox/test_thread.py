"""A sandbox in a thread of its own, and what the author of a test can ask of it."""

import asyncio
import gc
import http.client
import json
import socket
import threading
import warnings
from typing import Any

import pytest

from wavix_async.sandbox import Faults, Sandbox


def send(
    sandbox: Sandbox, method: str, path: str, body: Any = None, timeout: float = 5
) -> tuple[int, dict[str, str], Any]:
    """Send one request without an event loop."""
    connection = http.client.HTTPConnection("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1]), timeout=timeout)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Authorization": f"Bearer {sandbox.api_key}"})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), json.loads(answer.read())
    finally:
        connection.close()


def test_it_serves_code_without_an_event_loop() -> None:
    before = threading.active_count()
    with Sandbox(numbers=3) as sandbox:
        url = sandbox.url
        assert threading.active_count() == before + 1
        status, _, number = send(sandbox, "PATCH", "/v1/numbers/1001", {"sms_enabled": True})
        assert (status, number["sms_enabled"]) == (200, True)
        with pytest.raises(RuntimeError, match="already running"):
            sandbox.__enter__()
        assert sandbox.url == url
    assert threading.active_count() == before
    assert sandbox.numbers[1001]["sms_enabled"] is True
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    with sandbox:
        assert send(sandbox, "GET", "/v1/numbers/1001")[0] == 200


def test_a_port_that_is_taken_leaves_no_thread() -> None:
    with Sandbox() as first:
        before = threading.active_count()
        second = Sandbox(port=int(first.url.rsplit(":", 1)[1]))
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            second.__enter__()
        assert threading.active_count() == before


async def test_a_blocked_loop_is_served() -> None:
    with Sandbox(numbers=1) as sandbox:
        # Nothing else runs in this loop meanwhile.
        assert send(sandbox, "GET", "/v1/numbers/1001")[0] == 200


async def test_an_outage_is_played_from_another_loop_and_ends_at_the_same_address() -> None:
    with Sandbox(numbers=1) as sandbox:
        url = sandbox.url
        await sandbox.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        await sandbox.start()
        assert sandbox.url == url
        assert send(sandbox, "GET", "/v1/numbers/1001")[0] == 200


async def test_a_port_that_was_taken_meanwhile_is_replaced() -> None:
    with Sandbox(numbers=1) as sandbox:
        url = sandbox.url
        await sandbox.stop()
        async with Sandbox(port=int(url.rsplit(":", 1)[1])):
            await sandbox.start()
            assert sandbox.url != url
            assert send(sandbox, "GET", "/v1/numbers/1001")[0] == 200


def test_many_threads_look_and_change_while_it_works() -> None:
    """Each thread does what would break the state of the others: iterates, resets, orders faults, moves the clock."""
    failures: list[BaseException] = []
    over = threading.Event()

    def again(work: Any) -> None:
        try:
            while not over.is_set():
                work()
        except BaseException as error:
            failures.append(error)

    with Sandbox(numbers=60, rate=10_000, apply_delay=1) as sandbox:

        def change() -> None:
            for at in (1001, 1002, 1003):
                send(
                    sandbox, "PATCH", f"/v1/numbers/{at}", {"sms_relay_url": "https://example.com", "sms_enabled": True}
                )
            send(sandbox, "DELETE", "/v1/numbers?ids=1060")

        def look() -> None:
            assert all(number["id"] >= 1001 for number in sandbox.numbers.values() if number)
            assert all(request.method in {"PATCH", "DELETE"} for request in sandbox.requests)

        def meddle() -> None:
            sandbox.advance(0.5)
            sandbox.change(1001, label="x")
            sandbox.fail_next(500, match="GET")

        threads = [threading.Thread(target=again, args=[work]) for work in (change, change, meddle, sandbox.reset)]
        threads.append(threading.Thread(target=again, args=[lambda: _ignoring_key_errors(look)]))
        for thread in threads:
            thread.start()
        over.wait(0.5)
        over.set()
        for thread in threads:
            thread.join()
        assert failures == []
        sandbox.reset()
        assert len(sandbox.numbers) == 60
        assert sandbox.stats.in_flight == 0


def _ignoring_key_errors(look: Any) -> None:
    # A number may be released between two steps of an iteration, as in any dict that others change.
    try:
        look()
    except KeyError:
        pass


def test_a_client_that_has_the_answer_finds_the_request() -> None:
    with Sandbox(numbers=2) as sandbox:
        for nth in range(1, 301):
            status, headers, _ = send(sandbox, "GET", "/v1/numbers/1001")
            assert len(sandbox.requests) == nth
            last = sandbox.requests[-1]
            assert (last.status, last.request_id) == (status, headers["X-Request-Id"])
            assert (sandbox.stats.answered, sandbox.stats.in_flight) == (nth, 0)


def test_a_request_that_is_not_answered_is_there_and_the_order_is_that_of_arrival() -> None:
    with Sandbox(numbers=3, faults=Faults(slow_seconds=1.5)) as sandbox:
        sandbox.fail_next("stall", match="PATCH")
        with pytest.raises(TimeoutError):
            send(sandbox, "PATCH", "/v1/numbers/1001", {"sms_enabled": True}, timeout=0.5)
        (stalled,) = sandbox.requests
        assert (stalled.status, stalled.fault, stalled.json) == (None, "stall", {"sms_enabled": True})
        sandbox.fail_next("slow", match="*/1002")
        slow = threading.Thread(target=send, args=[sandbox, "GET", "/v1/numbers/1002"])
        slow.start()
        while len(sandbox.requests) < 2:
            pass
        send(sandbox, "GET", "/v1/numbers/1003")
        assert [(r.path[-4:], r.status) for r in sandbox.requests] == [("1001", None), ("1002", None), ("1003", 200)]
        slow.join()
        assert [r.status for r in sandbox.requests] == [None, 200, 200]


def test_requests_are_found_by_what_they_are() -> None:
    with Sandbox(numbers=3) as sandbox:
        send(sandbox, "GET", "/v1/numbers?per_page=2")
        send(sandbox, "PATCH", "/v1/numbers/1001", {"sms_enabled": True})
        send(sandbox, "PATCH", "/v1/numbers/1002", {"sms_enabled": False})
        assert [r.json for r in sandbox.requests_to("PATCH")] == [{"sms_enabled": True}, {"sms_enabled": False}]
        assert [r.query for r in sandbox.requests_to("GET /v1/numbers")] == ["per_page=2"]
        assert len(sandbox.requests_to("/v1/numbers/*")) == 2
        assert [r.path for r in sandbox.requests_to(lambda _, path: path.endswith("2"))] == ["/v1/numbers/1002"]
        assert sandbox.requests_to(None) == sandbox.requests


def test_the_body_of_a_request_as_json() -> None:
    with Sandbox(numbers=2) as sandbox:
        send(sandbox, "GET", "/v1/numbers/1001")
        send(sandbox, "PATCH", "/v1/numbers", {"ids": [1001] * 2000, "sms_enabled": True})
        empty, long = sandbox.requests
        assert empty.json is None
        assert len(long.body) == 4096
        with pytest.raises(ValueError, match="Only the first 4,096 bytes"):
            _ = long.json


@pytest.mark.parametrize(
    ("order", "status", "retry_after", "message"),
    [
        ({"kind": 429}, 429, "1", "Too many requests"),
        ({"kind": 429, "retry_after": 7}, 429, "7", "Too many requests"),
        ({"kind": "status_503", "retry_after": 2.5}, 503, "3", "Service is temporarily unavailable"),
        ({"kind": 402, "message": "Top up."}, 402, None, "Top up."),
        ({"kind": 502, "message": "A proxy that speaks JSON"}, 502, None, "A proxy that speaks JSON"),
    ],
)
def test_a_status_is_ordered_with_its_facts(order: Any, status: int, retry_after: str | None, message: str) -> None:
    with Sandbox(numbers=1) as sandbox:
        sandbox.fail_next(**order)
        got, headers, body = send(sandbox, "GET", "/v1/numbers/1001")
        assert (got, headers.get("Retry-After"), body) == (status, retry_after, {"success": False, "message": message})
        assert sandbox.requests[0].fault == f"status_{status}"
        assert sandbox.stats.faults == {f"status_{status}": 1}
        assert send(sandbox, "GET", "/v1/numbers/1001")[0] == 200


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"kind": 200}, "from 400 to 599"),
        ({"kind": 600}, "from 400 to 599"),
        ({"kind": True}, "from 400 to 599"),
        ({"kind": "stall", "retry_after": 3}, "need a status"),
        ({"kind": "garbage", "message": "x"}, "need a status"),
        ({"kind": 429, "retry_after": -1}, "retry_after must be"),
        ({"kind": 429, "retry_after": float("nan")}, "retry_after must be"),
    ],
)
def test_wrong_orders(order: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sandbox().fail_next(**order)


def test_a_connection_that_comes_while_it_ends_is_closed() -> None:
    with warnings.catch_warnings(record=True) as came:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(20):
            with Sandbox(numbers=1) as sandbox, socket.socket() as connecting:
                connecting.setblocking(False)
                connecting.connect_ex(("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1])))
                # Closed first, as the test is over that has made it.
                sandbox.__exit__(None, None, None)
        gc.collect()
    assert [str(warning.message) for warning in came] == []
