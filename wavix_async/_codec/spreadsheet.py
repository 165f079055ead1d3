"""What a spreadsheet makes of the text in a cell."""

import re
from typing import Final

__all__ = ["is_formula"]

# The last four are wide forms, which some spreadsheets read alike.
_BEGINS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BLANKS: Final = ("\t", "\r", "\n")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may read a text as a formula; a signed number is none, such as a phone number."""
    begins = text.startswith(_BLANKS) or text.lstrip().startswith(_BEGINS)
    return begins and _NUMBER.fullmatch(text) is None
