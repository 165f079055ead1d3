"""The records of a fleet: changes, their results, and the progress of a run."""

import enum
import json
from typing import Any, Literal, TypeAlias

import attrs

from wavix_async._codec import html_progress

__all__ = [
    "Change",
    "FieldChange",
    "FleetProgress",
    "FleetResult",
    "FleetStatus",
    "NewValue",
    "Phase",
    "Sample",
    "field_changes",
]

Phase: TypeAlias = Literal["listing", "checking", "sending", "settling", "verifying"]
"""The phase of a run: `listing` the account, `checking` that the plan is up to date, `sending` changes, `settling`
(reading back changes with an unknown outcome), `verifying` that all changes are in effect."""


class FleetStatus(enum.StrEnum):
    """How a number ended."""

    UPDATED = "updated"
    """The API confirmed the change; if the run verifies, a read has confirmed it, too."""
    UNCHANGED = "unchanged"
    """There was nothing to change."""
    FAILED = "failed"
    """The API rejected the change, the number is gone, or another client has changed it; the reason says which."""
    SKIPPED = "skipped"
    """The number is not in the account, and `missing="skip"` was given."""
    UNKNOWN = "unknown"
    """The change was sent, and its outcome is not known: `resume` finds out."""
    NOT_SENT = "not_sent"
    """The change was not sent, was rejected only for now, or was sent and is not applied: `resume` sends it."""
    PENDING = "pending"
    """The API confirmed the change, and it was not in effect when the verification ended: `resume` checks again."""


@attrs.frozen
class FieldChange:
    """The change of one field.

    Attributes:
        field: The field of `NumberUpdate`.
        before: The value before the change, in JSON form.
        after: The value after the change, in JSON form; None clears the field.
    """

    field: str
    before: Any
    after: Any


@attrs.frozen
class Change:
    """The change of one number.

    Attributes:
        id: The record's id.
        number: The phone number; None if the API did not return it.
        fields: The fields that change.
    """

    id: int
    number: str | None
    fields: tuple[FieldChange, ...]


@attrs.frozen
class NewValue:
    """How many numbers get a value.

    Attributes:
        field: The field of `NumberUpdate`.
        value: The new value, in JSON form; None if `others` is not 0.
        numbers: How many numbers get it.
        others: How many rarer values of the field are counted together here; 0: only `value`.
    """

    field: str
    value: Any
    numbers: int
    others: int = 0

    @property
    def others_text(self) -> str:
        """`12 other values`; "" if this is one value."""
        return f"{self.others:,} other value{'s' * (self.others != 1)}" if self.others else ""


@attrs.frozen
class FleetResult:
    """The result of one number.

    Attributes:
        id: The record's id; None if only a phone number was given that is not in the account.
        number: The phone number; None if it is not known.
        status: How the number ended.
        fields: The planned changes of its fields.
        attempts: How many times the change was sent.
        reason: The reason for the status; None if the status needs no explanation.
    """

    id: int | None
    number: str | None
    status: FleetStatus
    fields: tuple[FieldChange, ...] = ()
    attempts: int = 0
    reason: str | None = None


@attrs.frozen(kw_only=True)
class FleetProgress:
    """The progress of a run.

    Attributes:
        phase: The current phase.
        total: The number of numbers in this phase; None if it is not known.
        done: How many of them this phase has finished.
        updated: How many of all changes the API has confirmed so far.
        failed: How many of all changes the API has rejected so far.
        unknown: How many of all changes have an unknown outcome now.
        not_sent: How many of the changes that were tried were not sent.
        requests: Requests sent by this process, including reads.
        rate_limited: Requests answered with 429.
        elapsed: Seconds since this process started the run.
        rate: The current limit in requests per second; None: no limit.
        paused_for: Seconds that remain of a pause requested by the API; 0.0 if there is none.
    """

    phase: Phase
    total: int | None
    done: int
    updated: int = 0
    failed: int = 0
    unknown: int = 0
    not_sent: int = 0
    requests: int = 0
    rate_limited: int = 0
    elapsed: float = 0.0
    rate: float | None = None
    paused_for: float = 0.0

    def _repr_html_(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        ended = f"{self.phase}: {self.done:,}{of}; {self.updated:,} updated, {self.failed:,} failed"
        return html_progress(self.done, self.total, f"{ended}; {self.elapsed:.0f} s")


@attrs.frozen
class Sample:
    """The progress of a run at one moment.

    Attributes:
        at: Seconds since the run began.
        done: Changes that had ended.
        requests: Requests sent so far.
        rate_limited: Requests answered with 429 so far.
        rate: The limit at that moment in requests per second; None: no limit.
        paused_for: Seconds that remained of a pause.
    """

    at: float
    done: int
    requests: int
    rate_limited: int
    rate: float | None
    paused_for: float


def field_changes(before: str, after: str) -> tuple[FieldChange, ...]:
    """Return the changes of the fields, from two JSON objects with the same keys."""
    old, new = json.loads(before), json.loads(after)
    return tuple(FieldChange(name, old[name], value) for name, value in new.items())
