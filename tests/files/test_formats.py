"""Files as people have them: each dialect says the same, and each mistake is named with its line."""

from __future__ import annotations

import gzip
import io
import json
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import examples as ex
from tests.support.spreadsheets import ERROR, FORMULA, rewritten, workbook
from wavix_async import InputError, NumberDestination, NumberUpdate
from wavix_async._files import Problem, Row, Rules, guard, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = Rules(allow_no_changes=True)
URL = "https://x.test/a"
HEADER = ["id", "number", "label", "sms_enabled", "call_status_url"]
ROWS = [["1", "14155550001", "Müller, Köln", "true", URL], ["2", "", "", "false", "null"], ["3", "", "x", "", ""]]


def read(content: str | bytes, layout: Any = None, rules: Rules = RULES) -> list[Row | Problem]:
    return list(read_rows(io.BytesIO(content.encode() if isinstance(content, str) else content), layout, rules))


def problems(content: str | bytes, layout: Any = None, rules: Rules = RULES) -> list[str]:
    return [str(each) for each in read(content, layout, rules) if isinstance(each, Problem)]


def changes(content: str | bytes, layout: Any = None) -> dict[tuple[int | None, str | None], NumberUpdate]:
    items = read(content, layout)
    assert [str(each) for each in items if isinstance(each, Problem)] == []
    return {(row.id, row.number): row.change.update for row in items if isinstance(row, Row)}


WANTED = {
    (1, "14155550001"): NumberUpdate(sms_enabled=True, call_status_url=URL),
    (2, None): NumberUpdate(sms_enabled=False, call_status_url=None),
    (3, None): NumberUpdate(),
}


def table(delimiter: str = ",", end: str = "\r\n", rows: Any = ROWS, header: Any = HEADER) -> str:
    def cell(text: str) -> str:
        return f'"{text}"' if delimiter in text else text

    return "".join(delimiter.join(map(cell, row)) + end for row in [header, *rows])


DIALECTS: dict[str, str | bytes] = {
    "commas": table(),
    "semicolons": table(";"),
    "tabs": table("\t"),
    "bars": table("|"),
    "old Mac": table(end="\r"),
    "no end": table().rstrip(),
    "sep=": "sep=;\r\n" + table(";"),
    "quoted sep=": '"sep=;"\r\n' + table(";"),
    "utf-16": table("\t").encode("utf-16"),
    "utf-16-le without mark": table("\t").encode("utf-16-le"),
    "utf-16-be": b"\xfe\xff" + table(";").encode("utf-16-be"),
    "byte order mark": b"\xef\xbb\xbf" + table(";").encode(),
    "two byte order marks": b"\xef\xbb\xbf\xef\xbb\xbf" + table().encode(),
    "mark and sep=": b"\xef\xbb\xbfsep=;\r\n" + table(";").encode(),
    "capitals and blanks": table(header=[" ID ", "Number", "LABEL", "SMS enabled", "Call-Status-URL"]),
    "empty columns": table(";", header=[*HEADER, "", ""], rows=[[*row, "", " "] for row in ROWS]),
    "cells without a header": table(";", rows=[[*row, "", ""] for row in ROWS]),
    "blank tail": table(";") + ";;;;\r\n" * 5 + "\r\n\n",
    "gzip": gzip.compress(table(";").encode()),
    "gzip in two parts": gzip.compress(table().encode()[:30]) + gzip.compress(table().encode()[30:]),
    "gzip of utf-16": gzip.compress(table("\t").encode("utf-16")),
    "German": table(rows=[[cell.replace("true", "WAHR").replace("false", "FALSCH") for cell in row] for row in ROWS]),
    "French": table(rows=[[cell.replace("true", "VRAI").replace("false", "faux") for cell in row] for row in ROWS]),
    "on and off": table(rows=[[cell.replace("true", "ON").replace("false", "off") for cell in row] for row in ROWS]),
    "NULL": table().replace("null", "NULL"),
    "Null": table().replace("null", "Null"),
    "apostrophes": table(rows=[[f"'{cell}" if cell else "" for cell in row] for row in ROWS]),
}
OBJECTS: list[dict[str, Any]] = [
    {"id": 1, "number": "14155550001", "label": "Müller, Köln", "sms_enabled": True, "call_status_url": URL},
    {"id": 2, "sms_enabled": False, "call_status_url": None},
    {"id": 3, "country": "US"},
]
LINES = [json.dumps(each) for each in OBJECTS]
JSONS: dict[str, str | bytes] = {
    "lines": "\n".join(LINES),
    "lines and blanks": "\ufeff\n\n" + "\r\n\r\n".join(LINES) + "\r\n \n",
    "array": json.dumps(OBJECTS),
    "pretty array": json.dumps(OBJECTS, indent=2),
    "array of lines": "[" + ",\n".join(LINES) + "]\n",
    "pretty objects": "\n".join(json.dumps(each, indent=4) for each in OBJECTS),
    "utf-16": json.dumps(OBJECTS, ensure_ascii=False).encode("utf-16"),
    "gzip": gzip.compress("\n".join(LINES).encode()),
}


