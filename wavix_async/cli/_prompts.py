"""Asking before something is changed."""

import sys

from rich.prompt import Confirm

from wavix_async.cli._console import err
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["confirm"]


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal; without one, only `--yes` lets things happen.

    Args:
        question: What is about to be done, with its size.
        yes: Whether `--yes` was given.

    Raises:
        Quit: The answer is no, or nobody can be asked.
    """
    if yes:
        return
    console = err()
    if not (sys.stdin.isatty() and console.is_terminal):
        raise Quit(ExitCode.REFUSED, f"Refused by safety: {question} Nobody can be asked here: give --yes.")
    try:
        agreed = Confirm.ask(question.replace("[", "\\["), console=console, default=False)
    except EOFError:
        agreed = False
    except KeyboardInterrupt:
        console.print()
        raise
    if not agreed:
        raise Quit(ExitCode.REFUSED, "Nothing was changed.")
