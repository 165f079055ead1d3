"""The application: registers all commands, and turns an error into an exit code and a message on stderr."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from cyclopts import App, CycloptsError, UnusedCliTokensError

from wavix_async import WavixError, __version__
from wavix_async.cli._api import add_groups
from wavix_async.cli._console import err, out, suppress_broken_pipe
from wavix_async.cli._exit import ExitCode, Quit, code_for_error
from wavix_async.cli._options import with_option_names
from wavix_async.cli._process import OutputError

__all__ = ["run"]

_HELP = """Use the Wavix API from the command line.

Set your API key in WAVIX_API_KEY. Data goes to stdout; progress, questions and errors go to stderr.

Give a list as an option that you repeat, as JSON, or as @FILE with one item a line. Give an object as JSON, as @FILE,
or as options with dots: --message-body.text.

Example: `wavix-async numbers list --limit 10`

Exit codes: 0 all done, 1 some failed, 2 wrong usage, bad input or a refused key, 3 refused by a safety limit or not
confirmed, 4 a difference (fleet drift, fleet plan --exit-code, spec diff), 5 temporary (try again later), 130
interrupted.
"""
_NUMBERS_HELP = """List, show, change and release phone numbers.

Example: `wavix-async numbers get 1001`
"""
_FLEET_HELP = """Keep the settings of all your numbers in one file.

Use `plan` to see what will change, `apply` to change it and record the run in a journal, `roll-back` to undo a run, and
`drift` to check every night that the account still matches the file.

Example: `wavix-async fleet plan fleet.csv`
"""
_WEBHOOKS_HELP = """Receive the events that Wavix posts, and post events like them.

Example: `wavix-async webhooks listen --port 8000`
"""
_SPEC_HELP = """Watch for changes of the API.

Example: `wavix-async spec diff openapi.json`
"""
_DEMO_HELP = "Update numbers on a local Wavix simulator with limits and faults."
_SANDBOX_HELP = "Run a local Wavix simulator for tests, until Ctrl-C."
_DOCTOR_HELP = "Find out why something does not work, and what to do."
_WHOAMI_HELP = "Show the account of your key: balance, limits, latest statement."
_EXPLAIN_HELP = "Say what an error code, a status or an error class means."
_COMPLETION_HELP = "Print the script that completes commands in your shell."


def _make_app(argv: Sequence[str]) -> App:
    """Return the application; only the command that is called is imported."""
    app = App(
        name="wavix-async",
        help=_HELP,
        version=f"wavix-async {__version__}",
        console=out(),
        error_console=err(),
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    called = next((word for word in argv if not word.startswith("-")), None)
    written: dict[str, App] = {}
    for name, (help_, functions) in _WRITTEN.items():
        group = App(name=name, help=help_)
        if called in (name, "completion"):
            commands = {each.__name__: each for each in map(_load, functions.split())}
            if name in commands:
                app.command(commands[name], name=name)
                continue
            for word, command in commands.items():
                group.command(command, name=word.strip("_").replace("_", "-"))
        app.command(group)
        written[name] = group
    if called == "completion":
        from wavix_async.cli._commands.completion import completion_of

        app.command(completion_of(app), name="completion")
    else:
        app.command(App(name="completion", help=_COMPLETION_HELP))
    add_groups(app, argv, written)
    return app


def _load(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(".")
    found: Callable[..., Any] = getattr(import_module(f"wavix_async.cli._commands.{module}"), name)
    return found


_WRITTEN: Final[Mapping[str, tuple[str, str]]] = {
    "demo": (_DEMO_HELP, "demo.demo"),
    "numbers": (_NUMBERS_HELP, "numbers.list_ numbers.get numbers.update bulk_update.bulk_update numbers.release"),
    "fleet": (_FLEET_HELP, "fleet.export fleet.plan fleet.drift fleet.apply fleet.resume fleet.status fleet.roll_back"),
    "sandbox": (_SANDBOX_HELP, "sandbox.sandbox"),
    "webhooks": (_WEBHOOKS_HELP, "webhooks.listen webhooks.fire"),
    "spec": (_SPEC_HELP, "spec.diff"),
    "doctor": (_DOCTOR_HELP, "support.doctor"),
    "whoami": (_WHOAMI_HELP, "support.whoami"),
    "explain": (_EXPLAIN_HELP, "support.explain"),
}
"""What is written by hand: the help of each group, and the functions of its commands. One function of the group's own
name is no group, but a command."""


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
            code = _make_app(argv)(argv, exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        return _fail(ExitCode.INTERRUPTED, "Interrupted.")
    except CycloptsError as error:
        what = str(error)
        if isinstance(error, UnusedCliTokensError):
            what = f"Unexpected: {' '.join(error.unused_tokens or ())}."
        return _fail(ExitCode.USAGE, f"{what} See {' '.join(('wavix-async', *(error.command_chain or ())))} --help.")
    except Quit as quit_:
        return _fail(quit_.code, quit_.message)
    except WavixError as error:
        return _fail(code_for_error(error), with_option_names(str(error)))
    except OutputError as error:
        return _fail(ExitCode.FAILED, f"Cannot write to stdout: {error.strerror}.")
    return int(code or 0)


def _fail(code: ExitCode, message: str) -> int:
    err().print(f"wavix-async: {message}", soft_wrap=True)
    return code
