"""`wavix-async fleet export|plan|apply|resume|status|roll-back`."""

import asyncio
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, TypeAlias

import attrs
from cyclopts import Parameter, validators
from rich.text import Text

from wavix_async import WavixClient, fleet
from wavix_async._files import Rules
from wavix_async.cli._commands.fleet_runner import FleetRunOutcome, OnProgress, StartRun, run_fleet, with_progress
from wavix_async.cli._console import err, out, printable, suppress_broken_pipe, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_fleet
from wavix_async.cli._html import plan_page, run_page
from wavix_async.cli._input import WriteBack
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, Json, Yes, with_option_names
from wavix_async.cli._output import change_json, format_count, show_run, write_report
from wavix_async.cli._prompts import confirm
from wavix_async.fleet import (
    FleetFileError,
    FleetReport,
    FleetStatus,
    JournalError,
    Layout,
    Plan,
    Safety,
    SafetyError,
    Stale,
    StalePlanError,
)

__all__ = ["apply", "export", "plan", "resume", "roll_back", "status"]

Format = Annotated[Layout | None, Parameter(name="--format")]
Input = Annotated[str, Parameter(allow_leading_hyphen=True)]

WritePage: TypeAlias = Callable[[Callable[[], str]], None]
"""If `--output` was given: calls a function that makes a page, and writes the page."""

_STDIN: Final = "-"
_SAMPLE_SIZE: Final = 10
_PAGE_SUFFIXES: Final = (".html", ".htm")


@Parameter(name="*", group="Safety")
@attrs.frozen(kw_only=True)
class SafetyOptions:
    """The safety limits of a run."""

    max_changes: AtLeastOne | None = None
    """Refuse a plan that changes more numbers than this [default: no limit]."""
    max_fraction: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.3
    """Refuse a plan that changes a larger share of the account, from 0 to 1 (no limit). Ignored below 10 changes."""

    def safety(self) -> Safety:
        """Return the options as the argument `safety` of a run."""
        return Safety(max_changes=self.max_changes, max_fraction=None if self.max_fraction == 1 else self.max_fraction)


@Parameter(name="*", group="Sending")
@attrs.frozen(kw_only=True)
class SendOptions:
    """How to send the changes."""

    verify: Annotated[bool, Parameter(negative="")] = False
    """After the changes, read every number back until its change is in effect, for up to a minute."""
    batch: Annotated[bool, Parameter(negative="")] = False
    """Send equal changes together, up to 100 numbers per request."""
    concurrency: AtLeastOne = 32
    """How many requests may be in flight at once."""

    @property
    def batches(self) -> Literal["auto"] | None:
        """The argument `batch` of a run."""
        return "auto" if self.batch else None


SAFETY_OPTIONS: Final = SafetyOptions()
SEND_OPTIONS: Final = SendOptions()


def export(
    file: Path,
    /,
    *,
    layout: Format = None,
    yes: Yes = False,
    connection: Connection = CONNECTION,
) -> None:
    """Write the current settings of all numbers to a file.

    Edit the file, then give it to `fleet plan` and `fleet apply`.

    Example: `wavix-async fleet export fleet.csv`

    Args:
        file: A .csv, .ndjson, .jsonl, .yaml or .yml file.
        layout: The format of FILE [default: from the suffix].
        yes: Replace an existing file without asking.
        connection: How to reach the API.
    """
    if file.exists():
        confirm(f"{file} exists and will be replaced.", yes=yes)
    with _client(connection) as (runner, wavix):
        written = runner.run(fleet.export(wavix, file, layout=layout))
    _note(f"{format_count(written)} written to {file}.")


