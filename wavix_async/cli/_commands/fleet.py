"""`wavix-async fleet export|plan|apply|drift|resume|status|roll-back`."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, TypeAlias

import attrs
from cyclopts import Parameter, validators
from rich.text import Text

from wavix_async import WavixClient, fleet
from wavix_async._files import Rules, listed, replacing
from wavix_async.cli._commands.fleet_runner import OnProgress, StartRun, run_fleet, with_progress
from wavix_async.cli._console import err, keep_exit_code, one_line, out, suppress_broken_pipe, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_fleet, is_disk_full
from wavix_async.cli._html import plan_page, run_page
from wavix_async.cli._input import WriteBack, check_outputs
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, Json, Yes, with_option_names
from wavix_async.cli._output import change_json, format_count, plan_markdown, refusal_note, show_run, write_report
from wavix_async.cli._prompts import confirm
from wavix_async.fleet import (
    FleetFileError,
    FleetReport,
    FleetStatus,
    JournalError,
    Layout,
    Plan,
    Safety,
    Stale,
    StalePlanError,
)

__all__ = ["apply", "drift", "export", "plan", "resume", "roll_back", "status"]

Format = Annotated[Layout | None, Parameter(name="--format")]
Input = Annotated[str, Parameter(allow_leading_hyphen=True)]
Hidden = Annotated[bool, Parameter(negative="", show=False)]
_Ran: TypeAlias = tuple[FleetReport | None, bool]

_STDIN: Final = "-"
_SAMPLE_SIZE: Final = 10
_PAGES: Final = (".html", ".htm")
_MARKDOWN: Final = ".md"
_SAVED: Final = ".plan"


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
    save: Path | None = None,
    exit_code: Annotated[bool, Parameter(negative="")] = False,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Show what `fleet apply` will change, without changing anything.

    FILE describes the settings you want: CSV with a header (id or number, and settings), NDJSON, or YAML with
    selectors. Settings that FILE does not mention keep their value. If FILE has mistakes, or lists numbers that the
    account does not have, the command shows all of them and exits with 2.

    To apply exactly this plan later, save it with `--save fleet.plan` and give that file to `fleet apply`, or give its
    digest: `fleet apply fleet.csv --expect DIGEST`.

    Example: `wavix-async fleet plan fleet.csv --output plan.html`

    Args:
        file: A path, or - for stdin, which needs --format.
        layout: The format of FILE [default: from the suffix].
        limit: Show at most this many numbers.
        as_json: Print every change as NDJSON: {"id": ..., "number": ..., "changes": {field: {"from": ..., "to": ...}}}.
        output: Also write the plan to this .html or .md file: Markdown is for a pull request.
        save: Also write the plan to this .plan file, for `fleet apply`.
        exit_code: Exit with 4 if numbers will change.
        connection: How to reach the API.
    """
    check_outputs(file, {"--output": output, "--save": save})
    desired = _read(file, layout, "plan")
    _check_path("--output", output, (*_PAGES, _MARKDOWN))
    _check_path("--save", save, (_SAVED,))
    with _client(connection) as (runner, wavix):
        fleet_plan = runner.run(_plan(wavix, desired))
    notes = [f"Safety: {note}"] if (note := refusal_note(fleet_plan)) else []
    if fleet_plan:
        notes.append(f"Digest: {fleet_plan.digest}")
    with suppress_broken_pipe():
        if as_json:
            for change in fleet_plan.changes():
                write_json(change_json(change))
            _note("\n".join(notes) or "Nothing to do.")
        else:
            out(wide=True).print(Text("\n".join([fleet_plan.table(limit), *notes])), soft_wrap=True)
    is_markdown = output is not None and output.suffix.lower() == _MARKDOWN
    _write_page(output, lambda: (plan_markdown if is_markdown else plan_page)(fleet_plan))
    if save is not None:
        fleet_plan.save(save)
    if fleet_plan.missing_count:
        _refuse_missing(fleet_plan)
    return ExitCode.DIFFERENT if exit_code and fleet_plan else ExitCode.DONE


