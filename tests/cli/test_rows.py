"""Reading the rows of a bulk update: valid rows, and the messages for wrong ones."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cyclopts")

from wavix_async import InputError, NumberDestination, NumberUpdate
from wavix_async._files import RowLayout
from wavix_async.cli._exit import Quit
from wavix_async.cli._input import Rows, open_rows

if TYPE_CHECKING:
    from pathlib import Path

ROUTE = {"destination": "[did]@sip.example.com", "priority": 1, "transport": 1}


def rows(content: str | bytes, layout: RowLayout = "csv", **common: Any) -> Rows:
    raw = content.encode() if isinstance(content, str) else content
    return Rows(io.BytesIO(raw), "numbers.csv", layout, common)


def problems(content: str | bytes, layout: RowLayout = "csv", **common: Any) -> list[str]:
    return [str(problem) for problem in rows(content, layout, **common).check(20).problems.kept]


def updates(content: str | bytes, layout: RowLayout = "csv", **common: Any) -> dict[int, NumberUpdate]:
    made = rows(content, layout, **common)
    assert made.check(20).problems.kept == []
    return dict(made)


class TestCsv:
    def test_each_kind_of_field(self):
        content = (
            "id,sms_enabled,transcription_threshold,sms_relay_url,destinations\n"
            f'1001,true,6,https://x.test/,"{json.dumps([ROUTE]).replace(chr(34), chr(34) * 2)}"\n'
            "1002,no,,null,[]\n"
        )
        assert updates(content) == {
            1001: NumberUpdate(
                sms_enabled=True,
                transcription_threshold=6,
                sms_relay_url="https://x.test/",
                destinations=[NumberDestination(**ROUTE)],
            ),
            1002: NumberUpdate(sms_enabled=False, sms_relay_url=None, destinations=[]),
        }

    @pytest.mark.parametrize(
        ("text", "value"),
        [("true", True), ("TRUE", True), ("1", True), ("yes", True), ("false", False), ("0", False), ("No", False)],
    )
    def test_spellings_of_booleans(self, text: str, value: bool):
        assert updates(f"id,sms_enabled\n5,{text}\n") == {5: NumberUpdate(sms_enabled=value)}

    def test_columns_in_any_order_with_spaces(self):
        assert updates(" sms_enabled , id\n yes , 7 \n") == {7: NumberUpdate(sms_enabled=True)}

    def test_byte_order_mark_crlf_and_blank_lines(self):
        content = b"\xef\xbb\xbfid,sms_enabled\r\n\r\n1,yes\r\n,\r\n  \r\n2,no\r\n\r\n"
        assert updates(content) == {1: NumberUpdate(sms_enabled=True), 2: NumberUpdate(sms_enabled=False)}

    def test_no_newline_at_the_end(self):
        assert list(updates("id,sms_enabled\n1,yes")) == [1]

    def test_a_line_break_in_quotes_does_not_shift_the_lines_after_it(self):
        content = f'id,destinations\n1,"[\n{json.dumps(ROUTE).replace(chr(34), chr(34) * 2)}\n]"\nx,[]\n'
        assert problems(content) == [
            "line 5, column 1 (id): must be the number's record id, a positive whole number; got 'x'."
        ]

    def test_every_wrong_place_is_named(self):
        content = "id,sms_enabled,transcription_threshold\n1,maybe,soon\n-2,yes,\n3,,\n4,yes\n5,yes,1,2\n"
        assert problems(content) == [
            "line 2, column 2 (sms_enabled): must be true or false; leave it out to keep its value; got 'maybe'.",
            "line 2, column 3 (transcription_threshold): must be a whole number; "
            "leave it out to keep its value; got 'soon'.",
            "line 3, column 1 (id): must be the number's record id, a positive whole number; got '-2'.",
            "line 4: no changes: give at least one field a value.",
            "line 5, column 3: the row has 2 cells, and the header has 3.",
            "line 6, column 4: the row has 4 cells, and the header has 3.",
        ]

    @pytest.mark.parametrize("text", ["0", "+5", "1.0", "0x1", "\u0661", "1f3", "9" * 30])
    def test_an_invalid_id(self, text: str):
        (problem,) = problems(f"id,sms_enabled\n{text},yes\n")
        assert problem.startswith("line 2, column 1 (id): must be the number's record id")

    def test_null_clears_only_what_can_be_cleared(self):
        (problem,) = problems("id,sms_enabled\n1,null\n")
        assert "column 2 (sms_enabled): must be true or false" in problem

    @pytest.mark.parametrize(
        ("cell", "message"),
        [
            ("{", "must be a JSON list: "),
            ("5", "must be a list, each a NumberDestination; leave it out to keep its value; got 5."),
            ("[5]", "[0] must be an object with destination, priority, transport, trunk_id; got 5."),
            ('[{""destination"":""a"",""to"":1}]', "[0] has unknown keys: to; the keys are destination, priority, "),
            ('[{""destination"":""a""}]', "[0] is missing priority, transport."),
            ('[{""destination"":""a"",""priority"":1,""transport"":5}]', "[0]: NumberDestination.trunk_id is missing"),
        ],
    )
    def test_wrong_destinations(self, cell: str, message: str):
        (problem,) = problems(f'id,destinations\n1,"{cell}"\n')
        assert problem.startswith(f"line 2, column 2 (destinations): {message}")

    def test_a_duplicate_names_both_lines(self):
        content = "id,sms_enabled\n1,yes\n2,yes\n\n1,no\n"
        assert problems(content) == ["line 5, column 1 (id): number 1 is already in line 2."]

    def test_a_duplicate_is_one_whatever_the_spelling(self):
        assert len(problems("id,sms_enabled\n1,yes\n01,no\n")) == 1

    def test_bad_quoting_is_named_and_reading_goes_on(self):
        assert problems('id,sms_enabled\n"1"x,yes\n2,oops\n') == [
            "line 2: is not CSV: ',' expected after '\"'.",
            "line 3, column 2 (sms_enabled): must be true or false; leave it out to keep its value; got 'oops'.",
        ]

    def test_an_open_quote(self):
        assert problems('id,sms_relay_url\n1,"https://x\n2,y\n') == ["line 2: is not CSV: unexpected end of data."]

    def test_bytes_that_are_no_text(self):
        assert problems(b"id,sms_enabled\n1,\xe9\n") == [
            'line 2, column 3: is not UTF-8: save the file as UTF-8 (in Excel: "CSV UTF-8").'
        ]

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("sms_enabled", "line 1: the header must have the column id; the columns are id, number, sms_enabled, "),
            ("number,sms_enabled", "line 1: the header must have the column id"),
            ("id,status", "line 1, column 2 (status): unknown column; the columns are id, "),
            ("id,sms_enabled,sms_enabled", "line 1, column 3 (sms_enabled): duplicate column: remove one."),
            ("id", "line 1: there is nothing to change: add columns (sms_enabled, "),
        ],
    )
    def test_wrong_headers_stop_the_reading(self, header: str, message: str):
        (problem,) = problems(f"{header}\nx,y,z\n")
        assert problem.startswith(message)

    def test_twenty_are_kept_and_all_are_counted(self):
        checked = rows("id,sms_enabled\n" + "x,yes\n" * 50).check(20)
        assert (len(checked.problems.kept), checked.problems.count, checked.total) == (20, 50, 0)

    def test_counts_what_will_be_changed(self):
        checked = rows("id,sms_enabled,sms_relay_url\n1,yes,\n2,yes,null\n").check(20)
        assert checked.total == 2
        assert checked.fields == {"sms_enabled": 2, "sms_relay_url": 1}


class TestIdsWithFlags:
    def test_one_id_per_line(self):
        change = NumberUpdate(sms_enabled=True)
        assert updates("1\n\n2\r\n3", sms_enabled=True) == {1: change, 2: change, 3: change}

    def test_with_a_header(self):
        assert list(updates("id\n1\n2\n", sms_enabled=True)) == [1, 2]

    def test_flags_and_columns_add_up(self):
        assert updates("id,sms_relay_url\n1,null\n2,\n", sms_enabled=True) == {
            1: NumberUpdate(sms_enabled=True, sms_relay_url=None),
            2: NumberUpdate(sms_enabled=True),
        }

    def test_a_flag_and_a_column_of_the_same_field_contradict(self):
        assert problems("id,sms_enabled\n1,no\n", sms_enabled=True) == [
            "line 1, column 2 (sms_enabled): is also given as a flag: remove one of them."
        ]

    def test_without_flags_nothing_would_change(self):
        (problem,) = problems("1\n2\n")
        assert problem.startswith("line 1: there is nothing to change")

    def test_a_second_cell_without_a_header(self):
        assert problems("1,yes\n", sms_enabled=True) == ["line 1, column 2: the row has 2 cells, and the header has 1."]


class TestNdjson:
    def test_each_kind_of_field(self):
        content = json.dumps({"id": 1, "sms_enabled": False, "call_status_url": None, "destinations": [ROUTE]})
        assert updates(f"\n{content}\r\n\n", "ndjson") == {
            1: NumberUpdate(sms_enabled=False, call_status_url=None, destinations=[NumberDestination(**ROUTE)])
        }

    def test_bare_ids_with_flags(self):
        assert list(updates('1\n{"id":2}\n', "ndjson", sms_enabled=True)) == [1, 2]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"id": 1,', "line 2, column 10: is not JSON: "),
            (
                '{"sms_enabled": true}',
                "line 2: the id is missing. `wavix-async fleet apply` also finds numbers by their ",
            ),
            ('{"id": true, "sms_enabled": true}', "line 2, column id: must be "),
            ('{"id": "1", "sms_enabled": true}', "line 2, column id: must be "),
            ('{"id": 1, "sms_enabled": "yes"}', "line 2, column sms_enabled: must be true or false; "),
            ('{"id": 1, "sms_enabled": 1}', "line 2, column sms_enabled: must be true or false; "),
            ('{"id": 1, "status": "x"}', "line 2, column status: unknown field; the fields are id, "),
            ('{"id": 1, "id": 2, "sms_enabled": true}', "line 2, column id: duplicate field: remove one."),
            ('{"id": 1}', "line 2: no changes: "),
            ('{"id": 9, "sms_enabled": true}', "line 2, column id: number 9 is already in line 1."),
            ('"text"', "line 2, column id: must be "),
        ],
    )
    def test_wrong_lines(self, line: str, message: str):
        (problem,) = problems(f'{{"id": 9, "sms_enabled": true}}\n{line}\n', "ndjson")
        assert problem.startswith(message)

    def test_a_field_that_is_a_flag_too(self):
        (problem,) = problems('{"id": 1, "sms_enabled": true}\n', "ndjson", sms_enabled=True)
        assert problem == "line 1, column sms_enabled: is also given as a flag: remove one of them."


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "content", "layout"),
        [
            ("a.csv", "id\n", "csv"),
            ("a.NDJSON", "", "ndjson"),
            ("a.jsonl", "", "ndjson"),
            ("a.json.gz", "", "ndjson"),
            ("a.txt", '\ufeff\n {"id": 1}', None),
        ],
    )
    def test_the_layout_by_suffix(self, tmp_path: Path, name: str, content: str, layout: str | None):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        with open_rows(str(path), None, {}) as opened:
            assert opened.layout == layout

    @pytest.mark.parametrize("content", ['\ufeff\n {"id": 1}', "1\n", "id\n1\n"])
    def test_the_layout_by_the_first_character(self, content: str):
        assert dict(Rows(io.BytesIO(content.encode()), "a", None, {"sms_enabled": True})) == {
            1: NumberUpdate(sms_enabled=True)
        }

    def test_the_layout_that_is_given_wins(self, tmp_path: Path):
        path = tmp_path / "a.csv"
        path.write_text('{"id": 1, "sms_enabled": true}')
        with open_rows(str(path), "ndjson", {}) as opened:
            assert dict(opened) == {1: NumberUpdate(sms_enabled=True)}

    def test_a_missing_file(self, tmp_path: Path):
        with (
            pytest.raises(Quit, match=r"Cannot read .*missing\.csv: No such file"),
            open_rows(str(tmp_path / "missing.csv"), None, {}),
        ):
            pass

    def test_a_file_that_changes_after_the_check(self, tmp_path: Path):
        path = tmp_path / "a.csv"
        path.write_text("id,sms_enabled\n1,yes\n2,yes\n")
        with open_rows(str(path), None, {}) as opened:
            assert opened.check(20).total == 2
            path.write_text("id,sms_enabled\n1,yes\n2,maybe\n")
            with pytest.raises(InputError, match=r"a.csv changed after the check: line 3, column 2"):
                dict(opened)

    def test_a_large_file_is_not_kept(self, tmp_path: Path):
        path = tmp_path / "a.csv"
        padding = "x" * 200
        with path.open("w") as stream:
            stream.write("id,sms_relay_url\n")
            stream.writelines(f"{number},https://x.test/{padding}\n" for number in range(1, 8_001))
        tracemalloc.start()
        try:
            with open_rows(str(path), None, {}) as opened:
                assert opened.check(20).total == 8_000
                assert sum(1 for _ in opened) == 8_000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # Only ids and line numbers stay in memory, about 150 bytes a row; whole rows would take ten times that.
        assert peak < 8_000 * 250


def test_pydantic_does_not_mind_flags_that_were_left_out() -> None:
    """If pydantic is imported, cyclopts validates with it, and validates the defaults too."""
    pytest.importorskip("pydantic")
    code = "import pydantic, sys; from wavix_async.cli import main; sys.exit(main(['numbers', 'update', '1001']))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "There is nothing to change" in ran.stderr
