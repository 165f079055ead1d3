"""CDRs, recordings and transcriptions: files, exports, waits, and what goes out once."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.resources.rows import cdrs, speech_analytics
from tests.support.events import SECRET, post
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    BadRequestError,
    InputError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    Timeouts,
    WaitTimeoutError,
    WavixClient,
    WavixError,
)
from wavix_async.models import CDRTranscription, FileTranscription
from wavix_async.sandbox import Sandbox
from wavix_async.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.conftest import Api

HOOK = "http://127.0.0.1:9/hook"
EVERY = (0.01, 0.02)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=0, seed=3) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(backoff=0.001)) as wavix:
        yield wavix


def add_call(sandbox: Sandbox, **changes: Any) -> str:
    call = sandbox.add_call(**{"from_": "14155550100", "to": "13125551000", **changes})
    call_id: str = call["call_id"]
    return call_id


# --- CDRs ---


async def test_an_export_gives_sparse_rows(sandbox: Sandbox, client: WavixClient, tmp_path: Path) -> None:
    calls = [add_call(sandbox, duration=60 + number) for number in range(3)]
    add_call(sandbox, disposition="busy")
    day = datetime.now(UTC).date()
    days = {"from_": day - timedelta(days=1), "to": day + timedelta(days=1)}

    export = client.cdrs.export(**days, type="received")
    rows = [row async for row in export]
    assert [row.id for row in rows] == calls
    assert [(row.call_id, row.sip_trunk) for row in rows] == [(None, None)] * 3
    assert (export.complete, export.etag is not None) == (True, True)

    saved = await client.cdrs.export(**days, type="received", disposition="all").save(tmp_path / "calls.csv")
    assert (saved.rows, saved.complete) == (4, True)
    assert (tmp_path / "calls.csv").read_text().count(",answered,") == 3


async def test_an_export_that_is_cut_off_is_never_taken_for_whole(sandbox: Sandbox, client: WavixClient) -> None:
    for _ in range(500):
        add_call(sandbox)
    sandbox.fail_next("half_body")
    export = client.cdrs.export(from_="2000-01-01", to="2100-01-01", type="received")
    with pytest.raises(WavixError, match=r"ended after \d+ rows"):
        [row async for row in export]
    assert 0 < export.rows < 500
    assert export.complete is False


async def test_an_export_sends_pages_only_when_they_are_given(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/cdrs/all", body=b"", content_type="application/x-ndjson", repeat=2)

    assert [row async for row in wavix.cdrs.export(from_="2026-11-01", to=date(2026, 11, 2), type="placed")] == []
    assert [
        row
        async for row in wavix.cdrs.export(
            from_="2026-11-01", to="2026-11-02", type="placed", disposition="all", page=2, per_page=100
        )
    ] == []
    first, second = (dict(sent.query) for sent in api.sent)
    assert first == {"from": "2026-11-01", "to": "2026-11-02", "type": "placed"}
    assert second == {**first, "disposition": "all", "page": "2", "per_page": "100"}


async def test_a_search_finds_calls_by_what_was_said(sandbox: Sandbox, client: WavixClient) -> None:
    refund = [("agent", "Good morning"), ("client", "I want a refund")]
    calls = [
        add_call(sandbox, transcription=True, speech=speech)
        for speech in (refund, [("client", "Good morning"), ("agent", "No refund")], None)
    ]
    add_call(sandbox, speech=refund)

    async def found(**transcription: Any) -> list[str | None]:
        pages = client.cdrs.search(
            from_="2000-01-01", to="2100-01-01", type="received", transcription=transcription, per_page=2
        )
        return [call.id async for call in pages]

    assert await found(any={"must": ["refund"]}) == calls[:2]
    assert await found(client={"must": ["refund"]}) == calls[:1]
    assert await found(client={"match": ["refund", "bill"]}, agent={"exclude": ["hello"]}) == calls[:1]
    assert await found(any={"exclude": ["refund"]}) == calls[2:]


async def test_a_search_whose_answer_is_lost_is_repeated(sandbox: Sandbox, client: WavixClient) -> None:
    """It only reads, although it is a POST."""
    call_id = add_call(sandbox)
    sandbox.fail_next("reset_after", match="POST /v1/cdrs")
    page = await client.cdrs.search(from_="2000-01-01", to="2100-01-01", type="received")
    assert [call.id for call in page] == [call_id]
    assert len(sandbox.requests) == 2


async def test_other_shapes_that_the_api_was_seen_to_send() -> None:
    async with (
        Sandbox(numbers=0, variants=1.0) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as client,
    ):
        call_id = add_call(sandbox)
        assert (await client.cdrs.retranscribe(call_id)).success
        transcription = await client.cdrs.transcription.get(call_id)
        assert transcription.turns is not None
        assert [turn.speaker for turn in transcription.turns] == ["13125551000", "14155550100"]
        submitted = await client.speech_analytics.upload(file=b"RIFF", filename="a.wav", callback_url=HOOK)
        assert (await client.speech_analytics.wait(submitted.request_id, every=EVERY)).status == "completed"


async def test_all_is_not_the_id_of_a_call(client: WavixClient, sandbox: Sandbox) -> None:
    with pytest.raises(InputError, match="call_id must not be 'all'"):
        await client.cdrs.get("all")
    assert not sandbox.requests


async def test_the_url_of_a_transcription_has_a_key_that_no_repr_shows(sandbox: Sandbox, client: WavixClient) -> None:
    call = await client.cdrs.get(add_call(sandbox, transcription=True), show_transcription=True)

    assert call.transcription is not None
    assert sandbox.api_key in call.transcription.url
    assert sandbox.api_key not in repr(call)
    assert str(call.recording_url).startswith(sandbox.url)
    assert "recording_url" not in repr(call)


async def test_a_call_is_transcribed_when_its_wait_ends(sandbox: Sandbox, client: WavixClient) -> None:
    call_id = add_call(sandbox)
    with pytest.raises(NotFoundError):
        await client.cdrs.transcription.get(call_id)
    await client.cdrs.retranscribe(call_id, language="de", webhook_url=HOOK)
    first = await client.cdrs.transcription.wait(call_id, every=EVERY)
    assert (first.status, first.language, first.call_uuid) == ("completed", "de", call_id)
    assert first.turns is not None
    assert [turn.speaker for turn in first.turns] == ["13125551000", "14155550100"]

    sandbox.advance(60)
    await client.cdrs.retranscribe(call_id)
    second = await client.cdrs.transcription.wait(call_id, newer_than=first.transcription_date, every=EVERY)
    assert second.transcription_date >= first.transcription_date + timedelta(seconds=60)
    assert (await client.cdrs.transcriptions.get(call_id)) == second


# --- recordings ---


@pytest.mark.parametrize("files", ["redirect", "location200", "bytes"])
async def test_a_recording_comes_in_three_ways_and_no_other_host_gets_the_key(files: Any, tmp_path: Path) -> None:
    async with (
        Sandbox(numbers=0, files=files) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as client,
    ):
        call_id = add_call(sandbox)
        content = await client.recordings.download(call_id)
        saved = await client.recordings.download(call_id).save(tmp_path)
        url = await client.recordings.download(call_id).url()

        assert content.startswith(b"ID3")
        assert (saved.path, saved.size, saved.complete) == (tmp_path / f"{call_id}.mp3", len(content), True)
        assert saved.path.read_bytes() == content
        assert (url is None) == (files == "bytes")
        assert sandbox.keys_to_file_host == 0


async def test_a_recording_is_asked_for_by_the_id_of_its_call(sandbox: Sandbox, client: WavixClient) -> None:
    with pytest.raises(InputError, match=r"call_id must not be '501', which looks like the id of a record"):
        client.recordings.download("501")
    assert not sandbox.requests


async def test_a_recording_that_was_deleted(sandbox: Sandbox, client: WavixClient) -> None:
    call_id = add_call(sandbox)
    (recording_id,) = sandbox.recordings
    # The answer is lost, and the retry hears that the recording is gone: that is a success.
    sandbox.fail_next("reset_after", match="DELETE *")

    assert (await client.recordings.delete(recording_id)).already_gone
    for call in (client.recordings.delete(recording_id), client.recordings.get(recording_id)):
        with pytest.raises(BadRequestError, match="deleted"):
            await call
    with pytest.raises(BadRequestError, match="deleted"):
        await client.recordings.download(call_id)
    assert [each async for each in client.recordings.list()] == []


async def test_recordings_of_trunks(sandbox: Sandbox, client: WavixClient) -> None:
    call_id = add_call(sandbox, type="placed")
    add_call(sandbox)
    page = await client.recordings.list(sip_trunks=["32882", "999"], from_date="2000-01-01")

    assert [each.call_uuid for each in page] == [call_id]
    assert page.invalid is not None
    assert page.invalid.sip_trunks == ["999"]


# --- what is charged goes out once ---


CHARGED: list[tuple[str, Callable[[WavixClient, str], Awaitable[object]]]] = [
    ("PUT /v1/cdrs/*", lambda client, call_id: client.cdrs.retranscribe(call_id, language="de")),
    (
        "POST /v1/speech-analytics",
        lambda client, _: client.speech_analytics.upload(file=b"RIFF", filename="a.wav", callback_url=HOOK),
    ),
    (
        "PUT /v1/speech-analytics/*",
        lambda client, _: client.speech_analytics.retranscribe("00000000-0000", callback_url=HOOK),
    ),
]


@pytest.mark.req_02
@pytest.mark.parametrize("fault", ["reset_after", "half_body", "status_500"])
@pytest.mark.parametrize(("match", "call"), CHARGED, ids=[match for match, _ in CHARGED])
async def test_a_charged_call_is_never_sent_twice(
    sandbox: Sandbox,
    client: WavixClient,
    match: str,
    call: Callable[[WavixClient, str], Awaitable[object]],
    fault: str,
) -> None:
    call_id = add_call(sandbox)
    sandbox.fail_next(fault, match=match)

    with pytest.raises(WavixError) as told:
        await call(client, call_id)

    assert told.value.outcome in {"unknown", "rejected"}
    assert len(sandbox.requests) == 1


# --- files that are transcribed ---


async def test_a_file_is_uploaded_transcribed_and_downloaded(client: WavixClient, tmp_path: Path) -> None:
    (tmp_path / "Grüße.wav").write_bytes(b"RIFF" * 1000)
    told: list[tuple[int, int | None]] = []
    submitted = await client.speech_analytics.upload(
        file=tmp_path / "Grüße.wav", callback_url=HOOK, insights=True, progress=lambda *each: told.append(each)
    )
    assert (submitted.file, submitted.success, told[-1]) == ("Grüße.wav", True, (4000, 4000))

    done = await client.speech_analytics.wait(submitted.request_id, every=EVERY)
    assert (done.status, done.pending, done.request_id) == ("completed", False, submitted.request_id)
    assert done.transcription_summary
    await client.speech_analytics.retranscribe(submitted.request_id, callback_url=HOOK)
    again = await client.speech_analytics.wait(
        submitted.request_id, newer_than=done.transcription_date - timedelta(seconds=1), every=EVERY
    )
    assert again.transcription_summary is None

    saved = await client.speech_analytics.file.download(submitted.request_id).save(tmp_path / "copy.wav")
    assert (saved.size, saved.content_type) == (4000, "audio/wav")


async def test_a_file_that_is_not_transcribed_yet() -> None:
    async with (
        Sandbox(numbers=0, transcription_delay=60) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as client,
    ):
        submitted = await client.speech_analytics.upload(file=b"x", filename="fail.mp4", callback_url=HOOK)
        early = await client.speech_analytics.get(submitted.request_id)
        assert (early.pending, early.status, early.request_id) == (True, None, None)
        sandbox.advance(60)
        late = await client.speech_analytics.get(submitted.request_id)
        assert (late.pending, late.status) == (False, "failed")
        with pytest.raises(NotFoundError):
            await client.speech_analytics.get("0")


async def test_a_large_upload_has_the_time_that_it_needs() -> None:
    async with (
        Sandbox(numbers=0, latency=0.1) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url, timeout=Timeouts(attempt=0.05)) as client,
    ):
        large = b"x" * 3_000_000
        assert (await client.speech_analytics.upload(file=large, filename="a.wav", callback_url=HOOK)).request_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file": b"x", "filename": "a.ogg"}, "a.ogg must be a WAV, MP3 or MP4 file"),
        ({"file": b"", "filename": "a.wav"}, "a.wav is empty"),
        ({"file": b"x"}, "filename is missing: pass a file name, for example filename='file.mp4'"),
        ({"file": "missing.wav"}, "cannot read missing.wav"),
        ({"file": b"x", "filename": "a.wav", "callback_url": " "}, "callback_url must be a URL"),
        ({"file": b"x", "filename": "a.wav", "insights": "yes"}, "insights must be True, False or None"),
    ],
)
async def test_an_upload_is_checked_before_anything_is_sent(
    sandbox: Sandbox, client: WavixClient, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        await client.speech_analytics.upload(**{"callback_url": HOOK, **arguments})
    assert not sandbox.requests


async def test_an_upload_whose_answer_shows_no_id_is_not_believed(api: Api, wavix: WavixClient) -> None:
    api.answer("POST", "/v1/speech-analytics", {"success": True})
    with pytest.raises(OutcomeUnknownError, match="it does not show the request_id"):
        await wavix.speech_analytics.upload(file=b"x", filename="a.wav", callback_url=HOOK)


@pytest.mark.parametrize("answer", [{"status": 204, "body": b""}, {"body": b""}, {"payload": {"success": True}}])
async def test_a_transcription_is_ordered_whatever_form_the_confirmation_has(
    api: Api, wavix: WavixClient, answer: dict[str, Any]
) -> None:
    api.answer("PUT", "/v1/cdrs/46a2/retranscribe", **answer)
    assert (await wavix.cdrs.retranscribe("46a2")).success


# --- waits, in virtual time ---

OLD = datetime(2026, 11, 1, 12, tzinfo=UTC)
NEW = datetime(2026, 11, 1, 13, tzinfo=UTC)
CALL = cdrs.CALL


class Account:
    """An account in which a transcription is there, or newer, from a time on."""

    def __init__(self, after: float, before: Reply, status: str = "completed") -> None:
        self.after, self.before, self.status = after, before, status
        self.reads: list[float] = []

    def __call__(self, seen: Seen) -> Reply:
        if seen.path == f"/v1/cdrs/{CALL}":
            return Reply(200, cdrs.CDR)
        if "/v1/cdrs/" in seen.path and CALL not in seen.path:
            return Reply(404, {"message": "Record not found"})
        now = asyncio.get_running_loop().time()
        self.reads.append(now)
        return self.answer(seen, NEW) if now >= self.after else self.before

    def answer(self, seen: Seen, made: datetime) -> Reply:
        module = cdrs if "/cdrs/" in seen.path else speech_analytics
        return Reply(200, {**module.TRANSCRIPTION, "status": self.status, "transcription_date": made.isoformat()})

    def client(self) -> WavixClient:
        stub: Any = StubSession(self)
        return WavixClient("key-for-waits", base_url="https://api.wavix.test", retry=RetryPolicy.none(), session=stub)


NOT_YET = Reply(404, {"message": "Record not found"})
PENDING = Reply(202, {"success": True, "message": "The transcription is still pending"})
OLD_CALL = Reply(200, {**cdrs.TRANSCRIPTION, "transcription_date": OLD.isoformat()})
OLD_FILE = Reply(200, {**speech_analytics.TRANSCRIPTION, "transcription_date": OLD.isoformat()})
FILE = speech_analytics.REQUEST


def wait(client: WavixClient, kind: str, **options: Any) -> Awaitable[CDRTranscription | FileTranscription]:
    if kind == "call":
        return client.cdrs.transcription.wait(CALL, **options)
    return client.speech_analytics.wait(FILE, **options)


@pytest.mark.parametrize(
    ("kind", "before", "newer_than"),
    [
        ("call", NOT_YET, None),
        ("call", OLD_CALL, OLD),
        ("file", PENDING, None),
        ("file", OLD_FILE, OLD.replace(tzinfo=None)),
        ("file", Reply(503, {}), None),
    ],
)
@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_wait_ends_with_the_transcription_good_or_bad(
    kind: str, before: Reply, newer_than: datetime | None, status: str
) -> None:
    account = Account(600, before, status)

    async def main() -> None:
        done = await wait(account.client(), kind, newer_than=newer_than)
        assert (done.status, done.transcription_date) == (status, NEW)

    run_virtual(main())
    assert 600 <= account.reads[-1] <= 630


@pytest.mark.parametrize(("kind", "before"), [("call", OLD_CALL), ("file", PENDING)])
def test_a_wait_that_is_over_has_the_last_state(kind: str, before: Reply) -> None:
    account = Account(1e9, before)

    async def main() -> None:
        with pytest.raises(WaitTimeoutError, match="is transcribed") as told:
            await wait(account.client(), kind, newer_than=OLD, timeout=100)
        last: Any = told.value.last
        assert last.pending if kind == "file" else last.transcription_date == OLD

    run_virtual(main())


def test_a_wait_for_a_call_that_does_not_exist_ends_at_once() -> None:
    account = Account(1e9, NOT_YET)

    async def main() -> None:
        with pytest.raises(NotFoundError):
            await account.client().cdrs.transcription.wait("0")

    run_virtual(main())
    assert account.reads == []


class Events:
    """Tells of the end at a time; it also tells of another one, which proves nothing."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)
        self.asked: list[tuple[str, dict[str, object]]] = []

    async def next(self, kind: type[Any], *, timeout: float | None = None, **fields: object) -> Any:
        self.asked.append((kind.__name__, fields))
        loop = asyncio.get_running_loop()
        while self.times and self.times[0] <= loop.time():
            self.times.pop(0)
        await (asyncio.sleep(self.times[0] - loop.time()) if self.times else loop.create_future())


