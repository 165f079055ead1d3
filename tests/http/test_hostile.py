"""Answers that no API sends: huge, deep, odd, of nothing but drift. They cost little, and each failure is ours."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import pickle
import threading
import time
import tracemalloc
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.support import examples as ex
from tests.support.soon import SOON
from wavix_async import (
    APIError,
    ClientClosedError,
    DeadlineExceededError,
    DecodeError,
    DriftEvent,
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
    to_dict,
)
from wavix_async._http import Response, read_response
from wavix_async.resources.numbers import GET, LIST, UPDATE_BATCH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PLAIN = Operation("GET", "/v1/things", dict)
ANY = Operation("GET", "/v1/things", object)
LISTED = Operation("GET", "/v1/things", list)
WRAPPED = Operation("GET", "/v1/things", Number, unwrap="thing")
SEND = Operation("POST", "/v1/things", Number)

MEGABYTE = 1_000_000


@asynccontextmanager
async def serving(body: bytes, status: int = 200, *, kind: str = "application/json") -> AsyncIterator[str]:
    """A server on a real socket that gives this answer to every request."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.close()


@asynccontextmanager
async def client_of(body: bytes, status: int = 200, **options: Any) -> AsyncIterator[WavixClient]:
    async with (
        serving(body, status) as url,
        WavixClient(KEY, base_url=url, **{"retry": RetryPolicy.none(), **options}) as wavix,
    ):
        yield wavix


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, body)


# --- odd values: one of them must not make the whole account unreadable ---

ODD: dict[str, Callable[[str], bytes]] = {
    "half a character": lambda text: text.replace('"@"', '"cut emoji \\ud83d"').encode(),
    "its other half": lambda text: text.replace('"@"', '"\\udc00"').encode(),
    "half a character in bytes": lambda text: text.replace('"@"', '"\ud83d"').encode("utf-8", "surrogatepass"),
    "not a number": lambda text: text.replace('"@"', "NaN").encode(),
    "infinity": lambda text: text.replace('"@"', "-Infinity").encode(),
    "beyond a float": lambda text: text.replace('"@"', "1e400").encode(),
    "five thousand digits": lambda text: text.replace('"@"', "1" * 5000).encode(),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "latin-1": lambda text: text.replace('"@"', '"B\xfcro"').encode("latin-1"),
    "a key twice": lambda text: text.replace('"label"', '"label":"first","label"').encode(),
}


@pytest.mark.req_29
@pytest.mark.parametrize("odd", ODD)
async def test_one_odd_value_leaves_the_account_readable(odd: str) -> None:
    items = [ex.number(id=place, label="@" if place == 2 else "fine") for place in (1, 2, 3)]
    body = ODD[odd](json.dumps({"items": items, "pagination": ex.pagination(total=3)}))

    async with client_of(body) as wavix:
        numbers = await wavix.numbers.list().to_list()

    assert [number.id for number in numbers] == [1, 2, 3]
    assert [number.label for number in numbers if number.id != 2] == ["fine", "fine"]
    assert numbers[1].label
    assert numbers == numbers.copy()
    for number in numbers:
        # Whatever came can be kept, compared and written again.
        assert pickle.loads(pickle.dumps(number)) == number
        assert json.loads(json.dumps(to_dict(number), allow_nan=False)) == to_dict(number)


@pytest.mark.req_29
@pytest.mark.parametrize("odd", ["not a number", "infinity", "beyond a float"])
@pytest.mark.parametrize("field", ["monthly_fee", "free_min", "per_min"])
def test_a_number_that_is_none_in_a_field_of_a_number(odd: str, field: str) -> None:
    body = ODD[odd](json.dumps(ex.number(**{field: "@"})))

    value, _ = read_response(GET, answer(body))

    assert json.loads(json.dumps(to_dict(value), allow_nan=False)) == to_dict(value)


@pytest.mark.req_29
async def test_a_reason_with_half_a_character_can_be_printed() -> None:
    body = b'{"message": "no \\ud83d \\u001b[31mred\\u202e", "code": "\\udc00"}'
    async with client_of(body, 422) as wavix:
        with pytest.raises(UnprocessableEntityError, match=r"no \\ud83d \\x1b\[31mred\\u202e") as caught:
            await wavix.numbers.get(1)

    error = caught.value
    for text in (str(error), error.reason or "", error.code or "", repr(error)):
        text.encode()
        assert text.isprintable()


