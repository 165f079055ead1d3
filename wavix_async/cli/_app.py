"""The application: registers all commands, and turns an error into an exit code and a message on stderr."""

from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError
from rich.text import Text

from wavix_async import WavixError, __version__
from wavix_async.cli._commands import bulk_update, demo, diff, fire, get, list_, listen, release, sandbox, update
from wavix_async.cli._commands import fleet as _fleet
from wavix_async.cli._console import err, out, printable, suppress_broken_pipe
from wavix_async.cli._exit import ExitCode, Quit, code_for_error
from wavix_async.cli._options import with_option_names

__all__ = ["run"]

_HELP = """Manage Wavix phone numbers from the command line.

Set your API key in WAVIX_API_KEY. Data goes to stdout; progress, questions and errors go to stderr.

Example: `wavix-async numbers list --limit 10`

Exit codes: 0 all done, 1 some failed, 2 wrong usage or bad input, 3 refused by a safety limit or not confirmed,
4 a difference (spec diff), 5 temporary (try again later), 130 interrupted.
"""
_NUMBERS_HELP = """List, show, change and release phone numbers.

Example: `wavix-async numbers get 1001`
"""
_FLEET_HELP = """Keep the settings of all your numbers in one file.

Use `plan` to see what will change, `apply` to change it and record the run in a journal, `roll-back` to undo a run.

Example: `wavix-async fleet plan fleet.csv`
"""
_WEBHOOKS_HELP = """Receive the events that Wavix posts, and post events like them.

Example: `wavix-async webhooks listen --port 8000`
"""
_SPEC_HELP = """Watch for changes of the API.

Example: `wavix-async spec diff openapi.json`
"""


def _make_app() -> App:
    app = App(
        name="wavix-async",
        help=_HELP,
        version=f"wavix-async {__version__}",
        console=out(),
        error_console=err(),
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    app.command(demo)
    numbers = App(name="numbers", help=_NUMBERS_HELP)
    numbers.command(list_, name="list")
    numbers.command(get)
    numbers.command(update)
    numbers.command(bulk_update)
    numbers.command(release)
    app.command(numbers)
    fleet = App(name="fleet", help=_FLEET_HELP)
    fleet.command(_fleet.export)
    fleet.command(_fleet.plan)
    fleet.command(_fleet.apply)
    fleet.command(_fleet.resume)
    fleet.command(_fleet.status)
    fleet.command(_fleet.roll_back)
    app.command(fleet)
    app.command(sandbox)
    webhooks = App(name="webhooks", help=_WEBHOOKS_HELP)
    webhooks.command(listen)
    webhooks.command(fire)
    app.command(webhooks)
    spec = App(name="spec", help=_SPEC_HELP)
    spec.command(diff)
    app.command(spec)
    return app


def run(argv: Sequence[str]) -> int:
    """Run a command, and print an error, if any, to stderr.

    Args:
        argv: The arguments after the program's name.

    Returns:
        The exit code.
    """
    code = None
    try:
        with suppress_broken_pipe():
            code = _make_app()(argv, exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        return _fail(ExitCode.INTERRUPTED, "Interrupted.")
    except CycloptsError as error:
        return _fail(ExitCode.USAGE, f"{error} See wavix-async --help.")
    except Quit as quit_:
        return _fail(quit_.code, quit_.message)
    except WavixError as error:
        return _fail(code_for_error(error), with_option_names(str(error)))
    return int(code or 0)


def _fail(code: ExitCode, message: str) -> int:
    with suppress(BrokenPipeError):
        err().print(Text(printable(f"wavix-async: {message}")), soft_wrap=True)
    return code
