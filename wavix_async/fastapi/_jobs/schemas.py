"""The requests and responses of the job router, as pydantic models, which define its OpenAPI schema."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import attrs
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from wavix_async import NumberUpdate
from wavix_async._files import is_text
from wavix_async.fastapi._jobs.problems import JobProblem
from wavix_async.fleet import Change, FleetProgress, FleetReport, FleetResult, FleetStatus, Phase, Plan

__all__ = [
    "FINAL_STATES",
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
    "RecordId",
    "ResultPage",
    "StoredChangeSet",
]

JobState: TypeAlias = Literal["planning", "planned", "running", "stopping", "done", "stopped", "interrupted", "failed"]

FINAL_STATES: Final = frozenset({"done", "stopped", "interrupted", "failed"})
"""The states in which no process works on a job."""

_MISSING: Final = 100
_PLACE: Final = re.compile(r"^<iterable>\[\d+\]: ")

RecordId: TypeAlias = Annotated[int, Field(strict=True, gt=0, le=2**63 - 1)]


class _RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _ResponseModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class NumberChanges(_RequestModel):
    """The settings for some numbers; `ids` and `numbers` must name at least one number."""

    ids: list[RecordId] = Field(default=[], description="Record ids.", examples=[[1001, 1002]])
    numbers: list[str] = Field(
        default=[], description="Phone numbers, in any format.", examples=[["12025550123", "+1 (202) 555-0124"]]
    )
    set: NumberUpdate = Field(
        description="The fields to set. A field left out keeps its value; null clears a field that can be cleared."
    )


class ChangeSet(_RequestModel):
    """The request for a job."""

    changes: list[NumberChanges] = Field(min_length=1, description="The changes; each number may be listed once.")
    hold: bool = Field(
        default=False,
        description="Stop at `planned`, and send nothing until you `start` the job, so that you can check the plan.",
    )
    batch: Literal["auto"] | Annotated[int, Field(ge=2, le=1_000, strict=True)] | None = Field(
        default="auto", description="The most equal changes to send as one request; null: one request for each number."
    )
    concurrency: int = Field(
        default=32, ge=1, le=1_000, strict=True, description="The most requests in flight at once."
    )
    verify: bool = Field(
        default=False, description="Read the changed numbers back at the end, until all changes are in effect."
    )
    missing: Literal["refuse", "skip"] = Field(
        default="skip",
        description="What to do if some numbers are not in the account: refuse the job, or skip them.",
    )

    def pairs(self) -> Iterator[tuple[int | str, NumberUpdate]]:
        """Yield each number of the request with its settings."""
        for group in self.changes:
            for number_id in group.ids:
                yield number_id, group.set
            for number in group.numbers:
                yield number, group.set


class StoredChangeSet(ChangeSet):
    """A change set in a file, where `hold` has the name that it had in the first version."""

    hold: bool = Field(default=False, alias="confirm")

    @classmethod
    def dump(cls, request: ChangeSet) -> bytes:
        """Return a change set as such a file."""
        return cls.model_construct(**dict(request)).model_dump_json(by_alias=True).encode()


class JobProgress(_ResponseModel):
    """The progress of a job."""

    phase: Phase = Field(description="The current step.")
    total: int | None = Field(description="How many numbers this step works on; null if that is not known.")
    done: int = Field(description="How many of them are done.")
    updated: int = Field(description="Changes that the API has confirmed so far.")
    failed: int = Field(description="Changes that have failed so far.")
    unknown: int = Field(description="Changes whose outcome is unknown now.")
    not_sent: int = Field(description="Changes that were started but never sent.")
    requests: int = Field(
        description="Requests that this process has sent, including reads; the count restarts after planning."
    )
    rate_limited: int = Field(description="How many of these requests got a 429.")
    elapsed: float = Field(description="Seconds since this process began the job.")
    rate: float | None = Field(description="The current limit in requests per second; null: no limit.")
    paused_for: float = Field(description="Seconds until the pause that the API asked for ends.")

    @classmethod
    def of(cls, progress: FleetProgress) -> Self:
        """Make the response model."""
        return cls.model_construct(**attrs.asdict(progress))


class JobPlan(_ResponseModel):
    """What a job will change."""

    changes: int = Field(description="How many numbers will change.")
    unchanged: int = Field(description="How many numbers already match.")
    missing: list[str] = Field(description=f"The numbers that are not in the account, at most {_MISSING}.")
    missing_count: int = Field(description="How many numbers are not in the account.")
    digest: str | None = Field(
        default=None, description="SHA-256 of all changes: `start` carries out only a plan that still has this digest."
    )

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Make the response model; this reads the plan's database."""
        return cls(
            changes=len(plan),
            unchanged=plan.unchanged,
            missing=list(plan.missing[:_MISSING]),
            missing_count=plan.missing_count,
            digest=plan.digest,
        )


