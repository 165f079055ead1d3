"""`fleet_jobs`: a router that runs bulk changes of numbers as jobs, which continue after their request has ended."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from os import PathLike
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from wavix_async import ConfigurationError
from wavix_async.config import check_seconds
from wavix_async.fastapi._jobs.event_stream import HEADERS, events, next_event_id
from wavix_async.fastapi._jobs.manager import JobManager
from wavix_async.fastapi._jobs.problems import (
    NotJsonError,
    TooLargeError,
    TooManyJobsError,
    UnknownJobError,
    WrongStateError,
    problem_responses,
)
from wavix_async.fastapi._jobs.request_body import check_change_set
from wavix_async.fastapi._jobs.route import JobRoute
from wavix_async.fastapi._jobs.schemas import ChangePage, ChangeSet, Job, JobList, ResultPage
from wavix_async.fastapi._jobs.store import check_directory
from wavix_async.fastapi._lifespan import WavixDep
from wavix_async.fleet import FleetStatus, Safety
from wavix_async.types import JobStore

__all__ = ["fleet_jobs"]

_JobId: TypeAlias = Annotated[str, PathParameter(description="The id of the job.")]
_Offset: TypeAlias = Annotated[int, Query(ge=0, le=2**53, description="The number of items to skip.")]
_Limit: TypeAlias = Annotated[int, Query(ge=1, le=1_000, description="The most items to return.")]
_Statuses: TypeAlias = Annotated[
    list[FleetStatus],
    Query(default_factory=list, description="The statuses to return; repeat the parameter for several. Default: all."),
]
_LastEventId: TypeAlias = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="The id of the last event that the reader saw before it reconnected."),
]

_LOCATION: Final = {"Location": {"description": "The path of the job.", "schema": {"type": "string"}}}
_Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
_Responses: TypeAlias = dict[int | str, dict[str, Any]]
_STREAM: Final[_Responses] = {
    200: {
        "description": "Events: `job` with the job as JSON, at once and after each change, then one `end` with the "
        "final state.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_UNKNOWN: Final = problem_responses(UnknownJobError)
_CREATE_PROBLEMS: Final = problem_responses(TooLargeError, NotJsonError, TooManyJobsError)
_CANCEL_PROBLEMS: Final = problem_responses(UnknownJobError, WrongStateError, NotJsonError)
_START_PROBLEMS: Final = _CANCEL_PROBLEMS | problem_responses(TooManyJobsError)
# So that clients made from the schema, and its page, send JSON: the router refuses a POST without it.
_EMPTY_BODY: Final = {
    "requestBody": {
        "description": "An empty object. The router takes only JSON, which the page of another site cannot send.",
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "default": {}}}},
    }
}


def fleet_jobs(
    directory: str | PathLike[str] | None = None,
    *,
    store: JobStore | None = None,
    limit: int = 10,
    kept: int = 100,
    safety: Safety | None = None,
    grace: float = 10.0,
) -> APIRouter:
    """Return a router of bulk jobs: `app.include_router(fleet_jobs("jobs"), prefix="/fleet")`.

    A job runs `fleet.plan` and `fleet.apply` with the application's client (`get_wavix`). It continues if the HTTP
    client that created it disconnects. When the application ends, the jobs stop cleanly before the client closes.
    The router has no login of its own: add one with `include_router(..., dependencies=[Depends(...)])`. It takes a POST
    only as JSON, which a browser does not let the page of another site send. Check the header Host with starlette's
    `TrustedHostMiddleware`.

    Args:
        directory: The directory for the jobs and their journals, created if it does not exist. Several processes may
            share it, and any of them can resume a job whose process ended. None: a temporary directory, removed when
            the application ends.
        store: A place for the jobs other than a directory.
        limit: The most jobs that this process works on at once; another one is answered 429 with Retry-After. Each
            takes two threads and about six open files; a plan on hold takes none. Default 10.
        kept: The most jobs that have ended or are on hold to list. Older ones stay in the directory and can be read by
            id; a temporary directory removes them. Default 100.
        safety: The limits at which a job is refused or stopped. Default: `Safety()`, which allows 30 % of the account
            to change.
        grace: Seconds that jobs get to stop cleanly when the application ends. Default 10.

    Returns:
        The router. The application that includes it runs the router's lifespan inside its own.

    Raises:
        ConfigurationError: An argument is out of range.
    """
    for name, value in (("limit", limit), ("kept", kept)):
        if type(value) is not int or value < 1:
            raise ConfigurationError(f"{name} must be a whole number of 1 or more, got {value!r}.")
    if store is not None and directory is not None:
        raise ConfigurationError("Give a directory or a store for the jobs, not both.")
    if safety is not None and not isinstance(safety, Safety):
        raise ConfigurationError(f"safety must be a fleet.Safety(...), got {safety!r}.")
    place = store if directory is None else check_directory(directory)
    manager = JobManager(place, limit=limit, kept=kept, safety=safety, grace=check_seconds("grace", grace))

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None, None]:
        async with manager.open():
            yield

    router = APIRouter(lifespan=lifespan, route_class=JobRoute, tags=["bulk jobs"])
    _add_routes(router, manager)
    return router


def _add_routes(router: APIRouter, manager: JobManager) -> None:
    @router.post(
        "/jobs",
        status_code=202,
        summary="Begin a job",
        response_description="The job has begun.",
        responses={202: {"headers": _LOCATION}, **_CREATE_PROBLEMS},
    )
    async def create_job(changes: ChangeSet, request: Request, response: Response, wavix: WavixDep) -> Job:
        """Plan the changes that give the numbers the wanted settings, and carry them out.

        The job sends the changes as soon as they are planned; with `hold`, only after you start it.
        """
        await asyncio.to_thread(check_change_set, changes)
        job = await manager.create(wavix, changes)
        response.headers["Location"] = f"{request.url.path.rstrip('/')}/{job.id}"
        return job

    @router.get("/jobs", summary="List jobs", response_description="The jobs.")
    async def list_jobs() -> JobList:
        """List the jobs in progress and the latest others, newest first."""
        return JobList(items=await manager.list_jobs())

    @router.get("/jobs/{job_id}", summary="Look at a job", response_description="The job.", responses=_UNKNOWN)
    async def read_job(job_id: _JobId) -> Job:
        """Return the state and the progress of a job."""
        return await manager.get(job_id)

    @router.get(
        "/jobs/{job_id}/changes",
        summary="What a job changes",
        response_description="A page of the changes.",
        responses=_UNKNOWN,
    )
    async def read_changes(job_id: _JobId, offset: _Offset = 0, limit: _Limit = 100) -> ChangePage:
        """Return the planned change of each number whose settings differ; empty until the plan is ready."""
        return await manager.changes(job_id, offset, limit)

    @router.get(
        "/jobs/{job_id}/results",
        summary="How the numbers of a job ended",
        response_description="A page of the results.",
        responses=_UNKNOWN,
    )
    async def read_results(
        job_id: _JobId,
        status: _Statuses,
        offset: _Offset = 0,
        limit: _Limit = 100,
    ) -> ResultPage:
        """Return how each number ended, even while the job runs; numbers that already matched are left out."""
        return await manager.results(job_id, status, offset, limit)

    @router.get(
        "/jobs/{job_id}/events",
        summary="Follow a job",
        response_class=StreamingResponse,
        responses={**_STREAM, **_UNKNOWN},
    )
    async def follow_job(job_id: _JobId, request: Request, last_event_id: _LastEventId = None) -> StreamingResponse:
        """Stream the job at once and after each change, at most five times a second, until it ends.

        A reader that is slow or reconnects gets the latest state.
        """
        job = await manager.get(job_id)
        stream = events(manager, job, next_event_id(last_event_id), request)
        return StreamingResponse(stream, headers=HEADERS, media_type="text/event-stream")

    def command(verb: str, summary: str, response: str, problems: _Responses = _START_PROBLEMS) -> _Decorator:
        return router.post(
            f"/jobs/{{job_id}}/{verb}",
            status_code=202,
            summary=summary,
            response_description=response,
            responses=problems,
            openapi_extra=_EMPTY_BODY,
        )

    @command("start", "Start a planned job", "The job has started.")
    async def start_job(job_id: _JobId, wavix: WavixDep) -> Job:
        """Carry out the plan of a job on hold; it fails if the account has changed so that the plan is another one."""
        return await manager.continue_job(wavix, job_id, "start")

    @command("cancel", "Cancel a job", "The job is about to stop.", _CANCEL_PROBLEMS)
    async def cancel_job(job_id: _JobId) -> Job:
        """Stop a job cleanly: requests in flight finish, and no others are sent. The job can be resumed."""
        return await manager.cancel(job_id)

    @command("resume", "Resume a job", "The job continues.")
    async def resume_job(job_id: _JobId, wavix: WavixDep) -> Job:
        """Continue a job that was cancelled or interrupted, or that ended with changes left to make."""
        return await manager.continue_job(wavix, job_id, "resume")

    @command("roll-back", "Undo a job", "The roll-back of the job has begun.")
    async def roll_back_job(job_id: _JobId, wavix: WavixDep) -> Job:
        """Undo the changes of the job, except where someone has changed a number since.

        From then on the job's progress, report and results are those of the roll-back.
        """
        return await manager.continue_job(wavix, job_id, "roll back")