async def test_half_a_character_in_a_request_is_an_input_error() -> None:
    async with client_of(b"{}") as wavix:
        half = NumberUpdate(destinations=[{"destination": "\ud83d", "priority": 1, "transport": 1}])
        for body in (half, {"a": "\ud83d"}, {"\ud83d": 1}):
            with pytest.raises(WavixError, match="cannot be written as JSON"):
                await wavix.call(Operation("PATCH", "/v1/things", Number), body=body)


# --- depth ---

DEPTHS = (1, 2, 10, 99, 100, 101, 102, 250, 330, 490, 500, 900, 980, 995, 1000, 1023, 1024, 1025, 5000, 100_000)
# Where something ends: what is kept of an error, what is decoded, what the JSON readers and `repr` and `pickle` take.
FEW = (2, 99, 102, 330, 500, 1023, 1025, 100_000)
ALL_DEPTHS = pytest.mark.parametrize("depths", [FEW, pytest.param(DEPTHS, marks=pytest.mark.scale)], ids=["few", "all"])
KINDS = ("lists", "objects", "both")


def failure_of(operation: Operation[Any], response: Response) -> WavixError | None:
    try:
        read_response(operation, response)
    except WavixError as error:
        return error
    return None


def nested(depth: int, kind: str) -> str:
    opening, closing = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"a":', "}]")}[kind]
    return opening * depth + "1" + closing * depth


AROUND = [
    "@",
    '{"message": @}',
    '{"errors": @}',
    '{"error": {"message": "no", "a": @}}',
    '{"errors": [@]}',
    '[{"code": 1, "message": "x", "fields": @}]',
    '{"success": false, "error_dids": [@]}',
    '{"code": @}',
]


@pytest.mark.req_24
@pytest.mark.req_29
@ALL_DEPTHS
@pytest.mark.parametrize("status", [200, 302, 401, 422, 429, 500, 503])
def test_an_error_body_of_any_depth(status: int, depths: tuple[int, ...]) -> None:
    # With a few depths, each text around has one of the kinds.
    for place, (around, kind) in enumerate(itertools.product(AROUND, KINDS)):
        if depths is FEW and (place + status) % 3:
            continue
        for depth in depths:
            response = answer(around.replace("@", nested(depth, kind)).encode(), status)
            # The body of an error is read in the same way for every operation.
            for operation in (GET, LIST, UPDATE_BATCH, PLAIN, ANY, WRAPPED) if status == 200 else (GET,):
                where = f"{around}: {kind}, {depth} deep, for {operation.name}"
                error = failure_of(operation, response)
                if error is None:
                    assert status == 200, where
                    continue
                pickled = pickle.dumps(error)
                assert len(str(error)) < 1500, where
                assert len(pickled) < 10_000, where
                assert repr(pickle.loads(pickled).details) == repr(error.details), where
                json.dumps(error.details)
                copy.deepcopy(error.details)


@pytest.mark.req_29
@ALL_DEPTHS
@pytest.mark.parametrize("operation", [GET, LIST, UPDATE_BATCH, PLAIN, ANY, LISTED, WRAPPED], ids=lambda one: one.name)
def test_an_answer_of_any_depth_can_be_used_or_is_refused(operation: Operation[Any], depths: tuple[int, ...]) -> None:
    for place, where in enumerate(("a new key", "destination", "documents", "items", "alone")):
        for kind in KINDS if depths is DEPTHS else (KINDS[place % 3],):
            used = refused = 0
            for depth in depths:
                deep = nested(depth, kind)
                number = json.dumps({**ex.number(id=1), "new" if where == "a new key" else where: "@"})
                number = number.replace('"@"', deep)
                body = deep if where == "alone" else f'{{"items": [{number}], {number[1:]}'
                try:
                    value, _ = read_response(operation, answer(body.encode()))
                except DecodeError:
                    refused += 1
                    continue
                used += 1
                check_usable(value)
            assert refused >= len(depths) // 4, f"{kind} in {where}"
            assert used or where == "alone" or operation is LISTED, f"{kind} in {where}"


