"""`wavix-async numbers bulk-update`: check every row, ask, change the numbers, and report the result of each."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from rich.text import Text

from wavix_async import WavixClient, to_dict
from wavix_async._files import mistakes
from wavix_async.cli._console import err, out, suppress_broken_pipe, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_report
from wavix_async.cli._input import NO_CHANGES, Changes, Layout, RowCheck, Rows, TrackedRows, flag_values, open_rows
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, DryRun, Json, Yes
from wavix_async.cli._output import Display, report_json, result_file, show_report
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
    layout: Annotated[Layout | None, Parameter(name="--format")] = None,
    as_json: Json = False,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Change many numbers at once, from a table or from a list of ids.

    FILE is CSV with a header (id,sms_enabled,...), NDJSON ({"id": 1001, "sms_enabled": true}), or one id per line with
    the change given as flags. An empty cell leaves a field as it is; null clears a URL; destinations are JSON. When a
    row is wrong, all wrong rows are named and nothing is sent.

    Args:
        file: A path, or - for stdin.
        changes: The same change for every row.
        concurrency: Requests on the wire at once.
        batch: Send equal changes together, up to 100 in one request.
        dry_run: Say what would be sent, and send nothing. With --json every change, as NDJSON that can be read again.
        yes: Do not ask. Needed where there is no terminal to ask on.
        output: Write every result (id, status, attempts, error) to this .csv, .ndjson or .jsonl file.
        layout: How to read FILE [default: by its suffix or its first character].
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
        if output is not None and file != "-" and output.exists() and output.samefile(file):
            raise Quit(ExitCode.USAGE, "--output must be another file than the one that is read.")
        wavix = connection.client()
        fields = ", ".join(checked.fields)
        confirm(f"{checked.total:,} numbers of {wavix.base_url} will be changed ({fields}).", yes=yes)
        write_result = stack.enter_context(result_file(output))
        tracked = TrackedRows(rows, checked.total, write_result)
        outcome = asyncio.run(_update(wavix, tracked, concurrency, "auto" if batch else None))
        # The exit code counts also when nothing reads the report any more (`| head`).
        with suppress_broken_pipe():
            if as_json:
                write_json(report_json(outcome.report, interrupted=outcome.interrupted))
            else:
                show_report(out(), outcome.report)
        if output is not None:
            tracked.finish(outcome.report.failures)
        if outcome.input_error is not None:
            raise Quit(ExitCode.FAILED, f"Stopped: {outcome.input_error}")
    return ExitCode.INTERRUPTED if outcome.interrupted else code_for_report(outcome.report)


async def _update(
    wavix: WavixClient, tracked: TrackedRows, concurrency: int, batch: Literal["auto"] | None
) -> RunOutcome:
    async with wavix:
        run = wavix.numbers.bulk_update(tracked, concurrency=concurrency, batch=batch)
        return await run_bulk(run, Display(err()), tracked.on_result, tracked.stop)


def _check_rows(rows: Rows) -> RowCheck:
    checked = rows.check(_MAX_PROBLEMS_SHOWN)
    if checked.wrong:
        lines = (f"{rows.name}, {problem}" for problem in checked.problems)
        raise Quit(ExitCode.USAGE, mistakes(rows.name, lines, checked.wrong))
    if not checked.total:
        raise Quit(ExitCode.USAGE, f"{rows.name}: there are no rows.")
    return checked


def _show_dry_run(rows: Rows, checked: RowCheck, *, as_json: bool) -> None:
    if as_json:
        for number_id, update in rows:
            write_json({"id": number_id, **to_dict(update)})
        return
    console = out()
    counts = ", ".join(f"{name} of {count:,}" for name, count in checked.fields.items())
    console.print(Text(f"{checked.total:,} numbers would be changed: {counts}."), soft_wrap=True)
    for _, (number_id, update) in zip(range(_MAX_REQUESTS_SHOWN), rows, strict=False):
        console.print(Text(f"  PATCH /v1/numbers/{number_id} {json.dumps(to_dict(update))}"), soft_wrap=True)
    if checked.total > _MAX_REQUESTS_SHOWN:
        console.print(f"  ... and {checked.total - _MAX_REQUESTS_SHOWN:,} more; --json prints them all")
    console.print("Nothing was sent.")