@pytest.mark.parametrize("content", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_of_a_table_says_the_same(content: str | bytes):
    assert changes(content) == changes(content, "csv") == WANTED


@pytest.mark.parametrize("content", JSONS.values(), ids=JSONS)
def test_every_form_of_json_says_the_same(content: str | bytes):
    assert changes(content) == changes(content, "ndjson") == WANTED


class TestExcel:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("python_calamine", reason="the extra `excel` is not installed")

    @pytest.mark.parametrize("layout", [None, "csv", "xlsx"])
    def test_a_workbook_says_the_same_as_a_table(self, layout: str | None):
        rows = [HEADER, [], [1, 14155550001, "Müller, Köln", True, URL], [2, None, None, False, "null"], ["3", "", "x"]]
        assert changes(workbook(rows, []), layout) == WANTED
        assert [row.line for row in read(workbook(rows)) if isinstance(row, Row)] == [3, 4, 5]

    @pytest.mark.parametrize(
        ("sheets", "message"),
        [
            (
                [[["number", "sms_enabled"], [4930123456.5, True]]],
                "line 2, column 1 (number): must be a phone nu",
            ),
            (
                [[["number", "sms_enabled"], [1.5e16, True]]],
                "line 2, column 1 (number): got '1.5e+16': Ex",
            ),
            ([[["id", "sms_enabled"], [1001.5, True]]], "line 2, column 1 (id): must be the number's record id"),
            ([[["id", "sms_enabled"], [1, 0.5]]], "line 2, column 2 (sms_enabled): must be true or false"),
            ([[["id", "call_status_url"], [1, FORMULA]]], "the formula in cell B2 has no result: open the file in"),
            ([[["id", "call_status_url"], [1, ERROR]]], "cell B2 has an error such as #N/A: correct it, or"),
            (
                [[["id", "call_status_url"], [1, f"{URL}\nx"]]],
                "line 2, column 2 (call_status_url): a line br",
            ),
            (
                [[["id", "sms_enabled"]], [["x"]]],
                "has 2 sheets with cells ('Sheet1', 'Sheet2'): keep one",
            ),
            ([[]], "the file is empty: add a header"),
        ],
    )
    def test_what_is_wrong_with_a_workbook(self, sheets: Any, message: str):
        (problem,) = problems(workbook(*sheets))
        assert problem.startswith(message)

    # openpyxl writes `<v />`, XlsxWriter 0 and a wish to compute; others have prefixes, and another order or place.
    @pytest.mark.parametrize(
        ("cell", "message"),
        [
            ('<c t="e" r="B2"><v>#REF!</v></c>', "cell B2 has an error such as #N/A"),
            ("<c r='B2' t='e'><v>#REF!</v></c>", "cell B2 has an error such as #N/A"),
            ('<c t="e"><v>#REF!</v></c>', "cell without a place has an error such as #N/A"),
            ('<c r="B2"><f>TRUE()</f><v /></c>', "the formula in cell B2 has no result"),
            ('<c r="B2"><f>TRUE()</f><v xml:space="preserve"></v></c>', "the formula in cell B2 has no result"),
            ('<c r="B2" t="b">\n<f>TRUE()</f></c>', "the formula in cell B2 has no result"),
            ('<c r="B2" t="str"><f t="shared" si="0"/></c>', "the formula in cell B2 has no result"),
            ('<c r="B2" t="str"><f>A9</f><v></v></c>', None),
            ('<c r="B2" t="b"><f>TRUE()</f><v>1</v></c>', None),
        ],
    )
    def test_cells_that_the_library_reads_as_empty(self, cell: str, message: str | None):
        book = workbook([["id", "sms_enabled", "transcription_threshold"], [1, True, 5]])
        book = rewritten(book, lambda text: text.replace('<c r="B2" t="b"><v>1</v></c>', cell))
        elsewhere = rewritten(book, lambda text: text.replace("worksheets/sheet1", "sheets/data"))
        tags = re.compile(r"<(/?)(worksheet|sheetData|row|c|f|v)\b")
        prefixed = rewritten(
            book, lambda text: tags.sub(r"<\1x:\2", text).replace("worksheet xmlns=", "worksheet xmlns:x=")
        )
        for each in (book, elsewhere, prefixed):
            assert [problem.partition(":")[0] for problem in problems(each)] == ([message] if message else [])

    def test_a_formula_that_a_program_gave_the_result_0(self):
        book = workbook([["id", "sms_enabled"], [1, True]])
        book = rewritten(book, lambda text: text.replace('<c r="B2" t="b"><v>1', '<c r="B2"><f>TRUE()</f><v>0'))
        assert changes(book) == {(1, None): NumberUpdate(sms_enabled=False)}
        book = rewritten(book, lambda text: text.replace("</workbook>", '<calcPr fullCalcOnLoad="1"/></workbook>'))
        (problem,) = problems(book)
        assert problem.startswith("the formula in cell B2 has no result: open the file in a spreadsheet")

    def test_merged_cells_have_a_value_only_in_the_first(self):
        book = workbook([["id", "sms_enabled", "transcription_threshold"], [1, True, 5], [2, None, 5], [3, None, 5]])
        merged = '</sheetData><mergeCells count="1"><mergeCell ref="B2:B4"/></mergeCells>'
        book = rewritten(book, lambda text: text.replace("</sheetData>", merged))
        (problem,) = problems(book)
        assert problem == "cells B2:B4 are merged: unmerge them, and write the value in each row."

    def test_a_workbook_of_another_kind(self):
        book = workbook([["id", "sms_enabled"], [1, True]])
        book = rewritten(book, lambda text: text.replace("sheet1.xml", "sheet1.data"))
        (problem,) = problems(book)
        assert problem == "is not an .xlsx workbook: save it as one."

    def test_a_damaged_workbook(self):
        (problem,) = problems(workbook([HEADER])[:200])
        assert problem.startswith("is not an Excel workbook: ")


def test_excel_without_its_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(InputError, match=r"pip install 'wavix-async\[excel\]'"):
        read(b"PK\x03\x04", "csv")


# --- silent wrong results ---


@pytest.mark.parametrize(
    "text", ["4930123456.0", "+4930123456.0", "4930123456.", "49 30 123456.5", "4930123456,0", "(49) 30.5"]
)
def test_digits_with_a_decimal_part_are_no_phone_number(text: str):
    (problem,) = problems(f'number,sms_enabled\n14155550001,true\n"{text}",true\n')
    assert problem == (
        "line 3, column 1 (number): must be a phone number, such as +1 415 555 0100, without a decimal part: format "
        f"the column as text; got {text!r}."
    )
    for number in (json.dumps(text), text if text == "4930123456.0" else '"1.5"'):
        (problem,) = problems(f'{{"number": {number}, "sms_enabled": true}}')
        assert "without a decimal part" in problem


@pytest.mark.parametrize("text", ["01.23.45.67.89", "+1 (512) 555.0143", "512.555.0143", "'+49 30 123456"])
def test_dots_between_groups_are_none(text: str):
    ((_, number),) = changes(f"number,sms_enabled\n{text},true\n")
    assert number == "".join(filter(str.isdecimal, text))


@pytest.mark.parametrize("text", ["1.51225E+10", "1,51225E+10", "1.5e10", "2E+11"])
def test_what_excel_shortened_is_one_mistake_of_the_column(text: str):
    content = f"id;number;sms_enabled\n1;14155550001;true\n2;{text};true\n3;2E+12;maybe\n" + f"4;{text};true\n" * 500
    assert problems(content) == [
        "line 4, column 3 (sms_enabled): must be true or false; leave it out to keep its value; got 'maybe'.",
        f"line 3, column 2 (number): got {text!r} (and those of 501 more rows): Excel shortened the number, and its "
        "digits are lost. Format the column as text and enter the number again, or, if the row has an id, leave the "
        "cell empty.",
    ]
    assert problems(f"id,sms_enabled\n{text.replace(',', '.')},true\n")[0].startswith("line 2, column 1 (id): got ")


STRAY = f'1001,"{URL}\n1002,{URL}\n1003,{URL}"\n1004,{URL}\n'


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (f"id,call_status_url\n{STRAY}", "line 2, column 2 (call_status_url): a line break in a cell is not allowed."),
        ('id,label,sms_enabled\n1,"a,true\n2,b",true\n', "line 2, column 2 (label): a line break in a cell is not"),
        (
            'id,label,sms_enabled\n1,"a,true\n2,b,true"\n',
            "line 2, column 3: the row has 2 cells, and",
        ),
        ('number,sms_enabled\n"1415555,true\n1415556",true\n', "line 2, column 1 (number): a line break in"),
    ],
)
def test_rows_that_a_stray_quote_swallows_are_named(content: str, place: str):
    (problem,) = problems(content)
    assert problem.startswith(place)
    assert "A stray quote may have made one row of lines 2 to" in problem


