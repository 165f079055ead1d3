"""What the client makes of answers that are wrong, compared with what the server has carried out.

A success must have been carried out, and a failure must not; what the client reports as unknown may be either. The
server tells each lie alone, and then all of them in seeded order to thousands of calls. `lies.py` lists the lies, also
those that no client can see through; docs/failures.md names these.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.faults.lies import CONVINCING, LIES, STATUSES, STOPPING, shown
from tests.faults.server import FaultServer, tls_without_certificates
from tests.support.model import hold_to_its_facts
from tests.support.soon import SOON
from wavix_async import (
    BulkStatus,
    Number,
    NumberUpdate,
    Operation,
    RetryPolicy,
    Success,
    Timeouts,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.req_26, pytest.mark.req_27]

SEND: Final = Operation("POST", "/v1/messages/{id}", Success)
FAST: Final = RetryPolicy(backoff=0.001, max_backoff=0.01, budget_per_second=1e6)
SHORT: Final = Timeouts(attempt=5.0)
DONE, FAILED, UNKNOWN = "done", "failed", "unknown"
# A read of such a number shows a third value, so that nothing can settle whether the change was made.
UNSETTLED: Final = frozenset({"normalised_after", "half_done_after"})


def change_of(number: int) -> NumberUpdate:
    # Few values, so that batches form.
    return NumberUpdate(transcription_threshold=10 + 2 * (number % 4), sms_enabled=True)


@attrs.define
class Verdicts:
    """How each call ended, and what the server knows of it."""

    server: FaultServer
    said: dict[tuple[str, int], str] = attrs.field(factory=dict)
    errors: dict[tuple[str, int], WavixError | None] = attrs.field(factory=dict)
    settled: set[int] = attrs.field(factory=set)

    async def hear(self, letter: str, number: int, call: Awaitable[object]) -> None:
        error = None
        try:
            await call
            said = DONE
        except WavixError as caught:
            error, said = caught, UNKNOWN if caught.outcome == "unknown" else FAILED
        self.note(letter, number, said, error)

    def note(
        self, letter: str, number: int, said: str, error: WavixError | None = None, *, settled: bool = False
    ) -> None:
        assert (letter, number) not in self.said
        self.said[letter, number], self.errors[letter, number] = said, error
        if settled:
            self.settled.add(number)

    def wrong(self) -> list[str]:
        """Return what is wrong with a call, and the answers that it got: a false success, a POST carried out twice."""
        state, counters, told = self.server.numbers(), self.server.counters(), stories(self.server)
        sent = Counter(
            _message_of(each) for each in self.server.log() if each["method"] == "POST" and each["carried_out"]
        )
        found = []
        for (letter, number), said in self.said.items():
            if letter == "S":
                times = sent[number]
            elif letter == "D":
                times = counters["applied"].get(number, 0)
            else:
                times = number in state and not change_of(number).differs_from(_read(state[number]))
            what = "twice" if letter == "S" and times > 1 else ""
            what = what or ("FALSE SUCCESS" if said == DONE and not times else "")
            what = what or ("FALSE FAILURE" if said == FAILED and times else "")
            error = self.errors[letter, number]
            what = what or _incoherence(error, settled=number in self.settled)
            if what:
                found.append(f"{what}: {letter} {number}, told {told.get((letter == 'S', number))}; {error!r}"[:300])
        return found

    def counts(self) -> Counter[str]:
        return Counter(self.said.values())


def _message_of(request: dict[str, Any]) -> int:
    """Return the number of a message: in its path, or the end of its recipient."""
    last = request["path"].rpartition("/")[2]
    return int(last) if last.isdigit() else int(json.loads(request["body"])["to"][-5:])


def _incoherence(error: WavixError | None, *, settled: bool) -> str:
    try:
        if error is not None:
            hold_to_its_facts(error, settled=settled)
    except AssertionError as found:
        return f"INCOHERENT ({' '.join(str(found).split())[:80]})"
    return ""


def _read(record: dict[str, Any]) -> Number:
    from wavix_async import from_dict

    return from_dict(Number, record)


def stories(server: FaultServer) -> dict[tuple[bool, int], list[str]]:
    """Return what the server told about each number and each message: method and kind, in order."""
    told: dict[tuple[bool, int], list[str]] = {}
    for request in server.log():
        last = request["path"].partition("?")[0].rpartition("/")[2]
        if request["method"] == "POST":
            ids = [_message_of(request)]
        elif last.isdigit():
            ids = [int(last)]
        elif request["path"].startswith("/v1/numbers?ids="):
            ids = [int(request["path"].partition("=")[2])]
        else:
            ids = json.loads(request["body"] or "{}").get("ids", [])
        for number in ids:
            told.setdefault((request["method"] == "POST", number), []).append(f"{request['method']} {request['fault']}")
    return told


def client_of(server: FaultServer, **options: Any) -> WavixClient:
    return WavixClient("key", **{"base_url": server.url, "retry": FAST, "timeout": SHORT, **options})


# --- the ways to call, by the letter of the first request ---


async def update_one(client: WavixClient, verdicts: Verdicts, numbers: Iterable[int]) -> None:
    for number in numbers:
        await verdicts.hear("P", number, client.numbers.update(number, **_fields(number)))


async def update_in_bulk(
    client: WavixClient, verdicts: Verdicts, numbers: Iterable[int], batch: int | None = None
) -> None:
    updates = [(number, change_of(number)) for number in numbers]
    async for result in client.numbers.bulk_update(updates, batch=batch):
        said = {BulkStatus.UPDATED: DONE, BulkStatus.UNKNOWN: UNKNOWN}.get(result.status, FAILED)
        verdicts.note("P", result.id, said, result.error, settled=result.settled)


async def update_in_batches(client: WavixClient, verdicts: Verdicts, numbers: Iterable[int]) -> None:
    # Every fourth number has the same change.
    await update_in_bulk(client, verdicts, numbers, batch=3)


async def update_batch(client: WavixClient, verdicts: Verdicts, numbers: Iterable[int]) -> None:
    """All or nothing is known of a batch, so one error is the end of each number."""
    numbers = list(numbers)
    batch = asyncio.ensure_future(client.numbers.update_batch(numbers, **_fields(numbers[0])))
    for number in numbers:
        await verdicts.hear("P", number, asyncio.shield(batch))


async def release(client: WavixClient, verdicts: Verdicts, numbers: Iterable[int]) -> None:
    for number in numbers:
        await verdicts.hear("D", number, client.numbers.release(ids=[number]))


async def send(client: WavixClient, verdicts: Verdicts, numbers: Iterable[int]) -> None:
    for number in numbers:
        await verdicts.hear("S", number, client.call(SEND, path={"id": number}, body={"text": "hello"}))


async def send_message(client: WavixClient, verdicts: Verdicts, numbers: Iterable[int]) -> None:
    for number in numbers:
        message = client.messages.send(from_="Wavix", to=f"155512{number:05}", message_body={"text": "hello"})
        await verdicts.hear("S", number, message)


def _fields(number: int) -> dict[str, Any]:
    change = change_of(number)
    return {"transcription_threshold": change.transcription_threshold, "sms_enabled": change.sms_enabled}


WAYS: Final[dict[str, tuple[str, Callable[..., Awaitable[None]], tuple[int, ...]]]] = {
    "update": ("P", update_one, (7,)),
    "bulk_update": ("P", update_in_bulk, (7,)),
    "bulk_update in batches": ("B", update_in_batches, (7, 27, 47)),
    "update_batch": ("B", update_batch, (7, 27, 47)),
    "release": ("D", release, (7,)),
    "send": ("S", send, (7,)),
    "messages.send": ("S", send_message, (7,)),
}


# --- each lie alone ---


def is_status(kind: str) -> bool:
    return kind.removesuffix("_after") in STATUSES


ALIKE: Final = re.compile(r"(status_(5(06|2[1-46-9])|30[0137]|308|400|409)|html_(200|400|409|503))(_after)?")
"""Statuses that nothing tells from others here; the seeded runs have them all."""
EACH: Final = {kind: where for kind, where in shown("PBDS").items() if not ALIKE.fullmatch(kind)}
# A read carries nothing out, so that most have no second variant. What follows an answer has tests of its own.
READS: Final = [
    kind
    for kind in shown("G")
    if not (ALIKE.fullmatch(kind) or kind.removesuffix("_after") in STATUSES) and not kind.startswith("late_")
    if not kind.endswith("_after") or kind.removesuffix("_after") not in shown("G")
] + ["status_499", "status_302", "status_520", "status_500", "html_404"]


# The statuses differ in few ways: by default every fifth has its turn.
RARE: Final = {kind for place, kind in enumerate(kind for kind in EACH if is_status(kind)) if place % 5}


@pytest.mark.parametrize(
    "kind",
    [
        *(kind for kind in (*EACH, *STOPPING) if kind not in RARE),
        *(pytest.param(kind, marks=pytest.mark.scale) for kind in sorted(RARE)),
    ],
)
async def test_a_lie_is_neither_a_success_nor_a_failure(faulty: FaultServer, kind: str) -> None:
    """The first answer of every call lies; what follows is honest."""
    wrong: list[str] = []
    for way, (letter, act, numbers) in WAYS.items():
        if letter not in {**EACH, **STOPPING}[kind]:
            continue
        faulty.reset(schedule=[kind])
        verdicts = Verdicts(faulty)
        async with client_of(faulty) as client:
            await act(client, verdicts, numbers)
        faulty.assert_fired(kind, times=1)
        assert len(verdicts.said) == len(numbers)
        wrong += [f"{way}: {text}" for text in verdicts.wrong()]
        # Where the number can be read, a bulk run settles what a lie left open.
        if "bulk" in way and UNKNOWN in verdicts.said.values() and kind not in UNSETTLED:
            wrong.append(f"{way}: unknown, and a read would have settled it; told {stories(faulty)}")
    assert wrong == []


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        # By default every lie comes once, and both ways in turn.
        *((kind, ("reset_after", "status_500")[place % 2]) for place, kind in enumerate(READS)),
        *(
            pytest.param(kind, ("status_500", "reset_after")[place % 2], marks=pytest.mark.scale)
            for place, kind in enumerate(READS)
        ),
    ],
)
async def test_a_lie_under_a_read_settles_nothing(faulty: FaultServer, kind: str, how: str) -> None:
    """The change is lost on the way, and the first read of the number lies."""
    faulty.reset(schedule=[*[how] * 8, kind])
    verdicts = Verdicts(faulty)
    async with client_of(faulty) as client:
        await update_in_bulk(client, verdicts, [7])
    faulty.assert_fired(kind)
    assert verdicts.wrong() == []
    assert verdicts.said["P", 7] in (DONE, UNKNOWN)


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        *(("bulk_update", kind) for kind in ("old_value", "status_is_error")),
        *(("bulk_update in batches", kind) for kind in ("old_value", "status_is_error", "missing_item")),
    ],
)
async def test_what_no_read_settles_is_unknown_and_coherent(faulty: FaultServer, kind: str, way: str) -> None:
    """Every later answer about each of these numbers lies, too."""
    letter, act, numbers = WAYS[way]
    if letter == "B":
        faulty.set_schedule([kind], path="/v1/numbers")
    for number in numbers:
        first = [kind] if letter == "P" else []
        faulty.set_schedule([*first, *["status_is_error"] * 50], path=f"/v1/numbers/{number}")
    verdicts = Verdicts(faulty)
    async with client_of(faulty, retry=attrs.evolve(FAST, attempts=2)) as client:
        await act(client, verdicts, numbers)
    assert verdicts.wrong() == []
    assert UNKNOWN in verdicts.said.values()


async def test_a_page_of_a_firewall_stops_a_run_and_blames_no_scope(faulty: FaultServer) -> None:
    faulty.reset(faults={"html_403": 1.0})
    async with client_of(faulty) as client:
        report = await client.numbers.bulk_update([(number, change_of(number)) for number in range(1, 101)])
    assert report.updated == report.unknown == 0
    assert report.stopped_by is not None
    assert report.failed + report.not_sent == 100
    assert faulty.counters()["total"] <= 32
    first = next(result.error for result in report.failures if result.status is BulkStatus.FAILED)
    assert first is not None
    assert (first.status, first.outcome) == (403, "rejected")
    assert "scope" not in str(first)


# --- late answers ---


@pytest.mark.req_28
@pytest.mark.parametrize("kind", ["late_answer_after", "late_answer_deaf_after", "late_408_after"])
@pytest.mark.parametrize("way", ["update", "release", "send"])
async def test_what_came_on_an_idle_connection_answers_no_call(faulty: FaultServer, kind: str, way: str) -> None:
    """The next call opens a connection of its own, and is carried out once."""
    _, act, _ = WAYS[way]
    faulty.set_schedule([kind])
    verdicts = Verdicts(faulty)
    async with client_of(faulty) as client:
        await update_one(client, verdicts, [1])
        async with asyncio.timeout(SOON):
            while not faulty.counters()["late"]:
                await asyncio.sleep(0.005)
        # The bytes have left the server; a moment later they are in the client's buffers.
        await asyncio.sleep(0.05)
        await act(client, verdicts, [2])
    assert verdicts.wrong() == []
    assert set(verdicts.said.values()) == {DONE}
    log = faulty.log()
    assert len(log) == 2
    assert log[0]["connection"] != log[1]["connection"]


# --- all of them ---


@attrs.frozen
class Share:
    """How much of each is done with one seed."""

    updates: int
    posts: int
    deletes: int
    lies: float
    unsettled: float
    """The share of updates that may end unknown. The order of the lies depends on the machine, so that a few updates
    differ from run to run: a small share needs a wide bound."""


SMALL: Final = Share(120, 100, 50, lies=0.45, unsettled=0.12)
FULL: Final = Share(2000, 1500, 600, lies=0.35, unsettled=0.03)


@pytest.fixture(scope="module")
def lying(request: pytest.FixtureRequest) -> Iterator[FaultServer]:
    with pytest.MonkeyPatch.context() as patch, FaultServer(tls=request.param == "https") as server:
        if request.param == "https":
            patch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", tls_without_certificates(client=True))
        yield server


def deal(server: FaultServer, letters: str, calls: int, share: Share, seed: int) -> dict[str, str]:
    """Have the server lie to its requests; with few calls not in every way, so that each way is sure to come."""
    ways = list(shown(letters).items())
    random.seed(seed)  # of the jitter, too
    lies = dict(random.sample(ways, min(len(ways), int(calls * share.lies * 0.7))))
    server.reset(lies=lies, lie_share=share.lies, seed=seed)
    return lies


SEEDS: Final = [
    pytest.param("http", 0, SMALL, id="small"),
    pytest.param("https", 1, SMALL, id="small, https"),
    *(
        pytest.param(("http", "https")[seed % 2], seed, FULL, id=f"seed {seed}", marks=pytest.mark.scale)
        for seed in range(10)
    ),
]


@pytest.mark.parametrize(("lying", "seed", "share"), SEEDS, indirect=["lying"])
async def test_no_lie_makes_an_update_of_none(lying: FaultServer, seed: int, share: Share) -> None:
    """Half of the changes go one by one, a third in batches, the rest as single calls."""
    lies = deal(lying, "GPB", share.updates, share, seed)
    verdicts = Verdicts(lying)
    half, end = share.updates // 2, share.updates + 1
    last = end - share.updates // 6
    async with client_of(lying, max_connections=16) as client:
        await update_in_bulk(client, verdicts, range(1, half))
        await update_in_batches(client, verdicts, range(half, last))
        await asyncio.gather(*(update_one(client, verdicts, range(first, end, 8)) for first in range(last, last + 8)))
    assert len(verdicts.said) == share.updates
    assert verdicts.wrong() == []
    lying.assert_fired(*lies)
    told = stories(lying)
    open_ends = [
        number
        for (_, number), said in verdicts.said.items()
        if said == UNKNOWN
        and number < last
        and not any(each.rpartition(" ")[2] in UNSETTLED for each in told[False, number])
    ]
    # A bulk run settles by reading, so that one lie leaves nothing open: here the reads lie, too.
    lies_told = {number: [each for each in told[False, number] if not each.endswith(" ok")] for number in open_ends}
    assert [number for number, said in lies_told.items() if len(said) < 2] == []
    assert len(open_ends) <= share.updates * share.unsettled, lies_told
    # A single update that repeats what may be repeated gets through in most cases.
    assert verdicts.counts()[DONE] > share.updates * 0.8


@pytest.mark.req_01
@pytest.mark.parametrize(("lying", "seed", "share"), SEEDS, indirect=["lying"])
async def test_no_lie_sends_a_message_twice(lying: FaultServer, seed: int, share: Share) -> None:
    lies = deal(lying, "S", share.posts, share, seed)
    verdicts = Verdicts(lying)
    async with client_of(lying, max_connections=16) as client:
        await asyncio.gather(*(send(client, verdicts, range(n, share.posts + 1, 16)) for n in range(1, 17)))
    assert len(verdicts.said) == share.posts
    assert verdicts.wrong() == []
    lying.assert_fired(*lies)
    assert verdicts.counts()[DONE] >= share.posts * (1 - share.lies) * 0.9


@pytest.mark.parametrize(("lying", "seed", "share"), SEEDS, indirect=["lying"])
async def test_no_lie_makes_a_release_of_none(lying: FaultServer, seed: int, share: Share) -> None:
    lies = deal(lying, "D", share.deletes, share, seed)
    verdicts = Verdicts(lying)
    async with client_of(lying, max_connections=16) as client:
        await asyncio.gather(*(release(client, verdicts, range(n, share.deletes + 1, 16)) for n in range(1, 17)))
    assert len(verdicts.said) == share.deletes
    assert verdicts.wrong() == []
    lying.assert_fired(*lies)


# --- what is listed ---


def test_there_are_enough_lies_and_each_is_either_shown_or_named() -> None:
    told = shown("GPBDS")
    assert len(LIES) >= 28
    assert len(told) > 100
    for name in LIES:
        assert {name, f"{name}_after"} & {*told, *CONVINCING}, name


def test_the_lies_that_convince_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "failures.md").read_text(encoding="utf-8")
    missing = {
        kind.removesuffix("_after")
        for kind in CONVINCING
        if f"`{kind}`" not in text and not kind.startswith(("status_", "html_"))
    }
    assert missing == set()


@pytest.mark.parametrize("kind", [kind for kind, where in CONVINCING.items() if "P" in where or "D" in where])
async def test_a_lie_that_convinces_is_believed(faulty: FaultServer, kind: str) -> None:
    """If this fails, the client has learned to see through a lie: move it to those that show themselves."""
    believed = []
    for way in ("update", "release"):
        letter, act, numbers = WAYS[way]
        if letter in CONVINCING[kind]:
            faulty.reset(schedule=[kind])
            verdicts = Verdicts(faulty)
            async with client_of(faulty) as client:
                await act(client, verdicts, numbers)
            believed += verdicts.wrong()
    assert believed or kind in STATUSES
