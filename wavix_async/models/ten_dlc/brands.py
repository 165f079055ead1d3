"""10DLC brands, their evidence, vettings and appeals, and event subscriptions.

The API sends times without a zone; they are read as UTC.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, PageQuery
from wavix_async.models._checks import check_url, set_phones
from wavix_async.models.common import Page
from wavix_async.models.ten_dlc.statuses import (
    AppealCategory,
    AppealStatus,
    SubscriptionCategory,
    TenDLCBrandStatus,
    TenDLCEntityType,
    TenDLCUseCase,
    TenDLCVertical,
    VettingClass,
    VettingProvider,
    VettingStatus,
)
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "TCRErrorMessage",
    "TCRFeedback",
    "TCRFeedbackCategory",
    "TenDLCBrand",
    "TenDLCBrandAppeal",
    "TenDLCBrandAppealCreate",
    "TenDLCBrandAppealOutcome",
    "TenDLCBrandCreate",
    "TenDLCBrandEvidence",
    "TenDLCBrandList",
    "TenDLCBrandPage",
    "TenDLCBrandQualificationResult",
    "TenDLCBrandUpdate",
    "TenDLCBrandVetting",
    "TenDLCBrandVettingAppeal",
    "TenDLCBrandVettingAppealCreate",
    "TenDLCBrandVettingAppealOutcome",
    "TenDLCBrandVettingAppealOutcomeReason",
    "TenDLCBrandVettingCreate",
    "TenDLCBrandVettingImport",
    "TenDLCEventSubscription",
    "TenDLCEventSubscriptionCreate",
    "TenDLCMNOMetadata",
]

_STOCK: Final = ("stock_symbol", "stock_exchange")
_NOT_LISTED: Final = (TenDLCEntityType.PRIVATE_PROFIT, TenDLCEntityType.NON_PROFIT, TenDLCEntityType.GOVERNMENT)


# --- brands ---


@frozen(kw_only=True)
class TenDLCBrand(Model):
    """The business behind one or more campaigns, as registered."""

    brand_id: str = field(default=None)
    """The registry's id of the brand, for all methods of `ten_dlc.brands`."""
    dba_name: str = field(default=None)
    """The name under which the business is known."""
    company_name: str = field(default=None)
    """The legal name of the company."""
    entity_type: TenDLCEntityType = field(default=None)
    vertical: TenDLCVertical = field(default=None)
    """The business segment."""
    ein_taxid: str = field(default=None)
    """The EIN, or another tax id."""
    ein_taxid_country: str = field(default=None)
    """The country that issued the tax id, as a two-letter ISO code."""
    status: TenDLCBrandStatus = field(default=None)
    website: str | None = None
    stock_symbol: str | None = None
    """Only for `PUBLIC_PROFIT`."""
    stock_exchange: str | None = None
    """Only for `PUBLIC_PROFIT`."""
    first_name: str = field(default=None)
    """First name of the business contact."""
    last_name: str = field(default=None)
    """Last name of the business contact."""
    phone_number: str = field(default=None)
    """Phone number of the support contact."""
    email: str = field(default=None)
    """Email address of the support contact."""
    street_address: str = field(default=None)
    city: str = field(default=None)
    state_or_province: str | None = None
    country: str = field(default=None)
    """The country of the address, as a two-letter ISO code."""
    zip: str = field(default=None)
    feedback: str | None = None
    """Why the status is what it is."""
    mock: bool = field(default=None)
    """Whether the brand is for tests only."""
    created_at: datetime = field(default=None)
    updated_at: datetime = field(default=None)

    @property
    def is_final(self) -> bool:
        """Whether the registry has decided: the status is known, and is not `REVIEW`."""
        return isinstance(self.status, str) and self.status != TenDLCBrandStatus.REVIEW

    @property
    def is_verified(self) -> bool:
        """Whether the brand can register campaigns: it is `VERIFIED` or `VETTED_VERIFIED`."""
        return self.status in (TenDLCBrandStatus.VERIFIED, TenDLCBrandStatus.VETTED_VERIFIED)


@frozen(kw_only=True)
class TenDLCBrandPage(Page[TenDLCBrand]):
    """One page of brands."""

    items: list[TenDLCBrand] = field(default=None)


