"""`UNSET`, and types for public signatures."""

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol, TypeAlias

__all__ = ["UNSET", "JobClaim", "JobPart", "JobStore", "Outcome", "UnsetType"]


class UnsetType(enum.Enum):
    """The type of `UNSET`; write `str | None | UnsetType` for a field that can be left out, cleared or set."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        """Return False, so that `if update.sms_relay_url:` skips a field that is not set."""
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = UnsetType.UNSET
"""The value of a field that is not sent, so that it keeps its value. `None` is sent as null and clears the field."""

Outcome: TypeAlias = Literal["not_sent", "rejected", "unknown"]
"""What is known about a failed call: it was never sent, the API rejected it, or it may have been carried out."""

JobPart: TypeAlias = Literal["job", "request", "changes", "cancel"]
"""What a store keeps of a job, each as bytes: its state, its request, the planned changes as lines, and the marker that
asks the process that works on it to stop."""


class JobClaim(Protocol):
    """The right to work on a job. It must end with its process, even when the process is killed."""

    def release(self) -> None:
        """Let another process claim the job."""


class JobStore(Protocol):
    """Where a router keeps its jobs: `fleet_jobs(store=...)`.

    The router calls the methods in threads, several at once, and they may block. A method that fails raises `OSError`,
    which the router answers with `/problems/storage`. An id always has the form that `FileJobStore` gives it. The
    journal of a job is a file in every store. `check_job_store` tests a store of your own.
    """

    def ids(self) -> Iterable[str]:
        """Return the ids of all jobs that have the part `job`, in any order."""
        ...

    def open(self, job_id: str, part: JobPart) -> BinaryIO | None:
        """Open a part of a job for reading; None if the job does not have it."""
        ...

    def write(self, job_id: str, part: JobPart, chunks: Iterable[bytes]) -> None:
        """Replace a part of a job as a whole: a reader sees the old bytes or the new ones, and never a mixture."""
        ...

    def remove(self, job_id: str, part: JobPart | None = None) -> None:
        """Remove a part of a job, or without `part` the whole job and its journal. What is missing is no error."""
        ...

    def claim(self, job_id: str) -> JobClaim:
        """Claim a job for this process. The router writes every part except `cancel` only under its claim.

        Raises:
            BlockingIOError: The job is claimed already.
        """
        ...

    def is_claimed(self, job_id: str) -> bool:
        """Return whether a process has claimed a job."""
        ...

    def journal(self, job_id: str) -> Path:
        """Return the path of a job's journal, an SQLite file that the router creates, on a local disk."""
        ...
