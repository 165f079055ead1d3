"""`wavix-async completion bash|zsh|fish`: the script with which a shell completes commands and options."""

import sys
from collections.abc import Callable
from typing import Literal

from cyclopts import App

__all__ = ["completion_of"]


def completion_of(app: App) -> Callable[..., None]:
    """Return the command, which describes an application to a shell.

    Args:
        app: The application, with all of its commands when the command is called.
    """

    def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
        """Print the script that completes commands in your shell.

        For zsh, write it to a file `_wavix-async` in a folder of $fpath; for fish, to
        ~/.config/fish/completions/wavix-async.fish.

        Example: `wavix-async completion bash > ~/.local/share/bash-completion/completions/wavix-async`

        Args:
            shell: The shell.
        """
        sys.stdout.write(app.generate_completion(shell=shell))

    return completion
