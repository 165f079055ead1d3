"""`apply`, `resume` and `roll_back`: a plan carried out, taken up again, and undone."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from wavix_async import InputError, NumberUpdate, WavixClient
from wavix_async._files import settings_of, to_json, update_from, update_from_json
from wavix_async.fleet._account import Census
from wavix_async.fleet._comparison import GONE
from wavix_async.fleet._database import Store
from wavix_async.fleet._errors import JournalError, MissingNumbersError, StalePlanError
from wavix_async.fleet._executor import CarryOut, Stale
from wavix_async.fleet._journal import (
    TOUCHED,
    Journal,
    RunRow,
    begin_run,
    latest_run,
    lock_journal,
    open_store,
    set_options,
)
from wavix_async.fleet._options import Options, check_choice
from wavix_async.fleet._plan import Draft, Plan
from wavix_async.fleet._records import FleetProgress
from wavix_async.fleet._report import FleetReport
from wavix_async.fleet._safety import Safety

__all__ = ["Progress", "apply", "resume", "roll_back"]

Progress = Callable[[FleetProgress], object]

_UNDONE: Final = (
    "EXISTS (SELECT 1 FROM outcome AS back JOIN run ON run.no = back.run WHERE run.kind = 'roll_back' "
    "AND back.run > i.run AND back.id = i.id AND back.state IN ('updated', 'verified', 'pending'))"
)
_STALE: Final = ("refuse", "skip", "write")


async def apply(
    wavix: WavixClient,
    plan: Plan,
    *,
    journal: str | PathLike[str] | None = None,
    verify: bool = False,
    verify_within: float = 60.0,
    concurrency: int = 32,
    batch: Literal["auto"] | int | None = None,
    stale: Stale = "refuse",
    missing: Literal["refuse", "skip"] = "refuse",
    safety: Safety | None = None,
    on_progress: Progress | None = None,
) -> FleetReport:
    """Carry out a plan, and tell the truth about each number (PATCH /v1/numbers/{id}, or PATCH /v1/numbers).

    Before anything is sent the numbers are read once more. What no trustworthy answer came for is read back before it
    is sent again. With a journal the run survives its process: `resume` goes on with it, `roll_back` undoes it.

    Args:
        wavix: The client of the account. `with_options(stop=...)` lets a run be ended in order.
        plan: What `fleet.plan` gave.
        journal: A file to write the run into, which must not have another run; None: nothing is kept.
        verify: Read all changes back at the end, until they are in effect.
        verify_within: Seconds that this may take; what is not in effect then is `pending`.
        concurrency: Requests on the wire at once.
        batch: How many equal changes may go out as one request: a number, or "auto". Default: one request for each.
        stale: What to do with numbers that have changed since the plan was made: "refuse" everything, "skip" them (they
            end as failed), or "write" all the same.
        missing: What to do when the account lacks some of the numbers: "refuse" everything, or "skip" them (they end as
            failed).
        safety: When to refuse or to stop. Default: `Safety()`.
        on_progress: Called with a `FleetProgress` some ten times a second.

    Returns:
        The report: every number that is wanted is in exactly one of its counts. A run that a 401, 402 or 403, an outage
        or `safety` has stopped has a report, too: `stopped_by`.

    Raises:
        MissingNumbersError: The account lacks some of the numbers.
        StalePlanError: Numbers have changed since the plan was made.
        SafetyError: The plan changes too much.
        JournalError: The journal is in use, or has a run of another plan, or this one has ended.
        InputError: The plan is of another API, or an option is wrong.
        WavixError: The account could not be read. Nothing was sent.
    """
    options = Options(
        verify=verify, verify_within=verify_within, concurrency=concurrency, batch=batch, safety=safety or Safety()
    )
    check_choice("stale", stale, _STALE)
    check_choice("missing", missing, ("refuse", "skip"))
    if plan.base_url != wavix.base_url:
        raise InputError(
            f"The plan is for {plan.base_url}, and this client for {wavix.base_url}: plan with this client."
        )
    if plan.missing_count and missing == "refuse":
        raise MissingNumbersError(plan.missing, plan.missing_count)
    options.safety.check(len(plan), plan.account)
    path = None if journal is None else Path(journal)
    with ExitStack() as opened:
        lock = opened.enter_context(lock_journal(path))
        store = await asyncio.to_thread(open_store, path, wavix.base_url, sound=True)
        opened.callback(store.close)
        run = latest_run(store.connection)
        begun = run is None
        if run is not None:
            found = run
            await store.run(lambda _: _check_same(store, found, plan))
            # As it was asked for now, not as it was begun.
            await store.run(set_options, run.no, options.to_json())
            run = attrs.evolve(run, options=options.to_json())
        else:
            run = await store.run(begin_run, plan.connection, "apply", options.to_json(), plan.row, store.closing)
        opened.pop_all()
    return await _carry_out(wavix, Journal(store, lock, run), stale, on_progress, forget=begun)


async def resume(
    wavix: WavixClient,
    journal: str | PathLike[str],
    *,
    stale: Stale = "refuse",
    on_progress: Progress | None = None,
) -> FleetReport:
    """Go on with the latest run of a journal: after a crash, a Ctrl-C, an outage, or while changes were pending.

    What was begun and not noted is read back first; only what is not there is sent again. The options are those of the
    run. A run that has ended is left as it is.

    Args:
        wavix: The client of the account.
        journal: The journal's file.
        stale: What to do with numbers that have changed since the plan was made, as for `apply`; those of a rollback
            are skipped unless it is "write".
        on_progress: Called with a `FleetProgress` some ten times a second.

    Returns:
        The report of the whole run.

    Raises:
        JournalError: There is no such journal, it is in use, or it is that of another API.
        StalePlanError: Numbers that are still to be sent have changed since the plan was made.
        WavixError: The account could not be read. Nothing more was sent.
    """
    check_choice("stale", stale, _STALE)
    opened = await _open(wavix, Path(journal))
    if opened.run.kind == "roll_back" and stale == "refuse":
        # As `roll_back` has it: what somebody else has changed since stays as it is.
        stale = "skip"
    return await _carry_out(wavix, opened, stale, on_progress)


async def roll_back(
    wavix: WavixClient,
    journal: str | PathLike[str],
    *,
    verify: bool = False,
    verify_within: float = 60.0,
    concurrency: int = 32,
    batch: Literal["auto"] | int | None = None,
    safety: Safety | None = None,
    on_progress: Progress | None = None,
) -> FleetReport:
    """Undo what a journal's run has changed: its fields get the values back that they had before.

    Only fields that still hold what the run has written are restored; what somebody else has changed since is left as
    it is, and reported as unchanged with the reason. The rollback is a run in the same journal: `resume` goes on with
    it. Called again, it goes on, or restores what it could not before.

    Args:
        wavix: The client of the account.
        journal: The journal's file.
        verify: Read all changes back at the end, until they are in effect.
        verify_within: Seconds that this may take; what is not in effect then is `pending`.
        concurrency: Requests on the wire at once.
        batch: How many equal changes may go out as one request. Default: one request for each.
        safety: When to stop; how much is restored is not bounded.
        on_progress: Called with a `FleetProgress` some ten times a second.

    Returns:
        The report of the rollback.

    Raises:
        JournalError: There is no such journal, it is in use, or it is that of another API.
        WavixError: The account could not be read. Nothing was sent.
    """
    options = Options(
        verify=verify, verify_within=verify_within, concurrency=concurrency, batch=batch, safety=safety or Safety()
    )
    opened = await _open(wavix, Path(journal))
    requests = 0
    try:
        store = opened.store
        if opened.run.kind != "roll_back" or await store.run(lambda _: FleetReport(store, opened.run).finished):
            applied = latest_run(store.connection, "apply")
            assert applied is not None
            opened.run = applied
            census = Census(wavix, options.concurrency)
            back = await _plan_back(census, wavix.base_url, opened)
            requests = census.requests
            opened.run = await store.run(
                begin_run, back.connection, "roll_back", options.to_json(), back.row, store.closing
            )
        else:
            await store.run(set_options, opened.run.no, options.to_json())
            opened.run = attrs.evolve(opened.run, options=options.to_json())
    except BaseException:
        opened.close()
        raise
    return await _carry_out(wavix, opened, "skip", on_progress, requests=requests)


async def _open(wavix: WavixClient, path: Path) -> Journal:
    """Open a journal to go on with its latest run."""
    _check_there(path)
    with ExitStack() as opened:
        lock = opened.enter_context(lock_journal(path))
        store = await asyncio.to_thread(open_store, path, wavix.base_url, sound=True)
        opened.callback(store.close)
        journal = Journal(store, lock, _latest(store))
        opened.pop_all()
    return journal


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise JournalError(f"There is no journal {path}.")


def _latest(store: Store) -> RunRow:
    run = latest_run(store.connection)
    if run is None:
        raise JournalError(f"The journal {store.path} has no run: nothing was ever sent. Apply the plan anew.")
    return run


def _check_same(store: Store, begun: RunRow, plan: Plan) -> None:
    """Refuse to take a run of a journal for that of a plan."""
    if begun.digest != plan.digest or begun.kind != "apply":
        raise JournalError(
            f"The journal {store.path} has a run of another plan. Give this plan a journal of its own, "
            "or go on with that run: fleet.resume."
        )
    if FleetReport(store, begun).finished:
        raise JournalError(f"The run of the journal {store.path} has ended. Give this plan a journal of its own.")


async def _carry_out(
    wavix: WavixClient,
    journal: Journal,
    stale: Stale,
    on_progress: Progress | None,
    *,
    forget: bool = False,
    requests: int = 0,
) -> FleetReport:
    try:
        options = Options.from_json(journal.run.options)
        carry_out = CarryOut(wavix, journal, options, stale, on_progress, requests=requests)
        try:
            await carry_out.run()
        except StalePlanError:
            if forget:
                # The file is free for the plan that is made instead.
                await journal.forget_if_nothing_was_sent()
            raise
        report = await journal.store.run(_report, journal)
    except BaseException:
        journal.close()
        raise
    journal.close(kept=True)
    return report


def _report(connection: sqlite3.Connection, journal: Journal) -> FleetReport:
    run = latest_run(connection)
    assert run is not None
    return FleetReport(journal.store, run)


# --- rolling back ---


async def _plan_back(census: Census, base_url: str, journal: Journal) -> Plan:
    """Plan to restore what a run has written, as far as it still stands."""
    ids = await journal.ids(TOUCHED)
    draft = Draft(str(journal.store.path), base_url, journal.run.account)
    async with aclosing(census.look(ids, journal.run.account)) as found:
        async for numbers, gone in found:
            rows = await journal.store.run(_written, journal.run.no, [*(number.id for number in numbers), *gone])
            await draft.store.run(_back, draft, rows, numbers, gone)
    return await draft.store.run(lambda _: Plan(draft))


def _written(connection: sqlite3.Connection, run: int, ids: list[int]) -> dict[int, Any]:
    rows = connection.execute(
        f"SELECT i.id, i.number, i.before, i.after, o.state, {_UNDONE} FROM item AS i "  # noqa: S608 - constants
        "JOIN outcome AS o ON o.run = i.run AND o.id = i.id "
        "WHERE i.run = ? AND i.id IN (SELECT value FROM json_each(?))",
        (run, json.dumps(ids)),
    )
    return {row[0]: row for row in rows}


def _back(_: sqlite3.Connection, draft: Draft, rows: dict[int, Any], numbers: Any, gone: list[int]) -> None:
    items: list[tuple[int, str | None, str, str, bool]] = []
    ends = []
    for number_id in gone:
        items.append((number_id, rows[number_id][1], "{}", "{}", False))
        ends.append((number_id, "failed", GONE))
    for number in numbers:
        _, phone, before, after, state, undone = rows[number.id]
        old, written, now = json.loads(before), json.loads(after), settings_of(number)
        differing = update_from_json(after).differs_from(number)
        restore, held, kept, forced = {}, {}, [], False
        for name in written:
            # Confirmed, or in doubt, and maybe not applied yet: it could still come into effect after this.
            coming = name in NumberUpdate.APPLIED_LATE and state not in ("verified", "failed") and not undone
            if name in differing and now[name] != old[name]:
                kept.append(f"{name} is {to_json(now[name])} and was left so: somebody else has changed it since")
            elif name in differing and not coming:
                kept.append(f"{name} is as it was before")
            elif not _can_say(name, old[name]):
                kept.append(f"{name} was {to_json(old[name])}, which no request can set")
            else:
                restore[name], held[name] = old[name], written[name] if name in differing else now[name]
                forced = forced or name in differing
        items.append((number.id, phone, to_json(held), to_json(restore), forced))
        if not restore:
            ends.append((number.id, "unchanged", "; ".join(kept)))
    draft.add(items)
    draft.settle(ends)


def _can_say(name: str, value: Any) -> bool:
    try:
        update_from({name: value})
    except InputError:
        return False
    return True
