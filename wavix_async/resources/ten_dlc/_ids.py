"""The ids in the paths of 10DLC: codes of the registry, and phone numbers in digits."""

from typing import Final

from wavix_async.errors import InputError
from wavix_async.models._checks import phone
from wavix_async.resources._ids import TextId

__all__ = ["BRAND_ID", "CAMPAIGN_ID", "NUMBER", "digits_of"]

BRAND_ID: Final = TextId("brand_id", "TenDLCBrand.brand_id")
CAMPAIGN_ID: Final = TextId("campaign_id", "TenDLCCampaign.campaign_id")
NUMBER: Final = TextId("number", "a phone number with country code, such as '+1 512 555 0143'")


def digits_of(number: object) -> str:
    """Return a phone number in the form that paths have: digits without a plus sign.

    Raises:
        InputError: It is not a phone number.
    """
    digits = phone(number, plus=False) if isinstance(number, str) else ""
    if not (digits.isascii() and digits.isdecimal()):
        raise InputError(f"number must be {NUMBER.what}, got {number!r}.")
    return digits
