"""A row of a file: how it names a phone number, and what it changes."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, TypeGuard

import attrs

from wavix_async import NumberUpdate
from wavix_async._codec import plain_scalar
from wavix_async._files.fields import FIELDS
from wavix_async._files.problems import Problem
from wavix_async._files.values import make_update

__all__ = [
    "ALSO_A_FLAG",
    "KEYS",
    "NOT_AN_ID",
    "NOT_A_PHONE",
    "NO_CHANGES",
    "READ_ONLY",
    "Item",
    "ParsedChange",
    "Row",
    "Rules",
    "digits_of",
    "id_problem",
    "is_id",
    "parse_change",
    "phone_problem",
    "shortened_problem",
    "was_shortened",
]

KEYS: Final = ("id", "number")
READ_ONLY: Final = ("label", "city", "country", "outcome", "reason")
"""Columns of an export or of a written-back file, for people; the reader ignores them."""

NOT_AN_ID: Final = "must be the number's record id, a positive whole number"
NOT_A_PHONE: Final = "must be a phone number, such as +1 415 555 0100"
NO_CHANGES: Final = "no changes: give at least one field a value."
ALSO_A_FLAG: Final = "is also given as a flag: remove one of them."

_PHONE: Final = re.compile(r"\+?[0-9 .()-]{1,40}", re.ASCII)
_PUNCTUATION: Final = str.maketrans("", "", "+ .()-")
_DECIMAL: Final = re.compile(r"[+-]?[0-9][0-9 ]*[.,][0-9]*|[^.]*\.[0-9]{0,2}")
"""Digits with a decimal part: a dot in `512.5550100` may be either."""
_SHORTENED: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+")
# The largest integer that sqlite stores; no record id is that large.
_LARGEST_ID: Final = 2**63 - 1

# Values from a file cannot contain a cycle.
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@attrs.frozen
class Rules:
    """What a file may contain.

    Attributes:
        file: The file name in problems; "" leaves it out.
        needs_id: Whether each row must have an id; otherwise it may have a phone number instead.
        common: Values for every row, which come from command-line flags.
        allow_bare_ids: Whether a line may contain only an id.
        allow_no_changes: Whether a row may leave every field unchanged.
    """

    file: str = ""
    needs_id: bool = False
    common: Mapping[str, Any] = attrs.field(factory=dict)
    allow_bare_ids: bool = False
    allow_no_changes: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that can identify a number alone."""
        return KEYS[:1] if self.needs_id else KEYS

    @property
    def columns(self) -> str:
        """All columns that mean something, for messages."""
        return ", ".join((*KEYS, *FIELDS))

    @property
    def missing_key(self) -> str:
        """The message for a row that names no number."""
        if self.needs_id:
            return "the id is missing. `wavix-async fleet apply` also finds numbers by their phone number."
        return "the number is missing: give id or number."


@attrs.define(eq=False)
class ParsedChange:
    """The change in a row. Rows with equal cells share one object."""

    update: NumberUpdate
    values: Mapping[str, Any]
    """In wire form."""
    _text: str | None = None

    @property
    def text(self) -> str:
        """The values as JSON, computed on first access."""
        if self._text is None:
            self._text = _encode(self.values)
        return self._text


@attrs.frozen
class Row:
    """The change of one number, and its place in the file.

    Attributes:
        line: Counted from 1.
        column: The column of the id, or of the phone number if there is no id; None for formats without columns.
        id: The record id.
        number: The phone number, digits only.
        change: The desired settings.
    """

    line: int
    column: int | None
    id: int | None
    number: str | None
    change: ParsedChange


Item: TypeAlias = Row | Problem


def is_id(value: object) -> TypeGuard[int]:
    """Return whether a value can be a record id."""
    return type(value) is int and 0 < value <= _LARGEST_ID


def digits_of(text: str) -> str | None:
    """Return the digits of a phone number in any notation, or None if the text is not a phone number.

    Digits with a decimal part are none: a spreadsheet has made a number of them, and may have rounded it.
    """
    if text.isdecimal() and text.isascii():
        return text
    if _PHONE.fullmatch(text) is None or (text.count(".") == 1 and _DECIMAL.fullmatch(text)):
        return None
    return text.translate(_PUNCTUATION) or None


def was_shortened(text: str) -> bool:
    """Return whether a spreadsheet has shortened a number to a form such as `1.51225E+10`."""
    return _SHORTENED.fullmatch(text) is not None


def shortened_problem(text: str, rows: int) -> str:
    """Return the message for a column with shortened numbers.

    Args:
        text: The first of them.
        rows: How many rows have one.
    """
    more = f" (and those of {rows - 1:,} more row{'s' * (rows > 2)})" if rows > 1 else ""
    return (
        f"got {text!r}{more}: Excel shortened the number, and its digits are lost. Format the column as text and enter "
        "the number again, or, if the row has an id, leave the cell empty."
    )


def phone_problem(value: object) -> str:
    """Return the message for a value that is not a phone number."""
    text = str(value).strip()
    if was_shortened(text):
        return shortened_problem(text, 1)
    if _DECIMAL.fullmatch(text):
        return f"{NOT_A_PHONE}, without a decimal part: format the column as text; got {value!r}."
    return f"{NOT_A_PHONE}; got {value!r}."


def id_problem(value: object) -> str:
    """Return the message for a value that is not a record id."""
    if isinstance(value, float):
        return f"{NOT_AN_ID}; got {value!r}: where an id is missing, pandas makes decimals of all; drop such rows."
    return f"{NOT_AN_ID}; got {'nothing' if value is None else repr(plain_scalar(value))}."


def parse_change(values: Mapping[str, Any]) -> ParsedChange:
    """Check values, and return them as a change.

    Args:
        values: In wire form.

    Raises:
        WrongValues: Some values are invalid; it has one problem for each such field.
    """
    return ParsedChange(make_update(values), values)
