"""The kinds of ids in paths, checked in one place before anything is sent."""

from typing import Final

import attrs

from wavix_async._codec import Value, plain_scalar
from wavix_async.errors import InputError

__all__ = ["Id", "IntId", "TextId"]

_LARGEST_ID: Final = 10**100
_PHONE_DIGITS: Final = 10  # a string of this many digits is more likely a phone number than an id


@attrs.frozen(eq=False, repr=False)
class IntId(Value):
    """An id that is a positive integer.

    Attributes:
        name: The parameter of the method: `number_id`.
        what: What to pass, for messages.
    """

    name: str
    what: str = "the record's id"

    def check(self, value: object) -> int:
        """Return the id.

        Raises:
            InputError: It is not a positive integer.
        """
        if type(value) is int and 0 < value <= _LARGEST_ID:
            return value
        if type(made := plain_scalar(value)) is not type(value):
            return self.check(made)
        if type(value) is int and value > _LARGEST_ID:
            raise InputError(f"{self.name} is not an id: it has more than 100 digits. Pass {self.what}.")
        digits = value.strip() if isinstance(value, str) else ""
        is_id = digits.isascii() and digits.isdigit() and digits[0] != "0" and len(digits) < _PHONE_DIGITS
        hint = f" Without quotes: {digits}." if is_id else ""
        raise InputError(f"{self.name} must be a positive integer, got {value!r}: pass {self.what}.{hint}")


@attrs.frozen(eq=False, repr=False)
class TextId(Value):
    """An id that is a string, a UUID for example.

    Attributes:
        name: The parameter of the method: `message_id`.
        what: What to pass, for messages.
    """

    name: str
    what: str = "the record's id"

    def check(self, value: object) -> str:
        """Return the id.

        Raises:
            InputError: It is not a string, is empty, or has blanks around it.
        """
        if isinstance(value, str) and value.strip() == value != "":
            return value
        blank = ", not empty and without blanks around it" if isinstance(value, str) else ""
        raise InputError(f"{self.name} must be a string{blank}, got {value!r}: pass {self.what}.")


Id = IntId | TextId
