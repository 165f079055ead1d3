"""The vendor's own SDK, unmodified, against the sandbox.

It checks every answer with pydantic models, so this is also an independent opinion on the shapes.
"""

import datetime as dt
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wavix_async.sandbox import Sandbox

wavix = pytest.importorskip("wavix", reason="the vendor's SDK is not installed: pip install wavix-python-sdk==1.1.1")

# httpx, below the vendor's client, is closed by us; what pydantic or httpx deprecate is not ours to fail on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=120, foreign=0.1, seed=11) as running:
        yield running


@pytest.fixture
async def vendor(sandbox: Sandbox) -> AsyncIterator[Any]:
    import httpx

    async with httpx.AsyncClient() as transport:
        yield wavix.AsyncWavix(token=sandbox.api_key, base_url=sandbox.url, httpx_client=transport)


async def test_default_transport(sandbox: Sandbox) -> None:
    client = wavix.AsyncWavix(token=sandbox.api_key, base_url=sandbox.url)
    try:
        assert (await client.numbers.get(1001)).id == 1001
    finally:
        await client._client_wrapper.httpx_client.httpx_client.aclose()


async def test_list(sandbox: Sandbox, vendor: Any) -> None:
    seen = []
    for page in (1, 2):
        answer = await vendor.numbers.list(page=page, per_page=100)
        seen += answer.items
        assert answer.pagination.total == 120
        assert [kind.name for kind in answer.doc_types] == ["id", "address", "localaddress"]
    assert [number.id for number in seen] == list(sandbox.numbers)
    assert any(number.documents and number.documents[0].doc_type == "address" for number in seen)
    labelled = await vendor.numbers.list(label_present=True, city_id=101)
    assert all(number.label for number in labelled.items)


async def test_get_and_update(sandbox: Sandbox, vendor: Any) -> None:
    home = next(i for i, number in sandbox.numbers.items() if number["country_short_name"] == "US")
    number = await vendor.numbers.get(home)
    assert number.sms_enabled is False
    routes = [wavix.NumberDestination(destination="32882", priority=1, transport=5, trunk_id=3107)]
    number = await vendor.numbers.update(
        home, sms_enabled=True, destinations=routes, call_status_url="https://example.com", transcription_threshold=30
    )
    assert (number.sms_enabled, number.destination[0].trunk_label) == (True, "Main office")
    assert sandbox.numbers[home]["call_status_url"] == "https://example.com"


async def test_bulk_update(sandbox: Sandbox, vendor: Any) -> None:
    answer = await vendor.numbers.bulk_update(ids=[1001, 1002], call_recording_enabled=True)
    assert [number.id for number in answer.items] == [1001, 1002]
    assert all(sandbox.numbers[i]["call_recording_enabled"] for i in (1001, 1002))


async def test_delete(sandbox: Sandbox, vendor: Any) -> None:
    assert (await vendor.numbers.delete(ids=[1001, 1002])).success
    assert (await vendor.numbers.delete(dids=sandbox.numbers[1003]["number"])).success
    assert next(iter(sandbox.numbers)) == 1004


async def test_upload(sandbox: Sandbox, vendor: Any) -> None:
    papers = await vendor.numbers.papers.upload(
        did_ids="1001,1002", doc_id="address", doc_attachment=("bill.pdf", io.BytesIO(b"%PDF-1.7"), "application/pdf")
    )
    assert [(paper.doc_type, paper.status) for paper in papers] == [("address", "pending")] * 2
    assert sandbox.numbers[1002]["documents"][-1]["id"] == papers[1].id


async def test_errors(sandbox: Sandbox, vendor: Any) -> None:
    with pytest.raises(wavix.NotFoundError):
        await vendor.numbers.get(5)
    with pytest.raises(wavix.BadRequestError):
        await vendor.numbers.update(1001, sms_relay_url="nonsense")
    with pytest.raises(wavix.UnprocessableEntityError):
        await vendor.numbers.delete(ids=[1001], dids="1")
    sandbox.fail_next("status_401")
    with pytest.raises(wavix.UnauthorizedError):
        await vendor.numbers.get(1001)
    sandbox.fail_next("status_403")
    with pytest.raises(wavix.ForbiddenError):
        await vendor.numbers.get(1001)


async def test_messages(sandbox: Sandbox, vendor: Any) -> None:
    messages = vendor.sms_and_mms.messages
    ids: list[str] = []
    sent: Any = None
    for number in range(3):
        sent = await messages.send(
            from_="Wavix",
            to=f"+1415555010{number}",
            message_body=wavix.MessageBody(text="Hello"),
            callback_url="https://example.com/dlr",
            validity=3600,
            tag="spring",
        )
        assert (sent.from_, sent.to, sent.status) == ("Wavix", f"+1415555010{number}", "accepted")
        assert (sent.message_body.text, sent.tag, sent.segments) == ("Hello", "spring", 1)
        ids.append(sent.message_id)
    got = await messages.get(ids[0])
    assert (got.message_id, got.direction, got.status) == (ids[0], "outbound", "delivered")
    assert got.message_body == sent.message_body
    today = dt.datetime.now(dt.UTC).date()
    listed = await messages.list(
        type="outbound", sent_after=today - dt.timedelta(days=1), tag="spring", message_type="sms", per_page=2
    )
    assert [message.message_id for message in listed.items] == ids[:2]
    assert (listed.pagination.total, listed.pagination.total_pages) == (3, 2)
    media = wavix.MessageBody(text="Look", media=["https://example.com/a.png"])
    assert (await messages.send(from_="Wavix", to="14155550100", message_body=media)).message_type == "mms"
    assert list(sandbox.messages)[:3] == ids
    assert not any(model.model_extra for model in (sent, got, *listed.items, listed))