def check_usable(value: Any) -> None:
    if isinstance(value, dict | list):
        json.dumps(value)
    else:
        to_dict(value)
    copy.deepcopy(value)
    assert repr(value)
    assert value == pickle.loads(pickle.dumps(value))


@pytest.mark.req_29
@pytest.mark.parametrize("batch", [None, "auto"])
async def test_a_deep_error_body_does_not_end_a_bulk_run(batch: Any) -> None:
    body = ('{"message": "no", "errors": ' + nested(900, "lists") + "}").encode()
    async with client_of(body, 422) as wavix:
        report = await wavix.numbers.bulk_update(
            dict.fromkeys(range(1, 20), NumberUpdate(sms_enabled=True)), batch=batch
        )

    assert report.failed == 19
    assert all(len(pickle.dumps(failure)) < 20_000 for failure in report.failures)


def test_a_body_of_the_caller_that_is_too_deep_is_an_input_error() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    wavix = WavixClient(KEY)
    with pytest.raises(WavixError, match="cannot be written as JSON"):
        wavix.call(Operation("POST", "/v1/things", dict), body={"a": deep})


# --- what an error keeps ---


@pytest.mark.req_29
@pytest.mark.parametrize(
    "payload",
    [
        {"message": "x" * 10_000},
        {"success": False, "message": "no", "trace": ["line " + "y" * 50] * 200},
        {"errors": {f"field{place}": "bad" for place in range(2000)}, "message": "no", "success": False},
        {"a": {"b" * 500: ["c"] * 3000}, "code": "17", "message": "no"},
        [{"code": place, "message": "m" * 30} for place in range(500)],
        {"error": "no", "error_dids": [f"1415555{place:04}" for place in range(900)]},
        {"x": 10**300, "message": "no"},
        [[]] * 5000,
        ["x"] * 5000,
        "x" * 10_000,
        {"\u00e9" * 3000: "\u00e9" * 3000},
    ],
)
async def test_an_error_keeps_a_bounded_part_of_its_body(payload: Any) -> None:
    async with client_of(json.dumps(payload).encode(), 422) as wavix:
        with pytest.raises(UnprocessableEntityError) as caught:
            await wavix.numbers.get(1)

    error = caught.value
    assert len(json.dumps(error.details, ensure_ascii=False)) < 4000
    assert len(pickle.dumps(error)) < 12_000
    if isinstance(payload, dict) and payload.get("message") == "no":
        assert error.reason is not None
        assert error.reason.startswith("no")
        assert isinstance(error.details, dict)
        assert error.details["message"] == "no"
        assert error.details.get("code") == payload.get("code")


@pytest.mark.req_29
@pytest.mark.parametrize(
    "payload",
    [
        {"success": False, "message": "Validation error", "errors": {"to": "required", "from": ["a", "b"]}},
        {"error": True, "message": "no", "deleted_at": "2024-01-01"},
        {"success": False, "message": "Access is denied.", "error_code": "012"},
        {"error": "no", "error_dids": [f"1415555{place:04}" for place in range(60)]},
        [{"code": 501, "description": "no", "fields": ["a"]}],
        {"type": "about:blank", "title": "Bad", "status": 400, "detail": "x" * 900, "error_class": "permanent"},
        {"z": 1, "a": None, "m": 1.5, "message": "", "nested": {"deep": [[[{"x": [True]}]]]}},
    ],
)
async def test_the_api_s_own_errors_are_kept_as_they_are(payload: Any) -> None:
    async with client_of(json.dumps(payload).encode(), 422) as wavix:
        with pytest.raises(UnprocessableEntityError) as caught:
            await wavix.numbers.get(1)

    assert json.dumps(caught.value.details) == json.dumps(payload)


@pytest.mark.req_29
async def test_an_error_page_of_megabytes_is_not_even_parsed() -> None:
    body = b'{"message": "no", "x": [' + b"[]," * MEGABYTE + b"[]]}"
    async with client_of(body, 400) as wavix:
        with pytest.raises(APIError) as caught:
            await wavix.numbers.get(1)

    assert isinstance(caught.value.details, str)
    assert len(caught.value.details) == 2000


