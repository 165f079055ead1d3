"""The results of a bulk run: one result for each item, progress during the run, a report at the end, and an error."""

import enum
import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple

import attrs

from wavix_async._codec import html_progress, html_table
from wavix_async.errors import AuthenticationError, PaymentRequiredError, PermissionDeniedError, WavixError

if TYPE_CHECKING:
    # With these defaults, a plain `BulkReport` is a report on any keys and records.
    from typing_extensions import TypeVar

    Key = TypeVar("Key", default=Any)
    Result = TypeVar("Result", default=Any)
else:
    from typing import TypeVar

    Key = TypeVar("Key")
    Result = TypeVar("Result")

__all__ = [
    "BulkError",
    "BulkProgress",
    "BulkReport",
    "BulkResult",
    "BulkStatus",
    "FailureKind",
    "KEY_REFUSED",
    "bare",
]


KEY_REFUSED: Final = (AuthenticationError, PaymentRequiredError, PermissionDeniedError)
"""The API rejects the account or its key, so it would reject all other items too."""


class BulkStatus(enum.StrEnum):
    """How an item ended. Each run uses one of the first three for success."""

    UPDATED = "updated"
    """The API confirmed the change."""
    ACCEPTED = "accepted"
    """The API accepted the request and reports its result later, as for a message."""
    DONE = "done"
    """The API carried out the change."""
    FAILED = "failed"
    """The API rejected the change, or the item was invalid; the record is unchanged."""
    UNKNOWN = "unknown"
    """The API may have carried out the change: no certain answer came, and reading the record did not decide it."""
    NOT_SENT = "not_sent"
    """The change was not sent: the run stopped first, or there was no connection."""


_SUCCESSES: Final = frozenset({BulkStatus.UPDATED, BulkStatus.ACCEPTED, BulkStatus.DONE})


@attrs.frozen
class BulkResult(Generic[Key, Result]):
    """How one item ended.

    Attributes:
        id: The key of the item as given: the record's id in `numbers.bulk_update`.
        status: How the item ended. It compares equal to the strings `updated`, `accepted`, `done`, `failed`,
            `unknown`, `not_sent`.
        value: The API's answer: in `numbers.bulk_update`, the `Number` after the change. None unless `ok`.
        error: Why the item did not succeed; None if it did, or if the caller stopped or cancelled the run first.
        attempts: How many times the change was sent.
        settled: Whether the outcome comes from reading the record back, because no certain answer came.
    """

    id: Key
    status: BulkStatus
    value: Result | None = None
    error: WavixError | None = None
    attempts: int = 0
    settled: bool = False

    @property
    def ok(self) -> bool:
        """Whether the item succeeded: its status is `updated`, `accepted` or `done`."""
        return self.status in _SUCCESSES


class FailureKind(NamedTuple):
    """What failures that are counted together have in common; it compares equal to a plain tuple of both."""

    error: str | None
    """The name of the error's class, such as `NotFoundError`; None if the caller cancelled the item."""
    status: int | None
    """The HTTP status; None if there was no answer."""

    @classmethod
    def of(cls, error: WavixError | None) -> "FailureKind":
        """Return the kind of a failure with this error."""
        return cls(None, None) if error is None else cls(type(error).__name__, error.status)

    def __str__(self) -> str:
        name = "no error" if self.error is None else self.error
        return name if self.status is None else f"{name} (HTTP {self.status})"