async def test_sender_ids(sandbox: Sandbox, vendor: Any) -> None:
    senders = vendor.sms_and_mms.sender_ids
    made = await senders.create(
        sender_id="Wavix",
        type="alphanumeric",
        countries=["GB"],
        usecase="promo",
        monthly_volume="1-1000",
        samples=["a"],
    )
    got = await senders.get(made.id)
    (listed,) = (await senders.list()).items
    for sender in (made, got, listed):
        assert (sender.sender_id, sender.type, sender.allowlisted_in, sender.samples) == (
            "Wavix",
            "alphanumeric",
            ["GB"],
            ["a"],
        )
        assert not sender.model_extra
    assert (await senders.delete(made.id)).success
    assert not sandbox.sender_ids
    with pytest.raises(wavix.NotFoundError):
        await senders.get(made.id)


async def test_opt_outs(sandbox: Sandbox, vendor: Any) -> None:
    opt_outs = vendor.sms_and_mms.opt_outs
    assert (await opt_outs.create(opt_out=wavix.OptOut(number="14155550100", sender_id="Wavix"))).success
    page = await opt_outs.list(sender_id="Wavix", created_after=dt.date(2026, 1, 1), page=1, per_page=10)
    (item,) = page.items
    assert (item.phone_number, item.sender_id, item.campaign_id) == ("14155550100", "Wavix", None)
    assert item.created_at.tzinfo is not None
    assert page.pagination.total == 1
    assert not item.model_extra
    with pytest.raises(wavix.UnprocessableEntityError):
        await vendor.sms_and_mms.messages.send(
            from_="Wavix", to="14155550100", message_body=wavix.MessageBody(text="Hello")
        )


async def test_calls_that_have_ended(sandbox: Sandbox, vendor: Any) -> None:
    made = sandbox.add_call(from_="14155550100", to="13125551000", transcription=True)
    call_id, day = made["call_id"], dt.date.fromisoformat(made["date"][:10])
    days: dict[str, Any] = {"from_": day, "to": day + dt.timedelta(days=1), "type": "received"}

    listed = await vendor.cdrs.list(**days, disposition="all", page=1, per_page=10)
    terms = wavix.TranscriptionFilterAny(must=["bill"])
    found = await vendor.cdrs.search(**days, transcription=wavix.TranscriptionFilter(any=terms), page=1, per_page=10)
    got = await vendor.cdrs.get(call_id, show_transcription=True)
    transcription = await vendor.cdrs.transcription.get(call_id)
    assert [each.call_id for each in (*listed.items, *found.items, got)] == [call_id] * 3
    assert transcription == await vendor.cdrs.transcriptions(call_id)
    assert (transcription.status, len(transcription.turns)) == ("completed", 2)
    assert got.transcription.uuid_ == found.items[0].transcription.uuid_ == transcription.uuid_
    assert (await vendor.cdrs.retranscribe(call_id, language="de", webhook_url="https://example.com/1")).success
    assert not any(model.model_extra for model in (listed, *listed.items, *found.items, got, transcription))


async def test_recordings(sandbox: Sandbox, vendor: Any) -> None:
    call_id = sandbox.add_call(from_="14155550100", to="13125551000", type="placed")["call_id"]

    listed = await vendor.call_recording.list(from_="1415", sip_trunks=["32882"], from_date=dt.date(2000, 1, 1))
    (recording,) = listed.recordings
    assert (recording.call_uuid, listed.invalid.dids) == (call_id, [])
    assert await vendor.call_recording.get(recording.id) == recording
    assert (await vendor.call_recording.delete(recording.id)).success
    with pytest.raises(wavix.BadRequestError):
        await vendor.call_recording.get_by_call(call_id)
    assert not any(model.model_extra for model in (listed, recording))


async def test_files_that_are_transcribed(sandbox: Sandbox, vendor: Any) -> None:
    submitted = await vendor.speech_analytics.create(
        file=("call.wav", b"RIFF", "audio/wav"), callback_url="https://example.com/1", insights=True
    )
    got = await vendor.speech_analytics.get(submitted.request_id)
    assert (submitted.file, got.status, got.transcript.channel2) == ("call.wav", "completed", "Hello")
    assert (await vendor.speech_analytics.retranscribe(submitted.request_id, callback_url="https://a.example")).success
    assert not got.model_extra
