"""The groups of operations that the sandbox supports. To add a group, import it and add a line to `Groups`."""

from collections.abc import Iterator

from wavix_async.sandbox._groups.calls import Calls
from wavix_async.sandbox._groups.collection import Collection, Numbered, Uuids
from wavix_async.sandbox._groups.filters import exact, phone, prefix, since, until
from wavix_async.sandbox._groups.group import Context, Group
from wavix_async.sandbox._groups.messages import Messages
from wavix_async.sandbox._groups.numbers import Numbers
from wavix_async.sandbox._groups.reading import BOOL, TEXT
from wavix_async.sandbox._groups.voice_campaigns import VoiceCampaigns
from wavix_async.sandbox._groups.webrtc import WebRTC
from wavix_async.sandbox._server import Route

__all__ = [
    "BOOL",
    "TEXT",
    "Collection",
    "Context",
    "Groups",
    "Numbered",
    "Uuids",
    "exact",
    "phone",
    "prefix",
    "since",
    "until",
]


class Groups:
    """All groups of a sandbox."""

    def __init__(self, context: Context) -> None:
        self.numbers = Numbers(context)
        self.messages = Messages(context)
        self.calls = Calls(context, number=self.numbers.find)
        self.voice_campaigns = VoiceCampaigns(context, self.calls)
        self.webrtc = WebRTC(context)

    def __iter__(self) -> Iterator[Group]:
        return iter(vars(self).values())

    @property
    def routes(self) -> Iterator[Route]:
        """The operations of all groups."""
        for group in self:
            yield from group.routes

    def reset(self) -> None:
        """Restore the initial state."""
        for group in self:
            group.reset()
