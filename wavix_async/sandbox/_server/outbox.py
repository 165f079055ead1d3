"""The outbox: the events that the sandbox posts to webhooks, as tests read them."""

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from attrs import define, evolve, field, frozen

_KEPT = 100_000
_SPEECH_TRIES = 5
_TRIES = {"file_transcription": _SPEECH_TRIES, "call_transcription": _SPEECH_TRIES}
"""How often the API tries to deliver an event, by kind; it documents further tries for the speech kinds only."""


@frozen
class SandboxEvent:
    """One event that the sandbox has posted, or would post if the account had a URL for it."""

    kind: str
    """The kind of event: `on_call`, `post_call`, `message`, `dlr`, `number`, `campaign`, `brand`, `file_transcription`,
    `call_transcription` or `voice_campaign`."""
    url: str | None = field(repr=False)
    """Where it goes; None: no URL is set for it."""
    body: dict[str, Any] = field(repr=False)
    """The JSON object that is posted."""
    at: float
    """Seconds on the sandbox's clock."""
    statuses: list[int | None] = field(factory=list)
    """What the receiver answered to each delivery; None: it did not answer."""
    reason: str | None = None
    """Why the sandbox does not deliver it; None: it does."""
    tries: int = field(default=1, repr=False)
    """How often each delivery is tried if the receiver does not answer with a 2xx."""


@define(eq=False)
class Outbox:
    """The latest 100,000 events of a sandbox, oldest first; the caller holds the sandbox's lock."""

    clock: Callable[[], float]
    events: deque[SandboxEvent] = field(factory=lambda: deque(maxlen=_KEPT), init=False)
    on_post: Callable[[SandboxEvent], None] | None = field(default=None, init=False)
    """Called with every new event that can be delivered."""
    refuses: Callable[[str | None], str | None] = field(default=lambda _: None, init=False)
    """Returns why nothing is posted to a URL; None: it is posted."""
    shape: Callable[[str, dict[str, Any]], dict[str, Any]] | None = field(default=None, init=False)
    """Turns the body of a kind of event into another shape that receivers must expect."""

    def post(self, kind: str, url: str | None, body: dict[str, Any], *, tries: int | None = None) -> None:
        """Post an event to a URL as soon as possible; without a URL, only tests see it.

        Args:
            kind: The kind of event (see `SandboxEvent.kind`).
            url: The URL; None or empty: the account has none.
            body: The event in wire form; it is copied.
            tries: How often the delivery is tried; None: as often as the API documents for the kind.
        """
        copy = deepcopy(body)
        if self.shape is not None:
            copy = self.shape(kind, copy)
        event = SandboxEvent(
            kind,
            url or None,
            copy,
            self.clock(),
            reason=self.refuses(url or None),
            tries=_TRIES.get(kind, 1) if tries is None else tries,
        )
        self.events.append(event)
        if event.reason is None and self.on_post is not None:
            self.on_post(event)

    def snapshot(self) -> tuple[SandboxEvent, ...]:
        """Return copies of the events."""
        return tuple(
            evolve(event, body=deepcopy(event.body), statuses=list(event.statuses)) for event in tuple(self.events)
        )

    def clear(self) -> None:
        """Forget all events."""
        self.events.clear()
