"""`parse_event`: every kind is recognized, nothing that JSON can hold makes it raise, and `key` tells events apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.events import BODIES, ID
from wavix_async import DecodeError, InputError, to_dict
from wavix_async.models import MessageDeliveryStatus
from wavix_async.models.events import CallEvent
from wavix_async.webhooks import (
    KINDS,
    DeliveryReport,
    FileTranscriptionCompleted,
    InboundMessage,
    PostCall,
    UnknownEvent,
    parse_event,
)

ALL = [(name, KINDS[name]) for name in BODIES]
ODD = [None, "", 0, 7, 1.5, True, [], ["a"], {}, {"a": {"b": [1]}}, "😀", "x" * 5_000, "\ud800"]


@pytest.mark.parametrize(("name", "kind"), ALL)
@pytest.mark.parametrize("form", ["parsed", "bytes", "text"])
def test_every_kind_is_recognized_and_gives_back_what_came(name: str, kind: type[Any], form: str) -> None:
    body = BODIES[name]
    text = json.dumps(body)
    event = parse_event({"parsed": body, "bytes": text.encode(), "text": text}[form])
    assert type(event) is kind
    assert not event.extra
    assert to_dict(event) == body
    assert parse_event(body, name) == parse_event(body, kind) == event


def test_the_fields_are_typed() -> None:
    report = parse_event(BODIES["dlr"], DeliveryReport)
    assert isinstance(report, DeliveryReport)
    assert report.status is MessageDeliveryStatus.DELIVERED
    assert (report.charge, report.sent) == (Decimal("0.01"), datetime(2026, 5, 28, 12, 34, 54, tzinfo=UTC))
    assert (report.is_final, report.late) == (True, False)
    call = parse_event(BODIES["post_call"])
    assert isinstance(call, PostCall)
    assert (call.disposition, call.charge, call.from_) == ("answered", Decimal("0.822"), "14302287001")


def test_a_report_in_the_form_of_an_older_sample_is_read() -> None:
    body = {"message_id": ID, "from": "Acme", "to": "1", "status": "sent", "sent": "2025-03-21T08:09:02"}
    report = parse_event(body)
    assert isinstance(report, DeliveryReport)
    assert report.sent == datetime(2025, 3, 21, 8, 9, 2, tzinfo=UTC)
    assert (report.charge, report.carrier_fees, report.is_final) == (None, None, False)
    assert to_dict(report) == body


@pytest.mark.parametrize(
    ("body", "call_id", "kind"),
    [
        ({"uuid": "c1", "event_type": "ringing"}, "c1", "ringing"),
        ({"call_id": "c1", "event": "answered"}, "c1", "answered"),
        ({"call": {"id": "c1"}, "type": "transfer"}, "c1", "transfer"),
        ({"data": {"call_id": "c1"}, "event": "failed"}, "c1", "failed"),
        ({"data": {"uuid": "c1"}, "event_type": "never_seen"}, "c1", "never_seen"),
        ({"id": "c1", "event_type": None, "type": "ringing"}, "c1", "ringing"),
    ],
)
def test_a_call_event_is_read_under_all_known_names(body: dict[str, Any], call_id: str, kind: str) -> None:
    event = parse_event(body)
    assert isinstance(event, CallEvent)
    assert (event.call_id, event.event_type) == (call_id, kind)
    assert (
        body.items()
        <= {**to_dict(event), **dict.fromkeys(body.keys() & {"event_type"}, body.get("event_type"))}.items()
    )


@pytest.mark.parametrize("name", BODIES)
def test_any_value_in_any_field_decodes_and_is_given_back(name: str) -> None:
    for wire in BODIES[name]:
        for value in ODD:
            body = {**BODIES[name], wire: value}
            event = parse_event(body, name)
            assert type(event) is KINDS[name]
            assert to_dict(event) == body
            assert event.key == parse_event(json.dumps(body), name).key


@pytest.mark.parametrize("name", BODIES)
def test_a_missing_field_decodes(name: str) -> None:
    for wire in BODIES[name]:
        body = {each: value for each, value in BODIES[name].items() if each != wire}
        event = parse_event(body, name)
        assert event.key
        assert to_dict(event) == body


def test_a_new_key_and_a_new_enum_value_are_kept() -> None:
    event = parse_event({**BODIES["dlr"], "status": "teleported", "network": {"mcc": 310}})
    assert isinstance(event, DeliveryReport)
    assert event.status == "teleported"
    assert event.extra == {"network": {"mcc": 310}}
    assert not event.is_final


@pytest.mark.parametrize(
    "body", [{}, [], "a", 1, 1.5, None, True, {"hello": 1}, {"uuid": "a", "status": "b", "more": 1}, [BODIES["dlr"]]]
)
def test_other_json_is_an_unknown_event(body: object) -> None:
    for given_ in (body, json.dumps(body).encode()):
        if given_ == "a":
            continue
        event = parse_event(given_)
        assert isinstance(event, UnknownEvent)
        assert event.raw == body
        assert event.key.startswith("unknown:#")
        assert to_dict(event) == (body if isinstance(body, dict) else {})


def test_a_body_of_another_kind_than_the_url_says_is_recognized() -> None:
    assert isinstance(parse_event(BODIES["file_transcription"], "number"), FileTranscriptionCompleted)
    assert isinstance(parse_event({"nothing": 1}, "dlr"), UnknownEvent)
    assert isinstance(parse_event({"id": 7, "status": "done"}, "voice_campaign"), UnknownEvent)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "uuid",
                        "event_type",
                        "disposition",
                        "message_id",
                        "brand_id",
                        "status",
                        "event_payload",
                        "x",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from([None, *KINDS]),
)
@settings(deadline=None, max_examples=50)
def test_nothing_that_json_can_hold_makes_it_raise(value: object, kind: str | None) -> None:
    event = parse_event(json.dumps(value), kind)
    assert len(event.key) <= 250
    assert event.key.isascii()
    assert repr(event)


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100 + b"1" + b"}" * 100, b'"\\ud800"', b"NaN", b"1e999", b"9" * 6_000],
)
def test_extremes_of_json_are_unknown_events(body: bytes) -> None:
    event = parse_event(body)
    assert isinstance(event, UnknownEvent)
    assert event.key == parse_event(body).key


@pytest.mark.parametrize("body", [b"", b"{", b"a=b", b"\xff\xfe\x00", "<html>", b"[" * 3])
def test_what_is_not_json_is_an_error_that_does_not_quote_it(body: Any) -> None:
    with pytest.raises(DecodeError, match="not JSON") as caught:
        parse_event(body)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_long_body_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DecodeError, match="at most 1,048,576 bytes"):
        parse_event(b"[" * 10_000_000)


@pytest.mark.parametrize("kind", ["dlrs", "", int, object, DeliveryReport(message_id="a")])
def test_a_wrong_kind_is_refused(kind: Any) -> None:
    with pytest.raises(InputError, match="kind must be an event class"):
        parse_event({}, kind)


# --- keys ---


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("on_call", {"tag": "x"}, {"event_time": "2026-09-22T12:56:39.547Z"}),
        ("on_call", {"to": "1"}, {"event_payload": {"type": "collect", "payload": {"digits": "4712"}}}),
        ("post_call", {"charge": "1"}, {"uuid": "other"}),
        ("message", {"to": "1"}, {"message_id": "other"}),
        ("dlr", {"delivered": None}, {"status": "sent"}),
        ("number", {"more": 1}, {"number": "1"}),
        ("campaign", {"more": 1}, {"status": "DECLINED"}),
        ("brand", {"more": 1}, {"status": "VERIFIED"}),
        ("file_transcription", {"error": None}, {"status": "completed"}),
        ("call_transcription", {}, {"status": "failed"}),
    ],
)
def test_a_key_is_that_of_the_occurrence(name: str, same: dict[str, Any], other: dict[str, Any]) -> None:
    key = parse_event(BODIES[name]).key
    assert parse_event({**BODIES[name], **same}).key == key
    assert parse_event({**BODIES[name], **other}).key != key


def test_keys_of_different_values_never_meet() -> None:
    keys = {
        parse_event({"message_id": one, "status": other}).key
        for one, other in [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a", "c"), ("a" * 500, "c"), ("a" * 501, "c")]
    }
    assert len(keys) == 6
    assert all(len(key) <= 210 for key in keys)


def test_without_its_id_an_event_is_known_by_its_whole_body() -> None:
    one, other = ({**BODIES["dlr"], "message_id": None, "to": to} for to in ("1", "2"))
    assert parse_event(one, "dlr").key == parse_event(dict(one), "dlr").key
    assert parse_event(one, "dlr").key != parse_event(other, "dlr").key
    assert parse_event(one, "dlr").key.startswith("dlr:#")


# --- secrets ---


def test_repr_shows_no_text_and_no_digits() -> None:
    for name in BODIES:
        assert "4711#0815" not in repr(parse_event(BODIES[name]))
    message = parse_event(BODIES["message"])
    assert isinstance(message, InboundMessage)
    assert message.message_body.text == "STOP 4711#0815"
    assert "4711#0815" not in repr(parse_event({"text": "4711#0815", "list": ["4711#0815"]}))


def test_late_is_not_on_the_wire() -> None:
    report = parse_event(BODIES["dlr"], DeliveryReport)
    assert isinstance(report, DeliveryReport)
    late = attrs.evolve(report, late=True)
    assert to_dict(late) == to_dict(report)
    assert late.key == report.key
