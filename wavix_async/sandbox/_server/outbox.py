"""The outbox: the events that the sandbox posts to webhooks, as tests read them."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from attrs import define, field, frozen


@frozen
class SandboxEvent:
    """One event that the sandbox has posted, or would post if the account had a URL for it."""

    kind: str
    """The kind of event: `on_call`, `post_call`, `message`, `dlr`, `number`, `campaign`, `brand`, `file_transcription`,
    `call_transcription` or `voice_campaign`."""
    url: str | None
    """Where it goes; None: no URL is set for it."""
    body: dict[str, Any]
    at: float
    """Seconds on the sandbox's clock."""
    statuses: list[int | None] = field(factory=list)
    """What the receiver answered to each delivery; None: it did not answer."""


@define(eq=False)
class Outbox:
    """All events of a sandbox, oldest first; the caller holds the sandbox's lock."""

    clock: Callable[[], float]
    events: list[SandboxEvent] = field(factory=list, init=False)
    on_post: Callable[[SandboxEvent], None] | None = field(default=None, init=False)
    """Called with every new event that has a URL."""

    def post(self, kind: str, url: str | None, body: dict[str, Any]) -> None:
        """Post an event to a URL as soon as possible; without a URL, only tests see it."""
        event = SandboxEvent(kind, url or None, deepcopy(body), self.clock())
        self.events.append(event)
        if event.url is not None and self.on_post is not None:
            self.on_post(event)

    def clear(self) -> None:
        """Forget all events."""
        self.events.clear()
