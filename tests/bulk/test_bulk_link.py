"""`campaigns.numbers.bulk_link` in virtual time: every number has one true outcome, and none is linked twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bulk import counts, fast_client, results_of
from tests.support.message_api import LOST, REFUSED, lost, refusal
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import BulkStatus, ConfigurationError, InputError, JournalError, Success

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = [pytest.mark.req_17, pytest.mark.req_37]

NUMBERS = "/v3/10dlc/brands/B1/campaigns/C1/numbers"


def number(position: int) -> str:
    return f"1512555{position:04}"


class LinkApi(StubSession):
    """Links each number that the test lets pass, and lists the numbers that are linked.

    Args:
        fate: Says what becomes of a POST; None: the number is linked.
        shown_after: Seconds until the list shows a number.
    """

    def __init__(self, fate: Callable[[str], Reply | None] = lambda _: None, *, shown_after: float = 0.0) -> None:
        super().__init__(self._reply, latency=0.01)
        self._fate = fate
        self._shown_after = shown_after
        self.linked: list[tuple[float, str]] = []
        self.posts: Counter[str] = Counter()
        self.lists = 0

    def _reply(self, seen: Seen) -> Reply:
        now = asyncio.get_running_loop().time()
        if seen.method == "GET":
            assert seen.path == NUMBERS
            self.lists += 1
            shown = [each for at, each in self.linked if at + self._shown_after <= now]
            numbers = [{"number": each, "status": "PENDING"} for each in shown]
            return Reply(200, {"brand_id": "B1", "campaign_id": "C1", "numbers": numbers})
        path, _, given = seen.path.rpartition("/")
        assert (seen.method, path) == ("POST", NUMBERS)
        self.posts[given] += 1
        fate = self._fate(given)
        reply = Reply(200, {"success": True}) if fate is None else fate
        if reply.applied if reply.applied is not None else reply.error is not None or reply.status < 300:
            self.linked.append((now, given))
        return reply

    def linked_once(self) -> bool:
        return max(self.posts.values(), default=0) <= 1 and len({each for _, each in self.linked}) == len(self.linked)


def link(api: LinkApi, numbers: Any, campaign: str = "C1", **options: Any) -> tuple[dict[Any, str], Any]:
    """Make one run; give the outcome of each number, and the report."""

    async def main() -> tuple[dict[Any, str], Any]:
        async with fast_client(api) as wavix:
            run = wavix.ten_dlc.brands.campaigns.numbers.bulk_link("B1", campaign, numbers, **options)
            results = await results_of(run)
            assert all((result.value == Success(success=True)) is result.ok for result in results)
            return {result.id: str(result.status) for result in results}, run.report

    return run_virtual(main())


async def later(*given: Any) -> AsyncIterator[Any]:
    for each in given:
        yield each


@pytest.mark.parametrize(
    "numbers",
    [
        lambda: [number(0), f"+{number(1)}", "+1 (512) 555-0002"],
        lambda: {number(0), number(1), number(2)},
        lambda: map(number, range(3)),
        lambda: later(number(0), number(1), "001 512 555 0002"),
    ],
)
def test_numbers_in_any_spelling_and_of_every_form(numbers: Any) -> None:
    api = LinkApi()
    ends, report = link(api, numbers())
    assert ends == dict.fromkeys(map(number, range(3)), "accepted")
    assert api.posts == dict.fromkeys(map(number, range(3)), 1)
    assert (counts(report), report.success, api.lists) == ((3, 0, 0, 0), BulkStatus.ACCEPTED, 0)


def test_numbers_that_are_wrong() -> None:
    api = LinkApi()
    for wrong in (["12", "Acme"], [None], number(0), {number(0): 1}, 5, [[]]):
        with pytest.raises(InputError):
            link(api, wrong)
    for ids in ({"campaign": ""}, {"campaign": None}):
        with pytest.raises(InputError, match="campaign_id must be a string"):
            link(api, [number(0)], **ids)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        link(api, [number(0)], concurrency=0)
    ends, report = link(api, later("Acme", number(0), None, f"+{number(0)}"))
    assert counts(report) == (1, 3, 0, 0)
    assert api.posts == {number(0): 1}
    assert {"Acme", None, number(0)} == ends.keys()


def test_one_list_settles_all_numbers_whose_answer_is_lost() -> None:
    api = LinkApi(lambda given: lost(applied=int(given[-2:]) < 30) if int(given[-2:]) < 50 else None)
    ends, report = link(api, [number(each) for each in range(60)])
    assert counts(report) == (40, 0, 20, 0)
    assert [ends[number(each)] for each in (0, 29, 30, 49, 59)] == ["accepted"] * 2 + ["unknown"] * 2 + ["accepted"]
    assert api.linked_once()
    # About once a second until the API must have shown a link, however many numbers wait for it.
    assert 0 < api.lists < 20


def test_a_link_that_is_shown_late_is_found() -> None:
    api = LinkApi(lambda _: LOST, shown_after=3.0)
    ends, _ = link(api, [number(0)])
    assert ends == {number(0): "accepted"}
    assert api.posts == {number(0): 1}


def test_what_was_certainly_not_linked_is_tried_again() -> None:
    first = {number(0): REFUSED, number(1): refusal(429, "slow down", Retry_After="1")}
    api = LinkApi(lambda given: first.pop(given, None))
    ends, _ = link(api, [number(0), number(1)])
    assert ends == {number(0): "accepted", number(1): "accepted"}
    assert [each for _, each in api.linked].count(number(1)) == 1


def test_a_number_that_is_refused_fails_alone_and_a_refused_key_stops_the_run() -> None:
    api = LinkApi(lambda given: refusal(404, "Record not found") if given == number(1) else None)
    ends, _ = link(api, [number(each) for each in range(3)])
    assert [ends[number(each)] for each in range(3)] == ["accepted", "failed", "accepted"]
    api = LinkApi(lambda _: refusal(403, "disabled"))
    _, report = link(api, map(number, range(50)), concurrency=1)
    assert counts(report) == (0, 1, 0, 49)
    assert sum(api.posts.values()) == 1


@pytest.mark.req_14
def test_a_journal_links_no_number_twice_over_restarts(tmp_path: Path) -> None:
    fates: dict[str, Reply] = {
        number(0): lost(applied=True),
        number(1): lost(applied=False),
        number(2): refusal(403, "disabled"),
    }
    api = LinkApi(lambda given: fates.get(given), shown_after=60.0)
    numbers = [number(each) for each in (3, 0, 1, 2, 4)]
    journal = tmp_path / "links.sqlite"
    ends, report = link(api, numbers, journal=journal, concurrency=1)
    assert [ends[each] for each in numbers] == ["accepted", "unknown", "unknown", "failed", "not_sent"]
    assert report.stopped_by is not None

    del fates[number(2)]
    api._shown_after = 0.0
    api.linked = [(0.0, each) for _, each in api.linked]  # each run has a clock of its own
    before = api.lists
    ends, _ = link(api, numbers, journal=journal)
    assert [ends[each] for each in numbers] == ["accepted", "accepted", "unknown", "accepted", "accepted"]
    assert api.posts == {number(0): 1, number(1): 1, number(2): 2, number(3): 1, number(4): 1}
    assert api.lists > before

    ends, _ = link(api, numbers, journal=journal)
    assert sum(api.posts.values()) == 6
    with pytest.raises(JournalError, match="journal of other numbers"):
        link(api, numbers, "C2", journal=journal)
    with pytest.raises(JournalError, match="journal of other numbers"):
        link(api, numbers[:2], journal=journal)
