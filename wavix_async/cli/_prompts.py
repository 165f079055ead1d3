"""Ask the user before a command changes something."""

import sys

from rich.prompt import Confirm
from rich.text import Text

from wavix_async.cli._console import err, printable
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["confirm"]


def confirm(question: str, *, yes: bool) -> None:
    """Ask the user on the terminal. Without a terminal, raise an error unless `--yes` was given.

    Args:
        question: What the command will do, with the count.
        yes: Whether `--yes` was given.

    Raises:
        Quit: The user answered no, or there is no terminal to ask on.
    """
    if yes:
        return
    console = err()
    if not (sys.stdin.isatty() and console.is_terminal):
        raise Quit(
            ExitCode.REFUSED, f"Not confirmed: {question} There is no terminal to ask on: to confirm, give --yes."
        )
    try:
        agreed = Confirm.ask(Text(printable(question), style="prompt"), console=console, default=False)
    except EOFError:
        agreed = False
    except KeyboardInterrupt:
        console.print()
        raise
    if not agreed:
        raise Quit(ExitCode.REFUSED, "Nothing was changed.")
