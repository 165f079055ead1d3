"""The requests and responses of the router of bulk jobs, as pydantic models: they make its OpenAPI schema."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final, Literal, Self, TypeAlias

import attrs
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from wavix_async import NumberUpdate
from wavix_async.fastapi._jobs.problems import JobProblem
from wavix_async.fleet import Change, FleetProgress, FleetReport, FleetResult, FleetStatus, Phase, Plan

__all__ = [
    "FINAL_STATES",
    "MAX_ID",
    "ChangePage",
    "ChangeSet",
    "Job",
    "JobChange",
    "JobList",
    "JobPlan",
    "JobProgress",
    "JobReport",
    "JobResult",
    "JobState",
    "NumberChanges",
    "ResultPage",
]

JobState: TypeAlias = Literal["planning", "planned", "running", "stopping", "done", "stopped", "interrupted", "failed"]

FINAL_STATES: Final = frozenset({"done", "stopped", "interrupted", "failed"})
"""The states in which no process works on a job."""

_MISSING: Final = 100
_PLACE: Final = re.compile(r"^<iterable>\[\d+\]: ")

MAX_ID: Final = 2**63 - 1

RecordId: TypeAlias = Annotated[int, Field(strict=True, gt=0, le=MAX_ID)]


class _RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _ResponseModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class NumberChanges(_RequestModel):
    """What some numbers shall be: at least one of `ids` and `numbers`."""

    ids: list[RecordId] = Field(default=[], description="Record ids.", examples=[[1001, 1002]])
    numbers: list[str] = Field(
        default=[], description="Phone numbers, in any spelling.", examples=[["12025550123", "+1 (202) 555-0124"]]
    )
    set: NumberUpdate = Field(
        description="The fields to set; a field left out stays as it is, null clears one that can be cleared."
    )


class ChangeSet(_RequestModel):
    """What a job shall do."""

    changes: list[NumberChanges] = Field(min_length=1, description="Each number may be named once.")
    confirm: bool = Field(
        default=False, description="Stop after planning, until the job is started: for people who want to look first."
    )
    batch: Literal["auto"] | Annotated[int, Field(ge=2, le=1_000, strict=True)] | None = Field(
        default="auto", description="How many equal changes may go out as one request; null: one request for each."
    )
    concurrency: int = Field(default=32, ge=1, le=1_000, strict=True, description="Requests on the wire at once.")
    verify: bool = Field(default=False, description="Read all changes back at the end, until they are in effect.")
    missing: Literal["refuse", "skip"] = Field(
        default="skip", description="What to do when the account lacks some of the numbers: skipped ones end as failed."
    )

    def pairs(self) -> Iterator[tuple[int | str, NumberUpdate]]:
        """Yield each number of the request with its settings."""
        for group in self.changes:
            for number_id in group.ids:
                yield number_id, group.set
            for number in group.numbers:
                yield number, group.set


class JobProgress(_ResponseModel):
    """Where a job stands."""

    phase: Phase = Field(description="What is being done.")
    total: int | None = Field(description="How many numbers this phase is about; null where that is not known.")
    done: int = Field(description="How many of them are through.")
    updated: int = Field(description="Of all changes: confirmed so far.")
    failed: int = Field(description="Of all changes: refused so far.")
    unknown: int = Field(description="Of all changes: in doubt now.")
    not_sent: int = Field(description="Of those that were tried: never left.")
    requests: int = Field(
        description="Requests put on the wire by this process, reads included; after planning it counts anew."
    )
    rate_limited: int = Field(description="How many of them were answered 429.")
    elapsed: float = Field(description="Seconds since this process began with it.")
    rate: float | None = Field(description="Requests per second that are let through; null: nothing is held back.")
    paused_for: float = Field(description="Seconds until the pause that the API asked for is over.")

    @classmethod
    def of(cls, progress: FleetProgress) -> Self:
        """Make the response model."""
        return cls.model_construct(**attrs.asdict(progress))


class JobPlan(_ResponseModel):
    """What a job is about to change."""

    changes: int = Field(description="How many numbers would change.")
    unchanged: int = Field(description="How many are as they shall be already.")
    missing: list[str] = Field(description=f"The numbers that the account lacks, at most {_MISSING}.")
    missing_count: int = Field(description="How many the account lacks.")

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Make the response model; this reads the database of the plan."""
        return cls(
            changes=len(plan),
            unchanged=plan.unchanged,
            missing=list(plan.missing[:_MISSING]),
            missing_count=plan.missing_count,
        )


