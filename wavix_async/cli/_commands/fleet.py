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
from wavix_async.cli._commands.fleet_runner import Ended, Take, Work, drive_fleet, watched
from wavix_async.cli._console import err, out, reader_may_leave, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_fleet
from wavix_async.cli._html.fleet import plan_page, run_page
from wavix_async.cli._options import CONNECTION, AtLeastOne, Connection, Json, Yes
from wavix_async.cli._output.fleet_report import change_json, show_run, visible, write_report
from wavix_async.cli._output.format import numbers
from wavix_async.cli._prompts import confirm
from wavix_async.fleet import (
    FleetFileError,
    FleetReport,
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

Page: TypeAlias = Callable[[Callable[[], str]], None]
"""Writes what a function makes, if a page was asked for."""

_STDIN: Final = "-"
_SAMPLE: Final = 10
_PAGES: Final = (".html", ".htm")


@Parameter(name="*", group="Safety")
@attrs.frozen(kw_only=True)
class Bounds:
    """What a run must not do."""

    max_changes: AtLeastOne | None = None
    """Refuse to change more numbers than this [default: no limit]."""
    max_fraction: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.3
    """Refuse to change a larger share of the account than this; counts from 10 changes on, and 1 allows everything."""

    def safety(self) -> Safety:
        """Return the bounds of the run."""
        return Safety(max_changes=self.max_changes, max_fraction=None if self.max_fraction == 1 else self.max_fraction)


@Parameter(name="*", group="Way")
@attrs.frozen(kw_only=True)
class Way:
    """How the changes are sent."""

    verify: Annotated[bool, Parameter(negative="")] = False
    """Read every change back until it is in effect, for up to a minute."""
    batch: Annotated[bool, Parameter(negative="")] = False
    """Send equal changes together, up to 100 in one request."""
    concurrency: AtLeastOne = 32
    """Requests on the wire at once."""

    @property
    def batches(self) -> Literal["auto"] | None:
        """The batches, as a run takes them."""
        return "auto" if self.batch else None


BOUNDS: Final = Bounds()
WAY: Final = Way()


def export(
    file: Path,
    /,
    *,
    layout: Format = None,
    yes: Yes = False,
    connection: Connection = CONNECTION,
) -> None:
    """Write the settings of all numbers of the account to a file that `fleet plan` takes back.

    Args:
        file: A .csv, .ndjson, .jsonl, .yaml or .yml file.
        layout: How it is written [default: by its suffix].
        yes: Replace a file that exists without asking.
        connection: How to reach the API.
    """
    if file.exists():
        confirm(f"{file} exists and will be replaced.", yes=yes)
    with _client(connection) as (runner, wavix):
        written = runner.run(fleet.export(wavix, file, layout=layout))
    _say(f"{numbers(written)} written to {file}.")


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
    """Show what would change, and send nothing.

    FILE says what the numbers shall be: CSV with a header (id or number, and settings), NDJSON, or YAML with selectors.
    A setting that is not mentioned stays as it is. Exit code 2: something in FILE is wrong, or the account lacks
    numbers that it names; all of it is told.

    Args:
        file: A path, or - for stdin, with --format.
        layout: How to read FILE [default: by its suffix].
        limit: Show at most so many numbers.
        as_json: Print every change as NDJSON: {"id": ..., "number": ..., "changes": {field: {"from": ..., "to": ...}}}.
        output: Write the plan to this .html file, too.
        connection: How to reach the API.
    """
    wanted = _read(file, layout)
    page = _page(output)
    with _client(connection) as (runner, wavix):
        made = runner.run(_plan(wavix, wanted))
    with reader_may_leave():
        if as_json:
            for change in made.changes():
                write_json(change_json(change))
        else:
            out(wide=True).print(Text(visible(made.table(limit))), soft_wrap=True)
    page(lambda: plan_page(made))
    if made.missing_count:
        _refuse_missing(made)
    return ExitCode.DONE


def apply(
    file: Input,
    /,
    *,
    journal: Path | None = None,
    way: Way = WAY,
    bounds: Bounds = BOUNDS,
    stale: Stale = "refuse",
    missing: Literal["refuse", "skip"] = "refuse",
    yes: Yes = False,
    layout: Format = None,
    as_json: Json = False,
    output: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Make the numbers as FILE says: plan, ask, change what differs, and keep a journal of it.

    Whatever ends the run (Ctrl-C, a crash, an outage), `fleet resume JOURNAL` goes on with it, and `fleet roll-back
    JOURNAL` sets back what it changed.

    Args:
        file: A path, or - for stdin, with --format and --journal.
        journal: Where the run is written down [default: FILE with the suffix .run.sqlite, a new one for each run].
        way: How the changes are sent.
        bounds: What the run must not do.
        stale: What to do with numbers that somebody else has changed since the plan was made.
        missing: What to do when the account lacks numbers that FILE names.
        yes: Do not ask. Needed where there is no terminal to ask on.
        layout: How to read FILE [default: by its suffix].
        as_json: Print the report as one JSON object.
        output: Write the report to this .html file, too.
        connection: How to reach the API.
    """
    if file == _STDIN and journal is None:
        raise Quit(
            ExitCode.USAGE, "Give --journal, where the run is written down: stdin has no name to derive it from."
        )
    wanted = _read(file, layout)
    page = _page(output)
    safety = bounds.safety()
    with _client(connection) as (runner, wavix):
        made = runner.run(_plan(wavix, wanted))
        if made.missing_count and missing == "refuse":
            _refuse_missing(made, hint=" --missing skip changes the others.")
        kept = _journal_for(file, journal, made) if made else None
        goes_on = kept is not None and fleet.has_run(kept, base_url=made.base_url)
        if made:
            _check_safety(made, safety)
            _summarize(made, kept, goes_on=goes_on)
            confirm(f"{numbers(len(made))} of {made.base_url} will be changed.", yes=yes)

        async def work(client: WavixClient, take: Take) -> FleetReport:
            return await fleet.apply(
                client,
                made,
                journal=kept,
                verify=way.verify,
                concurrency=way.concurrency,
                batch=way.batches,
                stale=stale,
                missing=missing,
                safety=safety,
                on_progress=take,
            )

        ended = _driven(runner, wavix, work)
    return _finish(ended, kept, page, made.base_url, as_json=as_json)


def resume(
    journal: Path,
    /,
    *,
    stale: Stale = "refuse",
    as_json: Json = False,
    output: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Go on with the latest run of a journal: settle what is in doubt, and send what has not been sent.

    What was confirmed is not sent again. A run that has come to its end gives its report.

    Args:
        journal: The journal of the run.
        stale: What to do with numbers that somebody else has changed since the plan was made.
        as_json: Print the report as one JSON object.
        output: Write the report to this .html file, too.
        connection: How to reach the API.
    """
    page = _page(output)

    async def work(client: WavixClient, take: Take) -> FleetReport:
        return await fleet.resume(client, journal, stale=stale, on_progress=take)

    with _client(connection) as (runner, wavix):
        ended = _driven(runner, wavix, work)
    return _finish(ended, journal, page, wavix.base_url, as_json=as_json)


def status(journal: Path, /, *, as_json: Json = False, output: Path | None = None) -> ExitCode:
    """Show where the latest run of a journal stands, also while another process is at it. Asks the API nothing.

    The exit code is that of the run: 0 all done, 1 some failed, 3 ended for safety, 5 there is something left to do.

    Args:
        journal: The journal of the run.
        as_json: Print the report as one JSON object.
        output: Write the report to this .html file, too.
    """
    page = _page(output)
    report = fleet.status(journal)
    _show(report, page, None, as_json=as_json, interrupted=False)
    return code_for_fleet(report)


def roll_back(
    journal: Path,
    /,
    *,
    way: Way = WAY,
    yes: Yes = False,
    as_json: Json = False,
    output: Path | None = None,
    connection: Connection = CONNECTION,
) -> ExitCode:
    """Set back what a run has changed, where it is still as the run has left it.

    Args:
        journal: The journal of the run; the roll-back is written down there, too, and `fleet resume` goes on with it.
        way: How the changes are sent.
        yes: Do not ask. Needed where there is no terminal to ask on.
        as_json: Print the report as one JSON object.
        output: Write the report to this .html file, too.
        connection: How to reach the API.
    """
    page = _page(output)
    before = fleet.status(journal)

    async def work(client: WavixClient, take: Take) -> FleetReport:
        return await fleet.roll_back(
            client,
            journal,
            verify=way.verify,
            concurrency=way.concurrency,
            batch=way.batches,
            on_progress=take,
        )

    with _client(connection) as (runner, wavix):
        if before.kind == "apply":
            changed = before.updated + before.unknown + before.pending
            question = f"{numbers(changed)} of {wavix.base_url} that this run has changed will be set back."
        else:
            question = f"The roll-back in {journal} on {wavix.base_url} will go on."
        confirm(question, yes=yes)
        ended = _driven(runner, wavix, work)
    return _finish(ended, journal, page, wavix.base_url, as_json=as_json)


# --- before a run ---


@contextmanager
def _client(connection: Connection) -> Iterator[tuple[asyncio.Runner, WavixClient]]:
    """Give a client, and what runs the parts of a command with it: between them, somebody may be asked."""
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
        raise Quit(ExitCode.USAGE, "Give --format: stdin has no suffix to tell it by.")
    try:
        return fleet.read(sys.stdin.buffer if file == _STDIN else file, layout=layout)
    except FleetFileError as error:
        raise _all_problems(error) from None


def _all_problems(error: FleetFileError) -> Quit:
    """Return what ends the command with every problem that is known, where the error itself shows the first few."""
    if not error.problems:
        return Quit(ExitCode.USAGE, str(error))
    head = str(error).partition("\n")[0]
    return Quit(ExitCode.USAGE, _listed(head, map(str, error.problems), error.count))


def _listed(head: str, lines: Iterable[str], whole: int) -> str:
    shown = [f"  {visible(line)}" for line in lines]
    if whole > len(shown):
        shown.append(f"  ... and {whole - len(shown):,} more")
    return "\n".join([head, *shown])


async def _plan(wavix: WavixClient, wanted: fleet.DesiredState) -> Plan:
    try:
        return await watched(wavix, lambda take: fleet.plan(wavix, wanted, on_progress=take))
    except FleetFileError as error:
        raise _all_problems(error) from None


def _refuse_missing(made: Plan, hint: str = "") -> NoReturn:
    head = f"The account lacks {numbers(made.missing_count)} that {made.name} names; nothing was sent.{hint}"
    raise Quit(ExitCode.USAGE, _listed(head, made.missing, made.missing_count))


def _journal_for(file: str, given: Path | None, made: Plan) -> Path:
    """Return the journal of a run: the one that was given, or the next that is free or has this very run unfinished.

    Raises:
        Quit: Another run has not come to its end there.
    """
    if given is not None:
        if fleet.has_run(given, base_url=made.base_url) and _stands(given, made) == "ended":
            raise Quit(ExitCode.USAGE, f"The run of {given} has ended; give --journal another file for a new one.")
        return given
    source = Path(file)
    for index in count(1):
        path = source.with_name(f"{source.stem}.run{'' if index == 1 else f'-{index}'}.sqlite")
        # Whatever else has this name, it is not ours to write to.
        with suppress(JournalError):
            if not fleet.has_run(path, base_url=made.base_url) or _stands(path, made) == "open":
                return path
    raise AssertionError


def _stands(path: Path, made: Plan) -> Literal["open", "ended"]:
    """Tell whether the run of a journal has ended, or is this one.

    Raises:
        Quit: It is another one, or somebody is at it.
    """
    before = fleet.status(path)
    if before.is_running:
        raise Quit(ExitCode.TEMPORARY, f"Another process writes {path}: {before.name} is being applied.")
    if before.finished:
        return "ended"
    if before.kind == "apply" and before.digest == made.digest:
        return "open"
    raise Quit(
        ExitCode.USAGE,
        f"{path} has a run that has not come to its end ({_left(before)}). "
        f"Go on with it, {_command('resume', path)}, or give --journal another file for a new one.",
    )


def _left(report: FleetReport) -> str:
    counts = ((report.unknown, "unknown"), (report.pending, "pending"), (report.not_sent, "not sent"))
    return ", ".join(f"{number:,} {word}" for number, word in counts if number) or "it was stopped"


def _summarize(made: Plan, kept: Path | None, *, goes_on: bool) -> None:
    console = err()
    console.print(Text(visible(made.table(_SAMPLE))), soft_wrap=True)
    if kept is not None:
        what = "Going on with the run in" if goes_on else "Journal:"
        console.print(Text(f"{what} {kept}", style="dim"), soft_wrap=True)


def _check_safety(made: Plan, safety: Safety) -> None:
    try:
        safety.check(len(made), made.account)
    except SafetyError as error:
        text = str(error)
        for name in ("max_changes", "max_fraction"):
            text = text.replace(name, f"--{name.replace('_', '-')}")
        raise Quit(ExitCode.REFUSED, text) from None


def _driven(runner: asyncio.Runner, wavix: WavixClient, work: Work) -> Ended:
    try:
        return runner.run(drive_fleet(wavix, work))
    except StalePlanError as error:
        head = (
            f"{numbers(error.count)} changed since the plan was made; nothing is sent now. Plan again, or give "
            "--stale skip (leave them) or --stale write (change them all the same)."
        )
        raise Quit(ExitCode.REFUSED, _listed(head, error.numbers, error.count)) from None


# --- after a run ---


def _finish(ended: Ended, journal: Path | None, page: Page, base_url: str, *, as_json: bool) -> ExitCode:
    report = ended.report
    if report is None and journal is not None:
        # Cut off: the journal knows what had happened until then.
        with suppress(JournalError):
            report = fleet.status(journal)
    if report is None:
        raise Quit(ExitCode.INTERRUPTED, "Interrupted. Nothing was sent.")
    _show(report, page, base_url, as_json=as_json, interrupted=ended.interrupted)
    if not report.finished and report.journal is not None:
        _say(f"To go on: {_command('resume', report.journal)}")
    return ExitCode.INTERRUPTED if ended.interrupted else code_for_fleet(report)


def _show(report: FleetReport, page: Page, base_url: str | None, *, as_json: bool, interrupted: bool) -> None:
    # Whoever has stopped reading the report must still get the exit code.
    with reader_may_leave():
        if as_json:
            write_report(report, interrupted=interrupted)
        else:
            show_run(out(), report)
    page(lambda: run_page(report, base_url=base_url))


def _page(output: Path | None) -> Page:
    """Return what writes the page, having looked before the work whether that is likely to do.

    Raises:
        Quit: It is not.
    """
    if output is None:
        return lambda _: None
    if output.suffix.lower() not in _PAGES:
        raise Quit(ExitCode.USAGE, f"--output {output}: the suffix must be .html.")
    if not output.parent.is_dir() or output.is_dir():
        raise Quit(ExitCode.USAGE, f"Cannot write --output {output}: it is no file in a directory that exists.")

    def write(make: Callable[[], str]) -> None:
        try:
            output.write_text(make(), encoding="utf-8")
        except OSError as error:
            raise Quit(ExitCode.FAILED, f"Cannot write --output {output}: {error.strerror}.") from None

    return write


def _command(name: str, path: Path) -> str:
    return f"wavix-async fleet {name} {shlex.quote(str(path))}"


def _say(message: str) -> None:
    err().print(Text(message), soft_wrap=True)
