"""Voice campaigns: outbound calls that run a call flow, and end by themselves.

The vendor's documentation names only the status `in_progress`. We assume: a campaign is `completed` when its call is
over, and then its URL gets the campaign's record.
"""

from collections.abc import Sequence

from wavix_async.sandbox._groups.calls import PHONE, Calls
from wavix_async.sandbox._groups.collection import Collection, Numbered
from wavix_async.sandbox._groups.ended_call import EndedCall
from wavix_async.sandbox._groups.filters import iso
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import URL
from wavix_async.sandbox._server import Call, Reply, Route


class VoiceCampaigns:
    """The voice campaigns of the account.

    Args:
        context: What the sandbox gives to every group.
        calls: Makes the calls.
    """

    def __init__(self, context: Context, calls: Calls) -> None:
        self._context = context
        self._calls = calls
        self.campaigns = Collection(
            context,
            ids=Numbered(2_321_001),
            record=lambda given: {
                "status": "in_progress",
                "timestamp": iso(context.date()),
                "caller_id": given["caller_id"],
                "contact": given["contact"],
            },
            rules={"caller_id": PHONE, "contact": PHONE, "callback_url": URL},
            wrap="voice_campaign",
            unwrap="voice_campaign",
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        return (
            Route("POST", "/v1/voice-campaigns", "campaigns:write", self._create, charged=True),
            Route("GET", "/v1/voice-campaigns/{id}", "campaigns:read", self.campaigns.get),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.campaigns.reset()

    def _create(self, call: Call) -> Reply:
        given = self.campaigns.read(call.body)
        record = self.campaigns.insert(given)

        def end(_: EndedCall) -> None:
            record["status"] = "completed"
            self._context.outbox.post("voice_campaign", given.get("callback_url"), record)

        reply = Reply.of(201, {"voice_campaign": record})
        self._calls.start(given["caller_id"], given["contact"], lasts=self._context.call_delay, after=end)
        return reply
