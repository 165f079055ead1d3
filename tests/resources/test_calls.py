"""What calls do beyond one request: waits, the search for a lost call, and what is checked before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.resources.rows.calls import CALL, CREATED, ID
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    ConfigurationError,
    InputError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    WaitTimeoutError,
    WavixClient,
    WavixError,
)
from wavix_async.models import (
    CDR,
    Call,
    CallAnswer,
    CallAudioPlay,
    CallCreate,
    CallDtmfCollect,
    CallStreamCreate,
    CallWebhookCreate,
    CollectPrompt,
    VoiceCampaignCreate,
)

if TYPE_CHECKING:
    from tests.conftest import Api

RECORD: dict[str, Any] = {
    "date": "2025-09-22T12:56:38.547Z",
    "from": "18045961058",
    "to": "17653889567",
    "disposition": "answered",
    "duration": 6,
    "destination": "United States",
    "per_minute": "0.012",
    "charge": "0.012",
    "uuid": ID,
    "call_id": ID,
}
LIFE = ((10.0, "call_setup"), (20.0, "ringing"), (50.0, "answered"))
"""Until when a call shows a state; then it is over."""


class Account:
    """An account with one call, which is over at 50 s; its CDR comes later."""

    def __init__(self, cdr_after: float = 50.0, gone_after: float = 50.0, end: str = "completed") -> None:
        self.cdr_after, self.gone_after, self.end = cdr_after, gone_after, end
        self.reads: list[tuple[float, str]] = []

    def __call__(self, seen: Seen) -> Reply:
        now = asyncio.get_running_loop().time()
        self.reads.append((now, seen.path))
        if seen.path.startswith("/v1/cdrs/"):
            return Reply(200, RECORD) if now >= self.cdr_after else Reply(404, {"message": "Record not found"})
        if now >= self.gone_after:
            return Reply(404, {"success": False, "message": "Call not found"})
        state = next((state for until, state in LIFE if now < until), self.end)
        answered = CALL["call_answered"] if state == "answered" else None
        return Reply(200, {"call": {**CALL, "event_type": state, "call_answered": answered}, "success": True})


def client(account: Callable[[Seen], Reply]) -> WavixClient:
    stub: Any = StubSession(account)
    return WavixClient("key-for-waiters", base_url="https://api.wavix.test", retry=RetryPolicy.none(), session=stub)


def wait(account: Account, until: Literal["answered", "completed"] = "completed", **options: Any) -> Call | CDR:
    async def main() -> Call | CDR:
        return await client(account).calls.wait(ID, until=until, **options)

    return run_virtual(main())


def test_a_wait_for_the_answer() -> None:
    account = Account()
    call = wait(account, "answered")
    assert isinstance(call, Call)
    assert (call.event_type, call.is_answered) == ("answered", True)
    assert 20 <= account.reads[-1][0] <= 25


def test_a_wait_for_the_end_gives_the_cdr() -> None:
    account = Account(cdr_after=80)
    cdr = wait(account)
    assert isinstance(cdr, CDR)
    assert (cdr.disposition, cdr.call_id) == ("answered", ID)
    assert account.reads[-1][0] >= 80
    assert {path for at, path in account.reads if at < 50} == {f"/v1/calls/{ID}"}


@pytest.mark.parametrize("end", ["busy", "cancelled", "rejected", "failed", "completed"])
@pytest.mark.parametrize("until", ["answered", "completed"])
def test_a_call_that_is_still_listed_when_it_is_over(end: str, until: Any) -> None:
    call = wait(Account(gone_after=1e9, end=end), until, every=(80, 80))
    assert isinstance(call, Call)
    assert (call.event_type, call.is_over) == (end, True)


def test_a_call_that_is_over_before_its_answer_was_seen() -> None:
    assert isinstance(wait(Account(), "answered", every=(80, 80)), CDR)


def test_a_call_that_never_was_is_not_found_after_two_minutes() -> None:
    account = Account(cdr_after=1e9, gone_after=0)
    with pytest.raises(NotFoundError):
        wait(account)
    assert 120 <= account.reads[-1][0] <= 126


def test_a_timeout_has_the_call_as_it_was_read_last() -> None:
    with pytest.raises(WaitTimeoutError, match=f"call {ID} is completed") as told:
        wait(Account(cdr_after=1e9), timeout=60)
    assert told.value.last.event_type == "answered"  # type: ignore[attr-defined]


def test_an_event_makes_the_waiter_read_at_once() -> None:
    class Events:
        async def next(self, kind: type[Any], *, timeout: float | None = None, **fields: object) -> Any:
            assert (kind, fields) == (Call, {"id": ID})
            await asyncio.sleep(21 if asyncio.get_running_loop().time() == 0 else 1e6)

    account = Account()
    assert isinstance(wait(account, "answered", every=(1000, 1000), events=Events()), Call)
    assert [at for at, _ in account.reads] == [0, 21]


def test_a_source_of_events_that_fails_ends_the_wait() -> None:
    class Closed:
        async def next(self, kind: type[Any], *, timeout: float | None = None, **fields: object) -> Any:
            raise ConfigurationError("These webhooks run in another event loop.")

    account = Account()
    with pytest.raises(ConfigurationError, match="another event loop"):
        wait(account, events=Closed())
    assert len(account.reads) == 1


@pytest.mark.parametrize("options", [{"until": "ringing"}, {"events": object()}])
async def test_a_wait_for_nonsense(api: Api, wavix: WavixClient, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        await wavix.calls.wait(ID, **options)
    assert api.sent == []


def test_a_voice_campaign_is_read_until_its_status_is_another() -> None:
    statuses = iter(["in_progress", "in_progress", "done"])

    async def main() -> str:
        account = client(lambda _: Reply(200, {"voice_campaign": {"id": 7, "status": next(statuses)}}))
        return (await account.voice_campaigns.wait(7)).status

    assert run_virtual(main()) == "done"


# --- a call whose answer was lost ---


async def test_a_call_is_found_by_its_tag(api: Api, wavix: WavixClient) -> None:
    others = [{**CALL, "tag": "a", "direction": "inbound"}, {**CALL, "tag": "b"}, "stray"]
    api.answer("GET", "/v1/calls", {"calls": [*others, {**CALL, "tag": "a"}], "success": True})
    found = await wavix.calls.find_started(tag="a")
    assert found is not None
    assert found.direction == "outbound"
    api.answer("GET", "/v1/calls", {"calls": others, "success": True})
    assert await wavix.calls.find_started(tag="a") is None
    for tag in ("", None):
        with pytest.raises(InputError):
            await wavix.calls.find_started(tag=tag)  # type: ignore[arg-type]


@pytest.mark.req_01
@pytest.mark.parametrize("lie", [{"to": "15550100300"}, {"uuid": None}, {"to": None}])
async def test_an_answer_that_proves_no_call_is_a_doubt(api: Api, wavix: WavixClient, lie: dict[str, Any]) -> None:
    api.answer("POST", "/v1/calls", {**CREATED, **lie}, repeat=True)
    with pytest.raises(OutcomeUnknownError):
        await wavix.calls.create(from_="18045961058", to="17653889567")
    assert len(api.sent) == 1


@pytest.mark.req_01
@pytest.mark.parametrize("act", ["create", "answer", "play", "collect", "stream", "webhook", "token", "campaign"])
def test_what_starts_something_is_sent_once(act: str) -> None:
    sent: list[Seen] = []

    def fail(seen: Seen) -> Reply:
        sent.append(seen)
        return Reply(503, {"message": "Service is temporarily unavailable"})

    async def main() -> None:
        stub: Any = StubSession(fail)
        wavix = WavixClient("key-of-a-test", base_url="https://api.wavix.test", session=stub)
        acts: dict[str, Callable[[], Any]] = {
            "create": lambda: wavix.calls.create(from_="1", to="2"),
            "answer": lambda: wavix.calls.answer(ID),
            "play": lambda: wavix.calls.play(ID, audio_file="https://example.com/a.wav"),
            "collect": lambda: wavix.calls.collect(ID),
            "stream": lambda: wavix.calls.streams.create(
                ID, stream_url="wss://example.com/", stream_type="oneway", stream_channel="both"
            ),
            "webhook": lambda: wavix.calls.webhooks.create(url="https://example.com/", event_type="on-call"),
            "token": lambda: wavix.webrtc.tokens.create(sip_trunk="a", ttl=None),
            "campaign": lambda: wavix.voice_campaigns.create(callflow_id=1, caller_id="1", contact="2"),
        }
        with pytest.raises(WavixError) as told:
            await acts[act]()
        assert told.value.outcome == "unknown"

    run_virtual(main())
    assert len(sent) == 1


# --- what is checked before anything is sent ---

SECRET = "s3cret-path"


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: CallCreate(from_="1", to="2", callback_url=f"hooks/{SECRET}"), "callback_url"),
        (lambda: CallCreate(from_="1", to="2", callback_url=f"ftp://example.com/{SECRET}"), "callback_url"),
        (lambda: CallWebhookCreate(url=f"ws://example.com/{SECRET}", event_type="on-call"), "url"),
        (lambda: CallAnswer(stream_url=f"https://example.com/{SECRET}"), "stream_url"),
        (lambda: CallAnswer(stream_type="oneway"), "stream_url"),
        (
            lambda: CallStreamCreate(stream_url=f"https://{SECRET}", stream_type="oneway", stream_channel="both"),
            "stream_url",
        ),
        (lambda: CallAudioPlay(audio_file=f"/home/{SECRET}.wav"), "audio_file"),
        (lambda: CollectPrompt(), "play"),
        (lambda: CollectPrompt(play="https://example.com/a", say={"text": SECRET, "voice": "Joey"}), "say"),
        (lambda: CollectPrompt(play=f"file:///{SECRET}"), "play"),
        (lambda: CallDtmfCollect(max_digits=0), "max_digits"),
        (lambda: CallDtmfCollect(max_digits=21), "max_digits"),
        (lambda: CallDtmfCollect(timeout=0), "timeout"),
        (lambda: CallDtmfCollect(timeout=61), "timeout"),
        (lambda: CallDtmfCollect(prompt={"say": {"text": SECRET}}), "voice"),
        (
            lambda: VoiceCampaignCreate(callflow_id=1, caller_id="1", contact="2", callback_url=f"//{SECRET}"),
            "callback_url",
        ),
    ],
)
def test_a_body_that_the_api_cannot_mean(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InputError, match=field) as told:
        make()
    assert SECRET not in str(told.value)


def test_secrets_do_not_show() -> None:
    bodies = [
        CallCreate(from_="1", to="2", callback_url=f"https://example.com/{SECRET}"),
        CallWebhookCreate(url=f"https://example.com/{SECRET}", event_type="on-call"),
        CallAnswer(stream_url=f"wss://example.com/{SECRET}"),
        CallStreamCreate(stream_url=f"wss://example.com/{SECRET}", stream_type="oneway", stream_channel="both"),
        CallDtmfCollect(prompt={"say": {"text": SECRET, "voice": "Joey"}}),
        VoiceCampaignCreate(callflow_id=1, caller_id="1", contact="2", callback_url=f"https://a.example/{SECRET}"),
    ]
    assert SECRET not in repr(bodies)


@pytest.mark.parametrize("word", ["webhooks", "", " x"])
async def test_an_id_that_would_reach_another_operation(api: Api, wavix: WavixClient, word: str) -> None:
    for act in (wavix.calls.get, wavix.calls.end, wavix.calls.wait):
        with pytest.raises(InputError):
            await act(word)
    assert api.sent == []
    with pytest.raises(InputError):
        await wavix.calls.webhooks.delete("")


async def test_a_list_of_the_older_shape(api: Api, wavix: WavixClient) -> None:
    old = {"id": ID, "context": "main", "started_at": "2025-09-22T12:56:38.547Z"}
    api.answer("GET", "/v1/calls", {"calls": [old], "success": True})
    (call,) = await wavix.calls.list()
    assert (call.call_id, call.extra) == (ID, {"context": "main", "started_at": "2025-09-22T12:56:38.547Z"})