@frozen(kw_only=True)
class TenDLCBrandList(PageQuery):
    """Which brands to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    dba_name: str | None = None
    """A part of the name under which the business is known."""
    company_name: str | None = None
    """A part of the legal name."""
    entity_type: TenDLCEntityType | str | None = None
    status: TenDLCBrandStatus | str | None = None
    country: str | None = None
    """The country of the address, as a two-letter ISO code."""
    show_deleted: bool | None = None
    """Whether to list deleted brands, too; the API's default is False."""
    ein_taxid: str | None = None
    mock: bool | None = None
    """True: only brands for tests."""
    created_before: date | str | None = None
    """The last day."""
    created_after: date | str | None = None
    """The first day."""


@frozen(kw_only=True)
class TenDLCBrandUpdate(Body):
    """Changes of a brand; a field that is left out keeps its value.

    Raises:
        InputError: A field has the wrong type, or a stock field is set for a company that is not listed.
    """

    dba_name: str | UnsetType = UNSET
    """The name under which the business is known."""
    company_name: str | UnsetType = UNSET
    """The legal name of the company."""
    entity_type: TenDLCEntityType | str | UnsetType = UNSET
    """The legal form of the company."""
    vertical: TenDLCVertical | str | UnsetType = UNSET
    """The business segment."""
    ein_taxid: str | UnsetType = UNSET
    """The EIN, or the digits of another tax id."""
    ein_taxid_country: str | UnsetType = UNSET
    """The country that issued the tax id, as a two-letter ISO code."""
    website: str | UnsetType = UNSET
    """The website of the business."""
    stock_symbol: str | UnsetType | None = UNSET
    """The stock symbol; `PUBLIC_PROFIT` needs it, other companies must not have it."""
    stock_exchange: str | UnsetType | None = UNSET
    """The code of the stock exchange; `PUBLIC_PROFIT` needs it, other companies must not have it."""
    first_name: str | UnsetType = UNSET
    """First name of the business contact."""
    last_name: str | UnsetType = UNSET
    """Last name of the business contact."""
    phone_number: str | UnsetType = UNSET
    """Phone number of the support contact, with country code, in any usual spelling."""
    email: str | UnsetType = UNSET
    """Email address of the support contact."""
    street_address: str | UnsetType = UNSET
    """Street and house number."""
    city: str | UnsetType = UNSET
    state_or_province: str | UnsetType | None = UNSET
    """State or province, at most 20 characters; in the US the two-letter code."""
    country: str | UnsetType = UNSET
    """The country of the address, as a two-letter ISO code."""
    zip: str | UnsetType = UNSET
    """ZIP or postal code."""
    mock: bool | UnsetType = UNSET
    """Whether the brand is for tests only; it must not send real messages."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "phone_number", plus=False)
        stock = next((name for name in _STOCK if isinstance(getattr(self, name), str)), None)
        if stock is not None and self.entity_type in _NOT_LISTED:
            raise InputError(
                f"{type(self).__name__}.{stock} is for PUBLIC_PROFIT companies only: leave it out, or change "
                f"entity_type, which is {str(self.entity_type)!r}."
            )


@frozen(kw_only=True)
class TenDLCBrandCreate(TenDLCBrandUpdate):
    """A brand to register.

    Raises:
        InputError: A field has the wrong type, or a stock field is set for a company that is not listed.
    """

    dba_name: str = field()
    """The name under which the business is known."""
    company_name: str = field()
    """The legal name of the company."""
    entity_type: TenDLCEntityType | str = field()
    """The legal form of the company."""
    vertical: TenDLCVertical | str = field()
    """The business segment."""
    ein_taxid: str = field()
    """The EIN, or the digits of another tax id."""
    ein_taxid_country: str = field()
    """The country that issued the tax id, as a two-letter ISO code."""
    first_name: str = field()
    """First name of the business contact."""
    last_name: str = field()
    """Last name of the business contact."""
    phone_number: str = field()
    """Phone number of the support contact, with country code, in any usual spelling."""
    email: str = field()
    """Email address of the support contact."""
    street_address: str = field()
    """Street and house number."""
    city: str = field()
    country: str = field()
    """The country of the address, as a two-letter ISO code."""
    zip: str = field()
    """ZIP or postal code."""


# --- evidence ---


@frozen(kw_only=True)
class TenDLCBrandEvidence(Model):
    """A file that supports the appeals of a brand."""

    uuid: str = field(default=None)
    """The id, for `evidence.download` and `evidence.delete`, and for appeals."""
    file_name: str = field(default=None)
    mime_type: str = field(default=None)
    url: str = field(default=None, repr=False)
    """The URL of the file; `repr` does not show it."""


# --- appeals ---


@frozen(kw_only=True)
class TCRErrorMessage(Model):
    """One reason of the registry."""

    code: str = field(default=None)
    message: str = field(default=None)


@frozen(kw_only=True)
class TCRFeedbackCategory(Model):
    """What the registry says about one category of an appeal."""

    id: str = field(default=None)
    """The category, such as `VERIFY_TAX_ID`."""
    display_name: str = field(default=None)
    description: str = field(default=None)
    fields: str | list[str] | None = None
    """Fields of the brand that it is about."""
    errors: list[TCRErrorMessage] | None = None


@frozen(kw_only=True)
class TCRFeedback(Model):
    """What the registry says about an appeal."""

    category: list[TCRFeedbackCategory] = field(default=None)


@frozen(kw_only=True)
class TenDLCBrandAppealOutcome(Model):
    """How an appeal of a brand ended."""

    vetting_status: TenDLCBrandStatus = field(default=None)
    """The status of the brand after the appeal."""
    feedback: TCRFeedback | None = None
    optional_attributes: dict[str, object] | None = None


@frozen(kw_only=True)
class TenDLCBrandAppeal(Model):
    """An appeal against the verification of a brand."""

    categories: list[AppealCategory] = field(default=None)
    status: AppealStatus = field(default=None)
    explanation: str | None = None
    evidence: list[str] | None = None
    """The ids of the evidence (`TenDLCBrandEvidence.uuid`)."""
    outcome: TenDLCBrandAppealOutcome | None = None
    created_at: datetime = field(default=None)
    updated_at: datetime = field(default=None)


@frozen(kw_only=True)
class TenDLCBrandAppealCreate(Body):
    """An appeal against the verification of a brand.

    Raises:
        InputError: A field has the wrong type.
    """

    appeal_categories: Sequence[AppealCategory | str]
    """What to look at again."""
    evidence: Annotated[Sequence[str], override(omit_if_default=False)] = ()
    """The ids of the evidence (`TenDLCBrandEvidence.uuid`); none is sent as an empty list."""
    explanation: str | UnsetType = UNSET
    """A comment for the registry."""


# --- vettings ---


@frozen(kw_only=True)
class TenDLCBrandVetting(Model):
    """The result of a vetting of a brand by an external provider."""

    vetting_id: str = field(default=None)
    evp_id: VettingProvider = field(default=None)
    """The provider."""
    vetting_class: VettingClass = field(default=None)
    vetting_status: VettingStatus = field(default=None)
    vetting_score: int | None = None
    """The score, 0 to 100; None until the vetting is finished."""
    vetting_token: str | None = field(default=None, repr=False)
    """What another provider of messages needs to import the vetting; `repr` does not show it."""
    reasons: list[str] | None = None
    """Why the score is what it is."""
    create_date: datetime = field(default=None)
    vetted_date: datetime | None = None
    vetting_details: dict[str, object] | None = None
    """What the provider adds."""

    @property
    def is_final(self) -> bool:
        """Whether the vetting is finished: it is not `PENDING`, and an `ACTIVE` one has its score."""
        if self.vetting_status == VettingStatus.ACTIVE:
            return self.vetting_score is not None
        return isinstance(self.vetting_status, str) and self.vetting_status != VettingStatus.PENDING


@frozen(kw_only=True)
class TenDLCBrandVettingCreate(Body):
    """A vetting to request.

    Raises:
        InputError: A field has the wrong type.
    """

    evp_id: VettingProvider | str
    """The provider."""
    vetting_class: VettingClass | str


@frozen(kw_only=True)
class TenDLCBrandVettingImport(Body):
    """A vetting that exists at the provider already.

    Raises:
        InputError: A field has the wrong type.
    """

    evp_id: VettingProvider | str
    """The provider."""
    vetting_id: str
    """The provider's id of the vetting."""
    vetting_token: str = field(repr=False)
    """The provider's token of the vetting; `repr` does not show it."""


