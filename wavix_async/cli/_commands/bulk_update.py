"""`wavix-async numbers bulk-update`: check all rows, ask the user, change the numbers, report each result."""

import asyncio
import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from wavix_async import BulkResult, WavixClient, to_dict
from wavix_async._files import RowLayout, mistakes
from wavix_async.cli._console import err, keep_exit_code, out, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_report, is_disk_full
from wavix_async.cli._input import (
    NO_CHANGES,
    Changes,
    RowCheck,
    Rows,
    TrackedRows,
    WriteBack,
    check_outputs,
    flag_values,
    open_rows,
)
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, DryRun, Json, Yes, with_option_names
from wavix_async.cli._output import Display, format_count, quit_for_results, report_json, result_file, show_report
from wavix_async.cli._prompts import confirm
from wavix_async.cli._runner import RunOutcome, run_bulk

__all__ = ["bulk_update"]

_MAX_PROBLEMS_SHOWN: Final = 20
_MAX_REQUESTS_SHOWN: Final = 10


def bulk_update(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    changes: Changes = NO_CHANGES,
    concurrency: AtLeastOne = 32,
    batch: bool = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Path | None = None,
    write_back: Path | None = None,
    failures_to: Path | None = None,
    layout: Annotated[RowLayout | None, Parameter(name="--format")] = None,
    as_json: Json = False,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Change many phone numbers, listed in a file.

    FILE is CSV or an Excel workbook with a header (id,sms_enabled,...), NDJSON ({"id": 1001, "sms_enabled": true}),
    what `numbers list --json` prints, or a list of ids, one per line, with the change given as options. In CSV, an
    empty cell keeps the current value, null clears a URL, and destinations are JSON. If any row is wrong, the command
    lists the wrong rows and sends nothing.

    Example: `wavix-async numbers bulk-update ids.txt --sms-enabled --dry-run`

    Args:
        file: A path, or - for stdin.
        changes: The same change for every row.
        concurrency: How many requests may be in flight at once.
        batch: Send equal changes together, up to 100 numbers per request.
        dry_run: Show the requests without sending them. With --json: print every change as NDJSON, which this command
            can read.
        yes: Do not ask for confirmation. Required without a terminal.
        output: Write the result of each number (id, status, attempts, error) to a .csv, .ndjson or .jsonl file.
        write_back: Write FILE with the outcome of each row beside it to this .csv file.
        failures_to: Write each number that failed to this file, as soon as it fails: CSV for a .csv file, otherwise one
            JSON object per line. Without it, the report has the first 1,000.
        layout: The format of FILE [default: from the suffix or the first bytes].
        as_json: Print the report as one JSON object.
        connection: How to reach the API.
    """
    if file.startswith("-") and file != "-":
        raise Quit(ExitCode.USAGE, f"Unknown option: {file}. See wavix-async numbers bulk-update --help.")
    with ExitStack() as stack:
        rows = stack.enter_context(open_rows(file, layout, flag_values(changes)))
        checked = _check_rows(rows)
        if dry_run:
            _show_dry_run(rows, checked, as_json=as_json)
            return ExitCode.DONE
        check_outputs(file, {"--output": output, "--failures-to": failures_to, "--write-back": write_back})
        outcomes = stack.enter_context(closing(WriteBack(write_back, file, layout, "not_sent", yes=yes)))
        wavix = connection.client()
        fields = ", ".join(checked.fields)
        confirm(f"{format_count(checked.total)} at {wavix.base_url} will be changed ({fields}).", yes=yes)
        _check_writable(failures_to)
        write_result = stack.enter_context(result_file(output))

        def on_result(result: BulkResult) -> None:
            # Before the results, which may fill the disk: the row is sent.
            if outcomes.is_wanted:
                outcomes.add(result.id, None, result.status, None if result.error is None else str(result.error))
            write_result(result)

        every_row = output is not None or write_back is not None
        tracked = TrackedRows(rows, checked.total, on_result, every_row=every_row)
        outcome = asyncio.run(_update(wavix, tracked, concurrency, "auto" if batch else None, failures_to))
        with keep_exit_code():
            if as_json:
                write_json(report_json(outcome.report, interrupted=outcome.interrupted))
            else:
                show_report(out(), outcome.report, interrupted=outcome.interrupted)
        outcomes.write(rows.rules, rows.stream)
        if outcome.output_error is not None:
            hint = "Free space, then run the same command again: it changes nothing that is changed already."
            raise quit_for_results(output, outcome.output_error, hint)
        if outcome.input_error is not None:
            code = ExitCode.TEMPORARY if is_disk_full(outcome.input_error) else ExitCode.FAILED
            raise Quit(code, with_option_names(f"The run stopped early: {outcome.input_error}"))
    return ExitCode.INTERRUPTED if outcome.interrupted else code_for_report(outcome.report)


async def _update(
    wavix: WavixClient,
    tracked: TrackedRows,
    concurrency: int,
    batch: Literal["auto"] | None,
    failures_to: Path | None,
) -> RunOutcome:
    async with wavix:
        run = wavix.numbers.bulk_update(tracked, concurrency=concurrency, batch=batch, failures_to=failures_to)
        return await run_bulk(run, Display(err()), tracked.on_result, tracked.stop, tracked.finish)


def _check_writable(failures_to: Path | None) -> None:
    if failures_to is None:
        return
    try:
        with failures_to.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise Quit(ExitCode.USAGE, f"Cannot write --failures-to {failures_to}: {error.strerror}.") from None


def _check_rows(rows: Rows) -> RowCheck:
    checked = rows.check(_MAX_PROBLEMS_SHOWN)
    if wrong := checked.problems.count:
        lines = (f"{rows.name}, {problem}" for problem in checked.problems.kept)
        raise Quit(ExitCode.USAGE, mistakes(rows.name, lines, wrong))
    if not checked.total:
        raise Quit(ExitCode.USAGE, f"{rows.name} has no rows.")
    return checked


def _show_dry_run(rows: Rows, checked: RowCheck, *, as_json: bool) -> None:
    if as_json:
        for number_id, update in rows:
            write_json({"id": number_id, **to_dict(update)})
        return
    console = out()
    counts = ", ".join(f"{name} on {count:,}" for name, count in checked.fields.items())
    console.print(f"{format_count(checked.total)} will change: {counts}.", soft_wrap=True)
    for _, (number_id, update) in zip(range(_MAX_REQUESTS_SHOWN), rows, strict=False):
        console.print(f"  PATCH /v1/numbers/{number_id} {json.dumps(to_dict(update))}", soft_wrap=True)
    if checked.total > _MAX_REQUESTS_SHOWN:
        console.print(f"  ... and {checked.total - _MAX_REQUESTS_SHOWN:,} more; --json shows all of them")
    console.print("Dry run: nothing was sent.")