@pytest.mark.parametrize("text", ["NULL", "None", "#N/A", "-", "nan", "ftp://x", "not a url", "x.test/a"])
def test_a_text_that_is_not_a_url_is_a_mistake_of_the_file(text: str):
    hint = "to keep its value, leave it empty; null clears it; got"
    for content in (
        f"id,sms_relay_url\n1,{text}\n" if text != "NULL" else 'id,sms_relay_url\n1,"""NULL"""\n',
        json.dumps({"id": 1, "sms_relay_url": text}),
    ):
        (problem,) = problems(content)
        assert "(sms_relay_url)" in problem or "column sms_relay_url" in problem
        assert f"must be a URL that begins with http:// or https://; {hint} {text!r}." in problem


@pytest.mark.parametrize("sign", [" ", "\t", "\x00", "\x1b", "\u00a0", "\u200b", "\u2028"])
def test_blanks_and_control_characters_in_a_url(sign: str):
    content = f'id;sms_relay_url\n1;"{URL}{sign}b"\n'
    assert "without blanks, line breaks and invisible characters; character 17 is" in problems(content)[0]
    assert "character 17 is" in problems(json.dumps({"id": 1, "sms_relay_url": f"{URL}{sign}b"}))[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"id,sms_enabled\n1,true\n", mtime=0)[:-9], "is not a whole gzip file: "),
        (b"\x1f\x8bnot gzip at all", "is not a whole gzip file: "),
        (
            "id;sms_enabled;;\n1;true;;x\n",
            "line 2, column 4: the column has no name in the header: name it",
        ),
        ("id,sms_enabled\n1,true,x\n", "line 2, column 3: the row has 3 cells, and the header has 2."),
        ("id,ID,sms_enabled\n1,1,true\n", "line 1, column 2 (id): duplicate column: remove one."),
        ('[{"id": 1}, {"id": 2}', "line 1: is not a whole JSON array: the ] at its end is missing."),
        ('[{"id": 1}\n {"id": 2}]', "line 2: is not a JSON array: expected a comma; got '{'."),
        ('[{"id": 1},\n\n]', "line 3, column 1: is not JSON: Expecting value."),
        ('[{"id": 1}]\n[]', "line 2: has text after the end of the JSON array."),
        ("[1001]", "line 1: must be an object with id, number, sms_enabled, "),
        ('{\n  "id": 1,\n  "sms_enabled": tru\n}', "line 3, column 18: is not JSON: Expecting value."),
        ('{\n  "id": 1,\n  "id": 2\n}', "line 1, column id: duplicate field: remove one."),
        ('{"items": [], "pagination": {}}', "line 1, column items: is a page of the API: write its items, for example"),
        (b'[{"id": 1}, {"label": "\xff"}]', "line 1, column 24: is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(content: str | bytes, message: str):
    assert problems(content)[-1].startswith(message)


def test_a_text_file_is_refused():
    with pytest.raises(InputError, match="must be open in binary mode"):
        list(read_rows(io.StringIO("id,sms_enabled\n"), "csv", RULES))  # type: ignore[arg-type]


def test_a_stream_stays_open_and_may_give_little_at_once():
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 1, 1))

    stream = Slow(table(";").encode("utf-16"))
    assert len(list(read_rows(stream, None, RULES))) == 3
    assert not stream.closed


