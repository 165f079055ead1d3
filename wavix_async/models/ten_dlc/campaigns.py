"""10DLC campaigns and their numbers.

The API sends times without a zone; they are read as UTC.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, PageQuery
from wavix_async.models.common import Page
from wavix_async.models.ten_dlc.statuses import (
    NudgeIntent,
    TenDLCCampaignStatus,
    TenDLCNumberStatus,
    TenDLCUseCase,
)
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "TenDLCCampaign",
    "TenDLCCampaignCreate",
    "TenDLCCampaignList",
    "TenDLCCampaignNudge",
    "TenDLCCampaignNumber",
    "TenDLCCampaignPage",
    "TenDLCCampaignUpdate",
]


@frozen(kw_only=True)
class TenDLCCampaign(Model):
    """A campaign of a brand: what its messages are for, how people opt in and out, and its numbers."""

    campaign_id: str = field(default=None)
    """The registry's id of the campaign."""
    brand_id: str = field(default=None)
    """The brand that it belongs to."""
    name: str = field(default=None)
    usecase: TenDLCUseCase = field(default=None)
    """The purpose of its messages."""
    status: TenDLCCampaignStatus = field(default=None)
    feedback: str | None = None
    """Why the status is what it is."""
    phone_numbers: list[str] = field(default=None)
    """The numbers that are linked to it."""
    monthly_fee: Decimal = field(default=None)
    """The monthly fee, in USD; three months are charged at registration."""
    auto_renewal: bool = field(default=None)
    """Whether it is renewed at the end of each billing period."""
    last_bill_date: datetime | None = None
    """None: it was never billed."""
    next_bill_date: datetime | None = None
    """None: it will not be billed."""
    description: str | None = None
    mock: bool = field(default=None)
    """Whether it is for tests only."""
    affiliate_marketing: bool = field(default=None)
    age_gated: bool = field(default=None)
    """Whether its content is for adults."""
    direct_lending: bool = field(default=None)
    """Whether it is about loans."""
    embedded_links: bool = field(default=None)
    """Whether its messages have links."""
    embedded_link_sample: str | None = None
    embedded_phones: bool = field(default=None)
    """Whether its messages have phone numbers."""
    optin: bool = field(default=None)
    """Whether people must opt in."""
    optin_workflow: str | None = None
    """How people opt in."""
    optin_keywords: str = field(default=None)
    """The words, with commas between."""
    optin_message: str | None = None
    """The answer to such a word."""
    optout: bool = field(default=None)
    """Whether people can opt out with a word."""
    optout_keywords: str = field(default=None)
    """The words, with commas between."""
    optout_message: str | None = None
    """The answer to such a word."""
    help: bool = field(default=None)
    """Whether people can ask for help with a word."""
    help_keywords: str = field(default=None)
    """The words, with commas between."""
    help_message: str | None = None
    """The answer to such a word."""
    sample1: str | None = None
    """A sample message."""
    sample2: str | None = None
    sample3: str | None = None
    sample4: str | None = None
    sample5: str | None = None
    privacy_policy: str | None = None
    """The URL of the privacy policy."""
    terms_conditions: str | None = None
    """The URL of the terms and conditions."""
    created_at: datetime = field(default=None)
    updated_at: datetime = field(default=None)

    @property
    def is_final(self) -> bool:
        """Whether the registry has decided: the status is known, and is neither `REVIEW` nor `PENDING`."""
        pending = (TenDLCCampaignStatus.REVIEW, TenDLCCampaignStatus.PENDING)
        return isinstance(self.status, str) and self.status not in pending


@frozen(kw_only=True)
class TenDLCCampaignPage(Page[TenDLCCampaign]):
    """One page of campaigns."""

    items: list[TenDLCCampaign] = field(default=None)


