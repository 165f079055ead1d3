"""`segments`: how many SMS a text takes, counted before it is sent.

A text is sent in GSM-7 if that alphabet has all of its characters, otherwise all of it in UCS-2. A text that does not
fit into one SMS is cut into parts, which are shorter, because each has a header that says where it belongs. A part
never ends inside a character: between the two septets of an extension character, or between the halves of a UTF-16
pair. So a part may stay one short, and dividing the characters by the length of a part gives too few parts.
"""

from collections.abc import Callable
from typing import Final, Literal

from attrs import field, frozen

from wavix_async.errors import InputError

__all__ = ["Segments", "segments"]

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")
"""Characters that take two septets: an escape and a second one."""
_GSM7: Final = _BASIC | _EXTENSION

_ALONE: Final = {"GSM-7": 160, "UCS-2": 70}
_JOINED: Final = {"GSM-7": 153, "UCS-2": 67}
_LIMIT: Final = {"GSM-7": 1630, "UCS-2": 670}


@frozen(kw_only=True)
class Segments:
    """How a text is sent as SMS."""

    encoding: Literal["GSM-7", "UCS-2"]
    """GSM-7 if that alphabet has all characters of the text, otherwise UCS-2."""
    characters: int
    """The length in the units that a part is measured in: an extension character of GSM-7 (`€`, brackets, braces, `|`,
    `^`, `~`, the backslash and the form feed) counts two, and so does an emoji in UCS-2."""
    parts: int
    """How many SMS it takes, each of which is charged; 1 for an empty text."""
    room: int
    """How many more characters (that count one) fit into the last part."""
    limit: int
    """The most characters that the API's documentation allows in this encoding: 1630 or 670. The client does not
    enforce it."""
    unicode: str = field(repr=False)
    """The characters that are not in GSM-7, each once, in order of appearance: they are why a text is sent in UCS-2."""

    @property
    def is_within_limit(self) -> bool:
        """Whether the text is not longer than `limit`."""
        return self.characters <= self.limit


def segments(text: str) -> Segments:
    """Count the SMS that a text takes, before it is sent. Nothing is sent.

        >>> segments("Your order has left.")
        Segments(encoding='GSM-7', characters=20, parts=1, room=140, limit=1630)

    One SMS has 160 characters in GSM-7 or 70 in UCS-2. A part of a longer text has 153 or 67, and never ends inside a
    character. National alphabets of GSM-7 are not assumed. `smart_encoding` may replace characters, so that a text
    takes fewer parts. A message with media is an MMS, which is one part.

    Args:
        text: The text of the message.

    Raises:
        InputError: `text` is not a string.
    """
    if not isinstance(text, str):
        raise InputError(f"segments() takes the text of a message as a string, got {type(text).__name__}.")
    if _GSM7.issuperset(text):
        characters = len(text) + sum(map(text.count, _EXTENSION))
        parts, room = _measure("GSM-7", characters, text, _EXTENSION.__contains__)
        return Segments(
            encoding="GSM-7", characters=characters, parts=parts, room=room, limit=_LIMIT["GSM-7"], unicode=""
        )
    # Two halves that the text holds apart are a pair on the wire.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    characters = len(whole) + sum(map(_is_pair, whole))
    parts, room = _measure("UCS-2", characters, whole, _is_pair)
    found = "".join(dict.fromkeys(each for each in whole if each not in _GSM7))
    return Segments(
        encoding="UCS-2", characters=characters, parts=parts, room=room, limit=_LIMIT["UCS-2"], unicode=found
    )


def _is_pair(character: str) -> bool:
    return character > "\uffff"


def _measure(encoding: str, characters: int, text: str, counts_two: Callable[[str], bool]) -> tuple[int, int]:
    """Return the number of parts, and how much still fits into the last one.

    Args:
        encoding: The encoding.
        characters: The length of the text.
        text: The text.
        counts_two: Returns whether a character of it counts two.
    """
    if characters <= _ALONE[encoding]:
        return 1, _ALONE[encoding] - characters
    size = _JOINED[encoding]
    if characters == len(text):
        return -(-characters // size), -characters % size
    parts, left = 1, size
    for character in text:
        width = 2 if counts_two(character) else 1
        if width > left:
            parts, left = parts + 1, size
        left -= width
    return parts, left
