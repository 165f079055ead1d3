"""The file of a plan: a line of JSON for the plan, for each change and missing number, and the hash of all lines."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from wavix_async import InputError
from wavix_async._files import replacing, to_json
from wavix_async.fleet._errors import FleetFileError, SafetyError

__all__ = ["edited", "read_lines", "write_lines"]

_KIND: Final = "wavix fleet plan 1"


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write a plan; only the owner can read a new file, because it has settings of the account.

    Raises:
        InputError: The file cannot be written.
    """
    digest = hashlib.sha256()
    try:
        with replacing(path) as stream:
            for line in chain([{"plan": _KIND}], lines):
                text = f"{to_json(line)}\n"
                digest.update(text.encode())
                stream.write(text)
            stream.write(f"{to_json({'sha256': digest.hexdigest()})}\n")
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot write {path}: {getattr(error, 'strerror', None) or error}.") from error


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines that `write_lines` was given.

    Raises:
        FleetFileError: The file cannot be read, is not a plan, or is incomplete.
        SafetyError: A line was changed after the plan was saved.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            if _parse(data := stream.readline()).get("plan") != _KIND:
                raise FleetFileError(f"{path} is not a saved plan. `fleet plan FILE --save {path}` makes one.")
            digest.update(data)
            for data in stream:
                line = _parse(data)
                if "sha256" in line:
                    if line["sha256"] != digest.hexdigest() or stream.read(1):
                        raise edited(path)
                    return
                digest.update(data)
                yield line
    except (OSError, ValueError) as error:
        if isinstance(error, FleetFileError):
            raise
        raise FleetFileError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from None
    raise FleetFileError(f"{path} is incomplete: its last lines are missing. Make the plan again.")


def edited(path: Path) -> SafetyError:
    """Return the error for a file whose digest does not fit its lines."""
    return SafetyError(f"{path} was changed after the plan was saved: its digest does not fit. Make the plan again.")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        line = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return line if isinstance(line, dict) else {}
