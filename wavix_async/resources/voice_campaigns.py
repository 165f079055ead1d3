"""Voice campaigns: `/v1/voice-campaigns`."""

from typing import Final

from wavix_async._http import Operation
from wavix_async.models.voice_campaigns import VoiceCampaign, VoiceCampaignCreate, VoiceCampaignStatus
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import IntId
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until

__all__ = ["VoiceCampaigns"]

CREATE: Final = Operation(
    "POST",
    "/v1/voice-campaigns",
    VoiceCampaign,
    scope="campaigns:write",
    wrap="voice_campaign",
    unwrap="voice_campaign",
    echoes=("contact",),
    proof="id",
)
GET: Final = Operation(
    "GET", "/v1/voice-campaigns/{id}", VoiceCampaign, scope="campaigns:read", unwrap="voice_campaign"
)


class VoiceCampaigns(Resource):
    """Outbound calls that run an approved call flow: `/v1/voice-campaigns`."""

    _ids = (IntId("voice_campaign_id", "VoiceCampaign.id"),)

    @unpack(VoiceCampaignCreate)
    async def create(self, campaign: VoiceCampaignCreate) -> VoiceCampaign:
        """Call one phone number with a call flow (POST /v1/voice-campaigns).

        It costs money, so it is sent once. There is no list: after an unknown outcome, only the account's CDRs tell
        whether the call was made. Scope: `campaigns:write`.

        Raises:
            InputError: A field has the wrong type, or `callback_url` is not an http or https URL.
            UnprocessableEntityError: The account's balance is too low.
            OutcomeUnknownError: There is no answer, or one without the campaign's id or about another phone number.
        """
        return await self._call(CREATE, body=campaign)

    async def get(self, voice_campaign_id: int) -> VoiceCampaign:
        """Read a voice campaign (GET /v1/voice-campaigns/{id}). Scope: `campaigns:read`.

        Args:
            voice_campaign_id: The campaign's id (`VoiceCampaign.id`).

        Raises:
            InputError: The id is not a positive integer.
            NotFoundError: There is no such campaign.
        """
        return await self._call(GET, voice_campaign_id)

    async def wait(
        self, voice_campaign_id: int, *, every: tuple[float, float] = (5.0, 30.0), timeout: float | None = 600.0
    ) -> VoiceCampaign:
        """Wait until a voice campaign is no longer in progress (GET /v1/voice-campaigns/{id} until then).

        The documentation names only the status `in_progress`, so any other one is taken for the end. The reads are in
        the bulk lane: other calls go first.

        Args:
            voice_campaign_id: The campaign's id (`VoiceCampaign.id`).
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.

        Returns:
            The campaign, in whatever end state.

        Raises:
            WaitTimeoutError: The campaign is still in progress; `last` is the campaign as it was read last.
            InputError: The id is not a positive integer.
            NotFoundError: There is no such campaign.
        """
        path = self._path(GET, (voice_campaign_id,))
        return await wait_until(
            self._client,
            lambda client: client.call(GET, path=path),
            lambda campaign: campaign.status not in (None, VoiceCampaignStatus.IN_PROGRESS),
            what=f"voice campaign {voice_campaign_id} is no longer in progress",
            every=every,
            timeout=timeout,
        )
