"""Runs of a fleet: verified, stopped and resumed, ended by a rejected key, against the sandbox on real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import examples
from tests.support.account import Account
from tests.support.bulk import client_of as client_on
from tests.support.fleets import (
    ANY_SHARE,
    FAST,
    FIRST,
    begun,
    client_of,
    counts,
    five_changes,
    holds_together,
    ids,
    methods,
    relays,
    standing,
    url,
    urls,
)
from tests.support.stub import Reply, Seen, StubSession
from wavix_async import AuthenticationError, NumberUpdate, StopSignal, fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async import WavixClient


@pytest.mark.req_19
async def test_what_is_applied_late_is_waited_for(tmp_path: Path) -> None:
    async with Sandbox(100, apply_delay=0.4) as sandbox, client_of(sandbox) as wavix:
        phases: list[str] = []
        report = await fleet.apply(
            wavix,
            await fleet.plan(wavix, relays(ids(9))),
            journal=tmp_path / "run.sqlite",
            verify=True,
            verify_within=20.0,
            on_progress=lambda progress: phases.append(progress.phase),
        )
        assert counts(report) == {"updated": 9}
        assert all(sandbox.numbers[number]["sms_relay_url"] == url(number, "sms") for number in ids(9))
        assert "verifying" in phases
        assert report.elapsed >= 0.4
        assert sandbox.stats.updates == dict.fromkeys(ids(9), 1)


@pytest.mark.req_19
@pytest.mark.req_14
async def test_what_is_not_in_effect_in_time_is_pending_and_looked_at_again_by_resume(tmp_path: Path) -> None:
    async with Sandbox(100, apply_delay=60) as sandbox, client_of(sandbox) as wavix:
        wanted = relays(ids(4)) | urls(ids(4, FIRST + 4))
        journal = tmp_path / "run.sqlite"
        plan = await fleet.plan(wavix, wanted)
        report = await fleet.apply(wavix, plan, journal=journal, verify=True, verify_within=1.5)
        assert counts(report) == {"updated": 4, "pending": 4}
        assert {result.id for result in report.results("pending")} == set(ids(4))
        assert counts(fleet.status(journal)) == counts(report)
        sandbox.advance(61)
        report = await fleet.resume(wavix, journal)
        assert counts(report) == {"updated": 8}
        assert report.finished
        assert sandbox.stats.updates == dict.fromkeys(ids(8), 1), "reading a change back sends nothing again"


@pytest.mark.req_19
async def test_an_answer_that_was_lost_is_settled_by_reading_and_not_sent_again(tmp_path: Path) -> None:
    async with Sandbox(100) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, urls(ids(12)))
        sandbox.fail_next("reset_after", 4, "PATCH")
        sandbox.fail_next("half_body", 3, "PATCH")
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", safety=ANY_SHARE)
        assert sum(sandbox.stats.faults.values()) == 7
        assert counts(report) == {"updated": 12}
        assert sandbox.stats.updates == dict.fromkeys(ids(12), 1)


@pytest.mark.req_19
async def test_a_change_that_did_not_last_is_not_called_updated(tmp_path: Path) -> None:
    async with Sandbox(100, latency=0.01) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, urls(ids(9)))
        run = asyncio.ensure_future(
            fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", verify=True, verify_within=0.3, concurrency=1)
        )
        await begun(lambda: sandbox.stats.updates[FIRST + 2] == 1, run)
        sandbox.change(FIRST + 2, call_status_url="https://theirs.example.com")
        report = await run
        assert counts(report) == {"updated": 8, "failed": 1}
        (late,) = report.results("failed")
        assert late.id == FIRST + 2
        assert "call_status_url" in (late.reason or "")
        assert sandbox.numbers[FIRST + 2]["call_status_url"] == "https://theirs.example.com"


@pytest.mark.req_16
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refusal_of_the_account_ends_a_run_at_the_first(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, status: int
) -> None:
    plan = await fleet.plan(wavix, urls(ids(20)))
    sandbox.fail_next(f"status_{status}", 50, f"PATCH /v1/numbers/{FIRST + 5}")
    report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=1)
    assert report.stopped_by is not None
    assert not report.refused_by_safety
    assert methods(sandbox)["PATCH"] == 6
    assert report.updated == 5
    assert report.updated + report.failed + report.not_sent == 20
    assert report.failed <= 1
    holds_together(report)


@pytest.mark.req_14
@pytest.mark.req_16
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_what_was_refused_because_of_the_account_is_sent_by_resume(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, status: int
) -> None:
    sandbox.fail_next(f"status_{status}", 4, "PATCH")
    plan = await fleet.plan(wavix, urls(ids(20)))
    report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=4)
    assert report.stopped_by
    assert report.updated < 20
    report = await fleet.resume(wavix, tmp_path / "run.sqlite")
    assert counts(report) == {"updated": 20}


@pytest.mark.req_16
async def test_a_key_that_may_only_read_changes_nothing() -> None:
    async with Sandbox(100, scopes={"numbers": "read"}) as sandbox, client_of(sandbox) as wavix:
        report = await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(20))), concurrency=1)
        assert methods(sandbox)["PATCH"] == 1
        assert report.updated == 0
        assert report.failed + report.not_sent == 20
        assert "disabled" in (report.stopped_by or "")
        async with client_of(sandbox, api_key="wrong") as stranger:
            with pytest.raises(AuthenticationError):
                await fleet.plan(stranger, urls(ids(2)))


@pytest.mark.req_14
@pytest.mark.req_10
@pytest.mark.req_17
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("batch", [None, "auto"])
async def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path, how: str, batch: Any) -> None:
    async with Sandbox(400, latency=0.01) as sandbox, client_of(sandbox) as wavix:
        wanted = urls(ids(60)) if batch is None else five_changes(ids(60))
        plan = await fleet.plan(wavix, wanted)
        before = standing(sandbox)
        journal = tmp_path / "run.sqlite"
        signal = StopSignal()
        run = asyncio.ensure_future(
            fleet.apply(wavix.with_options(stop=signal), plan, journal=journal, concurrency=2, batch=batch)
        )
        await begun(lambda: len(sandbox.stats.updates) >= 7, run)
        if how == "stop":
            signal.set()
            report = await run
            assert report.stopped_by
            assert not report.refused_by_safety
        else:
            run.cancel()
            assert (await asyncio.wait([run], timeout=60))[0]
            assert run.cancelled()
            report = fleet.status(journal)
        assert not report.is_running
        assert not report.finished
        assert 7 <= len(sandbox.stats.updates) < 60
        assert report.not_sent + report.unknown >= 60 - len(sandbox.stats.updates)
        assert all(result.id in sandbox.stats.updates for result in report.results("updated"))
        holds_together(report)
        report = await fleet.resume(wavix, journal)
        assert counts(report) == {"updated": 60}
        assert report.finished
        assert max(sandbox.stats.updates.values()) <= 2
        assert all(
            {field.field: field.before for field in result.fields}
            == {field.field: before[result.id or 0][field.field] for field in result.fields}
            for result in report.results()
        )
        await fleet.roll_back(wavix, journal, batch=batch)
        assert standing(sandbox) == before


class Stored:
    """An API that stores the text of a URL in small letters, or ignores a change; it answers truly, and 200."""

    def __init__(self, count: int, *, ignores: frozenset[int] = frozenset(), then: int | None = None) -> None:
        self.numbers = {each: examples.number(id=each, call_status_url=None) for each in ids(count)}
        self.ignores = ignores
        self.then = then
        self.session = StubSession(self._answer)
        self.client = client_on(self.session, retry=FAST)

    def _answer(self, seen: Seen) -> Reply:
        if seen.path == "/v1/numbers":
            items = list(self.numbers.values())
            return Reply(body={"items": items, "doc_types": [], "pagination": examples.pagination(total=len(items))})
        number = self.numbers[seen.id]
        if seen.method == "PATCH" and self.then and number["call_status_url"] is not None:
            return Reply(self.then, {"message": "no"})
        if seen.method == "PATCH" and seen.id not in self.ignores:
            number["call_status_url"] = seen.body["call_status_url"].lower()
        return Reply(body=number)


@pytest.mark.req_26
@pytest.mark.parametrize("then", [None, 404, 409, 422])
async def test_a_value_that_is_stored_in_another_form_is_unknown_and_not_the_change_of_another(
    tmp_path: Path, then: int | None
) -> None:
    """Also if the API refuses to store it again."""
    server = Stored(20, then=then)
    wanted = {
        FIRST: NumberUpdate(call_status_url="https://Hooks.example.com"),
        FIRST + 1: NumberUpdate(call_status_url=url(2)),
    }
    async with server.client as wavix:
        report = await fleet.apply(
            wavix, await fleet.plan(wavix, wanted), journal=tmp_path / "run.sqlite", safety=ANY_SHARE
        )

    assert counts(report) == {"updated": 1, "unknown": 1}
    (result,) = report.results("unknown")
    assert result.id == FIRST
    assert result.reason is not None
    assert "https://hooks.example.com" in result.reason
    assert "neither the old nor the new value" in result.reason


@pytest.mark.req_26
async def test_a_change_that_the_api_ignores_is_not_reported_as_made(tmp_path: Path) -> None:
    server = Stored(20, ignores=frozenset({FIRST}))
    async with server.client as wavix:
        plan = await fleet.plan(wavix, urls(ids(3)))
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", safety=ANY_SHARE)
        assert counts(report) == {"updated": 2, "not_sent": 1}
        server.ignores = frozenset()
        assert counts(await fleet.resume(wavix, tmp_path / "run.sqlite")) == {"updated": 3}


LIES: dict[str, Any] = {
    "the old value": lambda record: record,
    "another value": lambda record: {**record, "call_status_url": url(9, "other")},
    "another number": lambda record: {**record, "id": record["id"] + 1},
    "no number": lambda record: {**record, "id": None},
    "an error": lambda _: {"status": "error", "message": "db down"},
    "a status": lambda _: {"status": 500, "error": "Internal Server Error"},
    "no success": lambda record: {"success": 0, "id": record["id"]},
    "errors": lambda _: {"id": None, "errors": ["no"]},
    "nothing": lambda _: {},
    "null": lambda _: b"null",
}
REJECTED = ("an error", "a status", "no success", "errors")
"""Here the API itself says that it has not made the change."""


@pytest.mark.req_26
@pytest.mark.req_35
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("ignores", [True, False], ids=["not carried out", "carried out"])
async def test_a_change_that_its_answer_contradicts_is_not_called_updated(
    tmp_path: Path, lie: str, ignores: bool
) -> None:
    """A read decides, in the report, in the journal and after `resume`."""
    api, path = Account(30), tmp_path / "run.sqlite"
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(3)))
        api.lie, api.ignores_changes = LIES[lie], ignores
        report = await fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE)
        for told in (report, fleet.status(path)):
            if ignores:
                assert told.updated == 0
            else:
                assert counts(told) == {"updated": 3}
                assert {result.reason for result in told.results()} == {"read back"}
        api.lie, api.ignores_changes = None, False
        report = await fleet.resume(wavix, path)
        assert counts(report) == {"failed" if ignores and lie in REJECTED else "updated": 3}


@pytest.mark.req_19
async def test_a_stop_that_leaves_nothing_to_do_is_no_reason(tmp_path: Path) -> None:
    """The verification has seen all changes when the stop comes, and only has the other pages to read."""
    async with Sandbox(3_000) as sandbox, client_of(sandbox) as wavix:
        signal = StopSignal()

        def follow(now: fleet.FleetProgress) -> None:
            if now.phase == "verifying" and now.done == now.total:
                signal.set()

        plan = await fleet.plan(wavix, urls(ids(60)))
        report = await fleet.apply(
            wavix.with_options(stop=signal), plan, journal=tmp_path / "run.sqlite", verify=True, on_progress=follow
        )
        assert signal.is_set()
        assert counts(report) == {"updated": 60}
        assert (report.finished, report.stopped_by) == (True, None)
