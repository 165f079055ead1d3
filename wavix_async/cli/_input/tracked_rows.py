"""The rows on their way into a run: knows which have been taken and have no result yet."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from wavix_async import BulkResult, BulkStatus, InputError, NumberUpdate
from wavix_async.cli._input.rows import Rows

__all__ = ["Feed"]


class Feed:
    """Gives a run its updates, and accounts for those that it gives no result for.

    Args:
        rows: The rows, checked.
        total: How many there are.
        write: Called with each result, once.
    """

    def __init__(self, rows: Rows, total: int, write: Callable[[BulkResult], object]) -> None:
        self._rows = iter(rows)
        self._total = total
        self._write = write
        self._open: set[int] = set()
        self._stopped = False

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[tuple[int, NumberUpdate]]:
        while not self._stopped:
            row = next(self._rows, None)
            if row is None:
                return
            self._open.add(row[0])
            yield row

    def stop(self) -> None:
        """Give no more: the run counts the rest as not sent."""
        self._stopped = True

    def take(self, result: BulkResult) -> None:
        """Take a result that landed."""
        self._open.discard(result.id)
        self._write(result)

    def finish(self, failures: list[BulkResult]) -> None:
        """Write a result for all that have none: cut off by Ctrl-C, or never reached.

        Args:
            failures: Those of the report.
        """
        for result in failures:
            if result.id in self._open:
                self.take(result)
        for number_id in self._open:
            self._write(BulkResult(number_id, BulkStatus.NOT_SENT))
        for number_id, _ in self._rest():
            self._write(BulkResult(number_id, BulkStatus.NOT_SENT))

    def _rest(self) -> Iterator[tuple[int, NumberUpdate]]:
        # What has broken the run while it was read will break here again: there is no more to name then.
        with suppress(InputError, OSError, UnicodeError):
            yield from self._rows
