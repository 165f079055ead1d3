"""The errors of jobs as problem details (RFC 9457): in the job itself, and as responses."""

import errno
import uuid
from pathlib import Path
from typing import Any, ClassVar, Final

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from wavix_async import WavixError, fleet
from wavix_async._instrumentation import logger as _parent
from wavix_async._instrumentation import mask
from wavix_async.fastapi._errors import MEDIA_TYPE, RETRY_AFTER, problem_of

__all__ = [
    "JobProblem",
    "NotJsonError",
    "PlanChangedError",
    "RequestError",
    "StorageError",
    "TooLargeError",
    "TooManyJobsError",
    "UnknownJobError",
    "WrongStateError",
    "error_response",
    "problem_of_error",
    "problem_of_stop",
    "problem_of_storage",
    "problem_responses",
]

_logger: Final = _parent.getChild("fastapi")
_TYPE_BASE: Final = "/problems/"


class JobProblem(BaseModel):
    """Problem details (RFC 9457)."""

    # RFC 9457 allows more members.
    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(default="about:blank", description="The kind of problem.")
    title: str = Field(description="A short summary, the same for every problem of this type.")
    status: int = Field(description="The HTTP status that a response with this problem has.")
    detail: str | None = Field(default=None, description="What is wrong.")
    instance: str = Field(
        default_factory=lambda: uuid.uuid4().urn, description="The id of this occurrence in the service's log."
    )
    retryable: bool = Field(default=False, description="Whether a retry may succeed later.")


class RequestError(HTTPException):
    """A request that the router refuses with a problem. It is what FastAPI passes on while it reads a body.

    Args:
        detail: What is wrong with the request.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    retry_after: ClassVar[int | None] = None

    def __init__(self, detail: str) -> None:
        super().__init__(self.status, detail)


class UnknownJobError(RequestError):
    """There is no such job."""

    kind, title, status = "unknown-job", "There is no such job", 404


class WrongStateError(RequestError):
    """The state of the job does not allow the command."""

    kind, title, status = "wrong-state", "The state of the job does not allow it", 409


class TooLargeError(RequestError):
    """The body is too large."""

    kind, title, status = "content-too-large", "The content is too large", 413


class NotJsonError(RequestError):
    """A POST does not say that it is JSON: with a browser, the page of another site could send it."""

    kind, title, status = "not-json", "The request is not JSON", 415


class TooManyJobsError(RequestError):
    """This process works on as many jobs as it may."""

    kind, title, status = "too-many-jobs", "Too many jobs are in progress", 429
    retry_after = 10


class PlanChangedError(fleet.SafetyError):
    """A plan that was reviewed would now change something else."""


class StorageError(Exception):
    """A file of a job cannot be read or written. The cause names the file, so it belongs in the log only.

    Args:
        error: The system's error.
    """

    def __init__(self, error: OSError | fleet.JournalError) -> None:
        super().__init__(str(error))
        self.error = error


def problem_of_error(error: Exception, job_id: str, journal: Path | None = None) -> JobProblem:
    """Return the problem of a failed job, without secrets, and log the error.

    Args:
        error: The error.
        job_id: The id of the job.
        journal: The journal of the job, if it can be read.
    """
    if journal is not None and isinstance(error, fleet.JournalError) and error.__context__ is None:
        # No file is at fault: the journal belongs to another account, or to another API.
        problem = JobProblem(
            type=f"{_TYPE_BASE}run-refused",
            title="The run cannot be continued",
            status=409,
            detail=str(error).replace(str(journal), "The journal"),
        )
    elif isinstance(error, fleet.JournalError) or (isinstance(error, OSError) and not isinstance(error, WavixError)):
        return problem_of_storage(error, job_id)
    elif isinstance(error, fleet.SafetyError):
        kind, title = "refused-for-safety", "It would change too much"
        if isinstance(error, fleet.StalePlanError | PlanChangedError):
            kind, title = "stale-plan", "Numbers have changed since the plan was made"
        problem = JobProblem(type=f"{_TYPE_BASE}{kind}", title=title, status=409, detail=str(error))
    elif isinstance(error, WavixError):
        # A client that is allowed to change the numbers may also see why that failed.
        problem = JobProblem.model_validate({**problem_of(error, type_base=_TYPE_BASE), "detail": str(error)})
    else:
        problem = JobProblem(title="Internal Server Error", status=500)
    return _log(problem, "bulk job failed: %s", error, job_id, trace=not isinstance(error, WavixError))


def problem_of_storage(error: OSError | fleet.JournalError, job_id: str | None) -> JobProblem:
    """Return the problem of an unusable file, and log the error; only the log has the path."""
    is_full = _is_full(error)
    problem = JobProblem(
        type=f"{_TYPE_BASE}storage",
        title="A file of the job cannot be used",
        status=507 if is_full else 500,
        detail="The disk is full." if is_full else "A file of the job cannot be read or written, or it is damaged.",
        retryable=True,
    )
    return _log(problem, "bulk job cannot use a file: %s", error, job_id)


def _is_full(error: BaseException) -> bool:
    cause = error if isinstance(error, OSError) else error.__cause__
    name = getattr(cause, "sqlite_errorname", None)
    return name == "SQLITE_FULL" or (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT))


def _log(problem: JobProblem, message: str, error: Exception, job_id: str | None, *, trace: bool = False) -> JobProblem:
    # Keep the id readable, so that the operator finds the file: `mask` would hide digits that look like a phone number.
    text = mask(str(error)) if job_id is None else job_id.join(map(mask, str(error).split(job_id)))
    fields = {"error": type(error).__name__, "instance": problem.instance, "job": job_id}
    _logger.error(message, text, extra=fields, exc_info=error if trace else None)
    return problem


def problem_of_stop(report: fleet.FleetReport, job_id: str) -> JobProblem:
    """Return the problem of a run that stopped itself, and log it."""
    problem = JobProblem(
        type=f"{_TYPE_BASE}{'stopped-for-safety' if report.refused_by_safety else 'run-ended-early'}",
        title="Too many changes were refused" if report.refused_by_safety else "The run has ended early",
        status=502,
        detail=report.stopped_by,
        retryable=not report.refused_by_safety,
    )
    fields = {"instance": problem.instance, "job": job_id}
    _logger.error("bulk job ended early: %s", mask(str(report.stopped_by)), extra=fields)
    return problem


def error_response(error: RequestError | StorageError, job_id: str | None) -> JSONResponse:
    """Return the response to a failed request."""
    headers: dict[str, str] = {}
    if isinstance(error, StorageError):
        problem = problem_of_storage(error.error, job_id)
    else:
        if is_temporary := error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        problem = JobProblem(
            type=f"{_TYPE_BASE}{error.kind}",
            title=error.title,
            status=error.status,
            detail=error.detail,
            retryable=is_temporary,
        )
    return JSONResponse(problem.model_dump(exclude_none=True), problem.status, headers, MEDIA_TYPE)


def problem_responses(*errors: type[RequestError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these errors."""
    schema = JobProblem.model_json_schema()
    return {
        error.status: {
            "description": f"{error.title}.",
            "content": {MEDIA_TYPE: {"schema": schema}},
            **({} if error.retry_after is None else {"headers": {"Retry-After": RETRY_AFTER}}),
        }
        for error in errors
    }
