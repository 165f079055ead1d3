"""CDRs, recordings and transcriptions in the sandbox: shapes, filters, states, files, events, errors."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, FormData

from wavix_async.sandbox import Sandbox

HOOK = "https://hooks.example.com/1"
US, THEM = "13125551000", "14155550100"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=0, seed=5) as running:
        yield running


async def ask(sandbox: Sandbox, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any]:
    """Return the status and the JSON of an answer; of a redirect, where it leads."""
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    given = {"data": body} if isinstance(body, FormData | bytes) else {"json": body}
    async with (
        ClientSession(sandbox.url, headers=headers) as session,
        session.request(method, f"/v1/{path}", params=params, allow_redirects=False, **given) as got,
    ):
        content = await got.read()
        return got.status, got.headers.get("Location") or (json.loads(content) if content else None)


def call(sandbox: Sandbox, **changes: Any) -> str:
    made = sandbox.add_call(**{"from_": THEM, "to": US, **changes})
    call_id: str = made["call_id"]
    return call_id


def all_days(**more: Any) -> dict[str, Any]:
    return {"from": "2000-01-01", "to": "2100-01-01", "type": "received", **more}


async def listed(sandbox: Sandbox, **params: Any) -> list[str]:
    status, answer = await ask(sandbox, "GET", "cdrs", **all_days(**params))
    assert status == 200, answer
    return [each["call_id"] for each in answer["items"]]


# --- CDRs ---


async def test_each_answer_has_the_fields_that_the_api_gives_it(sandbox: Sandbox) -> None:
    call_id = call(sandbox, duration=61, transcription=True, began=datetime(2026, 3, 1, 9, 30, tzinfo=UTC))
    _, got = await ask(sandbox, "GET", f"cdrs/{call_id}", show_transcription="true")
    assert got == {
        "date": "2026-03-01T09:30:00.000Z",
        "from": THEM,
        "to": US,
        "disposition": "answered",
        "duration": 61,
        "destination": "Main office",
        "per_minute": "0.02",
        "charge": "0.040",
        "sip_trunk": None,
        "forward_fee": "0.0",
        "uuid": call_id,
        "call_id": call_id,
        "parent_uuid": None,
        "parent_call_id": None,
        "answered_by": "human",
        "recording_url": f"{sandbox.url}/v1/recordings/{call_id}",
        "transcription": {
            "uuid": sandbox.call_transcriptions[call_id]["uuid"],
            "url": f"{sandbox.url}/v1/cdrs/{call_id}/transcription?appid={sandbox.api_key}",
        },
    }
    assert got == sandbox.cdrs[call_id]
    _, plain = await ask(sandbox, "GET", f"cdrs/{call_id}")
    assert got.keys() - plain.keys() == {"transcription"}
    _, page = await ask(sandbox, "GET", "cdrs", **all_days())
    assert got.keys() - page["items"][0].keys() == {"recording_url", "transcription"}
    _, found = await ask(sandbox, "POST", "cdrs", all_days())
    assert got.keys() - found["items"][0].keys() == {"recording_url"}


async def test_filters(sandbox: Sandbox) -> None:
    first = call(sandbox, began=datetime(2026, 3, 1, 9, 30, tzinfo=UTC))
    second = call(sandbox, from_="442071234567", began=datetime(2026, 3, 2, tzinfo=UTC))
    busy = call(sandbox, disposition="busy")
    placed = call(sandbox, type="placed", from_=US, to=THEM)

    assert await listed(sandbox) == [first, second]
    assert await listed(sandbox, disposition="all") == [first, second, busy]
    assert await listed(sandbox, disposition="busy") == [busy]
    assert await listed(sandbox, type="placed", sip_trunk="32882") == [placed]
    assert await listed(sandbox, type="placed", sip_trunk="1") == []
    assert await listed(sandbox, sip_trunk="1") == [first, second]
    assert await listed(sandbox, **{"from": "2026-03-01", "to": "2026-03-01"}) == [first]
    assert await listed(sandbox, from_search="7123") == [second]
    assert await listed(sandbox, to_search="9999") == []
    assert await listed(sandbox, uuid=second) == [second]
    assert await listed(sandbox, page="2", per_page="1") == [second]


@pytest.mark.parametrize(
    "params",
    [
        {"to": "2026-01-01", "type": "received"},
        {"from": "2026-01-01", "to": "2026-01-01"},
        all_days(**{"from": "yesterday"}),
        all_days(type="both"),
        all_days(disposition="lost"),
    ],
)
@pytest.mark.parametrize("path", ["cdrs", "cdrs/all"])
async def test_a_filter_that_is_missing_or_wrong(sandbox: Sandbox, path: str, params: dict[str, Any]) -> None:
    status, answer = await ask(sandbox, "GET", path, **params)
    assert (status, answer["success"]) == (400, False)


async def test_there_is_no_page_0(sandbox: Sandbox) -> None:
    status, answer = await ask(sandbox, "GET", "cdrs", **all_days(page="0"))
    assert (status, answer["success"]) == (400, False)


async def test_calls_of_the_past() -> None:
    async with Sandbox(numbers=0, cdrs=200, seed=5) as sandbox:
        calls = list(sandbox.cdrs)
        assert len(calls) == 200
        assert 0 < len(sandbox.call_transcriptions) < len(sandbox.recordings) < 200
        assert sandbox.outbox == ()
        dates = [each["date"] for each in sandbox.cdrs.values()]
        assert dates == sorted(dates)
        call(sandbox)
        sandbox.reset()
        assert list(sandbox.cdrs) == calls


@pytest.mark.parametrize("path", ["cdrs/0a1b", "cdrs/0a1b/transcription", "cdrs/0a1b/transcriptions", "recordings/1"])
async def test_what_is_not_there(sandbox: Sandbox, path: str) -> None:
    assert (await ask(sandbox, "GET", path))[0] == 404


async def test_all_is_a_path_and_no_id(sandbox: Sandbox) -> None:
    """Reserved words of the path win over ids, as on the live API."""
    call(sandbox)
    status, answer = await ask(sandbox, "GET", "cdrs/all")
    assert (status, "from" in answer["message"]) == (400, True)
    assert (await ask(sandbox, "PUT", "cdrs/all/retranscribe", {}))[0] == 404


# --- recordings ---


async def test_recordings_and_what_is_left_of_one_that_was_deleted(sandbox: Sandbox) -> None:
    call_id = call(sandbox)
    call(sandbox, recording=False)
    call(sandbox, disposition="noanswer")
    (recording_id,) = sandbox.recordings
    _, record = await ask(sandbox, "GET", f"recordings/{recording_id}")
    assert record == sandbox.recordings[recording_id]
    assert (record["call_uuid"], record["from"], record["to"], record["duration"]) == (call_id, THEM, US, 60)

    assert await ask(sandbox, "DELETE", f"recordings/{recording_id}") == (200, {"success": True})
    for method, name in (("GET", recording_id), ("GET", call_id), ("DELETE", recording_id)):
        status, answer = await ask(sandbox, method, f"recordings/{name}")
        assert (status, answer["success"], answer["error"]) == (400, False, True)
        assert datetime.fromisoformat(answer["deleted_at"]).tzinfo is not None
    assert (await ask(sandbox, "PUT", f"cdrs/{call_id}/retranscribe", {}))[0] == 400
    assert sandbox.recordings == {}
    assert sandbox.cdrs[call_id]["recording_url"] is None


async def test_the_host_of_the_files_refuses_a_key_and_a_link_that_was_changed(sandbox: Sandbox) -> None:
    status, location = await ask(sandbox, "GET", f"recordings/{call(sandbox)}")
    assert status == 302
    assert not location.startswith(sandbox.url)
    async with ClientSession() as session:
        async with session.get(location) as got:
            assert (got.status, got.content_type, len(await got.read())) == (200, "audio/mpeg", 4096)
        async with session.get(location, headers={"Authorization": "Bearer x"}) as got:
            assert got.status == 400
        async with session.get(location[:-1]) as got:
            assert got.status == 403
    assert sandbox.keys_to_file_host == 1


async def test_a_list_by_trunks_reads_the_last_of_repeated_keys_only(sandbox: Sandbox) -> None:
    call(sandbox, type="placed")
    url = f"{sandbox.url}/v1/recordings"
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    async with ClientSession(headers=headers) as session:
        for query, count, unknown in (
            ("sip_trunks=32882", 1, []),
            ("sip_trunks=32882&sip_trunks=1", 0, ["1"]),
            ("sip_trunks[]=32882&sip_trunks[]=1", 1, ["1"]),
        ):
            async with session.get(f"{url}?{query}") as got:
                answer = await got.json()
            assert (len(answer["recordings"]), answer["invalid"]["sip_trunks"]) == (count, unknown)


# --- transcriptions of calls ---


async def test_a_call_is_transcribed_later_and_an_event_tells_of_it() -> None:
    async with Sandbox(numbers=0, transcription_delay=600) as sandbox:
        call_id = call(sandbox, speech=[("agent", "Hello"), ("client", "A refund")])
        path = f"cdrs/{call_id}"
        assert await ask(sandbox, "PUT", f"{path}/retranscribe", {"language": "de", "webhook_url": HOOK}) == (
            200,
            {"success": True},
        )
        assert (await ask(sandbox, "GET", f"{path}/transcription"))[0] == 404
        sandbox.advance(600)
        status, got = await ask(sandbox, "GET", f"{path}/transcription")
        assert (status, got["status"], got["language"], got["call_uuid"]) == (200, "completed", "de", call_id)
        assert got["transcript"] == {US: "Hello", THEM: "A refund"}
        assert [(turn["type"], turn["text"]) for turn in got["turns"]] == [(US, "Hello"), (THEM, "A refund")]
        (event,) = sandbox.outbox
        assert (event.kind, event.url) == ("call_transcription", HOOK)
        assert event.body == {"uuid": call_id, "status": "completed"}

        await ask(sandbox, "PUT", f"{path}/retranscribe", {"language": None})
        assert (await ask(sandbox, "GET", f"{path}/transcriptions"))[1] == got
        sandbox.advance(600)
        _, newer = await ask(sandbox, "GET", f"{path}/transcriptions")
        old, new = (datetime.fromisoformat(each["transcription_date"]) for each in (got, newer))
        assert new - old >= timedelta(seconds=600)
        assert sandbox.stats.charges == {"PUT /v1/cdrs/{call_id}/retranscribe": 2}


async def test_a_transcription_that_fails(sandbox: Sandbox) -> None:
    call_id = call(sandbox, from_="14155550007", transcription=True)
    _, got = await ask(sandbox, "GET", f"cdrs/{call_id}/transcription")
    assert (got["status"], got["transcript"], got["turns"]) == ("failed", None, None)
    assert [event.body["status"] for event in sandbox.outbox] == ["failed"]


@pytest.mark.parametrize("body", [{"language": "xx"}, {"webhook_url": "nowhere"}, {"lang": "de"}])
async def test_options_of_a_transcription_that_are_wrong(sandbox: Sandbox, body: dict[str, Any]) -> None:
    assert (await ask(sandbox, "PUT", f"cdrs/{call(sandbox)}/retranscribe", body))[0] == 400
    silent = call(sandbox, recording=False)
    assert (await ask(sandbox, "PUT", f"cdrs/{silent}/retranscribe", {}))[0] == 404


async def test_a_search_by_words(sandbox: Sandbox) -> None:
    refund = call(sandbox, transcription=True, speech=[("agent", "Hello"), ("client", "A refund, please")], duration=9)
    bill = call(sandbox, transcription=True)
    call(sandbox)

    async def found(**body: Any) -> list[str]:
        status, answer = await ask(sandbox, "POST", "cdrs", all_days(**body))
        assert status == 200, answer
        return [each["call_id"] for each in answer["items"]]

    assert await found(transcription={"client": {"must": ["refund", "PLEASE"]}}) == [refund]
    assert await found(transcription={"agent": {"match": ["refund"]}}) == []
    assert await found(transcription={"any": {"match": ["refund", "bill"]}}) == [refund, bill]
    assert await found(transcription={"any": {"exclude": ["refund"]}}) == [bill]
    assert refund not in await found(min_duration=10)
    for wrong in ({"transcription": {"robot": {}}}, {"transcription": 5}, {"min_duration": "1"}, {"words": []}):
        assert (await ask(sandbox, "POST", "cdrs", all_days(**wrong)))[0] == 400


# --- files ---


def form(**changes: Any) -> FormData:
    fields = {"callback_url": HOOK, "name": "a.wav", "content": b"RIFF", **changes}
    data = FormData()
    if fields["content"] is not None:
        data.add_field("file", fields["content"], filename=fields["name"])
    for name in ("callback_url", "insights"):
        if fields.get(name) is not None:
            data.add_field(name, fields[name])
    return data


async def test_a_file_is_transcribed_later_and_an_event_tells_of_it() -> None:
    async with Sandbox(numbers=0, transcription_delay=600) as sandbox:
        status, submitted = await ask(sandbox, "POST", "speech-analytics", form(insights="true"))
        path = f"speech-analytics/{submitted['request_id']}"
        assert (status, submitted["file"], submitted["success"]) == (201, "a.wav", True)
        assert (await ask(sandbox, "GET", path))[0] == 202
        assert sandbox.file_transcriptions == {}
        sandbox.advance(600)
        status, got = await ask(sandbox, "GET", path)
        assert (status, got["status"], got["transcription_score"]) == (200, "completed", "3.8")
        (event,) = sandbox.outbox
        assert (event.kind, event.url) == ("file_transcription", HOOK)
        assert event.body == {"request_id": submitted["request_id"], "status": "completed", "error": None}

        for wrong in ({}, {"callback_url": "nowhere"}, {"callback_url": HOOK, "insights": "yes"}):
            assert (await ask(sandbox, "PUT", path, wrong))[0] == 400
        assert await ask(sandbox, "PUT", path, {"callback_url": f"{HOOK}/2"}) == (200, {"success": True})
        assert (await ask(sandbox, "GET", path))[0] == 202
        sandbox.advance(600)
        assert (await ask(sandbox, "GET", path))[1]["transcription_summary"] is None
        assert sandbox.outbox[-1].url == f"{HOOK}/2"
        assert sandbox.stats.charges == {"POST /v1/speech-analytics": 1, "PUT /v1/speech-analytics/{request_id}": 1}

        sandbox.reset()
        assert (await ask(sandbox, "GET", path))[0] == 404


async def test_a_file_that_cannot_be_transcribed(sandbox: Sandbox) -> None:
    _, submitted = await ask(sandbox, "POST", "speech-analytics", form(name="fail.mp3"))
    _, got = await ask(sandbox, "GET", f"speech-analytics/{submitted['request_id']}")
    assert (got["status"], got["transcript"]) == ("failed", None)
    assert sandbox.outbox[0].body["error"]


@pytest.mark.parametrize(
    "body",
    [
        form(name="a.txt"),
        form(content=b""),
        form(content=None),
        form(callback_url=None),
        form(callback_url="nowhere"),
        form(insights="maybe"),
        b"no form",
    ],
)
async def test_an_upload_that_is_wrong(sandbox: Sandbox, body: Any) -> None:
    assert (await ask(sandbox, "POST", "speech-analytics", body))[0] == 400
    assert sandbox.stats.charges == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"--x\r\nno head\r\n\r\n",
        b"--x\r\n" + b"a: b\r\n" * 9000,
        b"--x\r\n\xff: \xff\r\n\r\na\r\n--x--",
    ],
)
async def test_a_form_that_is_none_is_a_400(sandbox: Sandbox, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": "multipart/form-data; boundary=x"}
    async with (
        ClientSession(headers=headers) as session,
        session.post(f"{sandbox.url}/v1/speech-analytics", data=body) as got,
    ):
        assert got.status == 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cdrs": -1}, "cdrs must be from 0 to"),
        ({"transcription_delay": -1}, "transcription_delay must be 0 or more"),
        ({"files": "smoke"}, "files must be one of redirect, location200, bytes"),
    ],
)
def test_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(**arguments)
