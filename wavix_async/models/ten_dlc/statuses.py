"""The enums of 10DLC; the events use some of them, too."""

from wavix_async.models._base import OpenStrEnum

__all__ = [
    "AppealCategory",
    "AppealStatus",
    "NudgeIntent",
    "SubscriptionCategory",
    "TenDLCBrandStatus",
    "TenDLCCampaignStatus",
    "TenDLCEntityType",
    "TenDLCNumberStatus",
    "TenDLCUseCase",
    "TenDLCVertical",
    "VettingClass",
    "VettingProvider",
    "VettingStatus",
]


class TenDLCBrandStatus(OpenStrEnum):
    """The verification status of a 10DLC brand."""

    REVIEW = "REVIEW"
    SELF_DECLARED = "SELF_DECLARED"
    UNVERIFIED = "UNVERIFIED"
    VERIFIED = "VERIFIED"
    VETTED_VERIFIED = "VETTED_VERIFIED"
    SUSPENDED = "SUSPENDED"


class TenDLCCampaignStatus(OpenStrEnum):
    """The status of a 10DLC campaign."""

    REVIEW = "REVIEW"
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    DELETED = "DELETED"
    EXPIRED = "EXPIRED"
    SUSPENDED = "SUSPENDED"
    PORTED_OUT = "PORTED_OUT"


class TenDLCNumberStatus(OpenStrEnum):
    """Whether a phone number is registered to a 10DLC campaign."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class TenDLCEntityType(OpenStrEnum):
    """The legal form of the company behind a brand."""

    PRIVATE_PROFIT = "PRIVATE_PROFIT"
    PUBLIC_PROFIT = "PUBLIC_PROFIT"
    NON_PROFIT = "NON_PROFIT"
    GOVERNMENT = "GOVERNMENT"


class TenDLCVertical(OpenStrEnum):
    """The business segment of a brand."""

    HEALTHCARE = "HEALTHCARE"
    PROFESSIONAL = "PROFESSIONAL"
    RETAIL = "RETAIL"
    TECHNOLOGY = "TECHNOLOGY"
    EDUCATION = "EDUCATION"
    FINANCIAL = "FINANCIAL"
    NON_PROFIT = "NON_PROFIT"
    GOVERNMENT = "GOVERNMENT"
    OTHER = "OTHER"


class TenDLCUseCase(OpenStrEnum):
    """The purpose of the messages of a campaign."""

    TWO_FACTOR = "2FA"
    ACCOUNT_NOTIFICATION = "ACCOUNT_NOTIFICATION"
    AGENTS_FRANCHISES = "AGENTS_FRANCHISES"
    CARRIER_EXEMPT = "CARRIER_EXEMPT"
    CHARITY = "CHARITY"
    CUSTOMER_CARE = "CUSTOMER_CARE"
    DELIVERY_NOTIFICATION = "DELIVERY_NOTIFICATION"
    EMERGENCY = "EMERGENCY"
    FRAUD_ALERT = "FRAUD_ALERT"
    HIGHER_EDUCATION = "HIGHER_EDUCATION"
    K12_EDUCATION = "K12_EDUCATION"
    LOW_VOLUME = "LOW_VOLUME"
    M2M = "M2M"
    MARKETING = "MARKETING"
    MIXED = "MIXED"
    POLITICAL = "POLITICAL"
    POLLING_VOTING = "POLLING_VOTING"
    PROXY = "PROXY"
    PUBLIC_SERVICE_ANNOUNCEMENT = "PUBLIC_SERVICE_ANNOUNCEMENT"
    SECURITY_ALERT = "SECURITY_ALERT"
    SOCIAL = "SOCIAL"
    SOLE_PROPRIETOR = "SOLE_PROPRIETOR"
    SWEEPSTAKE = "SWEEPSTAKE"
    TRIAL = "TRIAL"
    UCAAS_HIGH = "UCAAS_HIGH"
    UCAAS_LOW = "UCAAS_LOW"


class AppealCategory(OpenStrEnum):
    """What an appeal asks to be looked at again; `LOW_SCORE` is for vettings only."""

    VERIFY_TAX_ID = "VERIFY_TAX_ID"
    VERIFY_NON_PROFIT = "VERIFY_NON_PROFIT"
    VERIFY_GOVERNMENT = "VERIFY_GOVERNMENT"
    LOW_SCORE = "LOW_SCORE"


class AppealStatus(OpenStrEnum):
    """Whether an appeal is decided; the API writes the end in two ways."""

    PENDING = "PENDING"
    COMPLETE = "COMPLETE"
    COMPLETED = "COMPLETED"


class VettingProvider(OpenStrEnum):
    """A company that vets brands."""

    AEGIS = "AEGIS"
    CV = "CV"
    WMC = "WMC"


class VettingClass(OpenStrEnum):
    """How thorough a vetting is."""

    STANDARD = "STANDARD"
    ENHANCED = "ENHANCED"
    POLITICAL = "POLITICAL"


class VettingStatus(OpenStrEnum):
    """Whether a vetting is finished."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"


class NudgeIntent(OpenStrEnum):
    """What a nudge asks for: the review of a pending campaign, or another look at a declined one."""

    REVIEW = "REVIEW"
    APPEAL_REJECTION = "APPEAL_REJECTION"


class SubscriptionCategory(OpenStrEnum):
    """Which events a subscription delivers."""

    BRAND = "brand"
    CAMPAIGN = "campaign"
    NUMBER = "number"