def plan(
    file: Input,
    /,
    *,
    layout: Format = None,
    limit: AtLeastOne = 50,
    as_json: Json = False,
    output: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Show what `fleet apply` will change, without changing anything.

    FILE describes the settings you want: CSV with a header (id or number, and settings), NDJSON, or YAML with
    selectors. Settings that FILE does not mention keep their value. If FILE has mistakes, or lists numbers that the
    account does not have, the command shows all of them and exits with 2.

    Example: `wavix-async fleet plan fleet.csv --output plan.html`

    Args:
        file: A path, or - for stdin, which needs --format.
        layout: The format of FILE [default: from the suffix].
        limit: Show at most this many numbers.
        as_json: Print every change as NDJSON: {"id": ..., "number": ..., "changes": {field: {"from": ..., "to": ...}}}.
        output: Also write the plan to this .html file.
        connection: How to reach the API.
    """
    desired = _read(file, layout)
    write_page = _page_writer(output)
    with _client(connection) as (runner, wavix):
        fleet_plan = runner.run(_plan(wavix, desired))
    with suppress_broken_pipe():
        if as_json:
            for change in fleet_plan.changes():
                write_json(change_json(change))
        else:
            out(wide=True).print(Text(printable(fleet_plan.table(limit))), soft_wrap=True)
    write_page(lambda: plan_page(fleet_plan))
    if fleet_plan.missing_count:
        _refuse_missing(fleet_plan)
    return ExitCode.DONE


def apply(
    file: Input,
    /,
    *,
    journal: Path | None = None,
    sending: SendOptions = SEND_OPTIONS,
    safety_options: SafetyOptions = SAFETY_OPTIONS,
    stale: Stale = "refuse",
    missing: Literal["refuse", "skip"] = "refuse",
    yes: Yes = False,
    layout: Format = None,
    as_json: Json = False,
    output: Path | None = None,
    write_back: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Change all numbers that differ from a file, after you confirm.

    The command plans, shows the plan, asks, and records the run in a journal. If the run stops early (Ctrl-C, a crash,
    an outage), continue it with `fleet resume JOURNAL`. To undo the run, use `fleet roll-back JOURNAL`.

    Example: `wavix-async fleet apply fleet.csv --verify`

    Args:
        file: A path, or - for stdin, which needs --format and --journal.
        journal: The file that records the run [default: FILE with the suffix .run.sqlite, a new file for each run].
        sending: How to send the changes.
        safety_options: The safety limits of the run.
        stale: What to do about numbers that changed after the plan was made.
        missing: What to do about numbers in FILE that the account does not have.
        yes: Do not ask for confirmation. Required without a terminal.
        layout: The format of FILE [default: from the suffix].
        as_json: Print the report as one JSON object.
        output: Also write the report to this .html file.
        write_back: Write FILE with the outcome of each row beside it to this .csv file.
        connection: How to reach the API.
    """
    if file == _STDIN and journal is None:
        raise Quit(
            ExitCode.USAGE, "Give --journal, the file that records the run: stdin has no file name to derive it from."
        )
    if file == _STDIN and write_back is not None:
        raise Quit(ExitCode.USAGE, "--write-back needs a file, not stdin, which cannot be read again.")
    outcomes = WriteBack(write_back, file, layout, FleetStatus.UNCHANGED)
    desired = _read(file, layout)
    write_page = _page_writer(output)
    safety = safety_options.safety()
    with _client(connection) as (runner, wavix):
        fleet_plan = runner.run(_plan(wavix, desired))
        if fleet_plan.missing_count and missing == "refuse":
            _refuse_missing(fleet_plan, hint=" Give --missing skip to change the others.")
        journal_path = _journal_for(file, journal, fleet_plan) if fleet_plan else None
        resuming = journal_path is not None and fleet.has_run(journal_path, base_url=fleet_plan.base_url)
        if fleet_plan:
            _check_safety(fleet_plan, safety)
            _show_plan(fleet_plan, journal_path, resuming=resuming)
            confirm(f"{format_count(len(fleet_plan))} at {fleet_plan.base_url} will be changed.", yes=yes)

        async def start_run(client: WavixClient, on_progress: OnProgress) -> FleetReport:
            return await fleet.apply(
                client,
                fleet_plan,
                journal=journal_path,
                verify=sending.verify,
                concurrency=sending.concurrency,
                batch=sending.batches,
                stale=stale,
                missing=missing,
                safety=safety,
                on_progress=on_progress,
            )

        outcome = _run(runner, wavix, start_run)
    code = _finish(outcome, journal_path, write_page, fleet_plan.base_url, as_json=as_json)
    if outcomes.is_wanted and (report := outcome.report or (journal_path and fleet.status(journal_path))):
        for result in report.results():
            outcomes.add(result.id, result.number, result.status, result.reason)
        outcomes.write(Rules(allow_no_changes=True))
    return code


def resume(
    journal: Path,
    /,
    *,
    stale: Stale = "refuse",
    as_json: Json = False,
    output: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Continue the latest run in a journal.

    The command reads back every change without a clear result, then sends what was not sent. It never sends a
    confirmed change again. For a finished run it prints the report.

    Example: `wavix-async fleet resume fleet.run.sqlite`

    Args:
        journal: The journal of the run.
        stale: What to do about numbers that changed after the plan was made.
        as_json: Print the report as one JSON object.
        output: Also write the report to this .html file.
        connection: How to reach the API.
    """
    write_page = _page_writer(output)

    async def start_run(client: WavixClient, on_progress: OnProgress) -> FleetReport:
        return await fleet.resume(client, journal, stale=stale, on_progress=on_progress)

    with _client(connection) as (runner, wavix):
        outcome = _run(runner, wavix, start_run)
    return _finish(outcome, journal, write_page, wavix.base_url, as_json=as_json)


def status(journal: Path, /, *, as_json: Json = False, output: Path | None = None) -> ExitCode:
    """Show the progress or the result of the latest run in a journal.

    The run may still be in progress in another process. The command sends no requests. Exit codes: 0 all done, 1 some
    failed, 3 stopped by a safety limit, 5 running or unfinished.

    Example: `wavix-async fleet status fleet.run.sqlite`

    Args:
        journal: The journal of the run.
        as_json: Print the report as one JSON object.
        output: Also write the report to this .html file.
    """
    write_page = _page_writer(output)
    report = fleet.status(journal)
    _show_report(report, write_page, None, as_json=as_json, interrupted=False)
    return code_for_fleet(report)


def roll_back(
    journal: Path,
    /,
    *,
    sending: SendOptions = SEND_OPTIONS,
    yes: Yes = False,
    as_json: Json = False,
    output: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Undo a run, except where someone has changed a number since.

    The command restores the settings from before the run. If the roll-back stops early, continue it with
    `fleet resume JOURNAL`.

    Example: `wavix-async fleet roll-back fleet.run.sqlite`

    Args:
        journal: The journal of the run, which also records the roll-back.
        sending: How to send the changes.
        yes: Do not ask for confirmation. Required without a terminal.
        as_json: Print the report as one JSON object.
        output: Also write the report to this .html file.
        connection: How to reach the API.
    """
    write_page = _page_writer(output)
    earlier = fleet.status(journal)

    async def start_run(client: WavixClient, on_progress: OnProgress) -> FleetReport:
        return await fleet.roll_back(
            client,
            journal,
            verify=sending.verify,
            concurrency=sending.concurrency,
            batch=sending.batches,
            on_progress=on_progress,
        )

    with _client(connection) as (runner, wavix):
        if earlier.kind == "apply":
            changed = earlier.updated + earlier.unknown + earlier.pending
            question = f"{format_count(changed)} at {wavix.base_url} that this run changed will be rolled back."
        else:
            question = f"The roll-back in {journal} at {wavix.base_url} will continue."
        confirm(question, yes=yes)
        outcome = _run(runner, wavix, start_run)
    return _finish(outcome, journal, write_page, wavix.base_url, as_json=as_json)


# --- before a run ---


@contextmanager
def _client(connection: Connection) -> Iterator[tuple[asyncio.Runner, WavixClient]]:
    """Open a client and an `asyncio.Runner`. The command asks the user between its async parts, outside the loop."""
    wavix = connection.client()
    with asyncio.Runner() as runner:
        try:
            yield runner, wavix
        finally:
            runner.run(wavix.close())


def _read(file: str, layout: Layout | None) -> fleet.DesiredState:
    if file.startswith("-") and file != _STDIN:
        raise Quit(ExitCode.USAGE, f"Unknown option: {file}. See wavix-async fleet --help.")
    if file == _STDIN and layout is None:
        raise Quit(ExitCode.USAGE, "Give --format csv, ndjson or yaml: stdin has no suffix that shows its format.")
    try:
        return fleet.read(sys.stdin.buffer if file == _STDIN else file, layout=layout)
    except FleetFileError as error:
        raise _quit_with_problems(error) from None


def _quit_with_problems(error: FleetFileError) -> Quit:
    """Return an error that lists every known problem: the text of a `FleetFileError` has only the first ones."""
    if not error.problems:
        return Quit(ExitCode.USAGE, with_option_names(str(error)))
    head = str(error).partition("\n")[0]
    return Quit(ExitCode.USAGE, _with_lines(head, map(str, error.problems), error.count))


def _with_lines(head: str, lines: Iterable[str], total: int) -> str:
    shown = [f"  {printable(line)}" for line in lines]
    if total > len(shown):
        shown.append(f"  ... and {total - len(shown):,} more")
    return "\n".join([head, *shown])


async def _plan(wavix: WavixClient, desired: fleet.DesiredState) -> Plan:
    try:
        return await with_progress(wavix, lambda on_progress: fleet.plan(wavix, desired, on_progress=on_progress))
    except FleetFileError as error:
        raise _quit_with_problems(error) from None


def _refuse_missing(fleet_plan: Plan, hint: str = "") -> NoReturn:
    count = fleet_plan.missing_count
    what = "1 entry that matches" if count == 1 else f"{count:,} entries that match"
    head = f"{fleet_plan.name} has {what} nothing in the account; nothing was sent.{hint}"
    raise Quit(ExitCode.USAGE, _with_lines(head, fleet_plan.missing, fleet_plan.missing_count))


def _journal_for(file: str, given: Path | None, fleet_plan: Plan) -> Path:
    """Return the journal for a run: the given one, or the first name that is free or holds this run, unfinished.

    Raises:
        Quit: The journal holds another run that is not finished.
    """
    if given is not None:
        if fleet.has_run(given, base_url=fleet_plan.base_url) and _state_of_run(given, fleet_plan) == "ended":
            raise Quit(ExitCode.USAGE, f"The run in {given} is finished: give another file as --journal for a new run.")
        return given
    source = Path(file)
    for index in count(1):
        path = source.with_name(f"{source.stem}.run{'' if index == 1 else f'-{index}'}.sqlite")
        # A file that is not a journal is left alone.
        with suppress(JournalError):
            if not fleet.has_run(path, base_url=fleet_plan.base_url) or _state_of_run(path, fleet_plan) == "open":
                return path
    raise AssertionError


def _state_of_run(path: Path, fleet_plan: Plan) -> Literal["open", "ended"]:
    """Return whether the run in a journal has ended, or is this run and unfinished.

    Raises:
        Quit: The run is another one, or another process is running it.
    """
    earlier = fleet.status(path)
    if earlier.is_running:
        raise Quit(
            ExitCode.TEMPORARY,
            f"Another process is using {path}: it applies {earlier.name}. Wait until it has finished.",
        )
    if earlier.finished:
        return "ended"
    if earlier.kind == "apply" and earlier.digest == fleet_plan.digest:
        return "open"
    raise Quit(
        ExitCode.USAGE,
        f"{path} holds another run that is not finished ({_unfinished_counts(earlier)}). "
        f"Continue that run ({_command('resume', path)}), or give another file as --journal for a new run.",
    )


def _unfinished_counts(report: FleetReport) -> str:
    counts = ((report.unknown, "unknown"), (report.pending, "pending"), (report.not_sent, "not sent"))
    return ", ".join(f"{number:,} {word}" for number, word in counts if number) or "it stopped early"


def _show_plan(fleet_plan: Plan, journal_path: Path | None, *, resuming: bool) -> None:
    console = err()
    console.print(Text(printable(fleet_plan.table(_SAMPLE_SIZE))), soft_wrap=True)
    if journal_path is not None:
        what = "Continuing the run in" if resuming else "Journal:"
        console.print(Text(f"{what} {journal_path}", style="dim"), soft_wrap=True)


def _check_safety(fleet_plan: Plan, safety: Safety) -> None:
    try:
        safety.check(len(fleet_plan), fleet_plan.account)
    except SafetyError as error:
        raise Quit(ExitCode.REFUSED, with_option_names(str(error))) from None


def _run(runner: asyncio.Runner, wavix: WavixClient, start_run: StartRun) -> FleetRunOutcome:
    try:
        return runner.run(run_fleet(wavix, start_run))
    except StalePlanError as error:
        head = (
            f"{format_count(error.count)} changed after the plan was made; nothing was sent now. Plan again, or give "
            "--stale skip to leave them alone, or --stale write to change them anyway."
        )
        raise Quit(ExitCode.REFUSED, _with_lines(head, error.numbers, error.count)) from None


# --- after a run ---


def _finish(
    outcome: FleetRunOutcome, journal: Path | None, write_page: WritePage, base_url: str, *, as_json: bool
) -> ExitCode:
    report = outcome.report
    if report is None and journal is not None:
        # After a second Ctrl-C there is no report: the journal has the results until then.
        with suppress(JournalError):
            report = fleet.status(journal)
    if report is None:
        raise Quit(ExitCode.INTERRUPTED, "Interrupted. Nothing was sent.")
    _show_report(report, write_page, base_url, as_json=as_json, interrupted=outcome.interrupted)
    if not report.finished and report.journal is not None:
        _note(f"To continue: {_command('resume', report.journal)}")
    return ExitCode.INTERRUPTED if outcome.interrupted else code_for_fleet(report)


def _show_report(
    report: FleetReport, write_page: WritePage, base_url: str | None, *, as_json: bool, interrupted: bool
) -> None:
    # If the reader closes the pipe early (`| head`), the exit code still reports how the run ended.
    with suppress_broken_pipe():
        if as_json:
            write_report(report, interrupted=interrupted)
        else:
            show_run(out(), report, interrupted=interrupted)
    write_page(lambda: run_page(report, base_url=base_url, interrupted=interrupted))


def _page_writer(output: Path | None) -> WritePage:
    """Check `--output` before the run begins, and return the function that writes the page.

    Raises:
        Quit: The page cannot be written there.
    """
    if output is None:
        return lambda _: None
    if output.suffix.lower() not in _PAGE_SUFFIXES:
        raise Quit(ExitCode.USAGE, f"--output {output}: the suffix must be .html.")
    if not output.parent.is_dir() or output.is_dir():
        raise Quit(ExitCode.USAGE, f"Cannot write --output {output}: the path must be a file in an existing directory.")

    def write(make: Callable[[], str]) -> None:
        try:
            output.write_text(make(), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise Quit(ExitCode.FAILED, f"Cannot write --output {output}: {error.strerror}.") from None

    return write


def _command(name: str, path: Path) -> str:
    return f"wavix-async fleet {name} {shlex.quote(str(path))}"


def _note(message: str) -> None:
    err().print(Text(message), soft_wrap=True)
