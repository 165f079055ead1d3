"""Locks: one process at a time holds a lock, and the system releases it even if the process is killed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from wavix_async._files import Lock, is_held

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from wavix_async._files import Lock

lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    assert not is_held(path)
    with Lock(path) as lock:
        assert is_held(path)
        with pytest.raises(BlockingIOError, match=r"run\.sqlite"):
            Lock(path)
        lock.release()
        assert not is_held(path)
        lock.release()
    with Lock(path):
        assert is_held(path)
    assert not is_held(path)


def test_the_lock_is_a_file_beside_the_other_which_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    Lock(path).release()
    assert [each.name for each in tmp_path.iterdir()] == ["run.sqlite.lock"]


def test_a_link_and_its_target_have_one_lock(tmp_path: Path) -> None:
    path, link = tmp_path / "run.sqlite", tmp_path / "link"
    link.symlink_to(path)
    with Lock(link), pytest.raises(BlockingIOError):
        Lock(path)


def test_a_temporary_file_has_nothing_to_lock() -> None:
    with Lock(None) as first, Lock(None) as second:
        assert first is not second


def test_where_no_file_can_be_written_the_error_is_that_of_the_system(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "run.sqlite"
    with pytest.raises(FileNotFoundError):
        Lock(path)
    assert not is_held(path)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_held(path)
        with pytest.raises(BlockingIOError):
            Lock(path)
        process.kill()
        process.wait()
    assert not is_held(path)
    with Lock(path):
        pass
