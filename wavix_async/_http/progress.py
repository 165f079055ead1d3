"""Callbacks that follow a download, an export or an upload."""

import inspect
from collections.abc import Callable

from wavix_async.errors import InputError

__all__ = ["Progress", "ProgressError", "check_progress"]

Progress = Callable[[int, int | None], object]
"""Called with the bytes so far, and the length or None."""


class ProgressError(Exception):
    """Carries what a callback raised while a body was sent, because aiohttp turns any exception into its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        # Without the frame of the sender, which may hold the key.
        self.error: Exception = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


def check_progress(progress: object) -> None:
    """Check a callback before anything is sent.

    Raises:
        InputError: It cannot be called, or calling it would do nothing because it is `async`.
    """
    if progress is None:
        return
    if not callable(progress):
        raise InputError(f"progress must be a function of the bytes so far and the length, got {progress!r}.")
    if inspect.iscoroutinefunction(progress) or inspect.iscoroutinefunction(type(progress).__call__):
        raise InputError("progress must be a plain function, not an async one: the client does not await it.")
