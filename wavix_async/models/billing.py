"""Transactions and statements: the requests and answers of `/v1/billing`, and of the billing of sub-organizations."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import CaseBlindStrEnum, Model, OpenIntEnum, PageQuery
from wavix_async.models.common import Page

__all__ = [
    "FinancialTransaction",
    "Invoice",
    "InvoiceList",
    "InvoicePage",
    "TransactionList",
    "TransactionPage",
    "TransactionStatus",
    "TransactionType",
]


class TransactionType(OpenIntEnum):
    """What a transaction is for. The API also uses numbers without a name here, such as 1."""

    PAYMENT_ADJUSTMENT = 0
    NUMBER_ACTIVATION_FEE = 2
    NUMBER_MONTHLY_FEE = 3
    NUMBER_FORWARDING = 6
    PSTN_FORWARDING_FEE = 11
    OUTBOUND_CALL = 14
    OUTBOUND_SMS = 15
    CREDIT_CARD_PAYMENT = 19
    PAYMENT_FEE = 20
    PORTING_FEE = 23
    INBOUND_SMS = 24
    ADMIN_PAYMENT = 25
    SUBSCRIPTION_PAYMENT = 26
    NUMBER_VALIDATOR = 29
    CALL_RECORDING = 30
    STORAGE_CHARGE = 31
    CAMPAIGN_BUILDER = 32
    VOICEMAIL_DETECTION = 33
    SENDER_ID_REGISTRATION = 34
    SENDER_ID_MONTHLY_FEE = 35
    TWO_FA = 36
    IVR = 37
    E911_ACTIVATION = 38
    OUTBOUND_MMS = 39
    INBOUND_MMS = 40
    CALL_TRANSCRIPTION = 41
    TEN_DLC_BRAND_REGISTRATION = 42
    TEN_DLC_CAMPAIGN_REGISTRATION = 43
    NUMBER_ORDER = 44
    ADJUSTMENT_IN = 45
    URL_SHORTENER = 46
    TEN_DLC_BRAND_UPDATE = 47
    TEN_DLC_BRAND_APPEAL = 48
    AUDIO_TRANSCRIPTION = 49
    TEN_DLC_BRAND_VETTING = 50
    TEN_DLC_BRAND_VETTING_APPEAL = 51
    OUTBOUND_SMS_CARRIER_FEE = 52
    INBOUND_SMS_CARRIER_FEE = 53
    OUTBOUND_MMS_CARRIER_FEE = 54
    INBOUND_MMS_CARRIER_FEE = 55
    TEN_DLC_CAMPAIGN_VETTING = 56
    OUTBOUND_SMS_SEGMENT = 57
    INBOUND_SMS_SEGMENT = 58
    OUTBOUND_MMS_SEGMENT = 59
    INBOUND_MMS_SEGMENT = 60


class TransactionStatus(CaseBlindStrEnum):
    """How far a transaction is. The API writes it in lower case for sub-organizations."""

    CREATED = "Created"
    PENDING = "Pending"
    COMMITTED = "Committed"
    """The balance has changed."""
    REVERTED = "Reverted"
    """The change of the balance was undone."""


@frozen(kw_only=True)
class FinancialTransaction(Model):
    """A change of a balance: of the account's, or of a sub-organization's."""

    id: int | None = None
    """None in the transactions of a sub-organization."""
    date: datetime = field(default=None)
    amount: Decimal = field(default=None)
    """USD; a negative amount decreases the balance."""
    balance_after: Decimal = field(default=None)
    """The balance in USD after the transaction."""
    details: str = field(default=None)
    """What it was for, in words."""
    status: TransactionStatus = field(default=None)
    type: TransactionType = field(default=None)
    show_invoice: bool | None = None
    """Whether the portal has a receipt of it; None in the transactions of a sub-organization."""


@frozen(kw_only=True)
class TransactionPage(Page[FinancialTransaction]):
    """One page of transactions."""

    items: Annotated[list[FinancialTransaction], override(rename="transactions")] = field(default=None)
    is_empty: bool | None = None
    """Whether there is no transaction; None in the transactions of a sub-organization."""


@frozen(kw_only=True)
class Invoice(Model):
    """The account's statement of a billing period."""

    id: int = field(default=None)
    amount: Decimal = field(default=None)
    """USD."""
    from_date: date = field(default=None)
    """The first day of the period."""
    to_date: date = field(default=None)
    """The last day of the period."""


@frozen(kw_only=True)
class InvoicePage(Page[Invoice]):
    """One page of statements."""

    items: Annotated[list[Invoice], override(rename="invoices")] = field(default=None)
    is_empty: bool | None = None
    """Whether there is no statement."""


@frozen(kw_only=True)
class TransactionList(PageQuery):
    """Which transactions to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    from_date: date | str
    """The first day, in UTC."""
    to_date: date | str
    """The last day, in UTC."""
    type: TransactionType | int | None = None
    details_contains: str | None = None
    """A part of the details."""
    payments: bool | None = None
    """Whether to list only payments to the account. Default: all transactions."""


@frozen(kw_only=True)
class InvoiceList(PageQuery):
    """Which page of the statements to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """
