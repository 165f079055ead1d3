"""Recordings of calls: `/v1/recordings`."""

import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Final

import attrs

from wavix_async._http import BaseClient, Download, Operation, SavedFile
from wavix_async.errors import InputError
from wavix_async.models.common import Success
from wavix_async.models.recordings import Recording, RecordingList, RecordingPage
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import IntId, TextId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack

if TYPE_CHECKING:
    from wavix_async.bulk import BulkProgress, BulkRun

__all__ = ["Recordings"]

LIST: Final = Operation("GET", "/v1/recordings", RecordingPage, scope="recordings:read")
GET: Final = Operation("GET", "/v1/recordings/{id}", Recording, scope="recordings:read")
DOWNLOAD: Final = Operation("GET", "/v1/recordings/{call_id}", Download, scope="recordings:read")
DELETE: Final = Operation("DELETE", "/v1/recordings/{id}", Success, scope="recordings:write", gone_key="deleted_at")

_LIST_ATTEMPTS: Final = 30
"""With the default backoff, about two minutes."""
_CALL_ID: Final = TextId("call_id", "Recording.call_uuid or CDR.id, the call's id")


def _check_call_id(call_id: object) -> str:
    """Return the id of a call whose recording to download.

    Raises:
        InputError: It is not a string, or it is the id of a record: the same path with digits is another operation.
    """
    text = _CALL_ID.check(call_id)
    if text.isdigit():
        raise InputError(
            f"call_id must not be {text!r}, which looks like the id of a record (Recording.id): pass {_CALL_ID.what}."
        )
    return text


class Recordings(Resource):
    """Recordings of calls: `/v1/recordings`."""

    _ids = (IntId("recording_id", "Recording.id, the record's id, not the call's"),)

    @unpack(RecordingList)
    def list(self, query: RecordingList) -> Paginator[RecordingPage, Recording]:
        """List the recordings (GET /v1/recordings): `await` gives one page, `async for` all of them.

        `from_` and `to` are phone numbers here, `from_date` and `to_date` days. A page also has `invalid`, the values
        of filters that matched nothing. Scope `recordings:read`; it only reads, so the client may repeat it.
        """
        return self._pages(LIST, query=query)

    async def get(self, recording_id: int) -> Recording:
        """Read the record of one recording (GET /v1/recordings/{id}).

        Scope `recordings:read`; it only reads, so the client may repeat it.

        Args:
            recording_id: The record's id (`Recording.id`), not the call's.

        Raises:
            NotFoundError: There is no such recording.
            BadRequestError: The recording was deleted.
        """
        return await self._call(GET, recording_id)

    def download(self, call_id: str) -> Download:
        """Download the recording of a call (GET /v1/recordings/{call_id}).

            saved = await wavix.recordings.download(call_id).save("call.mp3")

        Nothing is sent until you use the download: `await` it for the bytes, `save` it, or read it piece by piece. The
        client follows the redirect to where the file is, without the key. Scope `recordings:read`; it only reads, so
        the client may repeat it.

        Args:
            call_id: The call's id (`Recording.call_uuid`, `CDR.id`), not the record's.

        Raises:
            InputError: The id is not a string, or has only digits, as the ids of records have.
        """
        return self._client.download(DOWNLOAD, path={"call_id": _check_call_id(call_id)})

    def download_all(
        self,
        recordings: RecordingList | Iterable[Recording | str] | AsyncIterable[Recording | str] | None = None,
        *,
        to: "str | os.PathLike[str]",
        concurrency: int = 8,
        accept_unknown_length: bool = False,
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: "str | os.PathLike[str] | None" = None,
    ) -> "BulkRun[str, SavedFile]":
        """Download many recordings to a folder, and get an exact result for each (GET /v1/recordings/{call_id}).

            yesterday = RecordingList(from_date="2026-11-28", to_date="2026-11-28")
            report = await wavix.recordings.download_all(yesterday, to="recordings")
            print(report.succeeded, report.skipped, report.failed)

        Each file is named for the id of its call, and for what it contains: `<call id>.mp3`. A file is there as a whole
        or not at all, so a second run goes on where the first has ended: it skips the files that are there. The folder
        must belong to one run at a time. `concurrency` limits the memory, for any number and size of recordings.

        Nothing is sent until you await the run or iterate over it, as in `numbers.bulk_update`. Each recording ends as
        `done`, `failed` or `not_sent`; `attempts` is 0 if its file was there before. An empty file fails. In an outage
        the run waits up to two minutes; then it stops. The first 401, 402 or 403 stops the run, too. Scope
        `recordings:read`; it only reads, so the client may repeat it.

        Args:
            recordings: Which recordings: a filter, or recordings or call ids in an iterable or an async iterable.
                None: all recordings of the account.
            to: The folder; the run creates it.
            concurrency: How many files to download at once.
            accept_unknown_length: Whether to keep a file whose length the server does not tell, which may have been cut
                off. By default such a recording fails.
            on_progress: Called with a `BulkProgress` about ten times a second, and at the end.
            failures_to: A file for all failures, because the report keeps only the first 1,000: CSV if its name ends in
                `.csv`, otherwise one JSON object per line.

        Returns:
            The run. The value of a result is a `SavedFile`: its path and its size.

        Raises:
            InputError: `recordings` is none of these, or `to` is a file.
            ConfigurationError: `concurrency` is less than 1. When the run starts: `failures_to` cannot be written.
            WavixError: When the run lists the recordings: the list cannot be read. What was saved stays.
            OSError: When the run starts, or later: the folder cannot be written. What was saved stays.
        """
        # Only programs that download many recordings load the bulk engine.
        from wavix_async.bulk import BulkRun
        from wavix_async.resources._recording_files import RecordingFiles

        if recordings is None or isinstance(recordings, RecordingList):
            recordings = self._all_of(RecordingList() if recordings is None else recordings)
        files = RecordingFiles(to, DOWNLOAD, _check_call_id, accept_unknown_length=accept_unknown_length)
        return BulkRun(
            self._client,
            files.items(recordings),
            operation=files.operation(),
            concurrency=concurrency,
            on_progress=on_progress,
            failures_to=failures_to,
        )

    async def _all_of(self, query: RecordingList) -> AsyncGenerator[Recording, None]:
        # The list begins with the run: a run that is refused must not warn of a list that was never awaited.
        async for recording in Recordings(self._patient())._pages(LIST, query=query):
            yield recording

    def _patient(self) -> BaseClient:
        """Return a client for lists that must outlast an outage as the downloads do, and let other calls go first."""
        retry = self._client.retry
        if retry.attempts > 1:
            retry = attrs.evolve(retry, attempts=max(retry.attempts, _LIST_ATTEMPTS))
        return self._client.with_options(lane="bulk", retry=retry)

    async def delete(self, recording_id: int) -> Success:
        """Delete a recording and its file for good (DELETE /v1/recordings/{id}).

        Scope `recordings:write`; a second delete changes nothing, so the client may repeat it.

        Args:
            recording_id: The record's id (`Recording.id`), not the call's.

        Returns:
            The confirmation; `already_gone` is True if an earlier attempt without an answer had already succeeded.

        Raises:
            NotFoundError: There is no such recording.
            BadRequestError: The recording was deleted before; `error.details` has `deleted_at`.
        """
        return await self._call(DELETE, recording_id)