@frozen(kw_only=True)
class TenDLCBrandVettingAppealOutcomeReason(Model):
    """What the provider says about an appeal."""

    reasons: list[str] = field(default=None)


@frozen(kw_only=True)
class TenDLCBrandVettingAppealOutcome(Model):
    """How an appeal of a vetting ended."""

    vet_status: VettingStatus = field(default=None)
    vet_score: int | None = None
    """The score after the appeal."""
    feedback: TenDLCBrandVettingAppealOutcomeReason | None = None


@frozen(kw_only=True)
class TenDLCBrandVettingAppeal(Model):
    """An appeal against a vetting."""

    brand_id: str = field(default=None)
    vetting_id: str = field(default=None)
    evp_id: VettingProvider = field(default=None)
    """The provider."""
    vetting_class: VettingClass = field(default=None)
    category_list: list[AppealCategory] = field(default=None)
    appeal_status: AppealStatus = field(default=None)
    appeal_status_update_date: datetime | None = None
    appeal_outcome: TenDLCBrandVettingAppealOutcome | None = None
    attachment_uuid_list: list[str] | None = None
    """The ids of the evidence (`TenDLCBrandEvidence.uuid`)."""
    explanation: str | None = None
    create_date: datetime = field(default=None)


@frozen(kw_only=True)
class TenDLCBrandVettingAppealCreate(TenDLCBrandAppealCreate):
    """An appeal against a vetting.

    Raises:
        InputError: A field has the wrong type.
    """

    evidence: Sequence[str] = field()
    """The ids of the evidence (`TenDLCBrandEvidence.uuid`); it may be empty."""
    evp_id: VettingProvider | str | UnsetType = UNSET
    """The provider."""
    vetting_id: str | UnsetType = UNSET
    """The vetting (`TenDLCBrandVetting.vetting_id`)."""


