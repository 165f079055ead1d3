"""A job store in memory, as a user writes one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wavix_async.types import JobPart


class MemoryJobStore:
    """Keeps jobs as long as its process lives; their journals are files in a directory."""

    def __init__(self, journals: Path) -> None:
        self.parts: dict[tuple[str, JobPart], bytes] = {}
        self._claimed: set[str] = set()
        self._journals = journals

    def ids(self) -> Iterable[str]:
        return [job_id for job_id, part in list(self.parts) if part == "job"]

    def open(self, job_id: str, part: JobPart) -> BinaryIO | None:
        content = self.parts.get((job_id, part))
        return None if content is None else io.BytesIO(content)

    def write(self, job_id: str, part: JobPart, chunks: Iterable[bytes]) -> None:
        self.parts[job_id, part] = b"".join(chunks)

    def remove(self, job_id: str, part: JobPart | None = None) -> None:
        for key in list(self.parts):
            if key[0] == job_id and part in (None, key[1]):
                self.parts.pop(key, None)
        if part is None:
            for path in self._journals.glob(f"{job_id}*"):
                path.unlink()

    def claim(self, job_id: str) -> _Claim:
        if job_id in self._claimed:
            raise BlockingIOError(f"The job {job_id} is claimed.")
        self._claimed.add(job_id)
        return _Claim(self._claimed, job_id)

    def is_claimed(self, job_id: str) -> bool:
        return job_id in self._claimed

    def journal(self, job_id: str) -> Path:
        return self._journals / f"{job_id}.sqlite"


class _Claim:
    def __init__(self, claimed: set[str], job_id: str) -> None:
        self._claimed, self._job_id = claimed, job_id

    def release(self) -> None:
        self._claimed.discard(self._job_id)