class JobReport(_ResponseModel):
    """The outcome of a job; each number of the request is in exactly one of the first seven counts."""

    updated: int = Field(description="Changes that the API confirmed; with `verify`, a read shows them, too.")
    unchanged: int = Field(description="Numbers that already matched.")
    failed: int = Field(description="Changes that the API rejected, and numbers that are gone since the plan.")
    skipped: int = Field(default=0, description="Numbers that are not in the account, and that were left out.")
    unknown: int = Field(description="Changes that were sent but whose outcome could not be determined.")
    not_sent: int = Field(description="Changes that were never sent.")
    pending: int = Field(
        description="Changes that the API confirmed but that were not in effect when verification ended."
    )
    requests: int = Field(description="Requests sent, including reads but not those of the planning.")
    rate_limited: int = Field(description="How many of these requests got a 429.")
    elapsed: float = Field(description="Seconds of work.")
    stopped_by: str | None = Field(description="Why the run stopped early; null if it did not.")

    @classmethod
    def of(cls, report: FleetReport) -> Self:
        """Make the response model."""
        return cls.model_validate({name: getattr(report, name) for name in cls.model_fields})


class Job(_ResponseModel):
    """A bulk job."""

    id: str = Field(description="The id of the job; ids sort by creation time.")
    state: JobState = Field(
        description="`planned`: the job is on hold until its start. A job has ended if it is `done` (each number has "
        "an outcome), `stopped` (cancelled), `interrupted` (its process ended) or `failed` (see `error`)."
    )
    kind: Literal["apply", "roll-back"] = Field(
        default="apply",
        description="Whether the job makes its changes or undoes them; the other fields describe that run.",
    )
    created_at: datetime = Field(description="The time of the request that created the job.")
    progress: JobProgress | None = Field(
        default=None, description="The current progress, or the last one of a run that has ended; null while `planned`."
    )
    plan: JobPlan | None = Field(default=None, description="What the job changes; null until the plan is ready.")
    report: JobReport | None = Field(default=None, description="The outcome; null until the job has ended.")
    error: JobProblem | None = Field(default=None, description="Why the job failed.")
    resumable: bool = Field(default=False, description="Whether `resume` would continue the job.")

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES

    @property
    def is_at_rest(self) -> bool:
        """Whether no process works on the job: it has ended, or its plan waits. The first version kept a process."""
        return self.is_final or (self.state == "planned" and self.plan is not None and self.plan.digest is not None)


class JobList(_ResponseModel):
    """Jobs, newest first."""

    items: list[Job] = Field(description="The jobs.")


def _without_half_characters(value: Any) -> Any:
    """Replace lone surrogates, which the API may send and a response cannot hold."""
    text = json.dumps(value, ensure_ascii=False)
    return value if is_text(text) else json.loads(text.encode("utf-8", "replace"))


class JobField(_ResponseModel):
    """The change of one field."""

    field: str = Field(description="The name of the field.")
    before: JsonValue = Field(description="The value before.")
    after: JsonValue = Field(description="The value after; null clears the field.")


class JobChange(_ResponseModel):
    """The change of one number."""

    id: int | None = Field(description="The number's record id; null if only its phone number is known.")
    number: str | None = Field(description="The phone number; null if only its id is known.")
    fields: list[JobField] = Field(description="The fields that change.")

    @classmethod
    def of(cls, change: Change | FleetResult) -> Self:
        """Make the response model."""
        fields = [
            JobField(field=each.field, before=_without_half_characters(each.before), after=each.after)
            for each in change.fields
        ]
        return cls(id=change.id, number=change.number, fields=fields)


class JobResult(JobChange):
    """How one number ended."""

    status: FleetStatus = Field(description="How the change ended; `pending`, `unknown` and `not_sent` can be resumed.")
    attempts: int = Field(description="How many times the change was sent.")
    reason: str | None = Field(description="Why the change ended this way; null if the status says it all.")

    @classmethod
    def of(cls, change: Change | FleetResult) -> Self:
        """Make the response model."""
        assert isinstance(change, FleetResult)
        change_fields = JobChange.of(change)
        # Drop the place in the input, because the request may no longer exist.
        reason = None if change.reason is None else _PLACE.sub("", change.reason)
        return cls(**dict(change_fields), status=change.status, attempts=change.attempts, reason=reason)


class ChangePage(_ResponseModel):
    """A page of the changes, in the order of the number ids."""

    items: list[JobChange] = Field(description="The changes of this page.")
    total: int = Field(description="The number of items on all pages.")


class ResultPage(_ResponseModel):
    """A page of the results, in the order of the number ids."""

    items: list[JobResult] = Field(description="The results of this page.")
    total: int = Field(description="The number of items on all pages.")
