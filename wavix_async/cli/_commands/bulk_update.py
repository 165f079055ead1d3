"""`wavix-async numbers bulk-update`: check every row, ask, then change the numbers and tell the truth about each."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from rich.text import Text

from wavix_async import WavixClient, to_dict
from wavix_async._files import mistakes
from wavix_async.cli._console import err, out, reader_may_leave, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_report
from wavix_async.cli._input.change_flags import NO_CHANGES, Changes, given
from wavix_async.cli._input.rows import Checked, Layout, Rows, open_rows
from wavix_async.cli._input.tracked_rows import Feed
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, DryRun, Json, Yes
from wavix_async.cli._output.progress import Display
from wavix_async.cli._output.report import report_json, show_report
from wavix_async.cli._output.results import result_file
from wavix_async.cli._prompts import confirm
from wavix_async.cli._runner import Driven, drive

__all__ = ["bulk_update"]

_SHOWN_PROBLEMS: Final = 20
_SHOWN_REQUESTS: Final = 10


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
        rows = stack.enter_context(open_rows(file, layout, given(changes)))
        checked = _checked(rows)
        if dry_run:
            _say_what(rows, checked, as_json=as_json)
            return ExitCode.DONE
        if output is not None and file != "-" and output.exists() and output.samefile(file):
            raise Quit(ExitCode.USAGE, "--output must be another file than the one that is read.")
        wavix = connection.client()
        fields = ", ".join(checked.fields)
        confirm(f"{checked.total:,} numbers of {wavix.base_url} will be changed ({fields}).", yes=yes)
        write = stack.enter_context(result_file(output))
        feed = Feed(rows, checked.total, write)
        driven = asyncio.run(_update(wavix, feed, concurrency, "auto" if batch else None))
        # Whoever has stopped reading the report must still get the exit code.
        with reader_may_leave():
            if as_json:
                write_json(report_json(driven.report, interrupted=driven.interrupted))
            else:
                show_report(out(), driven.report)
        if output is not None:
            feed.finish(driven.report.failures)
        if driven.broken is not None:
            raise Quit(ExitCode.FAILED, f"Stopped: {driven.broken}")
    return ExitCode.INTERRUPTED if driven.interrupted else code_for_report(driven.report)


async def _update(wavix: WavixClient, feed: Feed, concurrency: int, batch: Literal["auto"] | None) -> Driven:
    async with wavix:
        run = wavix.numbers.bulk_update(feed, concurrency=concurrency, batch=batch)
        return await drive(run, Display(err()), feed.take, feed.stop)


def _checked(rows: Rows) -> Checked:
    checked = rows.check(_SHOWN_PROBLEMS)
    if checked.wrong:
        lines = (f"{rows.name}, {problem}" for problem in checked.problems)
        raise Quit(ExitCode.USAGE, mistakes(rows.name, lines, checked.wrong))
    if not checked.total:
        raise Quit(ExitCode.USAGE, f"{rows.name}: there are no rows.")
    return checked


def _say_what(rows: Rows, checked: Checked, *, as_json: bool) -> None:
    if as_json:
        for number_id, update in rows:
            write_json({"id": number_id, **to_dict(update)})
        return
    console = out()
    counts = ", ".join(f"{name} of {count:,}" for name, count in checked.fields.items())
    console.print(Text(f"{checked.total:,} numbers would be changed: {counts}."), soft_wrap=True)
    for _, (number_id, update) in zip(range(_SHOWN_REQUESTS), rows, strict=False):
        console.print(Text(f"  PATCH /v1/numbers/{number_id} {json.dumps(to_dict(update))}"), soft_wrap=True)
    if checked.total > _SHOWN_REQUESTS:
        console.print(f"  ... and {checked.total - _SHOWN_REQUESTS:,} more; --json prints them all")
    console.print("Nothing was sent.")
