"""What the type checkers make of CDRs, recordings and transcriptions. Never run: mypy and pyright read it."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from wavix_async import Download, Export, Paginator, SavedFile, Success, WavixClient
from wavix_async.bulk import BulkReport, BulkRun
from wavix_async.models import (
    CDR,
    CallDisposition,
    CDRPage,
    CDRTranscription,
    FileTranscript,
    FileTranscription,
    FileTranscriptionSubmission,
    Recording,
    RecordingList,
    RecordingPage,
    TranscriptionFilter,
    TranscriptionLanguage,
    TranscriptionTerms,
    TranscriptTurn,
)


async def calls(wavix: WavixClient) -> None:
    listed = wavix.cdrs.list(from_=date(2026, 11, 1), to="2026-11-30", type="placed", disposition="all")
    assert_type(listed, Paginator[CDRPage, CDR])
    words = TranscriptionFilter(agent=TranscriptionTerms(must=["Hello"]), any={"match": ["bill"]})
    assert_type(
        wavix.cdrs.search(from_="2026-11-01", to="2026-11-30", type="placed", transcription=words),
        Paginator[CDRPage, CDR],
    )
    export = wavix.cdrs.export(from_="2026-11-01", to="2026-11-30", type="placed")
    assert_type(export, Export[CDR])
    async for call in export:
        assert_type(call.id, str)
        assert_type(call.charge, Decimal | None)
        assert_type(call.disposition, CallDisposition)
    assert_type(await wavix.cdrs.get("46a2", show_transcription=True), CDR)
    assert_type(await wavix.cdrs.retranscribe("46a2", language=TranscriptionLanguage.DE), Success)
    transcription = await wavix.cdrs.transcription.wait("46a2", newer_than=datetime.now().astimezone(), timeout=60)
    assert_type(transcription, CDRTranscription)
    assert_type(transcription.turns, list[TranscriptTurn] | None)
    assert_type(await wavix.cdrs.transcriptions.get("46a2"), CDRTranscription)
    wavix.cdrs.list(from_="2026-11-01", to="2026-11-30")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def recordings(wavix: WavixClient) -> None:
    listed = wavix.recordings.list(from_date="2026-11-01", sip_trunks=["32882"])
    assert_type(listed, Paginator[RecordingPage, Recording])
    assert_type(wavix.recordings.download("46a2"), Download)
    assert_type(await wavix.recordings.delete(1), Success)
    run = wavix.recordings.download_all(RecordingList(from_date=date(2026, 11, 1)), to=Path("recordings"))
    assert_type(run, BulkRun[str, SavedFile])
    report = await run
    assert_type(report, BulkReport[str, SavedFile])
    assert_type(report.skipped, int)
    async for result in wavix.recordings.download_all(["46a2"], to="recordings", concurrency=2):
        assert_type(result.value, SavedFile | None)
    wavix.recordings.download_all(listed, to="recordings")
    wavix.recordings.download_all(some(), to="recordings")
    wavix.recordings.download_all(to="recordings")
    wavix.recordings.download_all()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.recordings.download(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def some() -> AsyncIterator[Recording | str]:
    yield "46a2"


async def files(wavix: WavixClient) -> None:
    made = await wavix.speech_analytics.upload(file="call.wav", callback_url="https://hooks.example.com/1")
    assert_type(made, FileTranscriptionSubmission)
    assert_type(await wavix.speech_analytics.get(made.request_id), FileTranscription)
    done = await wavix.speech_analytics.wait(made.request_id)
    assert_type(done.transcript, FileTranscript | None)
    assert_type(done.pending, bool)
    assert_type(wavix.speech_analytics.file.download(made.request_id), Download)
    assert_type(await wavix.speech_analytics.retranscribe(made.request_id, callback_url="https://a.example"), Success)
