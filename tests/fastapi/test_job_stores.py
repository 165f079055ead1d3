"""`JobStore`: the stores keep its promises, and the check finds stores that do not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.job_stores import MemoryJobStore
from wavix_async.fastapi import FileJobStore, JobStore
from wavix_async.testing import check_job_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_directory_is_a_store(tmp_path: Path):
    check_job_store(lambda: FileJobStore(tmp_path / "jobs"))
    # The locks of the two jobs are all that is left of one, and nothing of the other.
    assert list((tmp_path / "jobs").iterdir()) == []


def test_memory_is_a_store(tmp_path: Path):
    store: JobStore = MemoryJobStore(tmp_path)
    check_job_store(lambda: store)


class KeepsNothing(MemoryJobStore):
    def write(self, job_id: str, part: Any, chunks: Any) -> None:
        list(chunks)


class WritesHalf(MemoryJobStore):
    def write(self, job_id: str, part: Any, chunks: Any) -> None:
        self.parts[job_id, part] = b""
        for chunk in chunks:
            self.parts[job_id, part] += chunk


class ForgetsEmpty(MemoryJobStore):
    def open(self, job_id: str, part: Any) -> Any:
        return io.BytesIO(content) if (content := self.parts.get((job_id, part))) else None


class ClaimsTwice(MemoryJobStore):
    def claim(self, job_id: str) -> Any:
        self._claimed.discard(job_id)
        return super().claim(job_id)


class OneJournal(MemoryJobStore):
    def journal(self, job_id: str) -> Path:
        return super().journal("job")


class KeepsJournals(MemoryJobStore):
    def remove(self, job_id: str, part: Any = None) -> None:
        for each in ("job", "request", "changes", "cancel") if part is None else (part,):
            super().remove(job_id, each)  # type: ignore[arg-type]


class ListsRequests(MemoryJobStore):
    def ids(self) -> Any:
        return {job_id for job_id, _ in self.parts}


@pytest.mark.parametrize(
    ("make", "promise"),
    [
        (KeepsNothing, "open"),
        (WritesHalf, "fails changes nothing"),
        (ForgetsEmpty, "no bytes"),
        (ClaimsTwice, "claim"),
        (OneJournal, "journal of its own"),
        (KeepsJournals, "removes the journal"),
        (ListsRequests, "part 'job'"),
    ],
)
def test_the_check_finds_what_breaks_a_promise(make: Callable[[Path], JobStore], promise: str, tmp_path: Path):
    store = make(tmp_path)
    with pytest.raises(AssertionError, match="breaks a promise") as caught:
        check_job_store(lambda: store)
    assert promise in str(caught.value)
