"""Voice campaigns: the requests and answers of `/v1/voice-campaigns`."""

from datetime import datetime

from attrs import field, frozen

from wavix_async.models._base import Body, Model, OpenStrEnum
from wavix_async.models._checks import check_url, set_phones
from wavix_async.types import UNSET, UnsetType

__all__ = ["VoiceCampaign", "VoiceCampaignCreate", "VoiceCampaignStatus"]


class VoiceCampaignStatus(OpenStrEnum):
    """The status of a voice campaign. The API's documentation names only this one."""

    IN_PROGRESS = "in_progress"


@frozen(kw_only=True)
class VoiceCampaign(Model):
    """One outbound call that runs a call flow."""

    id: int = field(default=None)
    """The campaign's id, for `voice_campaigns.get`."""
    status: VoiceCampaignStatus = field(default=None)
    """`in_progress`; any other status is taken for the end of the campaign."""
    timestamp: datetime = field(default=None)
    """When the campaign was created."""
    caller_id: str = field(default=None)
    """The account's phone number that makes the call."""
    contact: str = field(default=None)
    """The phone number that is called."""


@frozen(kw_only=True)
class VoiceCampaignCreate(Body):
    """A voice campaign to start.

    Raises:
        InputError: A field has the wrong type, or `callback_url` is not an http or https URL.
    """

    callflow_id: int
    """The id of the call flow, which Wavix must have approved."""
    caller_id: str
    """The account's phone number that makes the call, in any usual spelling."""
    contact: str
    """The phone number to call, with country code, in any usual spelling."""
    callback_url: str | UnsetType = field(default=UNSET, repr=False)
    """The http or https URL to which changes of the status are posted. Its path may hold a secret, so repr does not
    show it."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "caller_id", "contact", plus=False)
        check_url(self, "callback_url")
