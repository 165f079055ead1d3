"""`fleet_jobs`: a router that runs bulk changes of numbers as jobs, which continue after their request has ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import PathLike
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from wavix_async import ConfigurationError
from wavix_async._files import check_path
from wavix_async.config import check_seconds
from wavix_async.fastapi._jobs.event_stream import HEADERS, events, next_event_id
from wavix_async.fastapi._jobs.manager import JobManager
from wavix_async.fastapi._jobs.problems import UnknownJobError, WrongStateError, problem_responses
from wavix_async.fastapi._jobs.request_body import TooLargeError
from wavix_async.fastapi._jobs.route import JobRoute
from wavix_async.fastapi._jobs.schemas import ChangePage, ChangeSet, Job, JobList, ResultPage
from wavix_async.fastapi._jobs.validation import check_change_set
from wavix_async.fastapi._lifespan import WavixDep
from wavix_async.fleet import FleetStatus, Safety

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
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events: `job` with the job as JSON, at once and after each change, then one `end` with the "
        "final state.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_UNKNOWN: Final = problem_responses(UnknownJobError)
_REFUSED: Final = problem_responses(UnknownJobError, WrongStateError)
_TOO_LARGE: Final = problem_responses(TooLargeError)


def fleet_jobs(
    directory: str | PathLike[str] | None = None,
    *,
    kept: int = 100,
    safety: Safety | None = None,
    grace: float = 10.0,
) -> APIRouter:
    """Return a router of bulk jobs: `app.include_router(fleet_jobs("jobs"), prefix="/fleet")`.

    A job runs `fleet.plan` and `fleet.apply` with the application's client (`get_wavix`). It continues if the HTTP
    client that created it disconnects. When the application ends, the jobs stop cleanly before the client closes.
    The router has no access control: add your own with `include_router(..., dependencies=[Depends(...)])`.

    Args:
        directory: The directory for the jobs and their journals, created if it does not exist. Several processes may
            share it, and any of them can resume a job whose process ended. None: a temporary directory, removed when
            the application ends.
        kept: The most ended jobs to list. Older ones stay in the directory and can be read by id; a temporary directory
            removes them. Default 100.
        safety: The limits at which a job is refused or stopped. Default: `Safety()`, which allows 30 % of the account
            to change.
        grace: Seconds that jobs get to stop cleanly when the application ends. Default 10.

    Returns:
        The router. The application that includes it runs the router's lifespan inside its own.

    Raises:
        ConfigurationError: An argument is out of range.
    """
    if type(kept) is not int or kept < 1:
        raise ConfigurationError(f"kept must be a whole number of 1 or more, got {kept!r}.")
    if safety is not None and not isinstance(safety, Safety):
        raise ConfigurationError(f"safety must be a fleet.Safety(...), got {safety!r}.")
    path = None if directory is None else check_path(directory, "directory")
    manager = JobManager(path, kept, safety, check_seconds("grace", grace))

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
        responses={202: {"headers": _LOCATION}, **_TOO_LARGE},
    )
    async def create_job(changes: ChangeSet, request: Request, response: Response, wavix: WavixDep) -> Job:
        """Plan the changes that give the numbers the wanted settings, and carry them out.

        The job sends the changes as soon as they are planned; with `confirm`, only after it is started.
        """
        await asyncio.to_thread(check_change_set, changes)
        job = await manager.create(wavix, changes)
        response.headers["Location"] = f"{request.url.path.rstrip('/')}/{job.id}"
        return job

    @router.get("/jobs", summary="List jobs", response_description="The jobs.")
    async def list_jobs() -> JobList:
        """List the jobs in progress and the latest ended ones, newest first."""
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

    @router.post(
        "/jobs/{job_id}/start",
        status_code=202,
        summary="Start a planned job",
        response_description="The job has started or is about to start.",
        responses=_REFUSED,
    )
    async def start_job(job_id: _JobId) -> Job:
        """Carry out a planned job that waits for confirmation."""
        return await manager.start(job_id)

    @router.post(
        "/jobs/{job_id}/cancel",
        status_code=202,
        summary="Cancel a job",
        response_description="The job is about to stop.",
        responses=_REFUSED,
    )
    async def cancel_job(job_id: _JobId) -> Job:
        """Stop a job cleanly: requests in flight finish, and no others are sent. The job can be resumed."""
        return await manager.cancel(job_id)

    @router.post(
        "/jobs/{job_id}/resume",
        status_code=202,
        summary="Resume a job",
        response_description="The job continues.",
        responses=_REFUSED,
    )
    async def resume_job(job_id: _JobId, wavix: WavixDep) -> Job:
        """Continue a job that was cancelled or interrupted, or that ended with changes left to make."""
        return await manager.resume(wavix, job_id)

    @router.post(
        "/jobs/{job_id}/roll-back",
        status_code=202,
        summary="Undo a job",
        response_description="The roll-back of the job has begun.",
        responses=_REFUSED,
    )
    async def roll_back_job(job_id: _JobId, wavix: WavixDep) -> Job:
        """Undo the changes of the job, except where someone has changed a number since.

        From then on the job's progress, report and results are those of the roll-back.
        """
        return await manager.roll_back(wavix, job_id)
