"""What goes wrong with a job, as problem details (RFC 9457): in the job itself, and as an answer."""

import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from wavix_async import WavixError, fleet
from wavix_async._log import logger as _parent
from wavix_async._log import mask
from wavix_async.fastapi._errors import MEDIA_TYPE, problem_of

__all__ = ["JobProblem", "JobRoute", "UnknownJobError", "WrongStateError", "of_error", "of_stop", "problem_responses"]

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


def of_error(error: Exception) -> JobProblem:
    """Return why a job has failed, and log it; it holds no secret."""
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
        made = problem_of(error, type_base=_BASE)
        if not isinstance(error, fleet.JournalError):
            # Whoever may change the numbers may know why they were not changed; where our files are is another matter.
            made["detail"] = str(error)
        problem = JobProblem.model_validate(made)
    else:
        problem = JobProblem(title="Internal Server Error", status=500)
    facts = {"error": type(error).__name__, "instance": problem.instance}
    trace = None if isinstance(error, WavixError) else error
    _LOGGER.error("bulk job failed: %s", mask(str(error)), extra=facts, exc_info=trace)
    return problem


def of_stop(report: fleet.FleetReport) -> JobProblem:
    """Return why the run of a job has ended itself, and log it."""
    problem = JobProblem(
        type=f"{_BASE}{'stopped-for-safety' if report.refused_by_safety else 'run-ended-early'}",
        title="Too many changes were refused" if report.refused_by_safety else "The run has ended early",
        status=502,
        detail=report.stopped_by,
        retryable=not report.refused_by_safety,
    )
    _LOGGER.error("bulk job ended early: %s", mask(str(report.stopped_by)), extra={"instance": problem.instance})
    return problem


_ANSWERS: Final = {
    UnknownJobError: ("unknown-job", "There is no such job", 404),
    WrongStateError: ("wrong-state", "The state of the job does not allow it", 409),
}


class JobRoute(APIRoute):
    """A route that answers what is wrong with a request about a job, whatever handlers the application has."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            try:
                return await handle(request)
            except (UnknownJobError, WrongStateError) as error:
                kind, title, status = _ANSWERS[type(error)]
                problem = JobProblem(type=f"{_BASE}{kind}", title=title, status=status, detail=str(error))
                return JSONResponse(problem.model_dump(exclude_none=True), status, media_type=MEDIA_TYPE)

        return handle_or_tell


def problem_responses(*kinds: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """Return what the schema says of these answers."""
    schema = JobProblem.model_json_schema()
    answers = (_ANSWERS[kind] for kind in kinds)
    return {
        status: {"description": f"{title}.", "content": {MEDIA_TYPE: {"schema": schema}}}
        for _, title, status in answers
    }
