"""`check_job_store`: the promises of `JobStore`, as a test for a store of your own."""

import secrets
from collections.abc import Callable, Iterator

from wavix_async.types import JobPart, JobStore

__all__ = ["check_job_store"]


def check_job_store(make: Callable[[], JobStore]) -> None:
    """Test that a store keeps what `JobStore` promises; call it in a test of your own.

    Args:
        make: Returns a store of the same, empty place each time: what one of them writes, the others read.

    Raises:
        AssertionError: The store breaks a promise, which the text names.
    """
    one, other = make(), make()
    job_id, second = secrets.token_hex(18), secrets.token_hex(18)

    def read(part: JobPart) -> bytes | None:
        stream = other.open(job_id, part)
        if stream is None:
            return None
        with stream:
            return stream.read()

    _check(not list(one.ids()), "a new store has no ids")
    _check(read("job") is None, "open() returns None for a part that does not exist")
    one.remove(job_id)
    one.remove(job_id, "request")

    one.write(job_id, "request", [b"1\n", b"2\n"])
    _check(not list(other.ids()), "ids() has only jobs with the part 'job'")
    _check(read("request") == b"1\n2\n", "open() returns the chunks of write(), joined")
    one.write(job_id, "job", [b"{}"])
    one.write(second, "job", [b"[]"])
    _check(sorted(other.ids()) == sorted([job_id, second]), "ids() has every job once")
    _check(read("job") == b"{}", "the jobs, and the parts of a job, are kept apart")
    one.write(job_id, "cancel", ())
    _check(read("cancel") == b"", "a part of no bytes exists")

    try:
        one.write(job_id, "request", _fail())
    except ZeroDivisionError:
        pass
    _check(read("request") == b"1\n2\n", "write() that fails changes nothing")
    stream = other.open(job_id, "request")
    one.write(job_id, "request", [b"3"])
    _check(stream is not None and next(iter(stream)) in (b"1\n", b"3"), "a reader sees the old bytes or the new ones")
    if stream is not None:
        stream.close()
    _check(read("request") == b"3", "write() replaces a part")

    claim = one.claim(job_id)
    _check(other.is_claimed(job_id), "is_claimed() is true while a job is claimed")
    _check(not other.is_claimed(second), "a claim is for one job")
    for store in (one, other):
        try:
            store.claim(job_id).release()
        except BlockingIOError:
            continue
        _check(False, "claim() of a claimed job raises BlockingIOError")
    claim.release()
    _check(not other.is_claimed(job_id), "is_claimed() is false after release()")
    other.claim(job_id).release()

    _check(one.journal(job_id) == other.journal(job_id), "journal() is always the same path")
    _check(one.journal(job_id) != one.journal(second), "each job has a journal of its own")
    one.journal(job_id).touch()
    one.remove(job_id, "request")
    _check(read("request") is None and read("job") == b"{}", "remove() with a part removes only that")
    one.remove(job_id)
    _check(not one.journal(job_id).exists(), "remove() removes the journal")
    _check(read("job") is None and list(other.ids()) == [second], "remove() removes the whole job, and no other")
    one.remove(second)


def _fail() -> Iterator[bytes]:
    yield b"4"
    raise ZeroDivisionError


def _check(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"The job store breaks a promise: {promise}.")