def drift(
    file: Input,
    /,
    *,
    layout: Format = None,
    limit: AtLeastOne = 20,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Check that the account still matches a file, for a nightly job.

    If it does, the command prints nothing and exits with 0. Otherwise it prints what differs, in short lines without
    colors, and exits with 4. Other exit codes: 2 the file has mistakes or the key was refused, 5 try again later.

    Example: `wavix-async fleet drift fleet.csv`

    Args:
        file: A path, or - for stdin, which needs --format.
        layout: The format of FILE [default: from the suffix].
        limit: Show at most this many numbers.
        connection: How to reach the API.
    """
    desired = _read(file, layout, "drift")
    with _client(connection) as (runner, wavix):
        fleet_plan = runner.run(_plan(wavix, desired, quiet=not err().is_terminal))
    if not fleet_plan and not fleet_plan.missing_count:
        return ExitCode.DONE
    with suppress_broken_pipe():
        for line in _drift_lines(fleet_plan, limit):
            sys.stdout.write(f"{one_line(line)}\n")
    return ExitCode.DIFFERENT


def _drift_lines(fleet_plan: Plan, limit: int) -> Iterator[str]:
    differing = f"{format_count(len(fleet_plan))} differ{'s' * (len(fleet_plan) == 1)}"
    missing = f", {fleet_plan.missing_count:,} missing in the account" if fleet_plan.missing_count else ""
    yield f"{fleet_plan.name}: {differing}, {fleet_plan.unchanged:,} match{missing}."
    for change in islice(fleet_plan.changes(), limit):
        for each in change.fields:
            now, wanted = (json.dumps(value, ensure_ascii=False) for value in (each.before, each.after))
            yield f"  {change.id} {change.number or '-'} {each.field}: {now}, should be {wanted}"
    yield from (f"  {line}" for line in fleet_plan.missing[:limit])
    if more := max(0, len(fleet_plan) - limit) + max(0, fleet_plan.missing_count - limit):
        yield f"  ... and {more:,} more; `fleet plan` shows them"


def apply(
    file: Input,
    /,
    *,
    journal: Path | None = None,
    sending: SendOptions = SEND_OPTIONS,
    safety_options: SafetyOptions = SAFETY_OPTIONS,
    stale: Stale = "refuse",
    missing: Literal["refuse", "skip"] = "refuse",
    expect: str | None = None,
    yes: Yes = False,
    layout: Format = None,
    as_json: Json = False,
    output: Path | None = None,
    dry_run: Hidden = False,
    write_back: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Change all numbers that differ from a file, after you confirm.

    The command plans, shows the plan, asks, and records the run in a journal. If the run stops early (Ctrl-C, a crash,
    an outage), continue it with `fleet resume JOURNAL`. To undo the run, use `fleet roll-back JOURNAL`.

    Example: `wavix-async fleet apply fleet.csv --verify`

    Args:
        file: A path, or - for stdin, which needs --format and --journal. A .plan file of `fleet plan --save` is applied
            as it was reviewed: if the account has changed since, the command exits with 3.
        journal: The file that records the run [default: FILE with the suffix .run.sqlite, a new file for each run].
        sending: How to send the changes.
        safety_options: The safety limits of the run.
        stale: What to do about numbers that changed after the plan was made.
        missing: What to do about numbers in FILE that the account does not have.
        expect: The digest that `fleet plan` showed; with any other plan, the command exits with 3.
        yes: Do not ask for confirmation. Required without a terminal.
        layout: The format of FILE [default: from the suffix].
        as_json: Print the report as one JSON object.
        output: Also write the report to this .html file.
        dry_run: Point to `fleet plan`.
        write_back: Write FILE with the outcome of each row beside it to this .csv file.
        connection: How to reach the API.
    """
    if dry_run:
        raise Quit(ExitCode.USAGE, f"Unknown option: --dry-run. To see what will change: {_command('plan', file)}")
    if file == _STDIN and journal is None:
        raise Quit(
            ExitCode.USAGE, "Give --journal, the file that records the run: stdin has no file name to derive it from."
        )
    if file == _STDIN and write_back is not None:
        raise Quit(ExitCode.USAGE, "--write-back needs a file, not stdin, which cannot be read again.")
    saved = Path(file).suffix.lower() == _SAVED and layout is None
    if saved and write_back is not None:
        raise Quit(
            ExitCode.USAGE, "--write-back needs the file that the plan was made from: give that file, and --expect."
        )
    check_outputs(file, {"--journal": journal, "--output": output, "--write-back": write_back})
    outcomes = WriteBack(write_back, file, layout, FleetStatus.UNCHANGED, yes=yes)
    source = fleet.read_plan(file) if saved else _read(file, layout, "apply")
    _check_path("--output", output)
    safety = safety_options.safety()
    with _client(connection) as (runner, wavix):
        fleet_plan = source if isinstance(source, Plan) else runner.run(_plan(wavix, source))
        if fleet_plan.base_url != wavix.base_url:
            raise Quit(ExitCode.USAGE, f"{file} is for {fleet_plan.base_url}: give --base-url {fleet_plan.base_url}.")
        if fleet_plan.missing_count and missing == "refuse":
            _refuse_missing(fleet_plan, hint=" Give --missing skip to change the others.")
        journal_path = _journal_for(file, journal, fleet_plan) if fleet_plan else None
        if expect not in (None, fleet_plan.digest):
            raise Quit(
                ExitCode.REFUSED,
                f"The plan of {file} now has the digest {fleet_plan.digest}, not {expect}: the account or the file has "
                "changed since the review. Nothing was sent.",
            )
        resuming = journal_path is not None and fleet.has_run(journal_path, base_url=fleet_plan.base_url)
        if fleet_plan:
            safety.check(len(fleet_plan), fleet_plan.account)
            _show_plan(fleet_plan, journal_path, resuming=resuming)
            confirm(f"{format_count(len(fleet_plan))} at {fleet_plan.base_url} will be changed.", yes=yes)

        def start_run(client: WavixClient, on_progress: OnProgress) -> Awaitable[FleetReport]:
            return fleet.apply(
                client, fleet_plan, journal=journal_path, verify=sending.verify, concurrency=sending.concurrency,
                batch="auto" if sending.batch else None, stale=stale, missing=missing, safety=safety,
                on_progress=on_progress,
            )  # fmt: skip

        ran = _run(runner, wavix, start_run)
    code = _finish(ran, journal_path, output, fleet_plan.base_url, as_json=as_json)
    if outcomes.is_wanted and (report := ran[0] or (journal_path and fleet.status(journal_path))):
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
    check_outputs(journal, {"--output": output})
    _check_path("--output", output)

    with _client(connection) as (runner, wavix):
        ran = _run(
            runner,
            wavix,
            lambda client, on_progress: fleet.resume(client, journal, stale=stale, on_progress=on_progress),
        )
    return _finish(ran, journal, output, wavix.base_url, as_json=as_json)


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
    check_outputs(journal, {"--output": output})
    _check_path("--output", output)
    report = fleet.status(journal)
    _show_report(report, as_json=as_json, interrupted=False)
    _write_page(output, lambda: run_page(report, base_url=None, interrupted=False))
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
    check_outputs(journal, {"--output": output})
    _check_path("--output", output)
    earlier = fleet.status(journal)

    def start_run(client: WavixClient, on_progress: OnProgress) -> Awaitable[FleetReport]:
        return fleet.roll_back(
            client, journal, verify=sending.verify, concurrency=sending.concurrency,
            batch="auto" if sending.batch else None, on_progress=on_progress,
        )  # fmt: skip

    with _client(connection) as (runner, wavix):
        if earlier.kind == "apply":
            changed = earlier.updated + earlier.unknown + earlier.pending
            question = f"{format_count(changed)} at {wavix.base_url} that this run changed will be rolled back."
        else:
            question = f"The roll-back in {journal} at {wavix.base_url} will continue."
        confirm(question, yes=yes)
        ran = _run(runner, wavix, start_run)
    return _finish(ran, journal, output, wavix.base_url, as_json=as_json)


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


def _read(file: str, layout: Layout | None, command: str) -> fleet.DesiredState:
    if file.startswith("-") and file != _STDIN:
        raise Quit(ExitCode.USAGE, f"Unknown option: {file}. See wavix-async fleet {command} --help.")
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
    return Quit(ExitCode.USAGE, listed(head, map(str, error.problems), error.count, None))


async def _plan(wavix: WavixClient, desired: fleet.DesiredState, *, quiet: bool = False) -> Plan:
    try:
        if quiet:
            return await fleet.plan(wavix, desired)
        return await with_progress(wavix, lambda on_progress: fleet.plan(wavix, desired, on_progress=on_progress))
    except FleetFileError as error:
        raise _quit_with_problems(error) from None


def _refuse_missing(fleet_plan: Plan, hint: str = "") -> NoReturn:
    count = fleet_plan.missing_count
    what = "1 entry that matches" if count == 1 else f"{count:,} entries that match"
    head = f"{fleet_plan.name} has {what} nothing in the account; nothing was sent.{hint}"
    raise Quit(ExitCode.USAGE, listed(head, fleet_plan.missing, fleet_plan.missing_count, None))


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
    console.print(Text(fleet_plan.table(_SAMPLE_SIZE)), soft_wrap=True)
    if journal_path is not None:
        what = "Continuing the run in" if resuming else "Journal:"
        console.print(Text(f"{what} {journal_path}", style="dim"), soft_wrap=True)


def _run(runner: asyncio.Runner, wavix: WavixClient, start_run: StartRun) -> _Ran:
    try:
        return runner.run(run_fleet(wavix, start_run))
    except StalePlanError as error:
        head = (
            f"{format_count(error.count)} changed after the plan was made; nothing was sent now. Plan again, or give "
            "--stale skip to leave them alone, or --stale write to change them anyway."
        )
        raise Quit(ExitCode.REFUSED, listed(head, error.numbers, error.count, None)) from None


# --- after a run ---


def _finish(ran: _Ran, journal: Path | None, output: Path | None, base_url: str, *, as_json: bool) -> ExitCode:
    report, interrupted = ran
    if report is None and journal is not None:
        # After a second Ctrl-C there is no report: the journal has the results until then.
        with suppress(JournalError):
            report = fleet.status(journal)
    if report is None:
        raise Quit(ExitCode.INTERRUPTED, "Interrupted. Nothing was sent.")
    _show_report(report, as_json=as_json, interrupted=interrupted)
    try:
        _write_page(output, lambda: run_page(report, base_url=base_url, interrupted=interrupted))
    except Quit as failure:
        # The exit code tells how the run ended.
        again = f" To try again: {_command('status', journal)} --output FILE" if journal else ""
        _note(f"wavix-async: {failure.message}{again}")
    if not report.finished and report.journal is not None:
        _note(f"To continue: {_command('resume', report.journal)}")
    return ExitCode.INTERRUPTED if interrupted else code_for_fleet(report)


def _show_report(report: FleetReport, *, as_json: bool, interrupted: bool) -> None:
    with keep_exit_code():
        if as_json:
            write_report(report, interrupted=interrupted)
        else:
            show_run(out(), report, interrupted=interrupted)


def _write_page(output: Path | None, make: Callable[[], str]) -> None:
    if output is None:
        return
    try:
        with replacing(output) as stream:
            stream.write(make().encode(errors="backslashreplace").decode())
    except OSError as error:
        code = ExitCode.TEMPORARY if is_disk_full(error) else ExitCode.FAILED
        raise Quit(code, f"Cannot write --output {output}: {error.strerror}.") from None


def _check_path(option: str, path: Path | None, suffixes: tuple[str, ...] = _PAGES) -> None:
    """Check a path before the run begins."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        known = " or ".join(suffix for suffix in suffixes if suffix != ".htm")
        raise Quit(ExitCode.USAGE, f"{option} {path}: the suffix must be {known}.")
    if not os.access(path.parent, os.W_OK) or (os.path.exists(path) and not os.path.isfile(path)):
        raise Quit(ExitCode.USAGE, f"Cannot write {option} {path}: give a file in a directory that you can write.")


def _command(name: str, path: str | Path) -> str:
    return f"wavix-async fleet {name} {shlex.quote(str(path))}"


def _note(message: str) -> None:
    err().print(Text(message), soft_wrap=True)
