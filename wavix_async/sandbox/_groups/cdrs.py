"""Calls that have ended: their CDRs, recordings and transcriptions.

The vendor's documentation leaves some questions open. We assume: a transcription that is not there yet is a 404; a
transcription that is made again stays readable until the new one replaces it; a deleted recording answers 400 by either
id. Prices, texts and the files are our own. A call with a number that ends in 0007 cannot be transcribed.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field, frozen

from wavix_async.sandbox._groups.collection import Collection, Numbered, Uuids, exported
from wavix_async.sandbox._groups.filters import Filter, Predicate, Record, exact, iso, since, until, without_plus
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import URL, json_object, read_id
from wavix_async.sandbox._server import ApiError, Call, Reply, Route

_UNTRANSCRIBED = "0007"
_PER_MINUTE = 0.02
_DISPOSITIONS = ("answered", "noanswer", "busy", "failed", "all")
_ROW = ("date", "from", "to", "disposition", "duration", "destination", "per_minute", "charge", "forward_fee", "uuid")
"""The fields in a row of the export."""

SPEECH = (("agent", "Hello, how can I help you?"), ("client", "Hello, I have a question about my bill."))
"""What is said in every call, unless a test says otherwise."""


def sound(name: str) -> bytes:
    """Return the content of a file: it depends only on the name."""
    return b"ID3" + random.Random(name).randbytes(4093)  # noqa: S311 - repeatable, not secret


@define(eq=False)
class _Shown(Collection):
    """A collection that adds to its records what depends on the sandbox's address."""

    show: Callable[[Record], Record] = field(kw_only=True)

    def find(self, key: Any) -> Record:
        return self.show(Collection.find(self, key))


@frozen
class _Past:
    """What a CDR does not show of its call."""

    kind: str
    speech: Sequence[tuple[str, str]]

    def words(self, speaker: str) -> str:
        return " ".join(text for each, text in self.speech if speaker in (each, "any")).lower()