@pytest.mark.parametrize(
    ("kind", "before", "event", "fields"),
    [
        ("call", NOT_YET, "CallTranscriptionCompleted", {"uuid": CALL}),
        ("file", PENDING, "FileTranscriptionCompleted", {"request_id": FILE}),
    ],
)
def test_an_event_makes_the_wait_read_at_once_and_is_not_believed_by_itself(
    kind: str, before: Reply, event: str, fields: dict[str, object]
) -> None:
    account, events = Account(50, before), Events(20, 50)

    async def main() -> None:
        done = await wait(account.client(), kind, events=events, every=(1000, 1000))
        assert done.status == "completed"

    run_virtual(main())
    assert account.reads == [0, 20, 50]
    assert set(map(repr, events.asked)) == {repr((event, fields))}


@pytest.mark.parametrize(
    ("kind", "before", "body"),
    [
        ("call", NOT_YET, {"uuid": CALL, "status": "completed"}),
        ("file", PENDING, {"request_id": FILE, "status": "completed", "error": None}),
    ],
)
def test_the_event_of_another_object_wakes_no_wait(kind: str, before: Reply, body: dict[str, Any]) -> None:
    account = Account(50, before)

    async def main() -> None:
        async with Webhooks(secret=SECRET) as hooks:
            waiting = asyncio.ensure_future(wait(account.client(), kind, events=hooks, every=(1000, 1000)))
            await asyncio.sleep(50)
            assert (await post(hooks.asgi, {**body, next(iter(body)): "another"})).status == 200
            await asyncio.sleep(5)
            assert (await post(hooks.asgi, body)).status == 200
            assert (await waiting).status == "completed"

    run_virtual(main())
    assert account.reads == [0, 55]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"newer_than": "2026-11-01"}, "newer_than must be a datetime"),
        ({"every": (5, 1)}, "every must be a pair of seconds"),
        ({"events": object()}, r"events must have a method next\(\)"),
    ],
)
@pytest.mark.parametrize("kind", ["call", "file"])
def test_what_a_wait_refuses(kind: str, options: dict[str, Any], message: str) -> None:
    async def main() -> None:
        with pytest.raises(WavixError, match=message):
            await wait(Account(0, NOT_YET).client(), kind, **options)

    run_virtual(main())