@pytest.mark.req_29
async def test_the_failures_of_a_run_are_small_however_long_their_bodies_are() -> None:
    body = json.dumps({"message": "no", "trace": ["x" * 100] * 100}).encode()
    changes = dict.fromkeys(range(1, 301), NumberUpdate(sms_enabled=True))
    async with client_of(body, 422) as wavix:
        await wavix.numbers.bulk_update(changes)
        tracemalloc.start()
        try:
            report = await wavix.numbers.bulk_update(changes)
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert report.failed == 300
    assert kept < 300 * 8000


# --- nothing but drift ---

DRIFTING = {
    "empty items": b'{"items":[' + b"{}," * 200_000 + b"{}]}",
    "null items": b'{"items":[' + b"null," * 120_000 + b"null]}",
    "lists for items": b'{"items":[' + b"[]," * 90_000 + b"[]]}",
    "new keys": b'{"items":[],' + b",".join(b'"k%d":0' % place for place in range(60_000)) + b"}",
    "empty documents": b'{"items":[{"documents":[' + b"{}," * 90_000 + b"{}]}]}",
    "long names": b'{"items":[' + b",".join(b'{"%s":0}' % (b"k" * 20_000) for _ in range(40)) + b"]}",
}


@pytest.mark.req_29
@pytest.mark.parametrize(
    ("name", "strict"),
    [
        *((name, False) for name in ("empty items", "lists for items", "new keys", "long names")),
        *(pytest.param(name, False, marks=pytest.mark.scale) for name in ("null items", "empty documents")),
        ("new keys", True),
    ],
)
async def test_an_answer_of_nothing_but_drift_costs_little(name: str, strict: bool) -> None:
    events: list[object] = []
    async with client_of(DRIFTING[name], strict=strict, observers=[events.append], timeout=60) as wavix:
        tracemalloc.start()
        try:
            with suppress(DecodeError):
                await wavix.numbers.list()
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak < 80_000_000
    assert kept < 10_000_000
    assert len(events) < 300
    assert len(repr(events)) < 200_000


@pytest.mark.req_29
async def test_events_and_errors_count_the_drifts_that_are_not_kept() -> None:
    events: list[Any] = []
    items = [{**ex.number(id=place), "sms_enabled": None} for place in range(1, 150)]
    items.append({**ex.number(id=150), "label": 5, "new": 1})
    body = json.dumps({"items": items, "doc_types": [], "pagination": ex.pagination(total=150)}).encode()
    async with client_of(body, observers=[events.append]) as wavix:
        assert len(await wavix.numbers.list()) == 150
    drifts = [event for event in events if isinstance(event, DriftEvent)]

    # One of each kind, wherever it is.
    assert [(event.drift.field, event.drift.kind) for event in drifts] == [
        ("sms_enabled", "null"),
        ("new", "unknown"),
        ("label", "type"),
    ]
    assert {event.more for event in drifts} == {49}
    async with client_of(body, strict=True) as wavix:
        with pytest.raises(DecodeError, match=r"\(and 148 more\)") as caught:
            await wavix.numbers.list()
    assert len(caught.value.paths) == 102


# --- large answers do not hold the event loop ---


@asynccontextmanager
async def longest_hold() -> AsyncIterator[list[float]]:
    """Measure how long the event loop was held: the most time that its thread used between two turns.

    Time on the processor, and of this thread alone: a busy machine takes none.
    """
    held = [0.0]

    async def tick() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            held[0] = max(held[0], now - before)
            before = now

    ticking = asyncio.create_task(tick())
    try:
        yield held
    finally:
        ticking.cancel()


LARGE = {
    **{name: DRIFTING[name] for name in ("empty items", "null items", "lists for items", "empty documents")},
    "sixteen megabytes of lists": b"[" + b"[]," * 5_500_000 + b"[]]",
    "sixteen megabytes of numbers": b"[" + b"1," * 8_000_000 + b"1]",
    "sixteen megabytes of keys": b"{" + b",".join(b'"%x":0' % place for place in range(1_500_000)) + b"}",
    "sixteen megabytes of text": b'{"items":["' + b"x" * 16_000_000 + b'"]}',
}