class CallRecords:
    """The CDRs, recordings and transcriptions of the account."""

    def __init__(self, context: Context) -> None:
        self.base_url = ""
        self._context = context
        self._ids = Uuids(context.seed, "calls")
        self._past: dict[str, _Past] = {}
        self._recorded: set[str] = set()  # calls that have a recording
        self._deleted: dict[str, str] = {}  # when a recording was deleted, by both of its ids
        self.cdrs = _Shown(
            context,
            key=lambda record: record["call_id"],
            record=dict,
            show=self._with_urls,
            filters={
                "from": since("date"),
                "to": until("date"),
                "type": self._of_kind,
                "disposition": _ended("disposition"),
                "from_search": _part("from"),
                "to_search": _part("to"),
                "sip_trunk": self._on_trunk,
                "uuid": exact("uuid"),
                "min_duration": lambda text: lambda record: record["duration"] >= int(text),
                "transcription": self._said,
            },
            required_filters=("from", "to", "type"),
        )
        self.recordings = _Shown(
            context,
            ids=Numbered(501),
            record=dict,
            show=lambda record: {**record, "url": f"{self.base_url}/v1/recordings/{record['call_uuid']}"},
            filters={
                "from_date": since("created_at"),
                "to_date": until("created_at"),
                "from": _part("from"),
                "to": _part("to"),
                "call_uuid": exact("call_uuid"),
                "sip_trunks": self._on_trunks,
            },
            list_key="recordings",
        )
        self.transcriptions = Collection(context, ids=self._ids, key=lambda record: record["call_uuid"], record=dict)
        self._seed()

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        calls, one, recordings = "/v1/cdrs", "/v1/cdrs/{call_id}", "/v1/recordings"
        read, write = "calls:read", "calls:write"
        return (
            Route("GET", calls, read, self._list),
            Route("POST", calls, read, self._search),
            Route("GET", f"{calls}/all", read, self._export),
            Route("GET", one, read, self._get),
            Route("PUT", f"{one}/retranscribe", write, self._retranscribe, charged=True),
            Route("GET", f"{one}/transcription", read, self.transcriptions.get),
            Route("GET", f"{one}/transcriptions", read, self.transcriptions.get),
            Route("GET", recordings, "recordings:read", self._list_recordings),
            Route("GET", f"{recordings}/{{id}}", "recordings:read", self._recording),
            Route("DELETE", f"{recordings}/{{id}}", "recordings:write", self._delete),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        for collection in (self.cdrs, self.recordings, self.transcriptions):
            collection.reset()
        self._past.clear()
        self._recorded.clear()
        self._deleted.clear()
        self._context.files.clear()
        self._seed()

    def add_call(
        self,
        *,
        from_: str,
        to: str,
        kind: str,
        call_id: str | None = None,
        disposition: str = "answered",
        duration: int = 60,
        began: datetime | None = None,
        recording: bool = False,
        transcription: bool = False,
        speech: Sequence[tuple[str, str]] | None = None,
        **more: Any,
    ) -> Record:
        """Add the CDR of a call that has ended, and what else it leaves; return the CDR in wire form.

        Args:
            from_: The phone number that called.
            to: The phone number that was called.
            kind: `placed` or `received`.
            call_id: The call's id; None: a new one.
            disposition: How the call ended.
            duration: Seconds from the answer to the end.
            began: When the call began; None: `duration` ago.
            recording: Whether the call was recorded.
            transcription: Whether its recording is transcribed.
            speech: What was said: pairs of `agent` or `client` and a text.
            more: More fields of the CDR, such as `sip_trunk`.
        """
        call_id = call_id or self._ids.make(len(self._past))
        answered = disposition == "answered"
        charge = -(-duration // 60) * _PER_MINUTE if answered else 0.0
        began = began or self._context.date() - timedelta(seconds=duration)
        self._past[call_id] = _Past(kind, SPEECH if speech is None else tuple(speech))
        self.cdrs.add(
            {
                "date": iso(began),
                "from": without_plus(from_),
                "to": without_plus(to),
                "disposition": disposition,
                "duration": duration if answered else 0,
                "destination": "United States" if kind == "placed" else "Main office",
                "per_minute": str(_PER_MINUTE),
                "charge": f"{charge:.3f}",
                "sip_trunk": "32882" if kind == "placed" else None,
                "forward_fee": "0.0",
                "uuid": call_id,
                "call_id": call_id,
                "parent_uuid": None,
                "parent_call_id": None,
                "answered_by": "human" if answered else None,
                **more,
            }
        )
        if answered and (recording or transcription):
            ended = began + timedelta(seconds=duration)
            numbers = {"from": without_plus(from_), "to": without_plus(to)}
            self._recorded.add(call_id)
            self.recordings.add({"created_at": iso(ended), "duration": duration, **numbers, "call_uuid": call_id})
        if answered and transcription:
            self._transcribe_later(call_id, "en", None)
        return self.cdrs.find(call_id)

    def _seed(self) -> None:
        """Add calls of the past: one every 17 minutes, most of them answered and recorded."""
        now = self._context.date()
        for index in range(self._context.cdrs, 0, -1):
            placed = index % 2 == 0
            ours, other = f"1312555{1000 + index % 10:04}", f"1415555{index % 7000 + 2000:04}"
            call = self.add_call(
                from_=ours if placed else other,
                to=other if placed else ours,
                kind="placed" if placed else "received",
                disposition=("noanswer", "answered", "answered", "answered", "busy", "answered", "answered")[index % 7],
                duration=20 + index * 37 % 600,
                began=now - timedelta(minutes=17 * index),
                recording=True,
            )
            if index % 3 == 0 and call["disposition"] == "answered":
                self.transcriptions.add(self._transcription(call["call_id"], "en"))

    def _with_urls(self, record: Record) -> Record:
        call_id = record["call_id"]
        shown = dict(record)
        recorded = call_id in self._recorded
        shown["recording_url"] = f"{self.base_url}/v1/recordings/{call_id}" if recorded else None
        shown["transcription"] = None
        if call_id in self.transcriptions:
            # The live API writes the key into this URL.
            url = f"{self.base_url}/v1/cdrs/{call_id}/transcription?appid={self._context.api_key}"
            shown["transcription"] = {"uuid": self.transcriptions.find(call_id)["uuid"], "url": url}
        return shown

    # --- CDRs ---

    def _list(self, call: Call) -> Reply:
        answer = self.cdrs.page(_with_default(call.query))
        return Reply.of(
            200, {**answer, "items": [_without(each, "recording_url", "transcription") for each in answer["items"]]}
        )

    def _search(self, call: Call) -> Reply:
        given = json_object(call.body)
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        answer = self.cdrs.page({"disposition": "answered", **texts})
        return Reply.of(200, {**answer, "items": [_without(each, "recording_url") for each in answer["items"]]})

    def _export(self, call: Call) -> Reply:
        found = self.cdrs.matching(_with_default(call.query), self.cdrs.filters)
        return exported({name: record[name] for name in _ROW} for record in found)

    def _get(self, call: Call) -> Reply:
        record = self.cdrs.find(call.ids[0])
        asked = dict(parse_qsl(call.query)).get("show_transcription") == "true"
        return Reply.of(200, record if asked else _without(record, "transcription"))

    def _of_kind(self, text: str) -> Predicate:
        if text not in ("placed", "received"):
            raise ValueError("one of placed, received")
        return lambda record: self._past[record["call_id"]].kind == text

    def _on_trunk(self, text: str) -> Predicate:
        return lambda record: self._past[record["call_id"]].kind == "received" or record["sip_trunk"] == text

    def _said(self, text: str) -> Predicate:
        wanted = json.loads(text)

        def test(record: Record) -> bool:
            past = self._past[record["call_id"]]
            return record["transcription"] is not None and all(
                _is_said(past.words(speaker), terms) for speaker, terms in wanted.items()
            )

        return test

    # --- recordings ---

    def _list_recordings(self, call: Call) -> Reply:
        given = dict(parse_qsl(call.query, keep_blank_values=True))
        # Several values come as `sip_trunks[]`; of a repeated plain key, such servers read the last value only.
        trunks = [value for name, value in parse_qsl(call.query) if name == "sip_trunks[]"]
        if trunks:
            given["sip_trunks"] = ",".join(trunks)
        asked = given.get("sip_trunks", "").split(",") if "sip_trunks" in given else []
        known = {self.cdrs.find(key)["sip_trunk"] for key in self.cdrs}
        invalid = {"dids": [], "sip_trunks": [each for each in asked if each not in known]}
        answer = self.recordings.page(given)
        return Reply.of(
            200, {"recordings": answer["recordings"], "invalid": invalid, "pagination": answer["pagination"]}
        )

    def _on_trunks(self, text: str) -> Predicate:
        wanted = text.split(",")
        return lambda record: self.cdrs.find(record["call_uuid"])["sip_trunk"] in wanted

    async def _recording(self, call: Call) -> Reply:
        """Answer the record of a recording by its own id, and its file by the id of its call."""
        (text,) = call.ids
        with self._context.lock:
            self._refuse_deleted(text)
            if text.isdigit():
                return Reply.of(200, self.recordings.find(read_id(text)))
            if text not in self._recorded:
                raise ApiError(404, "Record not found")
        return await self._context.files.reply(f"{text}.mp3", "audio/mpeg", sound(text))

    def _delete(self, call: Call) -> Reply:
        (text,) = call.ids
        self._refuse_deleted(text)
        call_id = self.recordings.find(read_id(text))["call_uuid"]
        self._recorded.discard(call_id)
        self._deleted[text] = self._deleted[call_id] = iso(self._context.date())
        return self.recordings.delete(call)

    def _refuse_deleted(self, text: str) -> None:
        if text in self._deleted:
            raise ApiError(400, "The recording was deleted", error=True, deleted_at=self._deleted[text])

    # --- transcriptions ---

    def _retranscribe(self, call: Call) -> Reply:
        given = json_object(call.body or b"{}")
        if "webhook_url" in given:
            URL("webhook_url", given["webhook_url"])
        (call_id,) = call.ids
        self.cdrs.find(call_id)
        self._refuse_deleted(call_id)
        if call_id not in self._recorded:
            raise ApiError(404, "The call has no recording")
        self._context.charge("0.01", 41, f"Transcription of the call {call_id}")
        self._transcribe_later(call_id, given.get("language"), given.get("webhook_url"))
        return Reply.of(200, {"success": True})

    def _transcribe_later(self, call_id: str, language: str | None, webhook_url: str | None) -> None:
        def transcribe() -> None:
            record = self._transcription(call_id, language)
            self.transcriptions.add(record)
            event = {"uuid": call_id, "status": record["status"]}
            self._context.outbox.post("call_transcription", webhook_url, event)

        self._context.timers.after(self._context.transcription_delay, transcribe)

    def _transcription(self, call_id: str, language: str | None) -> Record:
        cdr, past = self.cdrs.find(call_id), self._past[call_id]
        agent, client = (cdr["from"], cdr["to"]) if past.kind == "placed" else (cdr["to"], cdr["from"])
        failed = _UNTRANSCRIBED in (cdr["from"][-4:], cdr["to"][-4:])
        numbers = {"agent": agent, "client": client}
        turns = [
            {
                "type": numbers[speaker],
                "s": 1000 * index,
                "e": 1000 * index + 900,
                "text": text,
                "sentiment": "neutral",
            }
            for index, (speaker, text) in enumerate(past.speech)
        ]
        whole = {
            number: " ".join(text for each, text in past.speech if each == speaker)
            for speaker, number in numbers.items()
        }
        return {
            "transcript": None if failed else whole,
            "turns": None if failed else turns,
            "uuid": Uuids(self._context.seed, call_id).make(0),
            "language": language or "en",
            "duration": cdr["duration"],
            "charge": "0.0" if failed else "0.01",
            "status": "failed" if failed else "completed",
            "transcription_date": iso(self._context.date()),
            "call_date": cdr["date"],
            "call_uuid": call_id,
            "call_score": None if failed else "3.8",
            "call_summary": None if failed else "The agent and the client talk about a bill.",
        }


def _with_default(query: str) -> dict[str, str]:
    """Return the parameters of a query; without a disposition, only answered calls are meant."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    return {"disposition": "answered", **_without(given, "min_duration", "transcription")}


def _without(record: Record, *names: str) -> Record:
    return {name: value for name, value in record.items() if name not in names}


def _ended(name: str) -> Filter:
    any_or_exact = exact(name, *_DISPOSITIONS)
    return lambda text: (lambda _: True) if text == "all" else any_or_exact(text)


def _part(name: str) -> Filter:
    """Keep records whose phone number has the digits."""
    return lambda text: lambda record: without_plus(text.strip()) in record[name]


def _is_said(words: str, terms: Mapping[str, Sequence[str]]) -> bool:
    said = {name: [each.lower() in words for each in given] for name, given in terms.items()}
    return (
        all(said.get("must", ())) and (not said.get("match") or any(said["match"])) and not any(said.get("exclude", ()))
    )