# --- numbers as the API lists them ---


def test_a_listed_number_is_a_row_with_its_settings():
    listed = ex.number(
        id=5, number="14155550005", call_status_url="", destination=[ex.destination(transport=5, trunk_id=7)]
    )
    ((key, update),) = changes(json.dumps(listed)).items()
    assert key == (5, "14155550005")
    assert update.call_status_url is None
    assert update.destinations == (
        NumberDestination(destination="[did]@pbx.example.net", priority=1, transport=5, trunk_id=7),
    )

    bulk = Rules(needs_id=True, common={"sms_enabled": False}, allow_bare_ids=True)
    ((row,)) = read(json.dumps(listed), None, bulk)
    assert isinstance(row, Row)
    assert row.change.values == {"sms_enabled": False}, "with flags, the listing says which numbers"


def test_what_is_wrong_in_a_listed_number_is_named():
    listed = ex.number(id=5, sms_enabled="yes", destination=[{"destination": "x", "priority": "first", "transport": 1}])
    assert [problem.partition(";")[0] for problem in problems(json.dumps(listed))] == [
        "line 1, column destinations: [0]: NumberDestination.priority must be a whole number",
        "line 1, column sms_enabled: must be true or false",
    ]


@pytest.mark.parametrize("name", ["sms_enable", "Call_status_url", "call_statusurl", "destinatons"])
def test_a_mistyped_setting_of_a_listed_number_is_no_unchanged_number(name: str):
    (problem,) = problems(json.dumps({**ex.number(id=5), name: True}))
    assert f"column {name}: unknown field" in problem
    assert "Did you mean" in problem


