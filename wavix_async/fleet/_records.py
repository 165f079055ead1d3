"""What a fleet tells: changes, how each ended, and where a run stands."""

import enum
import json
from typing import Any, Literal, TypeAlias

import attrs

__all__ = ["Change", "FieldChange", "FleetProgress", "FleetResult", "FleetStatus", "Phase", "Sample", "field_changes"]

Phase: TypeAlias = Literal["listing", "checking", "sending", "settling", "verifying"]
"""What is being done: listing the account, checking that the plan still holds, sending changes, reading back what is in
doubt, reading back whether all changes are in effect."""


class FleetStatus(enum.StrEnum):
    """How an input ended."""

    UPDATED = "updated"
    """The API confirmed the change; if the run verifies, it was read back, too."""
    UNCHANGED = "unchanged"
    """There was nothing to change."""
    FAILED = "failed"
    """It was refused, the number is gone, or somebody else has changed it: the reason says which."""
    UNKNOWN = "unknown"
    """It was sent, and nobody could tell how that ended: `resume` finds out."""
    NOT_SENT = "not_sent"
    """It never left; or it was refused for now, or read back and not there. `resume` sends it."""
    PENDING = "pending"
    """The API confirmed it, and nobody has seen it in effect before the verification ended: `resume` looks again."""


@attrs.frozen
class FieldChange:
    """What becomes of one field.

    Attributes:
        field: The field of `NumberUpdate`.
        before: Its value before, as JSON has it.
        after: Its value after, as JSON has it; None clears.
    """

    field: str
    before: Any
    after: Any


@attrs.frozen
class Change:
    """What becomes of one number.

    Attributes:
        id: The record's id.
        number: The phone number; None where the API did not tell.
        fields: What becomes of its fields; those that stay are left out.
    """

    id: int
    number: str | None
    fields: tuple[FieldChange, ...]


@attrs.frozen
class FleetResult:
    """How one input ended.

    Attributes:
        id: The record's id; None where only a phone number was given, which the account lacks.
        number: The phone number; None where it is not known.
        status: How it ended.
        fields: What should become of its fields.
        attempts: How often the change was put on the wire.
        reason: Why it ended so; None where that goes without saying.
    """

    id: int | None
    number: str | None
    status: FleetStatus
    fields: tuple[FieldChange, ...] = ()
    attempts: int = 0
    reason: str | None = None


@attrs.frozen(kw_only=True)
class FleetProgress:
    """Where a run stands.

    Attributes:
        phase: What is being done.
        total: How many numbers this phase is about; None where that is not known.
        done: How many of them are through.
        updated: Of all changes: confirmed so far.
        failed: Of all changes: refused so far.
        unknown: Of all changes: in doubt now.
        not_sent: Of those that were tried: never left.
        requests: Requests put on the wire by this process, reads included.
        rate_limited: How many of them were answered 429.
        elapsed: Seconds since this process began with it.
        rate: Requests per second that are let through now; None: nothing is held back.
        paused_for: Seconds until the pause that the API asked for is over; 0.0 when there is none.
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


@attrs.frozen
class Sample:
    """Where a run stood at one moment.

    Attributes:
        at: Seconds since the run began.
        done: Changes that had ended.
        requests: Requests put on the wire so far.
        rate_limited: How many of them were answered 429.
        rate: Requests per second that were let through; None: nothing was held back.
        paused_for: Seconds that were left of a pause.
    """

    at: float
    done: int
    requests: int
    rate_limited: int
    rate: float | None
    paused_for: float


def field_changes(before: str, after: str) -> tuple[FieldChange, ...]:
    """Return what becomes of the fields, from two JSON objects with the same keys."""
    old, new = json.loads(before), json.loads(after)
    return tuple(FieldChange(name, old[name], value) for name, value in new.items())
