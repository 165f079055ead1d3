"""Feed rows to a bulk run, and track the rows without a result."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from wavix_async import BulkResult, BulkStatus, InputError, NumberUpdate
from wavix_async.cli._input.rows import Rows

__all__ = ["TrackedRows"]


class TrackedRows:
    """The input of a bulk run: yields the updates, and reports a result for every row, even if it was not sent.

    Args:
        rows: The checked rows.
        total: How many rows there are.
        on_result: Called once with the result of each row.
        every_row: Whether `finish` reports the rows that the run did not reach.
    """

    def __init__(
        self, rows: Rows, total: int, on_result: Callable[[BulkResult], object], *, every_row: bool = True
    ) -> None:
        self._rows = iter(rows)
        self._total = total
        self._on_result = on_result
        self._every_row = every_row
        self._pending: set[int] = set()
        self._stopped = False

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[tuple[int, NumberUpdate]]:
        while not self._stopped:
            row = next(self._rows, None)
            if row is None:
                return
            self._pending.add(row[0])
            yield row

    def stop(self) -> None:
        """Stop yielding rows: the run counts the rest as not sent."""
        self._stopped = True

    def on_result(self, result: BulkResult) -> None:
        """Record the result of a row, and pass it on."""
        self._pending.discard(result.id)
        self._on_result(result)

    def finish(self) -> None:
        """Pass on a result for every row without one, if wanted: the run did not reach it."""
        if not self._every_row:
            return
        for number_id in self._pending:
            self._on_result(BulkResult(number_id, BulkStatus.NOT_SENT))
        for number_id, _ in self._rest():
            self._on_result(BulkResult(number_id, BulkStatus.NOT_SENT))

    def _rest(self) -> Iterator[tuple[int, NumberUpdate]]:
        # An input error that ended the run also ends this loop: the rows after it cannot be read.
        with suppress(InputError, OSError, UnicodeError):
            yield from self._rows
