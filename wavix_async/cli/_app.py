"""The application: all commands, and the one place that turns an error into an exit code and a line on stderr."""

from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError
from rich.text import Text

from wavix_async import WavixError, __version__
from wavix_async.cli._commands import bulk_update, demo, get, list_, release, sandbox, update
from wavix_async.cli._commands import fleet as _fleet
from wavix_async.cli._console import err, out, suppress_broken_pipe
from wavix_async.cli._exit import ExitCode, Quit, code_for_error

__all__ = ["run"]

_HELP = """The asyncio SDK for the Wavix telecom API, on the command line.

The key comes from WAVIX_API_KEY, the base URL from WAVIX_BASE_URL. stdout is data, stderr is progress.

Exit codes: 0 all done, 1 some failed, 2 usage or bad input, 3 refused by safety, 5 temporary (trying again may help),
130 interrupted.
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
    numbers = App(name="numbers", help="Phone numbers of the account.")
    numbers.command(list_, name="list")
    numbers.command(get)
    numbers.command(update)
    numbers.command(bulk_update)
    numbers.command(release)
    app.command(numbers)
    fleet = App(name="fleet", help="A whole fleet of numbers as a file: plan, apply, resume, roll back.")
    fleet.command(_fleet.export)
    fleet.command(_fleet.plan)
    fleet.command(_fleet.apply)
    fleet.command(_fleet.resume)
    fleet.command(_fleet.status)
    fleet.command(_fleet.roll_back)
    app.command(fleet)
    app.command(sandbox)
    return app


def run(argv: Sequence[str]) -> int:
    """Run a command.

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
        return _fail(code_for_error(error), str(error))
    return int(code or 0)


def _fail(code: ExitCode, message: str) -> int:
    with suppress(BrokenPipeError):
        err().print(Text(f"wavix-async: {message}"), soft_wrap=True)
    return code
