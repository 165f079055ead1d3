"""`apply`, `resume` and `roll_back`: carry out a plan, go on with it, undo it."""

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
from wavix_async.fleet._account import AccountReader
from wavix_async.fleet._comparison import GONE
from wavix_async.fleet._database import Database
from wavix_async.fleet._errors import JournalError, MissingNumbersError, StalePlanError
from wavix_async.fleet._executor import Executor, Stale
from wavix_async.fleet._journal import (
    TOUCHED,
    Journal,
    RunRow,
    begin_run,
    latest_run,
    lock_journal,
    open_journal,
    set_options,
)
from wavix_async.fleet._options import RunOptions, check_choice
from wavix_async.fleet._plan import Plan, PlanBuilder
from wavix_async.fleet._records import FleetProgress
from wavix_async.fleet._report import FleetReport
from wavix_async.fleet._safety import Safety

__all__ = ["Progress", "apply", "resume", "roll_back"]

Progress = Callable[[FleetProgress], object]

_ROLLED_BACK: Final = (
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
        The report: every number of the desired state is in exactly one of its counts. A run that a 401, 402 or 403, an
        outage or `safety` has stopped has a report, too: `stopped_by`.

    Raises:
        MissingNumbersError: The account lacks some of the numbers.
        StalePlanError: Numbers have changed since the plan was made.
        SafetyError: The plan changes too much.
        JournalError: The journal is in use, or has a run of another plan, or this one has ended.
        InputError: The plan is of another API, or an option is wrong.
        WavixError: The account could not be read. Nothing was sent.
    """
    options = RunOptions(
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
        database = await asyncio.to_thread(open_journal, path, wavix.base_url, check_integrity=True)
        opened.callback(database.close)
        run = latest_run(database.connection)
        is_new = run is None
        if run is not None:
            found = run
            await database.run(lambda _: _check_same_plan(database, found, plan))
            # The options of this call replace those that the run began with.
            await database.run(set_options, run.no, options.to_json())
            run = attrs.evolve(run, options=options.to_json())
        else:
            run = await database.run(begin_run, plan.connection, "apply", options.to_json(), plan.row, database.closing)
        opened.pop_all()
    return await _execute(wavix, Journal(database, lock, run), stale, on_progress, delete_if_stale=is_new)


async def resume(
    wavix: WavixClient,
    journal: str | PathLike[str],
    *,
    stale: Stale = "refuse",
    on_progress: Progress | None = None,
) -> FleetReport:
    """Go on with the latest run of a journal: after a crash, a Ctrl-C, an outage, or while changes were pending.

    Changes that were sent and have no recorded result are read back first; only those not applied are sent again. The
    options are those of the run. A run that has ended is left as it is.

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
        # As in `roll_back`: what another client has changed since stays as it is.
        stale = "skip"
    return await _execute(wavix, opened, stale, on_progress)


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
    options = RunOptions(
        verify=verify, verify_within=verify_within, concurrency=concurrency, batch=batch, safety=safety or Safety()
    )
    opened = await _open(wavix, Path(journal))
    requests = 0
    try:
        database = opened.database
        if opened.run.kind != "roll_back" or await database.run(lambda _: FleetReport(database, opened.run).finished):
            applied = latest_run(database.connection, "apply")
            assert applied is not None
            opened.run = applied
            reader = AccountReader(wavix, options.concurrency)
            rollback = await _plan_rollback(reader, wavix.base_url, opened)
            requests = reader.requests
            opened.run = await database.run(
                begin_run, rollback.connection, "roll_back", options.to_json(), rollback.row, database.closing
            )
        else:
            await database.run(set_options, opened.run.no, options.to_json())
            opened.run = attrs.evolve(opened.run, options=options.to_json())
    except BaseException:
        opened.close()
        raise
    return await _execute(wavix, opened, "skip", on_progress, requests=requests)


async def _open(wavix: WavixClient, path: Path) -> Journal:
    """Open a journal to go on with its latest run."""
    _check_exists(path)
    with ExitStack() as opened:
        lock = opened.enter_context(lock_journal(path))
        database = await asyncio.to_thread(open_journal, path, wavix.base_url, check_integrity=True)
        opened.callback(database.close)
        journal = Journal(database, lock, _run_of(database))
        opened.pop_all()
    return journal


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise JournalError(f"There is no journal {path}.")


def _run_of(database: Database) -> RunRow:
    run = latest_run(database.connection)
    if run is None:
        raise JournalError(f"The journal {database.path} has no run: nothing was ever sent. Apply the plan anew.")
    return run


def _check_same_plan(database: Database, run: RunRow, plan: Plan) -> None:
    """Refuse to go on with a run that is not the run of this plan."""
    if run.digest != plan.digest or run.kind != "apply":
        raise JournalError(
            f"The journal {database.path} has a run of another plan. Give this plan a journal of its own, "
            "or go on with that run: fleet.resume."
        )
    if FleetReport(database, run).finished:
        raise JournalError(f"The run of the journal {database.path} has ended. Give this plan a journal of its own.")


async def _execute(
    wavix: WavixClient,
    journal: Journal,
    stale: Stale,
    on_progress: Progress | None,
    *,
    delete_if_stale: bool = False,
    requests: int = 0,
) -> FleetReport:
    try:
        options = RunOptions.from_json(journal.run.options)
        executor = Executor(wavix, journal, options, stale, on_progress, requests=requests)
        try:
            await executor.run()
        except StalePlanError:
            if delete_if_stale:
                # The caller can use the file for a new plan.
                await journal.delete_if_nothing_was_sent()
            raise
        report = await journal.database.run(_report, journal)
    except BaseException:
        journal.close()
        raise
    journal.close(keep_temporary=True)
    return report


def _report(connection: sqlite3.Connection, journal: Journal) -> FleetReport:
    run = latest_run(connection)
    assert run is not None
    return FleetReport(journal.database, run)


# --- rolling back ---


async def _plan_rollback(reader: AccountReader, base_url: str, journal: Journal) -> Plan:
    """Plan to restore the values before a run, in fields that still have the value that it has set."""
    ids = await journal.ids(TOUCHED)
    builder = PlanBuilder(str(journal.database.path), base_url, journal.run.account)
    async with aclosing(reader.read(ids, journal.run.account)) as found:
        async for numbers, gone in found:
            rows = await journal.database.run(_rows_of, journal.run.no, [*(number.id for number in numbers), *gone])
            await builder.database.run(_add_rollback, builder, rows, numbers, gone)
    return await builder.database.run(lambda _: Plan(builder))


def _rows_of(connection: sqlite3.Connection, run: int, ids: list[int]) -> dict[int, Any]:
    rows = connection.execute(
        f"SELECT i.id, i.number, i.before, i.after, o.state, {_ROLLED_BACK} FROM item AS i "  # noqa: S608 - constants
        "JOIN outcome AS o ON o.run = i.run AND o.id = i.id "
        "WHERE i.run = ? AND i.id IN (SELECT value FROM json_each(?))",
        (run, json.dumps(ids)),
    )
    return {row[0]: row for row in rows}


def _add_rollback(
    _: sqlite3.Connection, builder: PlanBuilder, rows: dict[int, Any], numbers: Any, gone: list[int]
) -> None:
    items: list[tuple[int, str | None, str, str, bool]] = []
    outcomes = []
    for number_id in gone:
        items.append((number_id, rows[number_id][1], "{}", "{}", False))
        outcomes.append((number_id, "failed", GONE))
    for number in numbers:
        _, phone, before, after, state, rolled_back = rows[number.id]
        old, written, now = json.loads(before), json.loads(after), settings_of(number)
        differing = update_from_json(after).differs_from(number)
        restore, before_rollback, reasons, forced = {}, {}, [], False
        for name in written:
            # The API applies this field late: the change of the run may still come into effect after the rollback.
            may_come_into_effect = (
                name in NumberUpdate.APPLIED_LATE and state not in ("verified", "failed") and not rolled_back
            )
            if name in differing and now[name] != old[name]:
                reasons.append(f"{name} is {to_json(now[name])} and was left so: somebody else has changed it since")
            elif name in differing and not may_come_into_effect:
                reasons.append(f"{name} is as it was before")
            elif not _can_be_sent(name, old[name]):
                reasons.append(f"{name} was {to_json(old[name])}, which no request can set")
            else:
                restore[name], before_rollback[name] = old[name], written[name] if name in differing else now[name]
                forced = forced or name in differing
        items.append((number.id, phone, to_json(before_rollback), to_json(restore), forced))
        if not restore:
            outcomes.append((number.id, "unchanged", "; ".join(reasons)))
    builder.add_changes(items)
    builder.add_outcomes(outcomes)


def _can_be_sent(name: str, value: Any) -> bool:
    try:
        update_from({name: value})
    except InputError:
        return False
    return True
