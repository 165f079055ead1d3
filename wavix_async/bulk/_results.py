"""What a bulk run tells: a result for each item, progress on the way, a report at the end, and its error."""

import enum
from typing import TYPE_CHECKING, Any, Final, Generic

import attrs

from wavix_async.errors import AuthenticationError, PaymentRequiredError, PermissionDeniedError, WavixError

if TYPE_CHECKING:
    # The defaults let `BulkReport` stand for a report over whatever keys and records.
    from typing_extensions import TypeVar

    Key = TypeVar("Key", default=Any)
    Result = TypeVar("Result", default=Any)
else:
    from typing import TypeVar

    Key = TypeVar("Key")
    Result = TypeVar("Result")

__all__ = ["BulkError", "BulkProgress", "BulkReport", "BulkResult", "BulkStatus", "KEY_REFUSED", "bare"]


KEY_REFUSED: Final = (AuthenticationError, PaymentRequiredError, PermissionDeniedError)
"""Refusals of the account or its key: one item gets them, and so would all others."""


class BulkStatus(enum.StrEnum):
    """How an item ended. A run has one of the first three as its word for success."""

    UPDATED = "updated"
    """The API confirmed the change."""
    ACCEPTED = "accepted"
    """The API accepted the request; what becomes of it is told later (a message that was sent, say)."""
    DONE = "done"
    """The API carried it out."""
    FAILED = "failed"
    """The API refused it, or the item was invalid: nothing was changed."""
    UNKNOWN = "unknown"
    """It was sent, no trustworthy answer came, and reading it back did not tell: it may have been carried out."""
    NOT_SENT = "not_sent"
    """It never left: the run stopped before, or there was no connection."""


_SUCCESSES: Final = frozenset({BulkStatus.UPDATED, BulkStatus.ACCEPTED, BulkStatus.DONE})


@attrs.frozen
class BulkResult(Generic[Key, Result]):
    """How one item ended.

    Attributes:
        id: The key of the item as given: the record's id in `numbers.bulk_update`.
        status: How it ended; compares equal to the strings `updated`, `accepted`, `done`, `failed`, `unknown`,
            `not_sent`.
        value: What the API answered: the `Number` after the change in `numbers.bulk_update`; None unless `ok`.
        error: Why the item did not succeed; None if it did.
        attempts: How often the change was put on the wire.
        settled: Whether no trustworthy answer came, and reading the record back told how it ended.
    """

    id: Key
    status: BulkStatus
    value: Result | None = None
    error: WavixError | None = None
    attempts: int = 0
    settled: bool = False

    @property
    def ok(self) -> bool:
        """Whether the item succeeded, whatever the run's word for it: `updated`, `accepted` or `done`."""
        return self.status in _SUCCESSES


@attrs.frozen(kw_only=True)
class BulkProgress:
    """What a run has done so far.

    Attributes:
        total: How many items there are; None where that is not known in advance.
        done: How many have ended, in whatever way.
        succeeded: Ended with success.
        failed: Ended as failed.
        unknown: Ended as unknown.
        not_sent: Ended as not sent.
        requests: Requests put on the wire.
        rate_limited: How many of them were answered 429.
        elapsed: Seconds since the run began.
        rate: Requests per second that are let through now; None: nothing is held back.
        paused_for: Seconds until the pause that the API asked for is over; 0.0 when there is none.
        success: The run's word for success.
    """

    total: int | None
    done: int
    succeeded: int
    failed: int
    unknown: int
    not_sent: int
    requests: int
    rate_limited: int
    elapsed: float
    rate: float | None
    paused_for: float
    success: BulkStatus = BulkStatus.UPDATED

    @property
    def updated(self) -> int:
        """How many ended as updated: `succeeded` in a run of updates, 0 in any other."""
        return self.succeeded if self.success is BulkStatus.UPDATED else 0


@attrs.frozen(kw_only=True)
class BulkReport(Generic[Key, Result]):
    """What a run did. Every item is in exactly one of `succeeded`, `failed`, `unknown` and `not_sent`.

    Attributes:
        succeeded: How many the API confirmed.
        failed: How many it refused, or were invalid.
        unknown: How many may or may not have been carried out.
        not_sent: How many never left.
        failures: The results of all that were tried and did not succeed, in the order in which they ended.
        requests: Requests put on the wire, all attempts counted, and those that read back what was unresolved.
        rate_limited: How many of them were answered 429.
        elapsed: Seconds from the start to the end of the run.
        stopped_by: The error that stopped the run before its end, or None: a 401, 402 or 403, a closed client, an
            outage that has not ended, a pause longer than the deadline of a call.
        cut_short: Whether a stop left items of a generator unread, because it had not ended within the grace of
            `stop()` (30 seconds after a 401, 402 or 403); they are in none of the counts.
        success: The run's word for success: `updated`, `accepted` or `done`.
    """

    succeeded: int
    failed: int
    unknown: int
    not_sent: int
    failures: list[BulkResult[Key, Result]] = attrs.field(repr=False)
    requests: int
    rate_limited: int
    elapsed: float
    stopped_by: WavixError | None = None
    cut_short: bool = False
    success: BulkStatus = BulkStatus.UPDATED

    @property
    def updated(self) -> int:
        """How many ended as updated: `succeeded` in a run of updates, 0 in any other."""
        return self.succeeded if self.success is BulkStatus.UPDATED else 0

    @property
    def total(self) -> int:
        """How many items there were."""
        return self.succeeded + self.failed + self.unknown + self.not_sent

    def raise_for_failures(self) -> None:
        """Raise when an item did not succeed.

        Raises:
            BulkError: It carries this report.
        """
        if self.succeeded == self.total:
            return
        reason = self.stopped_by or next((result.error for result in self.failures if result.error), None)
        raise BulkError(f"{self}. First reason: {reason}" if reason else str(self), report=self)

    def __str__(self) -> str:
        return (
            f"{self.succeeded} of {self.total} {self.success}, {self.failed} failed, {self.unknown} unknown, "
            f"{self.not_sent} not sent; {self.requests} requests in {self.elapsed:.1f} s"
        )


class BulkError(WavixError):
    """Some items of a bulk run did not succeed; `report` tells which, and why.

    Attributes:
        report: The `BulkReport` of the run.
    """

    def __init__(self, message: str = "", *, report: BulkReport | None = None) -> None:
        super().__init__(message)
        self.report = report


def bare(error: WavixError) -> WavixError:
    """Return an error without the frames it went through: a report may keep thousands, and each keeps its answer."""
    known: list[BaseException | None] = [error]
    for each in known:
        if each is not None:
            each.__traceback__ = None
            known += [other for other in (each.__cause__, each.__context__) if other not in known]
    return error
