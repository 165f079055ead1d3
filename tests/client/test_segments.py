"""`segments` against a reference that packs the octets of the standard, part by part."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavix_async import InputError, Segments, segments

# A busy machine may take any time for an example.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# 3GPP TS 23.038, section 6.2.1: the character of each code, from 0x00 (code 0x1b is the escape), and of the extension.
DEFAULT_TABLE = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION_TABLE = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|"}
EXTENSION_TABLE[0x65] = "€"
CODES: dict[str, bytes] = {char: bytes([code]) for code, char in enumerate(DEFAULT_TABLE) if code != 0x1B}
CODES.update({char: bytes([0x1B, code]) for code, char in EXTENSION_TABLE.items()})


def reference(text: str) -> tuple[str, list[bytes]]:
    """Return the encoding and the parts of a text, as septets (one in each byte) or octets of UTF-16."""
    if all(char in CODES for char in text):
        encoding, pieces, alone, joined = "GSM-7", [CODES[char] for char in text], 160, 153
    else:
        octets = text.encode("utf-16-be", "surrogatepass")
        units = [octets[at : at + 2] for at in range(0, len(octets), 2)]
        pieces = []
        for unit in units:
            is_second = 0xDC <= unit[0] <= 0xDF and pieces and len(pieces[-1]) == 2 and 0xD8 <= pieces[-1][0] <= 0xDB
            if is_second:
                pieces[-1] += unit
            else:
                pieces.append(unit)
        encoding, alone, joined = "UCS-2", 140, 134
    if sum(map(len, pieces)) <= alone:
        return encoding, [b"".join(pieces)]
    parts = [b""]
    for piece in pieces:
        if len(parts[-1]) + len(piece) > joined:
            parts.append(b"")
        parts[-1] += piece
    return encoding, parts


BASIC = [char for char, code in CODES.items() if len(code) == 1]
EXTENDED = [char for char, code in CODES.items() if len(code) == 2]


def runs(*alphabets: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts around the lengths at which a part ends."""
    lengths = st.one_of(st.integers(0, 5), *(st.integers(size - 4, size + 4) for size in (67, 70, 134, 153, 160, 306)))
    run = st.tuples(st.one_of(*alphabets), lengths).map(lambda pair: pair[0] * pair[1])
    return st.lists(run | st.text(st.one_of(*alphabets), max_size=8), max_size=6).map("".join)


GSM7 = runs(st.sampled_from(BASIC), st.sampled_from(EXTENDED))
UCS2 = runs(st.sampled_from("aж€\t`"), st.sampled_from(["😀", "\U0001d49c", "\ud83d", "\ude00"]), st.characters())


@unhurried
@given(GSM7 | UCS2)
def test_the_reference_counts_the_same(text: str) -> None:
    encoding, parts = reference(text)
    unit = 1 if encoding == "GSM-7" else 2
    limit = 153 if len(parts) > 1 and unit == 1 else 160 if unit == 1 else 67 if len(parts) > 1 else 70

    counted = segments(text)

    assert (counted.encoding, counted.parts) == (encoding, len(parts))
    assert counted.characters == sum(map(len, parts)) // unit
    assert counted.room == limit - len(parts[-1]) // unit


@unhurried
@given(GSM7 | UCS2)
def test_room_is_what_fits_into_the_last_part(text: str) -> None:
    counted = segments(text)

    full = segments(text + "a" * counted.room)
    assert (full.parts, full.room, full.encoding) == (counted.parts, 0, counted.encoding)
    assert segments(text + "a" * (counted.room + 1)).parts > counted.parts


@pytest.mark.parametrize(
    ("text", "encoding", "characters", "parts", "room"),
    [
        ("", "GSM-7", 0, 1, 160),
        ("a" * 160, "GSM-7", 160, 1, 0),
        ("a" * 161, "GSM-7", 161, 2, 145),
        ("€" * 80, "GSM-7", 160, 1, 0),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3, 152),
        ("€" * 153, "GSM-7", 306, 3, 151),
        ("ж" * 70, "UCS-2", 70, 1, 0),
        ("ж" * 71, "UCS-2", 71, 2, 63),
        ("😀" * 35, "UCS-2", 70, 1, 0),
        ("😀" * 67, "UCS-2", 134, 3, 65),
        ("ж" * 66 + "😀" + "ж" * 66, "UCS-2", 134, 3, 66),
        ("\t", "UCS-2", 1, 1, 69),
        ("€ж", "UCS-2", 2, 1, 68),
    ],
)
def test_known_texts(text: str, encoding: str, characters: int, parts: int, room: int) -> None:
    counted = segments(text)

    assert (counted.encoding, counted.characters, counted.parts, counted.room) == (encoding, characters, parts, room)


def test_the_result_has_the_documented_limit_which_is_not_enforced() -> None:
    for letter, most in (("a", 1630), ("ж", 670)):
        fits, too_long = segments(letter * most), segments(letter * (most + 1))
        assert (fits.limit, fits.is_within_limit, too_long.limit, too_long.is_within_limit) == (most, True, most, False)


def test_it_names_the_characters_that_need_unicode_but_does_not_print_them() -> None:
    counted = segments("Zażółć gęślą jaźń 😀 ż")

    assert counted.unicode == "żółćęśąźń😀"
    assert "ż" not in repr(counted)
    assert segments("plain €").unicode == ""


def test_the_result_is_frozen_and_the_text_is_a_string() -> None:
    counted: Any = segments("a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        counted.parts = 2
    assert isinstance(counted, Segments)
    wrong: Any = b"a"
    with pytest.raises(InputError, match="as a string, got bytes"):
        segments(wrong)
