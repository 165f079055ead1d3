"""`parse_event`: the body of a webhook to a typed event. It is lenient: nothing that JSON can hold makes it raise.

Wavix names the kind of an event nowhere. It shows in the keys of the body, or the URL that was called names it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast, overload

from attrs import evolve

from wavix_async._codec import decode, is_about, is_nested, loads, loads_odd
from wavix_async.errors import DecodeError, InputError
from wavix_async.models.events import (
    BrandStatusChanged,
    CallEvent,
    CallTranscriptionCompleted,
    CampaignStatusChanged,
    DeliveryReport,
    FileTranscriptionCompleted,
    InboundMessage,
    NumberStatusChanged,
    PostCall,
    UnknownEvent,
)

__all__ = ["KINDS", "MAX_BODY", "WebhookEvent", "is_body_key", "kind_of", "name_of_kind", "parse_event"]

WebhookEvent: TypeAlias = (
    CallEvent
    | PostCall
    | InboundMessage
    | DeliveryReport
    | NumberStatusChanged
    | CampaignStatusChanged
    | BrandStatusChanged
    | FileTranscriptionCompleted
    | CallTranscriptionCompleted
    | UnknownEvent
)
"""What `parse_event` returns: an event of one of nine kinds, or an `UnknownEvent`."""

E = TypeVar("E", bound=WebhookEvent)

KINDS: Final[Mapping[str, type[WebhookEvent]]] = {
    "on_call": CallEvent,
    "post_call": PostCall,
    "message": InboundMessage,
    "dlr": DeliveryReport,
    "number": NumberStatusChanged,
    "campaign": CampaignStatusChanged,
    "brand": BrandStatusChanged,
    "file_transcription": FileTranscriptionCompleted,
    "call_transcription": CallTranscriptionCompleted,
    "voice_campaign": UnknownEvent,
}
"""The names of the kinds, in URLs and on the command line."""

MAX_BODY: Final = 1024 * 1024
"""Bytes. The longest event, an inbound message, has a few thousand."""
_DEEPEST: Final = 64
"""Levels of nesting that are kept as parsed JSON."""


@overload
def parse_event(body: object, kind: type[E]) -> E | UnknownEvent: ...
@overload
def parse_event(body: object, kind: str | None = None) -> WebhookEvent: ...
def parse_event(body: object, kind: str | type[Any] | None = None) -> Any:
    """Return the event in the body of a webhook.

    A field that is missing, null or of another type does not matter, and unknown keys are in `extra`. The ids and the
    types of call events are found under all their known names. `wavix_async.to_dict` returns the body as it came, plus
    the `id` and the `event_type` of a call event that has them elsewhere.

    Args:
        body: The body: bytes, text, or the parsed JSON. At most 1 MiB.
        kind: What the event is, if the URL or the caller knows it: a class, or a name such as `dlr`. A body that
            looks like another kind, and lacks the id of this one, is recognized by its keys.

    Returns:
        One of nine typed events; an `UnknownEvent` for any other JSON.

    Raises:
        DecodeError: The body is not JSON, or is too long.
        InputError: `kind` is neither an event class nor the name of one.
    """
    wanted = None if kind is None else kind_of(kind)
    payload = _load(body) if isinstance(body, bytes | bytearray | memoryview | str) else _flat(body)
    if type(payload) is not dict:
        return UnknownEvent(raw=payload)
    wanted = _recognize(payload) if wanted is None else _confirm(wanted, payload)
    if wanted is UnknownEvent:
        return evolve(decode(UnknownEvent, payload)[0], raw=payload)
    if wanted is CallEvent:
        payload = _usual_names(payload)
    return decode(wanted, payload)[0]


def kind_of(kind: object) -> type[WebhookEvent]:
    """Return the class of a kind, given by its name or by itself.

    Raises:
        InputError: There is no such kind.
    """
    found = KINDS.get(kind) if isinstance(kind, str) else kind if kind in KINDS.values() else None
    if found is None:
        raise InputError(
            f"kind must be an event class such as DeliveryReport, or one of {', '.join(KINDS)}; got {str(kind)[:80]!r}."
        )
    return cast("type[WebhookEvent]", found)


def name_of_kind(event: WebhookEvent) -> str:
    """Return the name of an event's kind; `unknown` for an event of no kind."""
    return _NAMES.get(type(event), "unknown")


