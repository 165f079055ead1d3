"""The groups of operations that the sandbox supports. To add a group, import it and add a line to `Groups`."""

from collections.abc import Iterator

from wavix_async.sandbox._groups.api_keys import ApiKeys
from wavix_async.sandbox._groups.billing import Billing
from wavix_async.sandbox._groups.buy import Buy
from wavix_async.sandbox._groups.calls import Calls
from wavix_async.sandbox._groups.cdrs import CallRecords
from wavix_async.sandbox._groups.collection import Collection, Numbered, Uuids
from wavix_async.sandbox._groups.ended_call import EndedCall
from wavix_async.sandbox._groups.filters import exact, phone, prefix, since, until
from wavix_async.sandbox._groups.group import END_STATES, Context, Group, Relays
from wavix_async.sandbox._groups.ledger import Ledger
from wavix_async.sandbox._groups.messages import Messages
from wavix_async.sandbox._groups.numbers import Numbers
from wavix_async.sandbox._groups.profile import Profile
from wavix_async.sandbox._groups.reading import BOOL, TEXT
from wavix_async.sandbox._groups.short_links import ShortLinks
from wavix_async.sandbox._groups.speech import SpeechAnalytics
from wavix_async.sandbox._groups.sub_organizations import SubOrganizations
from wavix_async.sandbox._groups.ten_dlc import TenDLC
from wavix_async.sandbox._groups.trunks import Trunks
from wavix_async.sandbox._groups.two_fa import TwoFactor
from wavix_async.sandbox._groups.validation import Validation
from wavix_async.sandbox._groups.voice_campaigns import VoiceCampaigns
from wavix_async.sandbox._groups.webrtc import WebRTC
from wavix_async.sandbox._server import Route

__all__ = [
    "BOOL",
    "END_STATES",
    "TEXT",
    "Collection",
    "Context",
    "Groups",
    "Ledger",
    "Numbered",
    "Relays",
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
        self._context = context
        self.numbers = Numbers(context)
        self.messages = Messages(context, self.numbers.find)
        self.cdrs = CallRecords(context)
        self.calls = Calls(context, number=self.numbers.find, on_end=self._keep)
        self.voice_campaigns = VoiceCampaigns(context, self.calls)
        self.webrtc = WebRTC(context)
        self.speech = SpeechAnalytics(context)
        self.ten_dlc = TenDLC(context, self.numbers.find, self.messages.sender_ids)
        self.billing = Billing(context)
        self.buy = Buy(context, self.numbers.store)
        self.validation = Validation(context)
        self.short_links = ShortLinks(context)
        self.two_fa = TwoFactor(context)
        self.api_keys = ApiKeys(context)
        self.trunks = Trunks(context)
        self.sub_organizations = SubOrganizations(context)
        self.profile = Profile(context)

    def __iter__(self) -> Iterator[Group]:
        return iter(each for each in vars(self).values() if each is not self._context)

    @property
    def routes(self) -> Iterator[Route]:
        """The operations of all groups."""
        for group in self:
            yield from group.routes

    def _keep(self, call: EndedCall) -> None:
        """Write the CDR of a call that is over, charge it, and write what else it leaves."""
        kind, what = (14, "Outbound call to") if call.direction == "outbound" else (6, "Inbound call of")
        number = call.to if call.direction == "outbound" else call.from_
        self._context.ledger.charge([(call.charge, kind, f"{what} {number}")], refuse=False)
        self.cdrs.add_call(
            from_=call.from_,
            to=call.to,
            kind="placed" if call.direction == "outbound" else "received",
            call_id=call.call_id,
            disposition=call.disposition,
            duration=call.duration,
            began=call.started,
            recording=call.recorded,
            transcription=call.transcribed,
            destination=call.destination,
            per_minute=call.per_minute,
            charge=call.charge,
            answered_by=call.answered_by,
        )

    def begin(self, base_url: str) -> None:
        """Tell the groups at which address they are, for the URLs in their answers."""
        self.numbers.store.base_url = self.cdrs.base_url = self.speech.base_url = base_url
        self.ten_dlc.base_url = base_url

    def reset(self) -> None:
        """Restore the initial state."""
        for group in self:
            group.reset()
