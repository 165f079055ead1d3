"""Phone numbers in the spellings that people use, and what must stay as it is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavix_async.models._checks import phone

# A busy machine may take any time for an example.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+1 (512) 555-0143", "+15125550143"),
        ("(+1) 512 555 0143", "+15125550143"),
        ("+1.512.555.0143", "+15125550143"),
        ("tel:+1-512-555-0143", "+15125550143"),
        ("TEL: +1 512 555 0143", "+15125550143"),
        ("001 512 555 0143", "+15125550143"),
        ("00 1 (512) 555-0143", "+15125550143"),
        ("512.555.0143", "5125550143"),
        ("  15125550143\n", "15125550143"),
        ("\u202a+1\u00a0512\u2011555\u20110143\u202c", "+15125550143"),
        ("\uff0b\uff11\uff15\uff11\uff12\uff15\uff15\uff15\uff10\uff11\uff14\uff13", "+15125550143"),
        ("\u0660\u0660\u0661 512 555 0143", "+15125550143"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("0044 (0) 20 7946 0958", "+442079460958"),
        ("+39 (0)6 5555 0143", "+390655550143"),
        # No country is guessed.
        ("(020) 7946 0958", "02079460958"),
        ("011 44 20 7946 0958", "011442079460958"),
    ],
)
def test_usual_spellings(text: str, number: str) -> None:
    assert phone(text) == number
    assert phone(text, plus=False) == number.removeprefix("+")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "+", "()", "Acme", "Acme 24", "4 U", "1-800-FLOWERS", "12345", "123-45", "sip:415@example.com"),
        *("+1 512 555 0143 ext. 5", "+1 512 555 0143;ext=5", "+15125550143 +15125550144", "512 555 0143/4"),
        # A spreadsheet has made a decimal of it: without the dot, it is another number.
        *("15125550143.0", "+15125550143.0", "15125550143.", "1 512 555 0143.00", "(512) 555-0143.0", "512555.0143"),
        *("\u0660\u0661512555014.0", "1.51225E+10"),
        *("00 0512 555 0143", "+0015125550143", "00151255501430000000", "1" * 16 + "-1", " " * 5000 + "x"),
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert phone(text) == text
    assert phone(text, plus=False) == text


@unhurried
@given(st.text(st.sampled_from("+0123456789 ()-.aA\u200e"), max_size=24))
def test_only_signs_disappear(text: str) -> None:
    made = phone(text)

    assert phone(made) == made
    if made != text:
        digits, kept = ("".join(filter(str.isdecimal, each)) for each in (text, made))
        assert made.removeprefix("+") == kept
        assert digits.endswith(kept) or "(0)" in text
        assert made.startswith("+") == ("+" in text or digits.startswith("00"))
