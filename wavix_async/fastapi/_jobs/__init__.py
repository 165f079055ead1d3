"""Bulk jobs over HTTP: the router `fleet_jobs` and its parts."""

from wavix_async.fastapi._jobs.manager import JobManager
from wavix_async.fastapi._jobs.problems import JobProblem, problem_of_storage
from wavix_async.fastapi._jobs.records import JobRecords
from wavix_async.fastapi._jobs.request_body import shorten_problems
from wavix_async.fastapi._jobs.router import fleet_jobs
from wavix_async.fastapi._jobs.schemas import Job, JobState
from wavix_async.fastapi._jobs.shutdown import on_shutdown_signal
from wavix_async.fastapi._jobs.store import FileJobStore, new_id

__all__ = [
    "FileJobStore",
    "Job",
    "JobManager",
    "JobProblem",
    "JobRecords",
    "JobState",
    "fleet_jobs",
    "new_id",
    "on_shutdown_signal",
    "problem_of_storage",
    "shorten_problems",
]
