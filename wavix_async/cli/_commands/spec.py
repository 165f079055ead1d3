"""`wavix-async spec diff`: hold an API description against this package."""

import sys
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from wavix_async import InputError
from wavix_async.cli._console import printable
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._options import Json
from wavix_async.spec import MAX_SIZE, compare

__all__ = ["diff"]


def diff(spec: Annotated[str, Parameter(allow_leading_hyphen=True)], /, *, as_json: Json = False) -> int:
    """Show what an API description has otherwise than this package.

    It reads an OpenAPI 3 document in JSON, and sends nothing. What breaks callers comes first. Differences that this
    package chose are left out. The exit code is 4 if there is a difference, and 0 if there is none.

    Example: `wavix-async spec diff openapi.json`

    Args:
        spec: The file; `-` reads stdin.
        as_json: Print JSON instead of Markdown.
    """
    try:
        comparison = compare(_read(spec))
    except InputError as error:
        raise Quit(ExitCode.USAGE, f"{'stdin' if spec == '-' else spec}: {error}") from None
    sys.stdout.write(printable(comparison.to_json() if as_json else comparison.to_markdown()).rstrip("\n") + "\n")
    return ExitCode.DIFFERENT if comparison else ExitCode.DONE


def _read(spec: str) -> bytes:
    """Return the bytes of a file or of stdin, and one byte too many of what is too large."""
    if spec.startswith("--"):
        raise Quit(ExitCode.USAGE, f"Unknown option: {spec}. See wavix-async spec diff --help.")
    if spec == "-":
        return _start_of(sys.stdin.buffer)
    try:
        with Path(spec).open("rb") as file:
            return _start_of(file)
    except (OSError, ValueError) as error:
        raise Quit(ExitCode.USAGE, f"Cannot read {spec}: {getattr(error, 'strerror', None) or error}.") from None


def _start_of(file: BinaryIO) -> bytes:
    return file.read(MAX_SIZE + 1)