def test_what_the_api_adds_to_a_listed_number_is_no_mistake():
    added = {"sms_status": "on", "call_recording_url": "x", "channels_used": 3, "transcription_language": "en"}
    assert problems(json.dumps({**ex.number(id=5), **added})) == []


# --- formulas ---


@given(st.text() | st.sampled_from(["=cmd|' /C calc'!A0", "+1", "-5", "@x", "'quoted", "''", "", "+14155550001"]))
def test_a_guarded_cell_is_no_formula_and_reads_back(text: str):
    cell = guard(text)
    assert not cell.startswith(("=", "@", "\t=", "\r")) or not cell
    assert (cell.removeprefix("'") if cell != text else text) == text
    assert guard(text).startswith("'") == (cell != text)


@pytest.mark.parametrize("layout", ["csv", "ndjson", "array", "line"])
def test_a_large_file_is_not_kept_in_memory(layout: str):
    rows, padding = 2_500, "x" * 600

    def lines() -> Iterator[bytes]:
        if layout == "csv":
            yield b"id,call_status_url\n"
        elif layout != "ndjson":
            yield b"["
        for at in range(1, rows + 1):
            url = f"{URL}/{at}{padding}"
            if layout == "csv":
                yield f"{at},{url}\n".encode()
            else:
                text = json.dumps({"id": at, "call_status_url": url})
                end = "\n" if layout == "ndjson" else "]" if at == rows else ",\n" if layout == "array" else ","
                yield f"{text}{end}".encode()

    class Stream(io.RawIOBase):
        def __init__(self) -> None:
            self.lines = lines()

        def read(self, size: int = -1, /) -> bytes:
            return next(self.lines, b"")

    tracemalloc.start()
    try:
        assert sum(isinstance(item, Row) for item in read_rows(Stream(), None, RULES)) == rows  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows * len(padding) / 2