# --- use cases ---


@frozen(kw_only=True)
class TenDLCMNOMetadata(Model):
    """What one mobile network operator asks of a use case, and how much it lets through."""

    mno: str = field(default=None)
    """The operator."""
    mno_qualify: bool = field(default=None)
    """Whether the brand qualifies."""
    mno_review: bool = field(default=None)
    """Whether the operator reviews the campaign after its approval."""
    mno_support: bool = field(default=None)
    """Whether the operator supports the use case."""
    min_msg_samples: int = field(default=None)
    """The fewest sample messages."""
    help_required: bool = field(default=None)
    optin_required: bool = field(default=None)
    optout_required: bool = field(default=None)
    no_embedded_links: bool = field(default=None)
    """Whether links are forbidden."""
    no_embedded_phone: bool = field(default=None)
    """Whether phone numbers are forbidden."""
    att_msg_class: str | None = None
    att_sms_tpm: int | None = None
    """SMS per minute."""
    att_mms_tpm: int | None = None
    """MMS per minute."""
    att_tpm_scope: str | None = None
    tmobile_brand_dcap: int | None = None
    """Messages per day."""
    tmobile_brand_tier: str | None = None


@frozen(kw_only=True)
class TenDLCBrandQualificationResult(Model):
    """Whether a brand qualifies for a use case, and what a campaign costs."""

    usecase: TenDLCUseCase = field(default=None)
    monthly_fee: Decimal = field(default=None)
    """The monthly fee of a campaign, in USD."""
    mno_metadata: list[TenDLCMNOMetadata] = field(default=None)
    """One item for each operator with which the brand qualifies."""


# --- subscriptions ---


@frozen(kw_only=True)
class TenDLCEventSubscription(Model):
    """Where the events of a category are posted."""

    subscription_category: SubscriptionCategory = field(default=None)
    url: str = field(default=None, repr=False)
    """The URL. Its path may hold a secret, so `repr` does not show it."""


@frozen(kw_only=True)
class TenDLCEventSubscriptionCreate(Body):
    """Where to post the events of a category.

    Raises:
        InputError: A field has the wrong type, or `url` is not an http or https URL.
    """

    subscription_category: SubscriptionCategory | str
    """`brand`, `campaign` or `number`."""
    url: str = field(repr=False)
    """The http or https URL; `repr` does not show it."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_url(self, "url")
