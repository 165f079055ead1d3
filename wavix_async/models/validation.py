"""Validations of phone numbers: the requests and answers of `/v1/validation`."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, OpenStrEnum, Query
from wavix_async.models._checks import phone, set_phones
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "NumberType",
    "PhoneValidation",
    "PhoneValidationBatch",
    "PhoneValidationBatchCreate",
    "PhoneValidationQuery",
    "ValidationStatus",
    "ValidationType",
]

MOST_NUMBERS: Final = 1000
"""The most phone numbers of one batch."""


class ValidationType(OpenStrEnum):
    """What to find out about a phone number, from the cheapest to the most expensive."""

    FORMAT = "format"
    """Whether it is a possible number."""
    ANALYSIS = "analysis"
    """Its country, carrier and type, too."""
    VALIDATION = "validation"
    """A lookup in the mobile network, too: whether it can be reached, and whether it was ported."""


class ValidationStatus(OpenStrEnum):
    """How far a batch is. The API writes "in progress" in two ways."""

    SUCCESS = "success"
    IN_PROGRESS = "in progress"
    PROGRESS = "progress"
    FAILED = "failed"


class NumberType(OpenStrEnum):
    """The type of a phone number."""

    MOBILE = "mobile"
    LANDLINE = "landline"
    TOLL_FREE = "toll-free"


@frozen(kw_only=True)
class PhoneValidation(Model):
    """What the API has found out about one phone number. The fields that are set depend on the type of validation."""

    phone_number: str = field(default=None)
    """The phone number as it was sent."""
    valid: bool = field(default=None)
    country_code: str | None = None
    """Two-letter ISO code of its country; None for an invalid number, as most fields below."""
    e164_format: str = field(default=None)
    """The number in E.164 format, with a plus sign."""
    national_format: str = field(default=None)
    """The number as people of its country write it."""
    ported: bool | None = None
    """Whether it has moved to another carrier."""
    mcc: str | None = None
    """Mobile country code of its carrier; only of mobile numbers."""
    mnc: str | None = None
    """Mobile network code of its carrier; only of mobile numbers."""
    number_type: NumberType | None = None
    carrier_name: str | None = None
    risky_destination: bool | None = None
    """Whether it is in a range that is known for traffic pumping."""
    unallocated_range: bool | None = None
    """Whether it is in a range that belongs to no carrier."""
    reachable: bool | None = None
    """Whether it is registered in a network; only of mobile numbers."""
    roaming: bool | None = None
    """Whether it is in a network abroad; only of mobile numbers."""
    timezone: str | None = None
    """The time zone, such as `UTC+04:00`."""
    charge: Decimal = field(default=None)
    """The price of this validation in USD."""
    error_code: str = field(default=None)
    """`000`: validated; `021`: the format is invalid; `013`, `041`, `042`: the lookup failed; `091`: insufficient
    funds."""


@frozen(kw_only=True)
class PhoneValidationBatch(Model):
    """A batch of validations. The answer to an asynchronous batch has only `request_uuid`."""

    status: ValidationStatus | None = None
    pending: int | None = None
    """How many numbers are not validated yet."""
    count: int | None = None
    """How many numbers the batch has."""
    items: list[PhoneValidation] | None = None
    """What is known already, in any order."""
    request_uuid: str | None = None
    """The id of an asynchronous batch, for `validation.get` and `validation.wait`."""
    request_id: str | None = None
    """The same id under another name: the API's documentation contradicts itself. See `id`."""

    @property
    def id(self) -> str | None:
        """The id of an asynchronous batch, under whichever name the answer has it."""
        found = self.request_uuid or self.request_id
        return found if isinstance(found, str) else None

    @property
    def is_final(self) -> bool:
        """Whether the batch is finished, well or badly: samples of the API show `success` while numbers are pending."""
        if self.status == ValidationStatus.SUCCESS:
            have, count = len(self.items or ()), self.count
            return not self.pending or (isinstance(count, int) and 0 < count <= have)
        # "false" was seen, too.
        return self.status is not None and self.status not in (ValidationStatus.IN_PROGRESS, ValidationStatus.PROGRESS)


@frozen(kw_only=True)
class PhoneValidationQuery(Query):
    """One phone number to validate.

    Raises:
        InputError: A field has the wrong type.
    """

    phone_number: str
    """The phone number, with country code, in any usual spelling."""
    type: ValidationType | str
    """What to find out: `format`, `analysis` or `validation`."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "phone_number", plus=False)


@frozen(kw_only=True)
class PhoneValidationBatchCreate(Body):
    """Phone numbers to validate.

    Raises:
        InputError: A field has the wrong type, or there are no numbers, or more than 1,000.
    """

    phone_numbers: Sequence[str]
    """The phone numbers, with country code, in any usual spelling; at most 1,000."""
    type: ValidationType | str
    """What to find out: `format`, `analysis` or `validation`."""
    async_: Annotated[bool | UnsetType, override(rename="async")] = UNSET
    """Whether the answer has only the id of the batch, and the API validates the numbers afterwards. Default False; use
    it for more than 500 numbers."""
    force: bool | UnsetType = UNSET
    """Whether to look numbers up again that the API has looked up lately. Default False."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not 0 < len(self.phone_numbers) <= MOST_NUMBERS:
            raise InputError(
                f"PhoneValidationBatchCreate.phone_numbers must have 1 to {MOST_NUMBERS:,} numbers, got "
                f"{len(self.phone_numbers):,}: `validation.run` takes any number of them."
            )
        made = tuple(phone(each, plus=False) for each in self.phone_numbers)
        object.__setattr__(self, "phone_numbers", made)