@attrs.frozen(kw_only=True)
class BulkProgress:
    """The progress of a run.

    Attributes:
        total: The number of items; None if it is not known in advance.
        done: Items that have ended, with any status.
        succeeded: Items that succeeded.
        failed: Items that failed.
        unknown: Items with an unknown outcome.
        not_sent: Items that were not sent.
        requests: Requests sent.
        rate_limited: Requests answered with 429.
        elapsed: Seconds since the start of the run.
        rate: The current limit in requests per second; None: no limit.
        paused_for: Seconds that remain of a pause requested by the API; 0.0 if there is none.
        success: The run's status for success.
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
        """Items that ended as `updated`: equal to `succeeded` in a run of updates, otherwise 0."""
        return self.succeeded if self.success is BulkStatus.UPDATED else 0

    def _repr_html_(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        ended = (
            f"{self.done:,}{of}: {self.succeeded:,} {self.success}, {self.failed:,} failed, {self.unknown:,} unknown"
        )
        return html_progress(self.done, self.total, f"{ended}; {self.elapsed:.0f} s")


@attrs.frozen(kw_only=True)
class BulkReport(Generic[Key, Result]):
    """The report of a run. Every item is in exactly one of `succeeded`, `failed`, `unknown` and `not_sent`.

    Attributes:
        succeeded: Items that the API confirmed.
        failed: Items that the API rejected, or that were invalid.
        unknown: Items that the API may or may not have carried out.
        not_sent: Items that were not sent.
        failures: The results of the first 1,000 items that were tried and did not succeed, in the order in which they
            ended. To get all, iterate over the run, or pass `failures_to`.
        skipped: How many of `succeeded` were done before the run, which sent nothing for them: files that were there.
        failures_by_kind: How many items were tried and did not succeed, by the class of the error and the HTTP status.
            It counts all of them: `report.failures_by_kind[FailureKind("NotFoundError", 404)]`.
        requests: Requests sent: all attempts, and the reads of changes with an unknown outcome.
        rate_limited: Requests answered with 429.
        elapsed: Seconds from the start to the end of the run.
        stopped_by: The error that stopped the run early, or None: a 401, 402 or 403, a closed client, an outage that
            did not end, a pause longer than the deadline of a call, or a file `failures_to` or a journal that could not
            be written.
        cut_short: Whether the run may have left items of a generator unread: it was cancelled, or the caller left its
            loop, or the generator did not end within the grace period of `stop()` (30 seconds after a 401, 402 or 403).
            The same for items of any input, if the run continues a journal. No count includes these items.
        success: The run's status for success: `updated`, `accepted` or `done`.
        charged: What the answers of the successful items said that they cost; 0 if the operation costs nothing. An
            unknown item may have cost something, too.
        without_charge: How many successful items had an answer that said no price, though the operation has one.
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
    skipped: int = 0
    charged: Decimal = Decimal(0)
    without_charge: int = 0
    failures_by_kind: Mapping[FailureKind, int] = attrs.field(
        repr=False,
        default=attrs.Factory(
            lambda self: Counter(FailureKind.of(result.error) for result in self.failures), takes_self=True
        ),
    )

    @property
    def updated(self) -> int:
        """Items that ended as `updated`: equal to `succeeded` in a run of updates, otherwise 0."""
        return self.succeeded if self.success is BulkStatus.UPDATED else 0

    @property
    def failures_total(self) -> int:
        """How many items were tried and did not succeed; `failures` has the first 1,000 of them."""
        return sum(self.failures_by_kind.values())

    @property
    def total(self) -> int:
        """The number of items."""
        return self.succeeded + self.failed + self.unknown + self.not_sent

    def raise_for_failures(self) -> None:
        """Raise an error unless every item succeeded.

        Raises:
            BulkError: An item did not succeed; the error has this report.
        """
        if self.succeeded == self.total:
            return
        reason = self.stopped_by or next((result.error for result in self.failures if result.error), None)
        text = f"{self}. First reason: {reason}" if reason else str(self)
        shown, count = len(self.failures), self.failures_total
        if shown < count:
            text = f"{text.removesuffix('.')}. report.failures has {shown:,} of {count:,} failures."
        raise BulkError(text, report=self)

    def __str__(self) -> str:
        before = f" ({self.skipped} before this run)" if self.skipped else ""
        return (
            f"{self.succeeded} of {self.total} {self.success}{before}, {self.failed} failed, {self.unknown} unknown, "
            f"{self.not_sent} not sent; {self.requests} requests in {self.elapsed:.1f} s"
        )

    def _repr_html_(self) -> str:
        stopped = f"; stopped: {self.stopped_by}" if self.stopped_by else ""
        cost = f"; charged {self.charged}" if self.charged else ""
        rows = ((each.id, each.status, each.attempts, each.error) for each in self.failures)
        heads = ("id", "status", "attempts", "error") if self.failures else ()
        return html_table(heads, rows, f"{self}{cost}{stopped}", self.failures_total)


class BulkError(WavixError):
    """Some items of a bulk run did not succeed; `report` says which, and why.

    What to do: Look at `report.failures`. Run the items again that are `not_sent`; look at those that are `unknown`
    before you do.

    Attributes:
        report: The `BulkReport` of the run.
    """

    def __init__(self, message: str = "", *, report: BulkReport | None = None) -> None:
        super().__init__(message)
        self.report = report


def bare(error: WavixError) -> WavixError:
    """Remove what makes an error large, and return the error: a report may keep a thousand of them.

    Tracebacks go, because their frames keep answers alive. So do the causes that quote a whole answer.
    """
    known: list[BaseException] = [error]
    for each in known:
        each.__traceback__ = None
        if isinstance(each.__cause__, _KEEP_INPUT):
            each.__cause__ = None
        # A suppressed context is never shown.
        if each.__suppress_context__ or isinstance(each.__context__, _KEEP_INPUT):
            each.__context__ = None
        found: list[BaseException | None] = [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            found += each.exceptions
        # aiohttp keeps the system's error in its own, too.
        found += [value for value in vars(each).values() if isinstance(value, BaseException)]
        known += [other for other in found if other is not None and all(other is not one for one in known)]
    return error


_KEEP_INPUT: Final = (json.JSONDecodeError, UnicodeError)
