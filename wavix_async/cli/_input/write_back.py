"""`--write-back`: the rows of a file with the outcome of each beside it, as a new file."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

from wavix_async._files import SUFFIXES, Outcomes, RowLayout, Rules, UnreadableError, suffix_of
from wavix_async.cli._console import err
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["WriteBack", "check_outputs"]


def check_outputs(file: str, outputs: Mapping[str, Path | None]) -> None:
    """Refuse to write two files to one path, or over the input.

    Args:
        file: The input; `-` for stdin.
        outputs: The paths to write, by option.

    Raises:
        Quit: Two of these are one file.
    """
    seen: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        if file != "-" and path.exists() and Path(file).exists() and path.samefile(file):
            raise Quit(ExitCode.USAGE, f"{option} {path} is the input file: choose another file.")
        if (first := seen.setdefault(path.resolve(), option)) != option and not path.is_char_device():
            raise Quit(ExitCode.USAGE, f"{first} and {option} are the same file: choose another file.")


class WriteBack:
    """Collects the outcome of each row, and writes the file after the run. Without a target it does nothing.

    Args:
        target: The CSV file to write.
        file: The file with the rows.
        layout: Its format; None to find it from the suffix or the first bytes.
        default: The outcome of a row for which none is added.

    Raises:
        Quit: The target cannot be written, or the file has no rows.
    """

    def __init__(self, target: Path | None, file: str, layout: str | None, default: str) -> None:
        self._target = target
        self._file = Path(file)
        self._layout = layout or SUFFIXES.get(suffix_of(file))
        self._outcomes = None if target is None else Outcomes(default)
        if target is None:
            return
        if target.suffix.lower() != ".csv" or not target.parent.is_dir() or target.is_dir():
            raise Quit(ExitCode.USAGE, f"--write-back {target}: give a .csv file in an existing directory.")
        if self._layout == "yaml" or suffix_of(file) in {".yaml", ".yml"}:
            raise Quit(ExitCode.USAGE, "--write-back needs a file of rows: CSV, Excel or NDJSON, not YAML.")

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
                source = stream or stack.enter_context(self._file.open("rb"))
                source.seek(0)
                self._outcomes.write(source, cast("RowLayout | None", self._layout), rules, self._target)
            except (OSError, UnreadableError) as error:
                err().print(f"Cannot write --write-back {self._target}: {error}.", markup=False, soft_wrap=True)

    def close(self) -> None:
        """Delete what was collected."""
        if self._outcomes is not None:
            self._outcomes.close()
