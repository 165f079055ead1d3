"""What a spreadsheet makes of the text in a cell."""

import re
from typing import Final

__all__ = ["is_formula"]

# Spreadsheets skip blanks, and some skip what is invisible. The last four signs are wide forms, which some read alike.
_BEGINS: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]"
)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may read a text as a formula; a signed number is none, such as a phone number."""
    return _BEGINS.match(text) is not None and _NUMBER.fullmatch(text) is None
