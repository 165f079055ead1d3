"""Files that a command writes: none replaces another one, and `--write-back` has the outcome of each row."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

from wavix_async._files import SUFFIXES, Outcomes, RowLayout, Rules, UnreadableError, suffix_of
from wavix_async.cli._console import err
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._prompts import confirm

__all__ = ["WriteBack", "check_outputs"]


def check_outputs(file: str | Path, outputs: Mapping[str, Path | None]) -> None:
    """Refuse to write two files to one path, or over the input.

    Args:
        file: The file that the command reads; `-` for stdin.
        outputs: The files that it writes, by option.

    Raises:
        Quit: Two of them are one file, perhaps by a link.
    """
    seen = {_identity(file): ""} if str(file) != "-" else {}
    for option, path in outputs.items():
        if path is None or path.is_char_device():
            continue
        first = seen.setdefault(_identity(path), option)
        if not first:
            raise Quit(ExitCode.USAGE, f"{option} {path} is the input file: choose another file.")
        if first != option:
            raise Quit(ExitCode.USAGE, f"{first} and {option} are the same file: choose another file.")


def _identity(path: str | Path) -> object:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.abspath(path)
    return found.st_dev, found.st_ino


def _state(path: Path) -> object:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class WriteBack:
    """Collects the outcome of each row, and writes the file after the run. Without a target it does nothing.

    Args:
        target: The CSV file to write.
        file: The file with the rows.
        layout: Its format; None to find it from the suffix or the first bytes.
        default: The outcome of a row for which none is added.
        yes: Whether to replace an existing target without asking.

    Raises:
        Quit: The target cannot be written, or must not be replaced, or the file has no rows.
    """

    def __init__(self, target: Path | None, file: str, layout: str | None, default: str, *, yes: bool) -> None:
        self._target = target
        self._file = Path(file)
        self._layout = layout or SUFFIXES.get(suffix_of(file))
        self._outcomes = None if target is None else Outcomes(default)
        self._before = _state(self._file)
        if target is None:
            return
        if target.suffix.lower() != ".csv" or not target.parent.is_dir() or target.is_dir():
            raise Quit(ExitCode.USAGE, f"--write-back {target}: give a .csv file in an existing directory.")
        if self._layout == "yaml" or suffix_of(file) in {".yaml", ".yml"}:
            raise Quit(ExitCode.USAGE, "--write-back needs a file of rows: CSV, Excel or NDJSON, not YAML.")
        if target.exists() and not target.is_char_device():
            confirm(f"{target} exists and will be replaced.", yes=yes)

    @property
    def is_wanted(self) -> bool:
        """Whether the user asked for the file."""
        return self._target is not None

    def add(self, number_id: int | None, number: str | None, outcome: str, reason: str | None) -> None:
        """Add the outcome of a number."""
        if self._outcomes is not None:
            self._outcomes.add(number_id, number, outcome, reason)

    def write(self, rules: Rules, stream: IO[bytes] | None = None) -> None:
        """Write the file. A failure is shown, and changes nothing else: the run has ended.

        Args:
            rules: What the file of rows may contain.
            stream: Its content; default: open the file.
        """
        if self._outcomes is None or self._target is None:
            return
        with ExitStack() as stack:
            try:
                source = stream or stack.enter_context(self._reopen())
                source.seek(0)
                self._outcomes.write(source, cast("RowLayout | None", self._layout), rules, self._target)
            except (OSError, UnreadableError) as error:
                why = getattr(error, "strerror", None) or error
                err().print(f"wavix-async: Cannot write --write-back {self._target}: {why}.", soft_wrap=True)

    def _reopen(self) -> IO[bytes]:
        if _state(self._file) != self._before:
            raise UnreadableError(f"{self._file} has changed during the run")
        return self._file.open("rb")

    def close(self) -> None:
        """Delete what was collected."""
        if self._outcomes is not None:
            self._outcomes.close()
