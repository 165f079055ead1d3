"""`apply`, `resume` and `roll_back`: apply a plan, continue an interrupted run, undo a run."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, aclosing, suppress
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

from wavix_async import InputError, NumberUpdate, WavixClient
from wavix_async._files import check_path, settings_of, to_json, update_from, update_from_json
from wavix_async._sqlite import Database, begin_writing, check_exists
from wavix_async.fleet._account import AccountReader
from wavix_async.fleet._comparison import GONE
from wavix_async.fleet._errors import JournalError, MissingNumbersError, StalePlanError
from wavix_async.fleet._executor import Executor, Stale
from wavix_async.fleet._journal import (
    TOUCHED,
    Journal,
    RunRow,
    begin_run,
    check_continues,
    latest_run,
    lock_journal,
    open_journal,
    run_of,
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
    """Apply a plan, and report an exact result for each number (PATCH /v1/numbers/{id}, or PATCH /v1/numbers).

    Before it sends anything, `apply` reads the numbers again. If the outcome of a change is not certain, it reads the
    number back before it sends the change again. With a journal, the run survives a crash of the process: `resume`
    continues it, `roll_back` undoes it.

    Args:
        wavix: The client of the account. Use `with_options(stop=...)` to be able to stop a run gracefully.
        plan: The result of `fleet.plan`.
        journal: A file for the state of the run; it must not contain the run of another plan. Default None: no journal,
            so the run cannot be resumed.
        verify: Read all changes back at the end, until they are in effect. Default False.
        verify_within: Seconds for the verification, default 60. Changes that are not in effect by then are `pending`.
        concurrency: The most requests in flight at once. Default 32.
        batch: The most equal changes in one request: a number, or "auto". Default None: one request for each change.
        stale: What to do with numbers that have changed since the plan was made: "refuse" the whole plan (default),
            "skip" these numbers (they end as failed), or "write" the planned values over the new ones.
        missing: What to do if some of the numbers are not in the account: "refuse" the whole plan (default), or "skip"
            these numbers.
        safety: The limits at which a run is refused or stopped. Default: `Safety()`.
        on_progress: Called with a `FleetProgress` several times a second.

    Returns:
        The report: every number of the desired state is in exactly one of its counts. If a 401, 402 or 403, an outage
        or a safety limit stopped the run, `apply` still returns a report; `stopped_by` has the reason.

    Raises:
        MissingNumbersError: Some of the numbers are not in the account.
        StalePlanError: Numbers have changed since the plan was made.
        SafetyError: The plan changes too many numbers.
        JournalError: The journal is in use, belongs to another plan or account, its run has ended, or its disk is full.
        InputError: The plan is for another API, or an option is invalid.
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
    path = None if journal is None else check_path(journal, "journal")
    with ExitStack() as opened:
        lock = opened.enter_context(lock_journal(path))
        database = await asyncio.to_thread(open_journal, path, wavix)
        opened.callback(database.close)
        reader = AccountReader(wavix, concurrency)
        run = latest_run(database.connection)
        is_new = run is None
        if run is not None:
            await check_continues(database, run, wavix, reader)
            await database.run(_check_same_plan, database, run, plan)
            # The options of this call replace those that the run began with.
            run = await set_options(database, run, options.to_json())
        else:
            run = await database.run(begin_run, plan.connection, "apply", options.to_json(), plan.row, database.closing)
        opened.pop_all()
    journal_of_run = Journal(database, lock, run)
    return await _execute(wavix, journal_of_run, reader, stale, on_progress, delete_if_stale=is_new)


