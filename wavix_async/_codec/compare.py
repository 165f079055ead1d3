"""Whether an answer shows a value that a request asked for: one comparison for single calls, batches and bulk runs.

A value is compared by its meaning, because an answer may write it in another form: a phone number without a plus sign,
`"1.0"` for 1, a time in another zone, an empty text for a value that was cleared. Any other difference counts, even a
small one, such as the case of a URL: only a caller can decide whether it matters.
"""

import enum
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from wavix_async._codec.kinds import AnswerBase, FieldsBase
from wavix_async._codec.shapes import shape_of
from wavix_async.types import UNSET

__all__ = ["is_same_id", "shows"]

_NUMBERS: Final = (int, float, Decimal)
_BLANK: Final[tuple[Any, ...]] = (None, "", (), [], {})
_PHONE: Final = re.compile(r"\+?[\d ().-]+")
_NO_DIGIT: Final = re.compile(r"\D")
_FEWEST_DIGITS: Final = 7
"""A shorter text of digits is a code, not a phone number: `007` is not `7`."""


def shows(shown: Any, asked: Any) -> bool:
    """Return whether a value of an answer is the value that a request asked for.

    Args:
        shown: The value in the answer: decoded, or plain JSON.
        asked: The value in the request: a field of a body, or plain JSON. `UNSET` asks for nothing.
    """
    if type(asked) is type(shown) and asked == shown:
        return True
    if asked is UNSET:
        return True
    asked, shown = _plain(asked), _plain(shown)
    if isinstance(asked, bool) or isinstance(shown, bool):
        return asked is shown
    if asked in _BLANK or shown in _BLANK:
        return asked in _BLANK and shown in _BLANK
    if isinstance(asked, date) or isinstance(shown, date):
        return _moment(asked) == _moment(shown) is not None
    if isinstance(asked, _NUMBERS) or isinstance(shown, _NUMBERS):
        return _number(asked) == _number(shown) is not None
    if isinstance(asked, str) or isinstance(shown, str):
        return asked == shown or _is_same_phone(asked, shown)
    if isinstance(asked, FieldsBase | Mapping):
        return _has_fields(shown, asked)
    return isinstance(shown, list | tuple) and _has_items(list(shown), asked)


def is_same_id(shown: Any, asked: Any) -> bool:
    """Return whether two ids are the same: one may be an integer and the other its text, a UUID may have capitals."""
    if isinstance(shown, float) and isinstance(asked, int):
        # orjson reads an integer beyond 64 bits as a float.
        return shown == float(asked)
    if isinstance(shown, bool) or not isinstance(shown, str | int):
        return False
    return str(_plain(asked)).casefold() == str(_plain(shown)).casefold()


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
    except ValueError:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value)) if isinstance(value, (*_NUMBERS, str)) else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _is_same_phone(asked: Any, shown: Any) -> bool:
    """Return whether two texts are one phone number; one of them may lack the country code, or have zeros before it."""
    left, right = _digits(asked), _digits(shown)
    return bool(left and right) and (left.endswith(right) or right.endswith(left))


def _digits(value: Any) -> str:
    """Return the digits of a phone number without zeros before it; an empty text if the value is none."""
    if not isinstance(value, str) or not _PHONE.fullmatch(value):
        return ""
    digits = _NO_DIGIT.sub("", value).lstrip("0")
    return digits if len(digits) >= _FEWEST_DIGITS else ""


def _has_fields(shown: Any, asked: FieldsBase | Mapping[str, Any]) -> bool:
    """Return whether an object shows every field that was asked for; a field that it does not have is no evidence."""
    names = {field.name: field.wire for field in shape_of(type(asked)).fields} if isinstance(asked, FieldsBase) else {}
    if isinstance(shown, AnswerBase):
        known = {field.wire: field.name for field in shape_of(type(shown)).fields}
        values = {wire: getattr(shown, name) for wire, name in known.items()}
    elif isinstance(shown, Mapping):
        values = dict(shown)
    else:
        return False
    wanted = {names.get(name, name): value for name, value in asked.items()}
    return all(shows(values[wire], value) for wire, value in wanted.items() if wire in values)


def _has_items(left: list[Any], asked: Any) -> bool:
    """Return whether a list shows the items that were asked for and no others, in any order."""
    for item in asked:
        found = next((at for at, each in enumerate(left) if shows(each, item)), None)
        if found is None:
            return False
        del left[found]
    return not left
