"""Rows of CSV and NDJSON: their contents, and the place of every mistake."""

from __future__ import annotations

import io

import pytest

from wavix_async import NumberUpdate
from wavix_async._files import Problem, Row, RowLayout, Rules, read_rows

RULES = Rules("<stream>", allow_no_changes=True)


def items(content: str | bytes, layout: RowLayout | None = "csv", rules: Rules = RULES) -> list[Row | Problem]:
    return list(read_rows(io.BytesIO(content.encode() if isinstance(content, str) else content), layout, rules))


def problems(content: str | bytes, layout: RowLayout | None = "csv") -> list[str]:
    found = [item for item in items(content, layout) if isinstance(item, Problem)]
    return [str(problem).removeprefix("<stream>, ").removeprefix("<stream>: ") for problem in found]


def updates(content: str | bytes, layout: RowLayout | None = "csv") -> list[NumberUpdate]:
    rows = [item for item in items(content, layout) if isinstance(item, Row)]
    return [row.change.update for row in rows]


def test_a_value_in_json_quotes_is_text():
    assert updates('id,call_status_url\n1,"""https://x.test/a"""\n') == [
        NumberUpdate(call_status_url="https://x.test/a")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty: add a header"),
        ("\n \n", "the file is empty: add a header"),
        ("1001\n1002\n", "line 1: the header must have the column id or number; the columns are id, number"),
        ("id,number\n1,14155550100\n", "line 1: there is nothing to change: add columns (sms_enabled, "),
        ("id;sms_enabeld\n1;true\n", "line 1, column 2 (sms_enabeld): unknown column; "),
        ("id,sms_enabled,id\n1,true,1\n", "line 1, column 3 (id): duplicate column: remove one."),
        (
            b"id,sms_enabled\n1,\xe9\n",
            'line 2, column 3: is not UTF-8: save the file as UTF-8 (in Excel: "CSV UTF-8").',
        ),
        (b"\xff\xfei\0d\0", "line 1: there is nothing to change: add columns"),
        (b"\xff\xfei\0d\0\0", "is not UTF-16: save the file as UTF-8."),
        ('id,sms_enabled\n"1,true\n', "line 2: is not CSV: unexpected end of data."),
        ("id,destinations\n1," + "[" * 100_000, "line 2, column 2 (destinations): must be a JSON list: "),
        ("id,sms_enabled\n9223372036854775808,true\n", "line 2, column 1 (id): must be the number's record id"),
        (
            "id,transcription_threshold\n1," + "9" * 5_000,
            "line 2, column 2 (transcription_threshold): must be a wh",
        ),
        ("number,sms_enabled\n1.41556E+10,true\n", "line 2, column 1 (number): got '1.41556E+10': Excel shortened"),
        ("number,sms_enabled\n+,true\n", "line 2, column 1 (number): must be a phone number"),
    ],
)
def test_what_is_wrong_with_csv(content: str | bytes, message: str):
    (problem,) = problems(content)
    assert problem.startswith(message)


def test_a_misspelled_column_is_guessed_and_a_foreign_header_shown():
    assert problems("id,SMS enabeld\n")[0].endswith(" Did you mean sms_enabled?")
    assert problems("telefon,sms\n")[0].endswith("separated by commas, semicolons, tabs or |; got 'telefon', 'sms'.")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1001", "line 2: must be an object with id, number, sms_enabled, "),
        ('{"sms_enabled": true}', "line 2: the number is missing: give id or number."),
        ('{"id": true, "sms_enabled": true}', "line 2, column id: must be the number's record id"),
        ('{"number": "x", "sms_enabled": true}', "line 2, column number: must be a phone number"),
        ('{"number": true, "sms_enabled": true}', "line 2, column number: must be a phone number"),
        ('{"id": 1, "sms_enabeld": true}', "line 2, column sms_enabeld: unknown field; "),
        ('{"id": 1, "transcription_threshold": ' + "9" * 5_000 + "}", "line 2: cannot be read: "),
        ("[" * 100_000, "line 2: cannot be read: "),
    ],
)
def test_what_is_wrong_with_ndjson(line: str, message: str):
    (problem,) = problems(f'{{"id": 9, "sms_enabled": true}}\n{line}\n', "ndjson")
    assert problem.startswith(message)


def test_an_empty_ndjson():
    assert problems("\n", "ndjson") == ["the file is empty: write one object per line."]
