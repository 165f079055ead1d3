"""The file of a plan: a line of JSON for the plan, for each change and each missing number, and the hash of all lines.

The hash finds a line that was changed, added or lost. The digest of the plan, which its reader has reviewed, is in the
first line.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from wavix_async import InputError
from wavix_async._files import to_json
from wavix_async.fleet._errors import FleetFileError, SafetyError

__all__ = ["edited", "read_lines", "write_lines"]

_KIND: Final = "wavix fleet plan 1"


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write a plan. A new file can only be read by its owner: it has settings of the account.

    Raises:
        InputError: The file cannot be written.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            for line in ({"plan": _KIND}, *lines):
                data = f"{to_json(line)}\n".encode()
                digest.update(data)
                stream.write(data)
            stream.write(f"{to_json({'sha256': digest.hexdigest()})}\n".encode())
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot write {path}: {getattr(error, 'strerror', None) or error}.") from None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines that `write_lines` was given.

    Raises:
        FleetFileError: The file cannot be read, is not a plan, or is incomplete.
        SafetyError: A line was changed after the plan was saved.
    """
    digest = hashlib.sha256()
    last: dict[str, Any] = {}
    try:
        with path.open("rb") as stream:
            for index, data in enumerate(stream):
                last = _parse(path, data, is_first=index == 0)
                if "sha256" in last:
                    break
                digest.update(data)
                if index:
                    yield last
            if "sha256" not in last:
                raise FleetFileError(f"{path} is incomplete: its last lines are missing. Make the plan again.")
            if last["sha256"] != digest.hexdigest() or stream.read(1):
                raise edited(path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise FleetFileError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from None


def edited(path: Path) -> SafetyError:
    """Return the error for a file whose digest does not fit its lines."""
    return SafetyError(f"{path} was changed after the plan was saved: its digest does not fit. Make the plan again.")


def _parse(path: Path, data: bytes, *, is_first: bool) -> dict[str, Any]:
    try:
        line = json.loads(data)
    except (ValueError, RecursionError):
        line = None
    if is_first and (not isinstance(line, dict) or line.get("plan") != _KIND):
        raise FleetFileError(f"{path} is not a saved plan. `fleet plan FILE --save {path}` makes one.")
    if not isinstance(line, dict):
        raise edited(path)
    return line
