"""Transcriptions of uploaded files: `/v1/speech-analytics`."""

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import IO, Final

import attrs

from wavix_async._http import Download, EventSource, Operation, Part
from wavix_async.errors import InputError
from wavix_async.models.common import Success
from wavix_async.models.speech_analytics import (
    FileTranscription,
    FileTranscriptionSubmission,
    SpeechRetranscription,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import is_newer, moment, wait_until

__all__ = ["SpeechAnalytics", "SpeechFile"]

UPLOAD: Final = Operation(
    "POST", "/v1/speech-analytics", FileTranscriptionSubmission, scope="calls:write", proof="request_id"
)
GET: Final = Operation(
    "GET", "/v1/speech-analytics/{request_id}", FileTranscription, scope="calls:read", pending_202=True
)
# Each transcription is charged.
RETRANSCRIBE: Final = Operation(
    "PUT", "/v1/speech-analytics/{request_id}", Success, scope="calls:write", idempotent=False
)
DOWNLOAD: Final = Operation("GET", "/v1/speech-analytics/{request_id}/file", Download, scope="calls:read")

_REQUEST_ID: Final = TextId("request_id", "FileTranscriptionSubmission.request_id")
_MOST: Final = 25
"""The API's limit of a file, in MB."""
_SLOWEST: Final = 128 * 1024
"""Bytes a second. A slower upload may run into the timeout, and then be charged for nothing."""


class SpeechFile(Resource):
    """The uploaded file of a transcription: `/v1/speech-analytics/{request_id}/file`."""

    _ids = (_REQUEST_ID,)

    def download(self, request_id: str) -> Download:
        """Download the file that was uploaded (GET /v1/speech-analytics/{request_id}/file).

        Nothing is sent until you use the download: `await` it for the bytes, `save` it, or read it piece by piece.
        Scope `calls:read`; it only reads, so the client may repeat it.

        Args:
            request_id: The id that the upload returned.
        """
        return self._download(DOWNLOAD, request_id)


class SpeechAnalytics(Resource):
    """Transcriptions of uploaded files: `/v1/speech-analytics`."""

    _ids = (_REQUEST_ID,)

    @cached_property
    def file(self) -> SpeechFile:
        """The uploaded file of a transcription: `/v1/speech-analytics/{request_id}/file`."""
        return SpeechFile(self._client)

    async def upload(
        self,
        *,
        file: "str | os.PathLike[str] | bytes | IO[bytes]",
        callback_url: str,
        insights: bool | None = None,
        filename: str | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> FileTranscriptionSubmission:
        """Upload a file to be transcribed (POST /v1/speech-analytics).

        The API answers at once and transcribes later: see `wait`. Scope `calls:write`. Each minute is charged, so the
        upload is never sent twice. No list of uploads exists: after an unknown outcome the transcription, if there is
        one, can be found only by its event. `Timeouts.attempt` is longer here by a second for each 128 KB.

        Args:
            file: A path, the bytes, or a file object open for reading bytes; WAV, MP3 or MP4 in stereo, at most 25 MB.
            callback_url: The http or https URL to which the end of the transcription is posted.
            insights: Whether to make a summary and a score, too.
            filename: The name to show; needed with bytes, and with a file object that has no name.
            progress: Called with the bytes of a path that were sent so far, and its size.

        Returns:
            The id of the transcription. Keep it: the API does not show it again.

        Raises:
            InputError: The file is missing, empty, too large or of another type, or `callback_url` is empty.
            OutcomeUnknownError: The connection broke, or the answer shows no id: the file may be transcribed.
            UnprocessableEntityError: The account has insufficient funds.
        """
        if not isinstance(callback_url, str) or not callback_url.strip():
            raise InputError(f"callback_url must be a URL, got {callback_url!r}.")
        if insights is not None and not isinstance(insights, bool):
            raise InputError(f"insights must be True, False or None, got {insights!r}.")
        from wavix_async.resources._uploads import RECORDINGS, file_part

        content = await asyncio.to_thread(
            file_part, "file", file, filename, suffixes=RECORDINGS, most=_MOST, progress=progress
        )
        parts = [Part("callback_url", callback_url.encode())]
        if insights is not None:
            parts.append(Part("insights", b"true" if insights else b"false"))
        size = len(content.content) if isinstance(content.content, bytes) else content.content.size
        timeouts = self._client.timeouts
        client = self._client.with_options(timeout=attrs.evolve(timeouts, attempt=timeouts.attempt + size / _SLOWEST))
        return await client.call(UPLOAD, parts=(*parts, content))

    async def get(self, request_id: str) -> FileTranscription:
        """Read the transcription of a file (GET /v1/speech-analytics/{request_id}).

        While the API works on it, `pending` is True and all other fields are None. Scope `calls:read`; it only reads,
        so the client may repeat it.

        Args:
            request_id: The id that the upload returned.

        Raises:
            NotFoundError: There is no such transcription.
        """
        return await self._call(GET, request_id)

    async def wait(
        self,
        request_id: str,
        *,
        newer_than: datetime | None = None,
        events: EventSource | None = None,
        every: tuple[float, float] = (5.0, 30.0),
        timeout: float | None = 1800.0,
    ) -> FileTranscription:
        """Wait until a file is transcribed (GET /v1/speech-analytics/{request_id} until it is).

        The reads are in the bulk lane: other calls go first.

        Args:
            request_id: The id that the upload returned.
            newer_than: Wait for a transcription that is newer: the `transcription_date` of the one to replace.
            events: Where `file_transcription` events arrive, to read at once after one: `callback_url` must lead there.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.

        Returns:
            The transcription, `completed` or `failed`: look at its `status`.

        Raises:
            WaitTimeoutError: The file is not transcribed in time; `last` is the transcription as it was read last.
            NotFoundError: There is no such transcription.
        """
        path, newer_than = self._path(GET, (request_id,)), moment("newer_than", newer_than)
        return await wait_until(
            self._client,
            lambda client: client.call(GET, path=path),
            lambda found: not found.pending and is_newer(found.transcription_date, newer_than),
            what=f"file {request_id} is transcribed",
            every=every,
            timeout=timeout,
            events=events,
            event="FileTranscriptionCompleted",
            request_id=request_id,
        )

    @unpack(SpeechRetranscription)
    async def retranscribe(self, request_id: str, options: SpeechRetranscription) -> Success:
        """Transcribe a file again; the result replaces the older one (PUT /v1/speech-analytics/{request_id}).

        The API answers at once and transcribes later: see `wait`. Scope `calls:write`. Each minute is charged again, so
        the call is never sent twice. After an unknown outcome, `get` shows a newer `transcription_date` if it was
        carried out; an older one proves nothing yet.

        Args:
            request_id: The id that the upload returned.

        Raises:
            NotFoundError: There is no such transcription.
            UnprocessableEntityError: The account has insufficient funds.
            OutcomeUnknownError: No certain answer came: the file may be transcribed, and charged.
        """
        return await self._call(RETRANSCRIBE, request_id, body=options)
