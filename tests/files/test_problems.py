"""Mistakes in files: their places, and the text that lists them."""

from __future__ import annotations

import pytest

from wavix_async._files import Place, Problem, did_you_mean, mistakes


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("a.csv"), "a.csv"),
        (Place("a.csv", 3), "a.csv, line 3"),
        (Place("a.csv", 3, 2, "id"), "a.csv, line 3, column 2 (id)"),
        (Place("a.csv", 3, 2), "a.csv, line 3, column 2"),
        (Place("a.csv", 3, None, "id"), "a.csv, line 3, column id"),
        (Place("", 3), "line 3"),
    ],
)
def test_a_place_as_text(place: Place, text: str) -> None:
    assert str(place) == text


def test_a_long_message_is_cut() -> None:
    problem = Problem(Place("a.csv"), "x" * 1_000)
    assert len(problem.message) == 600
    assert str(problem) == f"a.csv: {'x' * 596} ..."


def test_twenty_mistakes_are_listed_and_all_are_counted() -> None:
    assert mistakes("a.csv", ["one"], 1) == "a.csv has 1 mistake; nothing was sent.\n  one"
    text = mistakes("a.csv", map(str, range(1_500)), 1_500)
    assert text.startswith("a.csv has 1,500 mistakes; nothing was sent.\n  0\n  1\n")
    assert text.endswith("\n  19\n  ... and 1,480 more")


def test_a_guess_for_a_misspelled_word() -> None:
    known = ["sms_enabled", "call_status_url"]
    assert did_you_mean("SMS enabeld", known) == " Did you mean sms_enabled?"
    assert did_you_mean("colour", known) == ""
