"""Calls, their webhooks, streams, playbacks and digits.

An outbound call goes through call_setup, ringing, answered and completed; the end of its recipient chooses another way
(`_ENDS`). An inbound call rings until it is answered by the API. Each step is an on-call event. A call that is over
leaves the list of calls, and `on_end` gets it.

The vendor's documentation leaves some questions open. We assume: a call without an answer ends as cancelled; a
second `collect` while one runs gets a 400, and so does everything that needs an answered call and finds none; digits
that are pressed before the time is over count, also if there could be more; a second webhook of a type replaces the
first; any caller ID may be used. Prices and destinations are our own. Streams are
recorded, but the sandbox does not connect to `stream_url`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qsl

from attrs import define, field

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.ended_call import EndedCall, OnEnd, ignore
from wavix_async.sandbox._groups.filters import Record, iso, without_plus
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import (
    TEXT,
    URL,
    Check,
    check,
    is_int,
    json_object,
    rules,
)
from wavix_async.sandbox._server import ApiError, Call, Reply, Route, check_all, invalid

_ENDS = {
    "0408": ("cancelled", "noanswer"),
    "0486": ("busy", "busy"),
    "0503": ("failed", "failed"),
    "0603": ("rejected", "failed"),
}
"""How an outbound call ends by the last digits of its recipient (the codes of SIP), and the disposition of its CDR."""
_MACHINE = "0999"
"""The last digits of recipients whose calls an answering machine takes."""
_RINGS = 60
"""Seconds until a call without an answer ends, if its request does not say."""
_COLLECTS = 10
"""Seconds to wait for digits, if the request does not say."""
_PER_MINUTE = Decimal("0.012")
_MOST_STREAMS = {"twoway": 1, "oneway": 5}
_KEYS = frozenset("0123456789*#ABCD")

PHONE = check(lambda value: isinstance(value, str) and without_plus(value).isdecimal() and value.isascii())
_STREAM_URL = check(lambda value: isinstance(value, str) and value.startswith(("ws://", "wss://")))
_STREAM = ("stream_url", "stream_type", "stream_channel")
_POSITIVE = check(lambda value: is_int(value) and value > 0)
_KEY = check(lambda value: value in _KEYS)
_PROMPT = rules({"play": URL, "say": rules({"text": TEXT})})


@define(eq=False)
class _Collect:
    """Digits that are being collected."""

    most: int
    timeout: float
    terminator: str | None
    attempts: int
    digits: str = ""


@define(eq=False)
class _Live:
    """What the sandbox knows of an active call beside its record."""

    record: Record
    url: str | None
    """Where its own events go."""
    began: datetime
    rings: float
    lasts: float
    """Seconds from the answer until the other side hangs up."""
    recorded: bool = False
    transcribed: bool = False
    detects: bool = False
    state: str = "call_setup"
    answered: datetime | None = None
    answered_at: float = 0.0
    """The answer on the sandbox's clock."""
    playing: list[str] = field(factory=list)
    collect: _Collect | None = None
    after: OnEnd = ignore