async def resume(
    wavix: WavixClient,
    journal: str | PathLike[str],
    *,
    stale: Stale = "refuse",
    on_progress: Progress | None = None,
) -> FleetReport:
    """Continue the latest run of a journal: after a crash, Ctrl-C or an outage, or while changes are pending.

    `resume` first reads back changes that were sent and have no recorded result, and sends only those that were not
    applied. It uses the options of the original run. If the run has ended, it sends no changes.

    Args:
        wavix: The client of the account.
        journal: The journal file.
        stale: What to do with numbers that have changed since the plan was made, as in `apply`. In a rollback, "refuse"
            means "skip".
        on_progress: Called with a `FleetProgress` several times a second.

    Returns:
        The report of the whole run.

    Raises:
        JournalError: The journal does not exist, is in use, belongs to another API or account, or its disk is full.
        SafetyError: The API finds most of the numbers no more.
        StalePlanError: Numbers that are still to be sent have changed since the plan was made.
        WavixError: The account could not be read. This call sent nothing.
    """
    check_choice("stale", stale, _STALE)
    reader = AccountReader(wavix)
    opened = await _open(wavix, _existing(journal), reader)
    if opened.run.kind == "roll_back" and stale == "refuse":
        # As in `roll_back`: keep values that another client has set since the run.
        stale = "skip"
    return await _execute(wavix, opened, reader, stale, on_progress)


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
    """Undo a journal's run: restore the values that the fields had before it.

    `roll_back` restores only fields that still have the value written by the run. If another client has changed a field
    since, it keeps that value and reports the number as unchanged, with the reason. The rollback is a run in the same
    journal, so `resume` can continue it. If you call `roll_back` again, it continues an unfinished rollback, or tries
    again to restore the numbers that the last one did not restore.

    Args:
        wavix: The client of the account.
        journal: The journal file.
        verify: Read all changes back at the end, until they are in effect. Default False.
        verify_within: Seconds for the verification, default 60. Changes that are not in effect by then are `pending`.
        concurrency: The most requests in flight at once. Default 32.
        batch: The most equal changes in one request: a number, or "auto". Default None: one request for each change.
        safety: The limits at which the rollback stops; the number of changes is not limited. Default: `Safety()`.
        on_progress: Called with a `FleetProgress` several times a second.

    Returns:
        The report of the rollback.

    Raises:
        JournalError: The journal does not exist, is in use, belongs to another API or account, or its disk is full.
        SafetyError: The API finds most of the numbers no more.
        WavixError: The account could not be read. Nothing was sent.
    """
    options = RunOptions(
        verify=verify, verify_within=verify_within, concurrency=concurrency, batch=batch, safety=safety or Safety()
    )
    reader = AccountReader(wavix, options.concurrency)
    opened = await _open(wavix, _existing(journal), reader)
    try:
        database = opened.database
        if opened.run.kind != "roll_back" or await database.run(lambda _: FleetReport(database, opened.run).finished):
            applied = latest_run(database.connection, "apply")
            assert applied is not None
            opened.run = applied
            rollback = await _plan_rollback(reader, wavix.base_url, opened)
            opened.run = await database.run(
                begin_run, rollback.connection, "roll_back", options.to_json(), rollback.row, database.closing
            )
        else:
            opened.run = await set_options(database, opened.run, options.to_json())
    except BaseException:
        opened.close()
        raise
    return await _execute(wavix, opened, reader, "skip", on_progress)


async def _open(wavix: WavixClient, path: Path, reader: AccountReader) -> Journal:
    """Open a journal to continue its latest run."""
    with ExitStack() as opened:
        lock = opened.enter_context(lock_journal(path))
        database = await asyncio.to_thread(open_journal, path, wavix)
        opened.callback(database.close)
        journal = Journal(database, lock, run_of(database))
        await check_continues(database, journal.run, wavix, reader)
        opened.pop_all()
    return journal


def _existing(journal: str | PathLike[str]) -> Path:
    path = check_path(journal, "journal")
    check_exists(path)
    return path


def _check_same_plan(_: sqlite3.Connection, database: Database, run: RunRow, plan: Plan) -> None:
    """Raise an error unless the journal has an unfinished run of this plan."""
    if run.digest != plan.digest or run.kind != "apply":
        raise JournalError(
            f"The journal {database.path} belongs to another plan. Use a new journal for this plan, "
            "or continue the other run with fleet.resume."
        )
    if FleetReport(database, run).finished:
        raise JournalError(f"The run in the journal {database.path} has ended. Use a new journal for this plan.")


async def _execute(
    wavix: WavixClient,
    journal: Journal,
    reader: AccountReader,
    stale: Stale,
    on_progress: Progress | None,
    *,
    delete_if_stale: bool = False,
) -> FleetReport:
    try:
        options = RunOptions.from_json(journal.run.options)
        executor = Executor(wavix, journal, options, stale, on_progress, requests=reader.requests)
        await journal.database.run(begin_writing, journal.database)
        try:
            await executor.run()
        except StalePlanError:
            if delete_if_stale:
                # So that the caller can use the same file for a new plan.
                await journal.delete_if_nothing_was_sent()
            raise
        report = await journal.database.run(_report, journal)
    except JournalError as error:
        try:
            raise await _with_counts(journal, error) from error
        finally:
            journal.close()
    except BaseException:
        journal.close()
        raise
    journal.close(keep_temporary=True)
    return report


async def _with_counts(journal: Journal, error: JournalError) -> JournalError:
    """Return an error, such as that of a full disk, with the counts of the run and how to continue it."""
    path = journal.database.path
    if path is not None:
        with suppress(JournalError):
            report = await journal.database.run(_report, journal)
            text = f"{error} So far: {report}. Then continue the run: fleet resume {path}"
            return JournalError(text, retryable=error.retryable)
    return error


def _report(connection: sqlite3.Connection, journal: Journal) -> FleetReport:
    run = latest_run(connection)
    assert run is not None
    return FleetReport(journal.database, run)


# --- rolling back ---


async def _plan_rollback(reader: AccountReader, base_url: str, journal: Journal) -> Plan:
    """Plan to restore the values before a run, in fields that still have the value set by the run."""
    ids = await journal.ids(TOUCHED)
    builder = PlanBuilder(str(journal.database.path), base_url, journal.run.account)
    count = 0
    async with aclosing(reader.read(ids, journal.run.account)) as found:
        async for numbers, gone in found:
            rows = await journal.database.run(_rows_of, journal.run.no, [*(number.id for number in numbers), *gone])
            await builder.database.run(_add_rollback, builder, rows, numbers, gone)
            count += len(gone)
    await journal.check_gone(reader, count, len(ids))
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
            # The API applies this field late: the run's change may take effect after the rollback, unless it is undone.
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