def is_body_key(key: str) -> bool:
    """Return whether a key is a hash of the whole body, because the event has no id of its own."""
    return ":#" in key


_NAMES: Final = {kind: name for name, kind in KINDS.items() if kind is not UnknownEvent}


def _load(body: Any) -> Any:
    """Return the JSON value of a body; a value that is nested too deep stays text.

    Raises:
        DecodeError: It is not JSON, or is too long.
    """
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    if len(content) > MAX_BODY:
        raise DecodeError(f"The body of an event has at most {MAX_BODY:,} bytes; this one has {len(content):,}.")
    try:
        value = loads(content)
    except (ValueError, RecursionError):
        try:
            value = loads_odd(content)
        except RecursionError:
            return _text(content)
        except ValueError:
            # The library's message and its error quote the body, which may hold a code.
            value = _NOT_JSON
    if value is _NOT_JSON:
        raise DecodeError("The body of the event is not JSON.")
    return _text(content) if is_nested(value, _DEEPEST) else value


_NOT_JSON: Final = object()


def _flat(body: Any) -> Any:
    return "(nested too deep)" if is_nested(body, _DEEPEST) else body


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


# --- kinds ---

_ID_NAMES: Final = ("id", "uuid", "call_id")
_TYPE_NAMES: Final = ("event_type", "event", "type")


def _call_id(payload: Mapping[str, Any]) -> Any:
    places = [payload, *(each for each in (payload.get("call"), payload.get("data")) if isinstance(each, dict))]
    found = (place.get(name) for place in places for name in _ID_NAMES)
    return next((each for each in found if each is not None and each != ""), None)


def _usual_names(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a call event with its id under `id`, and its type under `event_type`."""
    named = dict(payload)
    if payload.get("id") is None and payload.get("uuid") is None and (found := _call_id(payload)) is not None:
        named["id"] = found
    if payload.get("event_type") is None:
        kind = next((payload[name] for name in _TYPE_NAMES if payload.get(name) is not None), None)
        if kind is not None:
            named["event_type"] = kind
    return named


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    wanted = frozenset(names)
    return lambda payload: wanted <= payload.keys()


# In this order: a later test accepts what an earlier one should have.
_TESTS: Final[tuple[tuple[Callable[[Mapping[str, Any]], bool], type[WebhookEvent]], ...]] = (
    (lambda payload: not payload.keys().isdisjoint(_TYPE_NAMES) and _call_id(payload) is not None, CallEvent),
    (_has("disposition"), PostCall),
    (
        lambda payload: "message_id" in payload and ("message_body" in payload or "received_at" in payload),
        InboundMessage,
    ),
    (_has("message_id"), DeliveryReport),
    (_has("brand_id", "campaign_id", "number"), NumberStatusChanged),
    (_has("brand_id", "campaign_id"), CampaignStatusChanged),
    (_has("brand_id"), BrandStatusChanged),
    (_has("request_id", "status"), FileTranscriptionCompleted),
    (lambda payload: payload.keys() == {"uuid", "status"}, CallTranscriptionCompleted),
)


_IDS: Final[Mapping[type[WebhookEvent], frozenset[str]]] = {
    CallEvent: frozenset(_ID_NAMES) | {"call", "data"},
    PostCall: frozenset({"uuid"}),
    InboundMessage: frozenset({"message_id"}),
    DeliveryReport: frozenset({"message_id"}),
    NumberStatusChanged: frozenset({"number"}),
    CampaignStatusChanged: frozenset({"campaign_id"}),
    BrandStatusChanged: frozenset({"brand_id"}),
    FileTranscriptionCompleted: frozenset({"request_id"}),
    CallTranscriptionCompleted: frozenset({"uuid"}),
}


def _confirm(wanted: type[WebhookEvent], payload: Mapping[str, Any]) -> type[WebhookEvent]:
    """Return the kind that the URL names, unless the body has another kind's keys and not the id of this one."""
    if wanted is UnknownEvent:
        return wanted
    if not _IDS[wanted].isdisjoint(payload):
        return wanted
    found = _recognize(payload)
    return wanted if found is UnknownEvent and is_about(wanted, payload) else found


def _recognize(payload: Mapping[str, Any]) -> type[WebhookEvent]:
    return next((kind for test, kind in _TESTS if test(payload)), UnknownEvent)
