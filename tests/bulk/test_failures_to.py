"""`failures_to`: a file with all failures of a bulk run, because the report keeps only the first thousand."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bulk import ON, counts, dropped, fast_client, finish, results_of, run_from_1000
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    BulkError,
    BulkReport,
    BulkResult,
    BulkStatus,
    ConfigurationError,
    InputError,
    NumberUpdate,
    RetryPolicy,
)
from wavix_async.bulk import FailureKind

pytestmark = [pytest.mark.req_17, pytest.mark.req_29]

NO = {"message": "no such number", "error_code": "E404"}


def all_fail(**headers: str) -> StubSession:
    return StubSession(lambda _: Reply(404, NO, headers=headers), latency=0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- what the report says beyond a thousand failures ---


def test_a_report_keeps_the_first_thousand_failures_and_counts_all(bound: int) -> None:
    total = bound * 3 // 2
    session = StubSession(lambda seen: Reply(422, NO) if seen.id % 3 == 0 else Reply(404, NO), latency=0.01)
    run = fast_client(session).numbers.bulk_update((number, ON) for number in range(1, total + 1))
    results = run_from_1000(results_of(run))
    report = run.report
    assert counts(report) == (0, total, 0, 0)
    assert report.failures == results[:bound]
    assert report.failures_by_kind == {("NotFoundError", 404): bound, ("UnprocessableEntityError", 422): bound // 2}
    assert report.failures_total == total
    assert [str(kind) for kind in report.failures_by_kind] == [
        "NotFoundError (HTTP 404)",
        "UnprocessableEntityError (HTTP 422)",
    ]
    with pytest.raises(
        BulkError, match=rf"0 of {total} updated.*no such number\. report\.failures has {bound:,} of {total:,} f"
    ):
        report.raise_for_failures()
    copy = pickle.loads(pickle.dumps(report))
    assert (copy.failures_by_kind, len(copy.failures)) == (report.failures_by_kind, bound)
    assert len(repr(report)) < 500


def test_a_report_during_the_run_counts_what_waits_to_be_read() -> None:
    async def main() -> None:
        session = StubSession(lambda seen: Reply(before=5) if seen.method == "GET" else dropped(applied=False))
        run = fast_client(session, retry=RetryPolicy(attempts=1)).numbers.bulk_update(
            (number, ON) for number in range(1, 11)
        )
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(2)
        assert (run.report.unknown, run.report.failures_total, len(run.report.failures)) == (10, 10, 10)
        assert run.report.failures_by_kind == {("DisconnectedError", None): 10}
        report = await task
        assert report.failures_total == len(report.failures) == 10

    run_virtual(main())


def test_a_report_of_a_caller_counts_its_own_failures() -> None:
    failures = [BulkResult(1, BulkStatus.FAILED, error=InputError("odd")), BulkResult(2, BulkStatus.UNKNOWN)]
    facts: dict[str, Any] = {"requests": 0, "rate_limited": 0, "elapsed": 0.0}
    report = BulkReport(succeeded=0, failed=1, unknown=1, not_sent=0, failures=failures, **facts)
    assert report.failures_total == 2
    assert report.failures_by_kind == {FailureKind("InputError", None): 1, FailureKind(None, None): 1}
    assert [str(kind) for kind in report.failures_by_kind] == ["InputError", "no error"]
    with pytest.raises(BulkError) as caught:
        report.raise_for_failures()
    assert "failures has" not in str(caught.value)


# --- the file ---


@pytest.mark.parametrize("name", ["failed.jsonl", "failed.ndjson", "failed", "failed.json"])
def test_each_failure_is_one_line(tmp_path: Path, name: str, bound: int) -> None:
    path, count = tmp_path / name, bound * 6 // 5
    session = all_fail(**{"X-Request-Id": "r1"})
    run = fast_client(session).numbers.bulk_update(dict.fromkeys(range(1, count + 1), ON), failures_to=str(path))
    report = run_from_1000(finish(run))
    rows = lines(path)
    assert len(rows) == report.failures_total == count
    assert {row["id"] for row in rows} == set(range(1, count + 1))
    first = report.failures[0]
    assert rows[0] == {
        "id": first.id,
        "status": "failed",
        "attempts": 1,
        "error": str(first.error),
        "kind": "NotFoundError",
        "http_status": 404,
        "code": "E404",
        "request_id": "r1",
    }


def test_a_name_that_ends_in_csv_gives_csv(tmp_path: Path) -> None:
    path = tmp_path / "failed.CSV"
    run = fast_client(all_fail()).numbers.bulk_update({5: ON}, failures_to=path)
    run_from_1000(finish(run))
    (row,) = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert (row["id"], row["status"], row["kind"], row["http_status"], row["code"], row["request_id"]) == (
        *("5", "failed", "NotFoundError", "404", "E404", ""),
    )


@pytest.mark.parametrize("name", ["failed.csv", "failed.jsonl"])
def test_what_succeeds_is_not_in_it_and_an_older_file_is_emptied(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("of an earlier run\n")
    run = fast_client(StubSession()).numbers.bulk_update({1: ON, 2: ON}, failures_to=path)
    assert path.read_text() == "of an earlier run\n"
    assert run_from_1000(finish(run)).updated == 2
    assert len(path.read_text().splitlines()) == (name == "failed.csv")


def test_it_is_written_as_the_run_goes(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    seen: list[int] = []

    async def items() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, 21):
            yield number, ON
            seen.append(len(lines(path)))

    run_from_1000(finish(fast_client(all_fail()).numbers.bulk_update(items(), concurrency=1, failures_to=path)))
    assert seen == list(range(1, 21))


@pytest.mark.req_10
@pytest.mark.parametrize("how", ["cancelled", "stopped", "left early"])
def test_it_is_whole_when_the_run_ends_early(tmp_path: Path, how: str) -> None:
    """What was in flight is in it, too, and the number of lines is the number of failures."""
    path = tmp_path / "failed.jsonl"

    async def main() -> BulkReport:
        session = StubSession(lambda seen: Reply(404, NO) if seen.id <= 10 else Reply(before=60))
        run = fast_client(session).numbers.bulk_update(
            dict.fromkeys(range(1, 101), ON), concurrency=8, failures_to=path
        )
        if how == "left early":
            async for _ in run:
                break
            return await run
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(1)
        if how == "stopped":
            run.stop(0.5)
            return await task
        task.cancel()
        await asyncio.wait([task])
        return run.report

    report = run_virtual(main())
    rows = lines(path)
    assert len(rows) == report.failures_total == len(report.failures) > 5
    assert [row["id"] for row in rows] == [result.id for result in report.failures]
    # The file is closed: Python would warn of an open one.


@pytest.mark.parametrize("path", [3, b"failed.csv", True, "", 1.5], ids=repr)
def test_anything_but_a_path_is_refused_at_once(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="failures_to must be the path of a file, got"):
        fast_client(StubSession()).numbers.bulk_update({1: ON}, failures_to=path)


@pytest.mark.parametrize("make", ["missing/failed.csv", ".", "a\0b"], ids=["no folder", "a folder", "a null"])
@pytest.mark.parametrize("iterated", [False, True])
def test_what_cannot_be_written_is_refused_before_anything_is_sent(tmp_path: Path, make: str, iterated: bool) -> None:
    session = StubSession()
    run = fast_client(session).numbers.bulk_update({1: ON, 2: ON}, failures_to=tmp_path / make)
    with pytest.raises(ConfigurationError, match="failures_to: cannot write "):
        run_virtual(results_of(run) if iterated else finish(run))
    assert session.requests == 0
    assert counts(run.report) == (0, 0, 0, 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.req_16
def test_a_disk_that_is_full_stops_the_run_and_the_report_says_so() -> None:
    """Otherwise later failures would be lost."""
    session = all_fail()
    run = fast_client(session).numbers.bulk_update(
        dict.fromkeys(range(1, 1_001), ON), concurrency=4, failures_to="/dev/full"
    )
    report = run_from_1000(finish(run))
    assert report.total == 1_000
    assert 0 < report.failed <= 8
    assert "failures_to: cannot write '/dev/full'" in str(report.stopped_by)
    with pytest.raises(BulkError, match="Some failures are missing in it"):
        report.raise_for_failures()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_is_no_matter_while_nothing_fails() -> None:
    run = fast_client(StubSession()).numbers.bulk_update({1: ON}, failures_to="/dev/full")
    report = run_from_1000(finish(run))
    assert (report.updated, report.stopped_by) == (1, None)


class Odd:
    """A key that no file can hold."""

    def __str__(self) -> str:
        raise ValueError("no text")


HOSTILE = [
    "=HYPERLINK(1)",
    "+cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(1)",
    "\t=1+1",
    " =1+1",
    "\uff1d1+1",
    "\x1b[31mred",
    "two\r\nlines",
    "\ud83d",
    '"quoted", with a comma',
    "\u202egnp.exe",
]


@pytest.mark.req_24
@pytest.mark.parametrize("name", ["failed.csv", "failed.jsonl"])
def test_what_is_in_it_is_text(tmp_path: Path, name: str) -> None:
    """No formula for a spreadsheet, no control code for a terminal, and one line for each failure."""
    path = tmp_path / name

    def items() -> Iterator[Any]:
        yield from ((text, ON) for text in HOSTILE)
        yield from ((Odd(), ON), (10**6000, "x"), ("x" * 100_000, ON), ((1, 2), ON), (-7, ON), ("+15125550143", ON))

    run = fast_client(StubSession()).numbers.bulk_update(items(), failures_to=path)
    report = run_from_1000(finish(run))
    assert report.failed == len(HOSTILE) + 6
    text = path.read_bytes().decode()
    found = text.splitlines()
    assert len(found) == report.failures_total + (name == "failed.csv")
    assert all(each.isprintable() for each in found)
    assert max(map(len, found)) < 5_000
    rows: list[dict[str, Any]] = list(csv.DictReader(found)) if name == "failed.csv" else lines(path)
    keys = [row["id"] for row in rows]
    if name == "failed.csv":
        for row in rows:
            assert not any(cell.lstrip().startswith(("=", "@", "\uff1d")) for cell in row.values())
        assert keys[2] == "'-1+1"
        # A signed number is no formula, and keeps its form.
        assert keys[-2:] == ["-7", "+15125550143"]
    else:
        assert keys[: len(HOSTILE)] == HOSTILE
        assert keys[-2:] == [-7, "+15125550143"]


def test_a_path_may_be_of_any_kind(tmp_path: Path) -> None:
    class Place(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(tmp_path / "failed.jsonl")

    run_from_1000(finish(fast_client(all_fail()).numbers.bulk_update({1: ON}, failures_to=Place())))
    assert len(lines(tmp_path / "failed.jsonl")) == 1


@pytest.mark.parametrize("name", ["f.ndjson", "f.csv"])
def test_two_runs_at_once_do_not_write_over_each_other(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    async def main() -> None:
        client = fast_client(all_fail())
        path = tmp_path / name
        first = asyncio.ensure_future(
            finish(client.numbers.bulk_update(dict.fromkeys(range(1, 201), ON), failures_to=path))
        )
        await asyncio.sleep(0.001)
        for same in (path, tmp_path / "link" / name):
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="another bulk run writes"):
                    await client.numbers.bulk_update({1: ON}, failures_to=same)
        other = await client.numbers.bulk_update({1: ON}, failures_to=tmp_path / f"other {name}")
        assert other.failures_total == 1
        report = await first
        assert report.failures_total == 200
        assert len(path.read_text(encoding="utf-8").splitlines()) == 200 + (name == "f.csv")
        # The file is free again, and so it is after a run that could not open it.
        await client.numbers.bulk_update({1: ON}, failures_to=path)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="cannot write"):
                await client.numbers.bulk_update({1: ON}, failures_to=tmp_path)

    run_virtual(main())


def test_two_runs_may_write_to_one_device() -> None:
    async def main() -> None:
        client = fast_client(all_fail())
        runs = [finish(client.numbers.bulk_update({1: ON}, failures_to=os.devnull)) for _ in range(2)]
        assert [report.failures_total for report in await asyncio.gather(*runs)] == [1, 1]

    run_virtual(main())
