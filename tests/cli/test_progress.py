"""The progress of a run: each phase counts from zero, and long waits are explained."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import attrs
import pytest

pytest.importorskip("cyclopts")

from rich.console import Console

from tests.support.virtual import run_virtual
from wavix_async import BulkProgress
from wavix_async.cli._output import Display
from wavix_async.fleet import FleetProgress


def moment(elapsed: float, done: int, **more: Any) -> FleetProgress:
    return FleetProgress(phase="sending", total=100, done=done, elapsed=elapsed, requests=done, **more)


def shown(*found: tuple[str, Any] | None) -> list[str]:
    """Return the lines shown for these progress values, in order."""
    console = Console(file=io.StringIO(), width=300)
    looks = iter(found)

    async def follow() -> None:
        following = asyncio.ensure_future(Display(console).follow(lambda: next(looks)))
        await asyncio.sleep(3.0 * len(found) + 1.0)
        following.cancel()
        await asyncio.wait([following])

    run_virtual(follow())
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_nothing_is_shown_before_it_has_begun():
    assert shown(None, None) == []


def test_a_line_every_few_seconds():
    lines = shown(("Sending", moment(3, 30, updated=29, failed=1)), ("Sending", moment(6, 60, updated=59, failed=1)))
    assert lines == [
        "    3 s  sending: 30 of 100 (30%), updated 29, failed 1, 429s 0, 10/s, ETA 0:00:07",
        "    6 s  sending: 60 of 100 (60%), updated 59, failed 1, 429s 0, 10/s, ETA 0:00:04",
    ]


def test_each_phase_counts_from_zero_and_reading_shows_no_results():
    first = FleetProgress(phase="listing", total=900, done=900, elapsed=3.0, requests=9)
    second = FleetProgress(phase="verifying", total=100, done=50, elapsed=6.0, requests=15)
    lines = shown(("Listing", first), ("Verifying", second))
    assert lines[0] == "    3 s  listing: 900 of 900 (100%), 429s 0, 3/s, 3.0 s"
    assert lines[1] == "    6 s  verifying: 50 of 100 (50%), 429s 0, 2/s, ETA 0:00:03"


def test_a_pause_is_explained():
    (line,) = shown(("Sending", moment(3, 30, rate=50.0, paused_for=12.04)))
    assert line.endswith("10/s of 50/s, paused for another 12.0 s, as the API asked (429)")


def test_when_nothing_gets_through_it_says_so_and_for_how_long():
    lines = shown(*(("Sending", moment(at, min(at, 6) * 10)) for at in (3, 6, 9, 12, 15)))
    assert [line.rpartition(", ")[2] for line in lines] == [
        "ETA 0:00:07",
        "ETA 0:00:04",
        "ETA -",
        "no progress for 6 s: retrying",
        "no progress for 9 s: retrying",
    ]


def test_a_bulk_run_is_shown_the_same_way():
    now = BulkProgress(
        total=None, done=30, succeeded=30, failed=0, unknown=0, not_sent=0, requests=31, rate_limited=1, elapsed=3.0,
        rate=10.0, paused_for=0.0,
    )  # fmt: skip
    (line,) = shown(("Updating", now))
    assert re.fullmatch(r" +3 s  updating: 30, updated 30, failed 0, 429s 1, 10/s \(the limit\), ETA -", line)


def test_a_speed_above_the_limit_is_the_limit():
    """A burst, or answers that come together, look faster than the limit: 208/s of 200/s."""
    (line,) = shown(("Sending", moment(3, 30, rate=9.5)))
    assert "429s 0, 10/s (the limit), ETA" in line
    (line,) = shown(("Sending", moment(3, 30, rate=11.0)))
    assert "429s 0, 10/s of 11/s, ETA" in line


def test_a_stopped_run_is_not_all_done():
    stopped = BulkProgress(
        total=300, done=300, succeeded=100, failed=1, unknown=0, not_sent=199, requests=101, rate_limited=0,
        elapsed=3.0, rate=None, paused_for=0.0,
    )  # fmt: skip
    (line,) = shown(("Updating", stopped))
    assert "updating: 101 of 300 (33%), updated 100, failed 1, " in line
    assert "not sent 199" in shown_on_a_terminal(("Updating", stopped))
    assert "101/300" in shown_on_a_terminal(("Updating", stopped))


def test_all_but_one_is_not_all():
    (line,) = shown(("Sending", attrs.evolve(moment(3, 0), total=5_000, done=4_999)))
    assert "4,999 of 5,000 (99%)" in line


def shown_on_a_terminal(now: tuple[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=300, force_terminal=True, color_system=None)

    async def follow() -> None:
        following = asyncio.ensure_future(Display(console).follow(lambda: now))
        await asyncio.sleep(0.25)
        following.cancel()
        await asyncio.wait([following])

    run_virtual(follow())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]