class Calls:
    """The active calls of the account, and its webhooks for calls.

    Args:
        context: What the sandbox gives to every group.
        number: Returns the account's phone number in wire form; None: it is not the account's.
        on_end: Gets each call that is over.
    """

    def __init__(
        self,
        context: Context,
        *,
        number: Callable[[str], Record | None] = lambda _: None,
        on_end: OnEnd = ignore,
    ) -> None:
        self._context = context
        self._number = number
        self._on_end = on_end
        self._live: dict[str, _Live] = {}
        self._playbacks = Uuids(context.seed, "playbacks")
        self._played = 0
        self.streams = Collection(context, ids=Uuids(context.seed, "call_streams"), id_field="stream_id", record=dict)
        self.calls = Collection(context, ids=Uuids(context.seed, "active_calls"), record=dict)
        self.webhooks = Collection(
            context,
            key=lambda record: record["event_type"],
            record=lambda given: {"event_type": given["event_type"], "url": given["url"]},
            rules={"url": URL},
            list_key=None,
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        calls, hooks, one = "/v1/calls", "/v1/calls/webhooks", "/v1/calls/{id}"
        read, write = "calls:read", "calls:write"
        return (
            Route("GET", hooks, "webhooks:read", self.webhooks.list),
            Route("POST", hooks, "webhooks:write", self._create_webhook),
            Route("DELETE", hooks, "webhooks:write", self._delete_webhook),
            Route("POST", calls, write, self._create, charged=True),
            Route("GET", calls, read, self._list),
            Route("GET", one, read, self._get),
            Route("DELETE", one, write, self._hang_up),
            Route("PATCH", one, write, self._update),
            Route("POST", f"{one}/answer", write, self._answer_inbound),
            Route("POST", f"{one}/play", write, self._play),
            Route("DELETE", f"{one}/audio", write, self._stop_audio),
            Route("POST", f"{one}/collect", write, self._start_collect),
            Route("POST", f"{one}/streams", write, self._start_stream),
            Route("DELETE", f"{one}/streams/{{stream_id}}", write, self._stop_stream),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self._live.clear()
        self._played = 0
        for collection in (self.calls, self.streams, self.webhooks):
            collection.reset()

    # --- what tests do; the caller holds the lock ---

    def ring(self, sender: str, to: str) -> Record:
        """Let a call come in, and return it."""
        number = self._number(to) or {}
        live = self._begin("inbound", sender, to, number.get("call_status_url"))
        live.recorded = bool(number.get("call_recording_enabled"))
        live.transcribed = bool(number.get("transcription_enabled"))
        self._later(live, 0, "call_setup", lambda: self._ring(live, ("cancelled", "noanswer"), live.rings))
        return live.record

    def press(self, call_id: str, digits: str) -> None:
        """Let the other side press keys.

        Raises:
            KeyError: There is no such active call.
            ValueError: A key is not one of 0-9, *, # and A-D, or nothing collects digits.
        """
        live = self._live[call_id]
        if not digits or not _KEYS.issuperset(digits):
            raise ValueError(f"digits must be keys of a phone (0-9, *, #, A-D), not {digits!r}")
        if live.collect is None:
            raise ValueError("nothing collects digits in this call: press keys after calls.collect")
        for digit in digits:
            self._press(live, digit)

    def hang_up(self, call_id: str) -> None:
        """Let the other side hang up, or reject the call.

        Raises:
            KeyError: There is no such active call.
        """
        live = self._live[call_id]
        if live.state == "answered":
            self._end(live, "completed", "answered")
        elif live.record["direction"] == "inbound":
            self._end(live, "cancelled", "noanswer")
        else:
            self._end(live, "rejected", "failed")

    def start(
        self,
        sender: str,
        to: str,
        *,
        url: str | None = None,
        tag: str = "",
        rings: float = _RINGS,
        lasts: float | None = None,
        recorded: bool = False,
        detects: bool = False,
        after: OnEnd = ignore,
    ) -> Record:
        """Start an outbound call, and return it.

        Raises:
            ApiError: 422, the balance is not enough for the first minute.
        """
        self._context.ledger.require(_PER_MINUTE)
        live = self._begin("outbound", sender, to, url, tag, rings, lasts)
        live.recorded, live.detects, live.after = recorded, detects, after
        delay, end = self._context.call_delay, _ENDS.get(to[-4:])
        wait = live.rings if end == _ENDS["0408"] else delay
        self._later(live, delay, "call_setup", lambda: self._ring(live, end, wait))
        return live.record

    # --- the life of a call ---

    def _begin(
        self,
        direction: str,
        sender: str,
        to: str,
        url: str | None,
        tag: str = "",
        rings: float = _RINGS,
        lasts: float | None = None,
    ) -> _Live:
        now = self._context.date()
        record = self.calls.add(
            {
                "direction": direction,
                "event_type": "call_setup",
                "event_time": iso(now),
                "event_payload": None,
                "from": sender,
                "to": to,
                "call_started": iso(now),
                "call_answered": None,
                "call_completed": None,
                "machine_detected": False,
                "tag": tag,
            }
        )
        record["uuid"] = record["id"]
        lasts = self._context.call_duration if lasts is None else lasts
        live = self._live[record["id"]] = _Live(record, url, now, rings, lasts)
        self._tell(live, "call_setup")
        return live

    def _later(self, live: _Live, seconds: float, state: str, action: Callable[[], None]) -> None:
        """Do something later, if the call is then still in this state."""

        def run() -> None:
            if live.state == state:
                action()

        self._context.timers.after(seconds, run)

    def _ring(self, live: _Live, end: tuple[str, str] | None, wait: float) -> None:
        live.state = "ringing"
        self._tell(live, "ringing")
        if end is None:
            self._later(live, wait, "ringing", lambda: self._answer(live))
        else:
            self._later(live, wait, "ringing", lambda: self._end(live, *end))

    def _answer(self, live: _Live) -> None:
        live.state = "answered"
        live.answered, live.answered_at = self._context.date(), self._context.clock()
        live.record["call_answered"] = iso(live.answered)
        live.record["machine_detected"] = live.detects and live.record["to"].endswith(_MACHINE)
        self._tell(live, "answered")
        self._later(live, live.lasts, "answered", lambda: self._end(live, "completed", "answered"))

    def _end(self, live: _Live, event: str, disposition: str) -> None:
        live.state, live.collect = event, None
        record, now = live.record, self._context.date()
        record["call_completed"] = iso(now)
        del self._live[record["id"]]
        for stream in self._streams_of(live):
            self.streams.remove(stream)
        self.calls.remove(record["id"])
        self._tell(live, event)
        # Two times that are equal on the clock may differ by a rounding error.
        talked = 0.0 if live.answered is None else round(self._context.clock() - live.answered_at, 3)
        answered_by = None
        if live.detects and live.answered is not None:
            answered_by = "machine" if record["machine_detected"] else "human"
        ended = EndedCall(
            call_id=record["id"],
            direction=record["direction"],
            from_=record["from"],
            to=record["to"],
            started=live.began,
            answered=live.answered,
            ended=now,
            disposition=disposition,
            duration=math.ceil(talked),
            destination=_destination(record),
            per_minute=str(_PER_MINUTE),
            charge=str(_PER_MINUTE * math.ceil(talked / 60)),
            recorded=live.recorded,
            transcribed=live.transcribed,
            answered_by=answered_by,
            tag=record["tag"],
        )
        self._on_end(ended)
        live.after(ended)
        self._context.outbox.post("post_call", self._webhook("post-call"), _post_call(ended))

    def _tell(self, live: _Live, event: str, payload: Record | None = None) -> None:
        """Set the latest event of a call, and post it to the call's own URL and to the account's."""
        live.record.update(event_type=event, event_time=iso(self._context.date()), event_payload=payload)
        # Without any URL, only tests see the event.
        urls = [url for url in (live.url, self._webhook("on-call")) if url]
        for url in urls or (None,):
            self._context.outbox.post("on_call", url, live.record)

    def _webhook(self, kind: str) -> str | None:
        return self.webhooks.find(kind)["url"] if kind in self.webhooks else None

    # --- handlers of calls ---

    def _create(self, call: Call) -> Reply:
        given = _read(call, {"from": PHONE, "to": PHONE, "callback_url": URL, "timeout": _POSITIVE})
        record = self.start(
            given["from"],
            given["to"],
            url=given.get("callback_url"),
            tag=given.get("tag", ""),
            rings=given.get("timeout", _RINGS),
            recorded=given.get("recording", False),
            detects=given.get("voicemail_detection", False),
        )
        return Reply.of(200, record)

    def _list(self, _: Call) -> Reply:
        return Reply.of(200, {"calls": [self.calls.find(key) for key in self.calls], "success": True})

    def _get(self, call: Call) -> Reply:
        return Reply.of(200, {"call": self._find(call).record, "success": True})

    def _hang_up(self, call: Call) -> Reply:
        live = self._find(call)
        if live.state == "answered":
            self._end(live, "completed", "answered")
        else:
            self._end(live, "cancelled", "noanswer")
        return _done()

    def _update(self, call: Call) -> Reply:
        live = self._find(call)
        live.record["tag"] = json_object(call.body)["tag"]
        return _done()

    def _answer_inbound(self, call: Call) -> Reply:
        live = self._find(call)
        given = _read(call, {"stream_url": _STREAM_URL})
        if live.record["direction"] != "inbound" or live.state == "answered":
            raise ApiError(400, "The call cannot be answered")
        live.recorded |= given.get("call_recording", False)
        live.transcribed |= given.get("call_transcription", False)
        self._answer(live)
        if "stream_url" in given:
            self._add_stream(live, {"stream_type": "oneway", "stream_channel": "both", **given})
        return _done()

    # --- handlers of what happens during a call ---

    def _play(self, call: Call) -> Reply:
        live = self._find(call, answered=True)
        _read(call, {"audio_file": URL})
        self._played += 1
        playback = self._playbacks.make(self._played)
        live.playing.append(playback)
        self._tell_audio(live, "started", playback)
        self._later(live, self._context.call_delay, "answered", lambda: self._end_audio(live, playback))
        return _done()

    def _stop_audio(self, call: Call) -> Reply:
        live = self._find(call)
        for playback in tuple(live.playing):
            self._end_audio(live, playback)
        return _done()

    def _end_audio(self, live: _Live, playback: str) -> None:
        if playback in live.playing:
            live.playing.remove(playback)
            self._tell_audio(live, "completed", playback)

    def _tell_audio(self, live: _Live, status: str, playback: str) -> None:
        self._tell(live, "on_call_event", {"type": "audio", "payload": {"status": status, "playback_id": playback}})

    def _start_collect(self, call: Call) -> Reply:
        live = self._find(call, answered=True)
        given = _read(call, {"termination_character": _KEY, "max_attempts": _POSITIVE, "prompt": _PROMPT})
        if live.collect is not None:
            raise ApiError(400, "Digits are being collected already")
        live.collect = _Collect(
            given.get("max_digits", 20),
            given.get("timeout", _COLLECTS),
            given.get("termination_character"),
            given.get("max_attempts", 1),
        )
        self._prompt(live, live.collect)
        return _done()

    def _prompt(self, live: _Live, collect: _Collect) -> None:
        collect.attempts -= 1
        self._tell_collect(live, "started", "")
        self._later(live, collect.timeout, "answered", lambda: self._expire(live, collect))

    def _expire(self, live: _Live, collect: _Collect) -> None:
        """End an attempt whose time is over."""
        if live.collect is not collect:
            return
        if collect.digits:
            self._end_collect(live, collect, "completed")
        elif collect.attempts > 0:
            self._prompt(live, collect)
        else:
            self._end_collect(live, collect, "failed")

    def _end_collect(self, live: _Live, collect: _Collect, status: str) -> None:
        live.collect = None
        self._tell_collect(live, status, collect.digits)

    def _press(self, live: _Live, digit: str) -> None:
        collect = live.collect
        if collect is None:
            return  # the digits before were all that was asked for
        if digit != collect.terminator:
            collect.digits += digit
        if digit == collect.terminator or len(collect.digits) == collect.most:
            self._end_collect(live, collect, "completed")

    def _tell_collect(self, live: _Live, status: str, digits: str) -> None:
        self._tell(live, "on_call_event", {"type": "collect", "payload": {"status": status, "digits": digits}})

    def _start_stream(self, call: Call) -> Reply:
        live = self._find(call, answered=True)
        given = _read(call, {"stream_url": _STREAM_URL})
        return Reply.of(200, {"success": True, "stream_id": self._add_stream(live, given)})

    def _add_stream(self, live: _Live, given: Record) -> str:
        kind = given["stream_type"]
        if (
            sum(self.streams.find(each)["stream_type"] == kind for each in self._streams_of(live))
            >= _MOST_STREAMS[kind]
        ):
            raise ApiError(400, f"The call has {_MOST_STREAMS[kind]} {kind} streams already")
        stream = {"call_id": live.record["id"], **{name: given[name] for name in _STREAM}}
        stream_id: str = self.streams.insert(stream)["stream_id"]
        return stream_id

    def _streams_of(self, live: _Live) -> list[str]:
        return [each for each in self.streams if self.streams.find(each)["call_id"] == live.record["id"]]

    def _stop_stream(self, call: Call) -> Reply:
        if call.ids[-1] not in self._streams_of(self._find(call)):
            raise ApiError(404, "Stream not found")
        self.streams.remove(call.ids[-1])
        return _done()

    # --- handlers of webhooks ---

    def _create_webhook(self, call: Call) -> Reply:
        record = self.webhooks.insert(self.webhooks.read(call.body, self.webhooks.required))
        return Reply.of(201, {"success": True, **record})

    def _delete_webhook(self, call: Call) -> Reply:
        kind = dict(parse_qsl(call.query)).get("event_type", "")
        if kind not in ("on-call", "post-call"):
            raise invalid("event_type", "one of on-call, post-call")
        self.webhooks.remove(kind)
        return _done()

    def _find(self, call: Call, *, answered: bool = False) -> _Live:
        live = self._live.get(call.ids[0])
        if live is None:
            raise ApiError(404, "Call not found")
        if answered and live.state != "answered":
            raise ApiError(400, "The call is not answered")
        return live


def _done() -> Reply:
    return Reply.of(200, {"success": True})


def _read(call: Call, rules: Mapping[str, Check]) -> Record:
    """Return the fields of a body, which the router has checked by the description; `rules` are what it does not say.

    Raises:
        ApiError: 400 with every field that is wrong, in the form of the operations of calls.
    """
    given = json_object(call.body)
    check_all(rules, given)
    return given


def _destination(record: Record) -> str:
    if record["direction"] == "inbound":
        return "API"
    return "United States" if without_plus(record["to"]).startswith("1") else "International"


def _post_call(call: EndedCall) -> Record:
    return {
        "direction": call.direction,
        "uuid": call.call_id,
        "destination": call.destination,
        "duration": call.duration,
        "charge": call.charge,
        "date": iso(call.started),
        "disposition": call.disposition,
        "from": call.from_,
        "to": call.to,
        "per_minute": call.per_minute,
    }
