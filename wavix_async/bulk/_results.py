"""What a bulk run tells: a result for each input, progress on the way, a report at the end."""

import enum
from typing import Final

import attrs

from wavix_async.errors import (
    AuthenticationError,
    BulkError,
    PaymentRequiredError,
    PermissionDeniedError,
    WavixError,
)
from wavix_async.models.numbers import Number

__all__ = ["BulkProgress", "BulkReport", "BulkResult", "BulkStatus", "KEY_REFUSED", "bare"]


KEY_REFUSED: Final = (AuthenticationError, PaymentRequiredError, PermissionDeniedError)
"""What one input is refused with for the sake of the account, and so would be all others."""


class BulkStatus(enum.StrEnum):
    """How an input ended."""

    UPDATED = "updated"
    """The API confirmed the change."""
    FAILED = "failed"
    """The API refused it, or it was no valid input: nothing was changed."""
    UNKNOWN = "unknown"
    """It was sent, no trustworthy answer came, and reading it back did not tell: it may have been changed."""
    NOT_SENT = "not_sent"
    """It never left: the run stopped before, or there was no connection."""


@attrs.frozen
class BulkResult:
    """How one input ended.

    Attributes:
        id: The record's id, as given.
        status: How it ended; compares equal to the strings `updated`, `failed`, `unknown`, `not_sent`.
        number: The number after the change; None unless `updated`.
        error: Why it is not `updated`; None if it is.
        attempts: How often the change was put on the wire.
        settled: Whether no trustworthy answer came, and reading the number back told how it ended.
    """

    id: int
    status: BulkStatus
    number: Number | None = None
    error: WavixError | None = None
    attempts: int = 0
    settled: bool = False


@attrs.frozen(kw_only=True)
class BulkProgress:
    """Where a run stands.

    Attributes:
        total: How many inputs there are; None where that is not known in advance.
        done: How many have ended.
        updated: Ended as updated.
        failed: Ended as failed.
        unknown: Ended as unknown.
        not_sent: Ended as not sent.
        requests: Requests put on the wire.
        rate_limited: How many of them were answered 429.
        elapsed: Seconds since the run began.
        rate: Requests per second that are let through now; None: nothing is held back.
        paused_for: Seconds until the pause that the API asked for is over; 0.0 when there is none.
    """

    total: int | None
    done: int
    updated: int
    failed: int
    unknown: int
    not_sent: int
    requests: int
    rate_limited: int
    elapsed: float
    rate: float | None
    paused_for: float


@attrs.frozen(kw_only=True)
class BulkReport:
    """What a run did. Every input is in exactly one of `updated`, `failed`, `unknown` and `not_sent`.

    Attributes:
        updated: How many the API confirmed.
        failed: How many it refused, or were no valid input.
        unknown: How many may or may not have been changed.
        not_sent: How many never left.
        failures: The results of all that were tried and are not updated, in the order in which they ended.
        requests: Requests put on the wire, all attempts counted, and those that read back what was in doubt.
        rate_limited: How many of them were answered 429.
        elapsed: Seconds from the start to the end of the run.
        stopped_by: The error that stopped the run before its end, or None: a 401, 402 or 403, a closed client, an
            outage that has not ended, a pause longer than the deadline of a call.
        cut_short: Whether a stop left inputs of a generator unread, because it had not ended within the grace of
            `stop()` (30 seconds after a 401, 402 or 403); they are in none of the counts.
    """

    updated: int
    failed: int
    unknown: int
    not_sent: int
    failures: list[BulkResult] = attrs.field(repr=False)
    requests: int
    rate_limited: int
    elapsed: float
    stopped_by: WavixError | None = None
    cut_short: bool = False

    @property
    def total(self) -> int:
        """How many inputs there were."""
        return self.updated + self.failed + self.unknown + self.not_sent

    def raise_for_failures(self) -> None:
        """Raise when an input did not end as updated.

        Raises:
            BulkError: It carries this report.
        """
        if self.updated == self.total:
            return
        reason = self.stopped_by or next((result.error for result in self.failures if result.error), None)
        raise BulkError(f"{self}. First reason: {reason}" if reason else str(self), report=self)

    def __str__(self) -> str:
        return (
            f"{self.updated} of {self.total} updated, {self.failed} failed, {self.unknown} unknown, "
            f"{self.not_sent} not sent; {self.requests} requests in {self.elapsed:.1f} s"
        )


def bare(error: WavixError) -> WavixError:
    """Return an error without the frames it went through: a report may keep thousands, and each keeps its answer."""
    known: list[BaseException | None] = [error]
    for each in known:
        if each is not None:
            each.__traceback__ = None
            known += [other for other in (each.__cause__, each.__context__) if other not in known]
    return error