@pytest.mark.req_29
@pytest.mark.parametrize(
    "name",
    [
        *("empty items", *(name for name in LARGE if name.startswith("sixteen"))),
        *(pytest.param(name, marks=pytest.mark.scale) for name in ("null items", "lists for items", "empty documents")),
    ],
)
async def test_no_answer_holds_the_event_loop(name: str) -> None:
    async with client_of(LARGE[name], timeout=60) as wavix, longest_hold() as held:
        for operation in (LIST, ANY):
            with suppress(DecodeError):
                await wavix.call(operation)

    assert held[0] < 0.5


class Reading:
    """Holds the reading of a large answer in its thread until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began = asyncio.Event()
        self.go_on = threading.Event()
        loop = asyncio.get_running_loop()

        def read(operation: Operation[Any], response: Response, redactor: Any) -> Any:
            loop.call_soon_threadsafe(self.began.set)
            assert self.go_on.wait(60)
            return read_response(operation, response, redactor)

        monkeypatch.setattr("wavix_async._http.call.read_large", read)

    async def __aenter__(self) -> Reading:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go_on.set()


NUMBER = json.dumps({**ex.number(id=1), "new": "x" * 500_000}).encode()


@pytest.mark.req_11
@pytest.mark.req_29
async def test_the_deadline_ends_the_reading_of_a_large_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(NUMBER) as wavix, Reading(monkeypatch):
        with pytest.raises(DeadlineExceededError, match="could not be read in time") as caught:
            await asyncio.wait_for(wavix.with_options(deadline=0.3).numbers.get(1), SOON)
        assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
        with pytest.raises(OutcomeUnknownError):
            await asyncio.wait_for(wavix.with_options(deadline=0.3).call(SEND, body={}), SOON)


@pytest.mark.req_10
@pytest.mark.req_29
async def test_cancelling_ends_the_reading_of_a_large_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    async with client_of(NUMBER, observers=[events.append]) as wavix, Reading(monkeypatch) as reading:
        call = asyncio.create_task(wavix.numbers.get(1))
        await reading.began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, SOON)
        # The request was on the wire, so observers count it.
        assert [(event.status, event.outcome) for event in events] == [(200, "unknown")]
        reading.go_on.set()
        assert (await wavix.numbers.get(1)).id == 1


@pytest.mark.req_10
@pytest.mark.req_29
@pytest.mark.parametrize("operation", [GET, SEND])
async def test_closing_ends_the_reading_of_a_large_answer(
    monkeypatch: pytest.MonkeyPatch, operation: Operation[Any]
) -> None:
    async with client_of(NUMBER) as wavix, Reading(monkeypatch) as reading:
        path = {"id": 1} if operation is GET else None
        call = asyncio.create_task(wavix.call(operation, path=path))
        await reading.began.wait()
        await asyncio.wait_for(wavix.close(), SOON)
        with pytest.raises(WavixError, match="closed while it read the answer") as caught:
            await asyncio.wait_for(call, SOON)

    assert type(caught.value) is (ClientClosedError if operation is GET else OutcomeUnknownError)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)


@pytest.mark.req_29
async def test_a_closing_client_waits_for_the_reading_of_a_large_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(NUMBER) as wavix, Reading(monkeypatch) as reading:
        call = asyncio.create_task(wavix.numbers.get(1))
        await reading.began.wait()
        closing = asyncio.create_task(wavix.close(grace=60))
        await asyncio.sleep(0)
        reading.go_on.set()
        await closing

        assert (await call).id == 1


@pytest.mark.req_29
@pytest.mark.parametrize("status", [200, 422, 500])
async def test_a_large_answer_is_read_as_a_small_one(status: int) -> None:
    """Values, drift, errors and `Retry-After` are the same."""
    events: list[Any] = []
    payload = {**ex.number(id=1), "new": "x" * 500_000, "message": "no"}
    async with client_of(json.dumps(payload).encode(), status, observers=[events.append]) as wavix:
        if status == 200:
            assert to_dict(await wavix.numbers.get(1)) == payload
            assert {event.drift.field for event in events if isinstance(event, DriftEvent)} == {"new", "message"}
            return
        with pytest.raises(APIError, match="no") as caught:
            await wavix.numbers.get(1)
        assert caught.value.status == status
