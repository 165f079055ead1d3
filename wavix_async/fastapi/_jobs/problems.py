"""What goes wrong with a job, as problem details (RFC 9457): in the job itself, and as an answer."""

import errno
import uuid
from typing import Any, Final

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from wavix_async import WavixError, fleet
from wavix_async._instrumentation import logger as _parent
from wavix_async._instrumentation import mask
from wavix_async.fastapi._errors import MEDIA_TYPE, problem_of

__all__ = [
    "JobProblem",
    "StorageError",
    "UnknownJobError",
    "WrongStateError",
    "answer",
    "of_error",
    "of_stop",
    "of_storage",
    "problem_responses",
]

_LOGGER: Final = _parent.getChild("fastapi")
_BASE: Final = "/problems/"


class JobProblem(BaseModel):
    """Problem details (RFC 9457)."""

    # A problem may say more than this.
    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(default="about:blank", description="What kind of problem it is.")
    title: str = Field(description="The same for people; constant for a type.")
    status: int = Field(description="The HTTP status, or the one that this would have had as an answer.")
    detail: str | None = Field(default=None, description="What is the matter.")
    instance: str = Field(
        default_factory=lambda: uuid.uuid4().urn, description="This occurrence, as the service has logged it."
    )
    retryable: bool = Field(default=False, description="Whether the same may succeed later.")


class UnknownJobError(Exception):
    """There is no such job."""


class WrongStateError(Exception):
    """The state of a job does not allow what was asked for."""


class StorageError(Exception):
    """A file of a job cannot be read or written; the cause tells which, and is for the log only.

    Args:
        error: What the system says.
    """

    def __init__(self, error: OSError | fleet.JournalError) -> None:
        super().__init__(str(error))
        self.error = error


def of_error(error: Exception, job_id: str) -> JobProblem:
    """Return why a job has failed, and log it; it holds no secret."""
    if isinstance(error, fleet.JournalError) or (isinstance(error, OSError) and not isinstance(error, WavixError)):
        return of_storage(error, job_id)
    if isinstance(error, fleet.StalePlanError):
        problem = JobProblem(
            type=f"{_BASE}stale-plan",
            title="Numbers have changed since the plan was made",
            status=409,
            detail=str(error),
        )
    elif isinstance(error, fleet.SafetyError):
        problem = JobProblem(
            type=f"{_BASE}refused-for-safety", title="It would change too much", status=409, detail=str(error)
        )
    elif isinstance(error, WavixError):
        # Whoever may change the numbers may know why they were not changed.
        problem = JobProblem.model_validate({**problem_of(error, type_base=_BASE), "detail": str(error)})
    else:
        problem = JobProblem(title="Internal Server Error", status=500)
    facts = {"error": type(error).__name__, "instance": problem.instance, "job": job_id}
    trace = None if isinstance(error, WavixError) else error
    _LOGGER.error("bulk job failed: %s", _masked(str(error), job_id), extra=facts, exc_info=trace)
    return problem


def of_storage(error: OSError | fleet.JournalError, job_id: str | None) -> JobProblem:
    """Return that a file of a job cannot be used, and log it: where our files are is for the log only."""
    full = _is_full(error)
    problem = JobProblem(
        type=f"{_BASE}storage",
        title="A file of the job cannot be used",
        status=507 if full else 500,
        detail="The disk is full." if full else "A file of the job cannot be read or written, or it is damaged.",
        retryable=True,
    )
    facts = {"error": type(error).__name__, "instance": problem.instance, "job": job_id}
    _LOGGER.error("bulk job cannot use a file: %s", _masked(str(error), job_id), extra=facts)
    return problem


def _is_full(error: BaseException) -> bool:
    cause = error if isinstance(error, OSError) else error.__cause__
    name = getattr(cause, "sqlite_errorname", None)
    return name == "SQLITE_FULL" or (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT))


def _masked(text: str, job_id: str | None) -> str:
    # Some digits of an id look like a phone number, and the id is how a file is found.
    return mask(text) if job_id is None else job_id.join(map(mask, text.split(job_id)))


def of_stop(report: fleet.FleetReport, job_id: str) -> JobProblem:
    """Return why the run of a job has ended itself, and log it."""
    problem = JobProblem(
        type=f"{_BASE}{'stopped-for-safety' if report.refused_by_safety else 'run-ended-early'}",
        title="Too many changes were refused" if report.refused_by_safety else "The run has ended early",
        status=502,
        detail=report.stopped_by,
        retryable=not report.refused_by_safety,
    )
    facts = {"instance": problem.instance, "job": job_id}
    _LOGGER.error("bulk job ended early: %s", mask(str(report.stopped_by)), extra=facts)
    return problem


_ANSWERS: Final = {
    UnknownJobError: ("unknown-job", "There is no such job", 404),
    WrongStateError: ("wrong-state", "The state of the job does not allow it", 409),
}
_TOO_LARGE: Final = ("content-too-large", "The content is too large", 413)


def answer(error: UnknownJobError | WrongStateError | StorageError | HTTPException, job_id: str | None) -> JSONResponse:
    """Return the answer to a request that went wrong, about a job if one was named."""
    if isinstance(error, StorageError):
        problem = of_storage(error.error, job_id)
    else:
        kind, title, status = _ANSWERS.get(type(error), _TOO_LARGE)
        detail = error.detail if isinstance(error, HTTPException) else str(error)
        problem = JobProblem(type=f"{_BASE}{kind}", title=title, status=status, detail=detail)
    return JSONResponse(problem.model_dump(exclude_none=True), problem.status, media_type=MEDIA_TYPE)


def problem_responses(*kinds: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """Return what the schema says of these answers."""
    schema = JobProblem.model_json_schema()
    answers = (_ANSWERS.get(kind, _TOO_LARGE) for kind in kinds)
    return {
        status: {"description": f"{title}.", "content": {MEDIA_TYPE: {"schema": schema}}}
        for _, title, status in answers
    }