@frozen(kw_only=True)
class TenDLCCampaignList(PageQuery):
    """Which campaigns to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    name: str | None = None
    """A part of the name."""
    usecase: TenDLCUseCase | str | None = None
    status: TenDLCCampaignStatus | str | None = None
    mock: bool | None = None
    """True: only campaigns for tests."""
    created_before: date | str | None = None
    """The last day."""
    created_after: date | str | None = None
    """The first day."""


@frozen(kw_only=True)
class TenDLCCampaignUpdate(Body):
    """Changes of a campaign; a field that is left out keeps its value. The API documents the lengths of texts.

    Raises:
        InputError: A field has the wrong type.
    """

    name: str | UnsetType = UNSET
    """The name, at most 120 characters."""
    usecase: TenDLCUseCase | str | UnsetType = UNSET
    """The purpose of the messages. The API takes it in a change, too, but does not change it."""
    description: str | UnsetType = UNSET
    """What the messages are for, 40 to 4096 characters."""
    embedded_links: bool | UnsetType = UNSET
    """Whether the messages have links."""
    embedded_link_sample: str | UnsetType = UNSET
    """A sample of such a link."""
    embedded_phones: bool | UnsetType = UNSET
    """Whether the messages have phone numbers."""
    age_gated: bool | UnsetType = UNSET
    """Whether the content is for adults."""
    direct_lending: bool | UnsetType = UNSET
    """Whether the messages are about loans."""
    optin: bool | UnsetType = UNSET
    """Whether people must opt in."""
    optin_workflow: str | UnsetType = UNSET
    """How people opt in, 40 to 4096 characters."""
    optin_keywords: str | UnsetType = UNSET
    """The words with which people opt in, with commas between."""
    optin_message: str | UnsetType = UNSET
    """The answer to such a word, 20 to 320 characters."""
    optout: bool | UnsetType = UNSET
    """Whether people can opt out with a word."""
    optout_keywords: str | UnsetType = UNSET
    """The words with which people opt out, with commas between."""
    optout_message: str | UnsetType = UNSET
    """The answer to such a word, 20 to 320 characters."""
    help: bool | UnsetType = UNSET
    """Whether people can ask for help with a word."""
    help_keywords: str | UnsetType = UNSET
    """The words with which people ask for help, with commas between."""
    help_message: str | UnsetType = UNSET
    """The answer to such a word, 20 to 320 characters."""
    sample1: str | UnsetType = UNSET
    """A sample message, 20 to 1024 characters."""
    sample2: str | UnsetType = UNSET
    sample3: str | UnsetType = UNSET
    sample4: str | UnsetType = UNSET
    sample5: str | UnsetType = UNSET
    auto_renewal: bool | UnsetType = UNSET
    """Whether the campaign is renewed, and charged, at the end of each billing period."""
    terms_conditions: str | UnsetType = UNSET
    """The URL of the terms and conditions."""
    privacy_policy: str | UnsetType = UNSET
    """The URL of the privacy policy."""


@frozen(kw_only=True)
class TenDLCCampaignCreate(TenDLCCampaignUpdate):
    """A campaign to register. The API documents the lengths of texts.

    Raises:
        InputError: A field has the wrong type.
    """

    name: str = field()
    """The name, at most 120 characters."""
    usecase: TenDLCUseCase | str = field()
    """The purpose of the messages. It cannot be changed later."""
    description: str = field()
    """What the messages are for, 40 to 4096 characters."""
    embedded_links: bool = field()
    """Whether the messages have links."""
    age_gated: bool = field()
    """Whether the content is for adults."""
    direct_lending: bool = field()
    """Whether the messages are about loans."""
    optin: bool = field()
    """Whether people must opt in."""
    optin_workflow: str = field()
    """How people opt in, 40 to 4096 characters."""
    optin_keywords: str = field()
    """The words with which people opt in, with commas between."""
    optin_message: str = field()
    """The answer to such a word, 20 to 320 characters."""
    optout: bool = field()
    """Whether people can opt out with a word."""
    optout_keywords: str = field()
    """The words with which people opt out, with commas between."""
    optout_message: str = field()
    """The answer to such a word, 20 to 320 characters."""
    help: bool = field()
    """Whether people can ask for help with a word."""
    help_keywords: str = field()
    """The words with which people ask for help, with commas between."""
    help_message: str = field()
    """The answer to such a word, 20 to 320 characters."""
    sample1: str = field()
    """A sample message, 20 to 1024 characters."""
    auto_renewal: bool = field()
    """Whether the campaign is renewed, and charged, at the end of each billing period."""
    terms_conditions: str = field()
    """The URL of the terms and conditions."""
    mock: Annotated[bool, override(omit_if_default=False)] = False
    """Whether the campaign is for tests only; it must not send real messages."""
    affiliate_marketing: Annotated[bool, override(omit_if_default=False)] = False
    """Whether the campaign is for affiliate marketing."""


@frozen(kw_only=True)
class TenDLCCampaignNudge(Body):
    """A request to look at a campaign.

    Raises:
        InputError: A field has the wrong type.
    """

    nudge_intent: NudgeIntent | str
    """`REVIEW` for a pending campaign, `APPEAL_REJECTION` for a declined one."""
    description: str
    """A comment for the reviewer."""


@frozen(kw_only=True)
class TenDLCCampaignNumber(Model):
    """A phone number of a campaign."""

    number: str = field(default=None)
    """The phone number, in digits."""
    status: TenDLCNumberStatus = field(default=None)
    """Only an `APPROVED` number can send messages."""

    @property
    def is_final(self) -> bool:
        """Whether the operators have decided: the status is known, and is not `PENDING`."""
        return isinstance(self.status, str) and self.status != TenDLCNumberStatus.PENDING
