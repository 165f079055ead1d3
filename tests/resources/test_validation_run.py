"""`validation.run` against the sandbox: every number has one true outcome, and none is charged twice."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BASE, Api
from tests.resources.rows import validation
from tests.support.bulk import FAST
from tests.support.sandbox_process import SandboxProcess
from tests.support.send_kill import run_child
from wavix_async import (
    BulkResult,
    ConfigurationError,
    InputError,
    JournalError,
    WavixClient,
)
from wavix_async.models import PhoneValidation
from wavix_async.sandbox import Sandbox
from wavix_async.testing import skip_waits

pytestmark = [pytest.mark.req_01, pytest.mark.req_17, pytest.mark.req_37]

POST = "POST /v1/validation"
GET = "GET /v1/validation/*"


def number(position: int) -> str:
    return f"1512{position:07}"


def numbers(count: int) -> list[str]:
    return [number(position) for position in range(count)]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=1, validation_delay=3) as running:
        yield running


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as client:
        skip_waits(client, sandbox.advance)
        yield client


async def results_of(run: Any) -> list[BulkResult[str, PhoneValidation]]:
    return [result async for result in run]


def charged(sandbox: Sandbox) -> Counter[str]:
    """How often each number was charged, by the batches that the sandbox has."""
    return Counter(number for batch in sandbox.validations.values() for number in batch["numbers"])


def posts(sandbox: Sandbox) -> int:
    return len(sandbox.requests_to(POST))


# --- results ---


async def test_every_number_has_a_result_and_the_report_says_what_it_cost(sandbox: Sandbox, wavix: WavixClient) -> None:
    run = wavix.validation.run(numbers(25), type="analysis", batch_size=10)

    results = await results_of(run)

    assert Counter(result.id for result in results) == Counter(numbers(25))
    assert all(result.ok and result.value is not None and result.value.valid for result in results)
    report = await run
    assert (report.succeeded, report.total, report.charged) == (25, 25, Decimal("0.125"))
    assert report.requests == sandbox.stats.requests
    assert sorted(len(batch["numbers"]) for batch in sandbox.validations.values()) == [5, 10, 10]
    assert sandbox.balance == 1_000_000 - report.charged


async def test_the_other_name_of_the_id(tmp_path: Path) -> None:
    """The documentation contradicts itself about the name: the run waits under either of them."""
    async with (
        Sandbox(numbers=1, validation_delay=3, variants=1.0) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        skip_waits(wavix, sandbox.advance)
        created = await wavix.validation.create(phone_numbers=numbers(1), type="format", async_=True)
        assert (created.request_uuid, created.request_id) == (created.id, None)
        for _ in range(2):
            report = await wavix.validation.run(numbers(3), type="format", journal=tmp_path / "run")
            assert report.succeeded == 3
        assert posts(sandbox) == 2


async def test_results_that_lack_a_number_or_name_it_otherwise(api: Api) -> None:
    found = {**validation.FOUND, "phone_number": 971569483322}
    api.answer("POST", "/v1/validation", {"status": "success", "pending": 0, "count": 2, "items": [found]})
    async with WavixClient("test-key", base_url=BASE) as wavix:
        run = wavix.validation.run(["+971 56 948 3322", "15125550143"], type="format", in_order=True)
        first, second = await results_of(run)
    assert first.ok
    assert (second.status, str(second.error)) == ("unknown", "The API's results lack this number.")
    assert (run.report.charged, run.report.unknown) == (Decimal("0.015"), 1)


async def generated(given: list[Any]) -> AsyncIterator[Any]:
    for each in given:
        await asyncio.sleep(0)
        yield each


@pytest.mark.parametrize("kind", [list, iter, generated])
async def test_in_order_of_the_numbers(sandbox: Sandbox, wavix: WavixClient, kind: Any) -> None:
    """A batch whose answer is late, numbers that are not sent, and spellings of a number do not change the order."""
    given: list[Any] = [*numbers(12), 7, "", "+1 (512) 000-0003", *numbers(3), *map(number, range(20, 30))]
    sandbox.fail_next(503, 2, GET)

    results = await results_of(wavix.validation.run(kind(given), type="format", batch_size=5, in_order=True))

    assert [result.id for result in results] == given
    failed = [(result.id, str(result.error)) for result in results if not result.ok]
    assert [each for each, _ in failed] == [7, "", "+1 (512) 000-0003", *numbers(3)]
    assert [text for _, text in failed[:3]] == [
        "a phone number must be a string, got int.",
        "the phone number is empty.",
        "the number '+1 (512) 000-0003' occurs twice; it is validated once.",
    ]
    assert max(charged(sandbox).values()) == 1


async def test_an_input_of_second_occurrences_ends(sandbox: Sandbox, wavix: WavixClient) -> None:
    run = wavix.validation.run(itertools.repeat(number(1), 50), type="format", batch_size=5)

    report = await run

    assert (report.succeeded, report.failed, posts(sandbox)) == (1, 49, 1)
    assert (await wavix.validation.run([], type="format")).total == 0


async def test_what_is_wrong_with_a_number_is_a_result_and_a_failed_lookup_is_a_failure(wavix: WavixClient) -> None:
    run = wavix.validation.run(["12", "15120000041", "15120000042"], type="validation", in_order=True)

    invalid, slow, failed = await results_of(run)

    assert invalid.ok
    assert invalid.value is not None
    assert (invalid.value.valid, invalid.value.error_code) == (False, "021")
    assert [(each.status, each.error and each.error.code) for each in (slow, failed)] == [
        ("failed", "041"),
        ("failed", "042"),
    ]
    assert run.report.charged == 0
    assert [result.id for result in run.report.failures] == ["15120000041", "15120000042"]


# --- money ---


async def test_a_lost_answer_is_unknown_and_nothing_is_sent_again(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    """Of six batches, one is lost before it is carried out, and one after it."""
    sandbox.fail_next("reset_after", 1, POST)
    sandbox.fail_next("reset_before", 1, POST)
    journal = tmp_path / "run"

    first = await wavix.validation.run(numbers(60), type="format", batch_size=10, journal=journal)
    once = charged(sandbox)
    again = await wavix.validation.run(numbers(60), type="format", batch_size=10, journal=journal)

    assert (first.succeeded, first.unknown, posts(sandbox)) == (40, 20, 6)
    assert (again.succeeded, again.unknown, again.charged) == (40, 20, first.charged)
    assert charged(sandbox) == once
    assert (len(once), max(once.values())) == (50, 1)


@pytest.mark.parametrize("when", ["sent", "waiting"])
async def test_a_run_that_is_cancelled_goes_on_where_it_was(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, when: str
) -> None:
    """Once a request has left, the batch stays unknown; once it has an id, its results are read."""
    journal = tmp_path / "run"
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as slow:
        # Its clock is real, so a batch waits for the sandbox's clock, which does not move.
        if when == "sent":
            sandbox.fail_next("stall", 1, POST)
        cut = asyncio.ensure_future(slow.validation.run(numbers(10), type="format", batch_size=10, journal=journal))
        while not (sandbox.requests_to(GET) if when == "waiting" else sandbox.requests_to(POST)):
            await asyncio.sleep(0.002)
        cut.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut

    report = await wavix.validation.run(numbers(10), type="format", batch_size=10, journal=journal)

    assert posts(sandbox) == 1
    assert (report.succeeded, report.unknown) == ((0, 10) if when == "sent" else (10, 0))


@pytest.mark.parametrize("point", ["before", "after"])
async def test_a_run_that_is_killed_charges_no_number_twice(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, point: str
) -> None:
    """A process is killed before the bytes of a request leave, or when its answer is there and nothing knows it."""
    task = {"url": sandbox.url, "api_key": sandbox.api_key, "journal": str(tmp_path / "run"), "numbers": numbers(50)}

    killed = await asyncio.to_thread(run_child, {**task, "point": point, "after": 2})
    before = charged(sandbox)
    report = await wavix.validation.run(numbers(50), type="format", batch_size=10, journal=tmp_path / "run")

    assert killed is None
    assert report.total == report.succeeded + report.unknown == 50
    assert report.unknown >= 10
    assert max(charged(sandbox).values()) == 1
    assert charged(sandbox).keys() >= before.keys()
    # What nothing is known of is what was on its way; all else was charged, and has its result.
    assert 50 - report.unknown <= len(charged(sandbox)) <= 50
    assert report.charged == Decimal("0.001") * report.succeeded


async def test_the_journal_of_other_numbers(wavix: WavixClient, tmp_path: Path) -> None:
    await wavix.validation.run(numbers(3), type="format", journal=tmp_path / "run")

    with pytest.raises(JournalError, match="journal of other numbers"):
        await wavix.validation.run(numbers(4), type="format", journal=tmp_path / "run")
    with pytest.raises(JournalError, match="journal of other numbers"):
        await wavix.validation.run(numbers(3), type="analysis", journal=tmp_path / "run")


async def test_the_end_of_the_money_stops_the_run() -> None:
    async with (
        Sandbox(numbers=1, balance="0.0125") as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        skip_waits(wavix, sandbox.advance)
        run = wavix.validation.run(numbers(100), type="format", batch_size=5, concurrency=1, in_order=True)

        results = await results_of(run)

        assert [str(result.status) for result in results] == [*["done"] * 12, *["failed"] * 3, *["not_sent"] * 85]
        stopped = run.report.stopped_by
        assert stopped is not None
        assert stopped.code == "091"
        assert sandbox.balance == Decimal("0.0005")
        assert run.report.charged == Decimal("0.012")


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, None), (422, "Insufficient funds"), (400, None)],
)
async def test_a_refusal_of_one_batch_or_of_all(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, status: int, message: str | None
) -> None:
    sandbox.fail_next(status, 1, POST, message=message)
    journal = tmp_path / "run"
    run = wavix.validation.run(numbers(30), type="format", batch_size=10, concurrency=1, journal=journal)

    report = await run

    concerns_run = status != 400
    assert report.failed == 10
    assert report.not_sent == (20 if concerns_run else 0)
    assert (report.stopped_by is not None) is concerns_run
    # What was refused because of the account is sent again, and what is wrong itself is not.
    again = await wavix.validation.run(numbers(30), type="format", batch_size=10, journal=journal)
    assert (again.succeeded, again.failed) == ((30, 0) if concerns_run else (20, 10))
    assert max(charged(sandbox).values()) == 1


# --- batches that do not end ---


async def test_a_batch_that_takes_too_long_is_unknown(sandbox: Sandbox, wavix: WavixClient) -> None:
    run = wavix.validation.run(numbers(10), type="format", timeout=2.0, every=(0.5, 0.5))

    report = await run

    assert (report.unknown, posts(sandbox)) == (10, 1)
    assert type(report.failures[0].error).__name__ == "WaitTimeoutError"


async def test_wait_reads_until_a_batch_is_finished(sandbox: Sandbox, wavix: WavixClient) -> None:
    batch = await wavix.validation.create(phone_numbers=numbers(2), type="format", async_=True)
    assert batch.id is not None
    assert not batch.is_final
    assert (await wavix.validation.get(batch.id)).status == "in progress"

    done = await wavix.validation.wait(batch.id)

    assert done.is_final
    assert [item.phone_number for item in done.items or ()] == numbers(2)


# --- the run itself ---


async def test_an_input_that_breaks_loses_no_results(sandbox: Sandbox, wavix: WavixClient) -> None:
    def broken() -> Iterator[str]:
        yield from numbers(10)
        raise LookupError("no more")

    run = wavix.validation.run(broken(), type="format", batch_size=5)
    with pytest.raises(LookupError, match="no more"):
        await run

    assert run.report.succeeded == 5 * posts(sandbox)
    assert run.report.total == 10


async def test_a_caller_that_leaves_gets_a_report_on_everything_that_was_begun(
    sandbox: Sandbox, wavix: WavixClient
) -> None:
    run = wavix.validation.run(iter(numbers(1000)), type="format", batch_size=10, concurrency=2)

    async for _ in run:
        break
    report = await run

    assert report.cut_short
    assert report.total <= 10 * (1 + 2 + 1)
    assert report.total >= report.succeeded >= 10
    with pytest.raises(InputError, match="already started"):
        await results_of(run)


async def test_stop_waits_for_what_was_sent(sandbox: Sandbox, wavix: WavixClient) -> None:
    run = wavix.validation.run(numbers(100), type="format", batch_size=10, concurrency=1)

    async for _ in run:
        run.stop()
    report = await run

    assert report.succeeded == 10 * posts(sandbox) >= 10
    assert report.succeeded + report.not_sent == 100
    assert "100 of 100 done" in repr(run)


async def test_a_callback_gets_the_progress(wavix: WavixClient) -> None:
    told: list[Any] = []
    await wavix.validation.run(numbers(30), type="format", batch_size=10, on_progress=told.append)
    assert [(each.done, each.total) for each in told] == [(10, 30), (20, 30), (30, 30), (30, 30)]


async def test_arguments_that_no_run_takes(wavix: WavixClient) -> None:
    run: Any = wavix.validation.run
    for wrong in ("15125550143", 7):
        with pytest.raises(InputError, match="numbers must be an iterable"):
            run(wrong, type="format")
    for options in ({"concurrency": 0}, {"batch_size": 1001}, {"every": (0, 1)}, {"on_progress": 7}):
        with pytest.raises(ConfigurationError):
            run([], type="format", **options)
    with pytest.raises(InputError, match="type"):
        run([], type=7)


async def test_a_run_that_no_one_awaits_warns(wavix: WavixClient) -> None:
    with pytest.warns(RuntimeWarning, match="sent nothing"):
        wavix.validation.run([], type="format")


@pytest.mark.parametrize(("count", "batch_size"), [(1_000, 20), pytest.param(100_000, 1_000, marks=pytest.mark.scale)])
async def test_many_numbers_in_little_memory_each_charged_once(count: int, batch_size: int) -> None:
    """One request in twenty meets a fault; the sandbox is another process, so the memory is that of the client."""
    with SandboxProcess() as process:
        url, key = process.begin(numbers=1, faults=0.05, seed=7)
        async with WavixClient(key, base_url=url, retry=FAST, timeout=5) as wavix:
            await wavix.validation.run(numbers(20), type="format")  # what is loaded once
            before = process.validations()
            tracemalloc.start()
            try:
                base, _ = tracemalloc.get_traced_memory()
                given = (number(position) for position in range(1000, 1000 + count))
                run = wavix.validation.run(given, type="format", batch_size=batch_size, every=(0.01, 0.1))
                ends = Counter[str]()
                async for result in run:
                    ends[str(result.status)] += 1
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        charged = Counter(each for batch in process.validations()[len(before) :] for each in batch)
    assert peak - base < 20e6
    assert ends.total() == count
    assert max(charged.values()) == 1
    # What has a result was charged, and what may have been charged is named.
    assert ends["done"] <= len(charged) <= ends["done"] + ends["unknown"]
    assert run.report.charged == Decimal("0.001") * ends["done"]
