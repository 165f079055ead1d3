"""Paths that a caller gives, checked before anything is sent, and files without a name."""

import os
from pathlib import Path
from typing import IO, Final

from wavix_async.errors import ConfigurationError, InputError

__all__ = ["NO_TEMPORARY_DIRECTORY", "check_path", "temporary_file"]

NO_TEMPORARY_DIRECTORY: Final = (
    "no directory for temporary files can be written. Set TMPDIR to a directory that can be written."
)


def check_path(path: object, name: str) -> Path:
    """Return the path of a file that is to be written.

    Args:
        path: What the caller gives.
        name: The name of the argument, for the error.

    Raises:
        InputError: It is not a path, is blank, has a character that no path has, ends in a directory, or is a loop of
            symbolic links.
    """
    try:
        given = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        given = None
    if not isinstance(given, str):
        raise InputError(f"{name} must be a path: a string or a pathlib.Path; got {path!r}.")
    if not given.strip() or given == ":memory:":
        raise InputError(f"{name} must be the path of a file, got {given!r}.")
    try:
        os.stat(given)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        # Half a character, a zero, a name that is too long, a loop of links, or a file where a directory must be.
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{name}: {given!r} cannot be the path of a file: {reason}.") from None
    return Path(given)


def temporary_file() -> IO[bytes]:
    """Open a file without a name, which is gone once it is closed.

    Raises:
        ConfigurationError: There is no directory for it.
    """
    import tempfile

    try:
        return tempfile.TemporaryFile()
    except FileNotFoundError:
        raise ConfigurationError(f"Cannot store the input: {NO_TEMPORARY_DIRECTORY}") from None