class JobReport(_ResponseModel):
    """What a job has come to; each number that was named is in exactly one of the first six counts."""

    updated: int = Field(description="How many the API confirmed; with `verify`, also read back.")
    unchanged: int = Field(description="How many had nothing to change.")
    failed: int = Field(description="How many were refused, or are not there.")
    unknown: int = Field(description="How many were sent, and nobody could tell how that ended.")
    not_sent: int = Field(description="How many never left.")
    pending: int = Field(description="How many were confirmed, and not in effect when the verification ended.")
    requests: int = Field(description="Requests put on the wire, reads included, but not those of the planning.")
    rate_limited: int = Field(description="How many of them were answered 429.")
    elapsed: float = Field(description="Seconds of work.")
    stopped_by: str | None = Field(description="Why it stopped before the end; null if it did not.")

    @classmethod
    def of(cls, report: FleetReport) -> Self:
        """Make the response model."""
        return cls.model_validate({name: getattr(report, name) for name in cls.model_fields})


class Job(_ResponseModel):
    """A bulk job."""

    id: str
    state: JobState = Field(
        description="`planned` waits to be started. Nobody works on a job that is `done` (each number has an outcome), "
        "`stopped` (cancelled), `interrupted` (its process ended) or `failed` (see `error`)."
    )
    kind: Literal["apply", "roll-back"] = Field(
        default="apply", description="Whether it makes its changes, or undoes them; all the rest is about that."
    )
    created_at: datetime
    progress: JobProgress | None = Field(default=None, description="Where it stands, or stood last.")
    plan: JobPlan | None = Field(default=None, description="What it changes; null until that is known.")
    report: JobReport | None = Field(default=None, description="What it has come to; null until nobody works on it.")
    error: JobProblem | None = Field(default=None, description="Why it failed.")
    resumable: bool = Field(default=False, description="Whether there is something left to do that `resume` would do.")

    @property
    def is_final(self) -> bool:
        """Whether no process works on it."""
        return self.state in FINAL_STATES


class JobList(_ResponseModel):
    """Jobs, the newest first."""

    items: list[Job]


class JobField(_ResponseModel):
    """What becomes of one field."""

    field: str = Field(description="The field of the number.")
    before: JsonValue = Field(description="Its value before.")
    after: JsonValue = Field(description="Its value after; null clears.")


class JobChange(_ResponseModel):
    """What becomes of one number."""

    id: int | None
    number: str | None
    fields: list[JobField]

    @classmethod
    def of(cls, change: Change | FleetResult) -> Self:
        """Make the response model."""
        fields = [JobField(field=each.field, before=each.before, after=each.after) for each in change.fields]
        return cls(id=change.id, number=change.number, fields=fields)


class JobResult(JobChange):
    """How one number ended."""

    status: FleetStatus = Field(description="How it ended; `pending`, `unknown` and `not_sent` can be resumed.")
    attempts: int = Field(description="How often the change was put on the wire.")
    reason: str | None = Field(description="Why it ended so; null where that goes without saying.")

    @classmethod
    def of(cls, change: Change | FleetResult) -> Self:
        """Make the response model."""
        assert isinstance(change, FleetResult)
        change_fields = JobChange.of(change)
        # The place in the input is meaningless here: the request may be gone.
        reason = None if change.reason is None else _PLACE.sub("", change.reason)
        return cls(**dict(change_fields), status=change.status, attempts=change.attempts, reason=reason)


class ChangePage(_ResponseModel):
    """Some of the numbers that change, in the order of their ids."""

    items: list[JobChange]
    total: int = Field(description="How many there are.")


class ResultPage(_ResponseModel):
    """Some of the results, in the order of the ids."""

    items: list[JobResult]
    total: int = Field(description="How many there are.")
