"""Transcriptions of uploaded files.

The vendor's documentation leaves some questions open. We assume: while a file is transcribed again, it is pending
again. Prices and texts are our own. A file whose name has the word `fail` cannot be transcribed.
"""

from collections.abc import Sequence
from pathlib import PurePath

from attrs import define

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.filters import Record, iso
from wavix_async.sandbox._groups.forms import read_form
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import URL, json_object
from wavix_async.sandbox._server import ApiError, Call, Reply, Route, invalid

_PRICE, _TYPE = "0.01", 49
_MAX_FILE = 25 * 1024 * 1024
_MEDIA = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".mp4": "audio/mp4"}
_PENDING = {"success": True, "message": "The transcription is still pending"}
_TRIES_OF_ANOTHER_RUN = 3
"""How often the API tries to deliver the event of a file that is transcribed again."""


@define
class _File:
    name: str
    content: bytes
    runs: int = 0
    """Transcriptions that are not finished."""


class SpeechAnalytics:
    """Transcriptions of uploaded files of the account."""

    def __init__(self, context: Context) -> None:
        self.base_url = ""
        self._context = context
        self._files: dict[str, _File] = {}
        self.transcriptions = Collection(
            context, ids=Uuids(context.seed, "speech"), key=lambda record: record["request_id"], record=dict
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        files, one = "/v1/speech-analytics", "/v1/speech-analytics/{request_id}"
        return (
            Route("POST", files, "calls:write", self._upload, charged=True, upload=True),
            Route("GET", one, "calls:read", self._get),
            Route("PUT", one, "calls:write", self._retranscribe, charged=True),
            Route("GET", f"{one}/file", "calls:read", self._file),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.transcriptions.reset()
        self._files.clear()

    async def _upload(self, call: Call) -> Reply:
        form = await read_form(call.request, "file")
        if PurePath(form.filename).suffix.lower() not in _MEDIA:
            raise invalid("file", "a WAV, MP3 or MP4 file is needed")
        if not form.content:
            raise invalid("file", "the file is empty")
        if len(form.content) > _MAX_FILE:
            raise invalid("file", "the file is larger than 25 MB")
        URL("callback_url", form.fields.get("callback_url"))
        insights = form.fields.get("insights", "false")
        if insights not in ("true", "false"):
            raise invalid("insights")
        with self._context.lock:
            self._context.charge(_PRICE, _TYPE, f"Transcription of {form.filename}")
            request_id = Uuids(self._context.seed, "speech").make(len(self._files))
            self._files[request_id] = _File(form.filename, form.content)
            self._transcribe_later(request_id, form.fields["callback_url"], insights=insights == "true")
        return Reply.of(201, {"file": form.filename, "request_id": request_id, "success": True})

    def _find(self, call: Call) -> _File:
        found = self._files.get(call.ids[0])
        if found is None:
            raise ApiError(404, "Record not found")
        return found

    def _get(self, call: Call) -> Reply:
        if self._find(call).runs:
            return Reply.of(202, _PENDING)
        return self.transcriptions.get(call)

    def _retranscribe(self, call: Call) -> Reply:
        given = json_object(call.body)
        URL("callback_url", given["callback_url"])
        file = self._find(call)
        self._context.charge(_PRICE, _TYPE, f"Transcription of {file.name}")
        insights = given.get("insights", False)
        self._transcribe_later(call.ids[0], given["callback_url"], insights=insights, tries=_TRIES_OF_ANOTHER_RUN)
        return Reply.of(200, {"success": True})

    async def _file(self, call: Call) -> Reply:
        with self._context.lock:
            file = self._find(call)
        return await self._context.files.reply(file.name, _MEDIA[PurePath(file.name).suffix.lower()], file.content)

    def _transcribe_later(
        self, request_id: str, callback_url: str, *, insights: bool, tries: int | None = None
    ) -> None:
        file = self._files[request_id]
        file.runs += 1

        def transcribe() -> None:
            file.runs -= 1
            record = self._transcription(request_id, file, insights=insights)
            self.transcriptions.add(record)
            error = None if record["status"] == "completed" else "The file cannot be transcribed"
            event = {"request_id": request_id, "status": record["status"], "error": error}
            self._context.outbox.post("file_transcription", callback_url, event, tries=tries)

        self._context.timers.after(self._context.transcription_delay, transcribe)

    def _transcription(self, request_id: str, file: _File, *, insights: bool) -> Record:
        failed = "fail" in file.name
        turns = [
            {"speaker": "channel_1", "s": 600, "e": 700, "text": "Hi there", "sentiment": "positive"},
            {"speaker": "channel_2", "s": 800, "e": 900, "text": "Hello", "sentiment": "neutral"},
        ]
        return {
            "transcript": None if failed else {"channel_1": "Hi there", "channel_2": "Hello"},
            "turns": None if failed else turns,
            "request_id": request_id,
            "language": None if failed else "en",
            "duration": None if failed else 102,
            "charge": "0.0" if failed else "0.01",
            "status": "failed" if failed else "completed",
            "transcription_date": iso(self._context.date()),
            "transcription_score": "3.8" if insights and not failed else None,
            "transcription_summary": "Two people greet each other." if insights and not failed else None,
            "original_file": f"{self.base_url}/v1/speech-analytics/{request_id}/file",
        }
