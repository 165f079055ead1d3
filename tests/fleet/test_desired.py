"""Read the desired state of numbers from tables and from Python, and compare it with an account."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import examples as ex
from tests.support.fleets import number
from wavix_async import InputError, Number, NumberDestination, NumberUpdate, from_dict
from wavix_async.fleet import DesiredState, FleetFileError, Layout, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ON = NumberUpdate(sms_enabled=True)
OFF = NumberUpdate(sms_enabled=False)
ROUTE = {"destination": "[did]@sip.example.com", "priority": 1, "transport": 1}


def desired(content: str | bytes, layout: Layout = "csv") -> DesiredState:
    return read(io.BytesIO(content.encode() if isinstance(content, str) else content), layout=layout)


def problems(content: str | bytes, layout: Layout = "csv") -> list[str]:
    with pytest.raises(FleetFileError) as caught:
        desired(content, layout)
    assert caught.value.count == len(caught.value.problems)
    return [str(problem).removeprefix("<stream>, ").removeprefix("<stream>: ") for problem in caught.value.problems]


class TestTables:
    def test_a_row_by_id_by_number_and_by_both(self):
        content = (
            "id,number,sms_enabled,call_status_url,destinations\n"
            "1001,,true,null,\n"
            ',+1 (415) 555.1002,,https://x.test/,"[]"\n'
            f'1003,14155551003,,,"{json.dumps([ROUTE]).replace(chr(34), chr(34) * 2)}"\n'
        )
        match = desired(content).match()

        assert match.updates([number(1003), number(1001), number(9), number(1002)]) == [
            NumberUpdate(destinations=[NumberDestination(**ROUTE)]),
            NumberUpdate(sms_enabled=True, call_status_url=None),
            None,
            NumberUpdate(call_status_url="https://x.test/", destinations=[]),
        ]
        assert match.problems == []
        assert list(match.unseen()) == []

    def test_the_same_as_ndjson(self):
        content = (
            '{"id": 1001, "sms_enabled": true, "call_status_url": null}\n\n'
            '{"number": "+1 415-555-1002", "transcription_threshold": 6}\r\n'
            '{"number": 14155551003, "id": 1003, "destinations": [' + json.dumps(ROUTE) + "]}"
        )
        assert desired(content, "ndjson").match().updates([number(1001), number(1002), number(1003)]) == [
            NumberUpdate(sms_enabled=True, call_status_url=None),
            NumberUpdate(transcription_threshold=6),
            NumberUpdate(destinations=[NumberDestination(**ROUTE)]),
        ]

    @pytest.mark.parametrize(
        ("content", "layout"),
        [("id,sms_enabled\n1,\n2,true\n", "csv"), ('{"id": 1}\n{"id": 2, "sms_enabled": true}', "ndjson")],
    )
    def test_a_row_may_leave_everything_as_it_is(self, content: str, layout: Layout):
        whole = desired(content, layout)

        assert (whole.rows, len(whole), whole.selectors) == (2, 2, ())
        assert whole.match().updates([number(1), number(2), number(3)]) == [NumberUpdate(), ON, None]

    def test_a_table_without_rows_wants_nothing(self):
        assert len(desired("id,sms_enabled\n")) == 0
        assert desired("id,sms_enabled\n"), "an empty desired state is still true"

    def test_all_that_is_wrong_is_reported_at_once_in_the_order_of_the_lines(self):
        content = (
            "id,number,sms_enabled,transcription_threshold\n"
            "1001,,maybe,soon\n"
            "x,14155551002,true,\n"
            "1003,+49 abc,true,\n"
            ",,true,\n"
            "1004,,true\n"
            "1005,,true,\n"
            "1006,14155550000,true,\n"
            "01005,,false,\n"
            ",+1 415 555 0000,true,\n"
            "1005,14155550000,true,\n"
            "1007,14155550000,true,\n"
        )
        assert problems(content) == [
            "line 2, column 3 (sms_enabled): must be true or false; leave it out to keep its value; got 'maybe'.",
            "line 2, column 4 (transcription_threshold): must be a whole number; "
            "leave it out to keep its value; got 'soon'.",
            "line 3, column 1 (id): must be the number's record id, a positive whole number; got 'x'.",
            "line 4, column 2 (number): must be a phone number, such as +1 415 555 0100; got '+49 abc'.",
            "line 5: the number is missing: give id or number.",
            "line 6, column 4: the row has 3 cells, and the header has 4.",
            "line 9, column 1 (id): id 1005 is already in line 7.",
            "line 10, column 2 (number): phone number 14155550000 is already in line 8.",
            "line 11, column 1 (id): id 1005 is already in line 7.",
        ]

    def test_a_number_that_is_twice_in_ndjson(self):
        (problem,) = problems('{"id": 9, "sms_enabled": true}\n{"id": 9, "sms_enabled": true}\n', "ndjson")
        assert problem.startswith("line 2, column id: id 9 is already in line 1.")

    def test_a_thousand_problems_are_kept_and_all_are_counted(self):
        content = "id,sms_enabled\n" + "".join(
            f"{i},true\n{i},{'x' * 100_000 if i < 5 else 'x'}\n" for i in range(1, 1501)
        )
        with pytest.raises(FleetFileError) as caught:
            desired(content)
        error = pickle.loads(pickle.dumps(caught.value))

        assert (error.count, len(error.problems)) == (1500, 1000)
        assert [problem.place.line for problem in error.problems] == list(range(3, 2003, 2))
        assert str(error).startswith(
            "<stream> has 1,500 mistakes; nothing was sent.\n  <stream>, line 3, column 2 (sms_"
        )
        assert str(error).endswith("\n  ... and 1,480 more")
        assert len(str(error)) < 20_000, "a long value is not shown in full"

    @pytest.mark.parametrize(("rows", "most"), [(5_000, 8e6), pytest.param(40_000, 20e6, marks=pytest.mark.scale)])
    def test_a_large_file_is_not_kept_in_memory(self, tmp_path: Path, rows: int, most: float):
        path = tmp_path / "fleet.csv"
        with path.open("w") as stream:
            stream.write("id,call_status_url\n")
            stream.writelines(f"{i},https://x.test/{i}/{'x' * 2000}\n" for i in range(1, rows + 1))
        tracemalloc.start()
        try:
            whole = read(path)
            match = whole.match()
            for start in range(1, rows + 1, 1000):
                updates = match.updates([Number(id=i, number=str(i)) for i in range(start, start + 100)])
                assert [update and update.call_status_url for update in updates] == [
                    f"https://x.test/{i}/{'x' * 2000}" for i in range(start, start + 100)
                ]
            assert sum(1 for _ in match.unseen()) == rows * 9 // 10
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # tracemalloc does not see the memory of sqlite, which is limited. 4,096 updates are cached; a row has 2 kB.
        assert peak < most < rows * 2000


class TestSources:
    @pytest.mark.parametrize("name", ["a.csv", "a.NDJSON", "a.jsonl", "a.yaml", "a.YML"])
    def test_the_layout_by_the_suffix(self, tmp_path: Path, name: str):
        path = tmp_path / name
        texts = {"csv": "id,sms_enabled\n1,true\n", "aml": "numbers:\n- {id: 1, set: {sms_enabled: true}}\n"}
        texts["yml"] = texts["aml"]
        path.write_text(texts.get(name.lower()[-3:], '{"id": 1, "sms_enabled": true}\n'))

        whole = read(str(path))

        assert whole.name == str(path)
        assert whole.match().updates([number(1)]) == [ON]

    def test_the_layout_that_is_given_wins(self, tmp_path: Path):
        path = tmp_path / "a.txt"
        path.write_text('{"id": 1, "sms_enabled": true}\n')

        assert read(path, layout="ndjson").rows == 1
        with pytest.raises(FleetFileError, match=r"a\.txt: the suffix must be one of \.csv, .*layout="):
            read(path)

    def test_files_that_cannot_be_read(self, tmp_path: Path):
        with pytest.raises(FleetFileError, match=r"Cannot read .*missing\.csv: No such file"):
            read(tmp_path / "missing.csv")
        with pytest.raises(FleetFileError, match="Cannot read"):
            read(tmp_path, layout="csv")
        with pytest.raises(FleetFileError, match="is not a path"):
            read("a\0.csv")

    def test_pairs_and_mappings(self):
        for source in ({1: ON, "+1 415 555 0002": OFF}, iter([(1, ON), ("14155550002", OFF)])):
            whole = read(source)
            assert (whole.name, whole.rows) == ("<iterable>", 2)
            assert whole.match().updates([number(2), number(1)]) == [OFF, ON]

    def test_an_update_of_python_means_the_same_after_it_was_stored(self):
        update = NumberUpdate(
            sms_enabled=False,
            destinations=[NumberDestination(destination="32882", priority=1, transport=5, trunk_id=7)],
            sms_relay_url="https://x.test/'odd'?\u00e9",
            call_status_url=None,
            transcription_threshold=-3,
        )
        assert read([(1, update), (2, NumberUpdate())]).match().updates([number(1), number(2)]) == [
            update,
            NumberUpdate(),
        ]

    def test_rows_of_a_data_frame(self):
        def scalar(value: object) -> Any:
            return type("int64", (), {"__module__": "numpy", "ndim": 0, "item": lambda self: value})()

        nan = float("nan")
        source = zip(
            [scalar(1), scalar("14155550002"), 3],
            [
                {"sms_enabled": scalar(True)},
                {"sms_enabled": nan, "call_status_url": "https://x.test/"},
                {"sms_enabled": None, "transcription_threshold": 6.0},
            ],
            strict=True,
        )
        assert read(source).match().updates([number(1), number(2), number(3)]) == [
            ON,
            NumberUpdate(call_status_url="https://x.test/"),
            NumberUpdate(transcription_threshold=6),
        ]
        with pytest.raises(
            FleetFileError, match=r"call_status_url is None, which may be an empty cell: .* to clear it"
        ):
            read([(1, {"call_status_url": None})])
        for key in (nan, 1001.0):
            with pytest.raises(FleetFileError, match="where an id is missing, pandas makes decimals of all"):
                read([(key, ON)])  # type: ignore[list-item]

    def test_a_real_data_frame(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"id": [1, 2], "sms_enabled": [True, None], "transcription_threshold": [None, 6]})
        wanted = [ON, NumberUpdate(transcription_threshold=6)]
        for each in (frame, frame.convert_dtypes()):
            fields = each[["sms_enabled", "transcription_threshold"]].to_dict("records")
            for ids in (each.id, each.id.to_numpy()):
                assert read(zip(ids, fields, strict=True)).match().updates([number(1), number(2)]) == wanted

    def test_wrong_pairs_are_reported_by_their_index(self):
        bad: list[Any] = [(1, ON), 5, (0, ON), ("x", ON), (2, {"sms": True}), (3, "on"), (1, OFF), (True, ON)]
        with pytest.raises(FleetFileError) as caught:
            read(bad)
        assert [str(problem) for problem in sorted(caught.value.problems, key=str)] == [
            "<iterable>[1]: must be a pair of an id and a NumberUpdate; got 5.",
            "<iterable>[2]: must be the number's record id, a positive whole number; got 0.",
            "<iterable>[3]: must be a phone number, such as +1 415 555 0100; got 'x'.",
            "<iterable>[4]: unknown field sms; the fields are sms_enabled, destinations, sms_relay_url, "
            "call_recording_enabled, transcription_enabled, transcription_threshold, call_status_url.",
            "<iterable>[5]: must have a NumberUpdate, or a mapping of its fields; got str.",
            "<iterable>[6]: id 1 is already in [0].",
            "<iterable>[7]: must be the number's record id, a positive whole number; got True.",
        ]

    def test_no_source_at_all(self):
        for source in (5, b"id,sms_enabled\n", None):
            with pytest.raises(InputError, match="source must be a path, a file, or"):
                read(source)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="layout must be one of csv, ndjson, xlsx, yaml"):
            read(io.BytesIO(), layout="xml")  # type: ignore[arg-type]

    def test_what_a_source_raises_is_raised(self):
        def broken() -> Iterator[tuple[int | str, NumberUpdate]]:
            yield 1, ON
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            read(broken())


class TestMatch:
    def test_a_phone_number_that_contradicts_the_account(self):
        match = desired("id,number,sms_enabled\n1,14155550001,true\n2,14155550009,true\n").match()

        assert match.updates([number(1), number(2)]) == [ON, None]
        assert match.updates([number(2)]) == [None], "a page that comes twice adds no problem"
        assert [str(problem) for problem in match.problems] == [
            "<stream>, line 3, column 1 (id): id 2 has the phone number 14155550002, not 14155550009."
        ]
        error = match.error()
        assert error is not None
        assert str(error).startswith("<stream> has 1 mistake; nothing was sent.\n  <stream>, line 3")

    def test_a_number_in_two_rows_by_id_and_by_phone(self):
        match = desired("number,id,sms_enabled\n+14155550001,,true\n,1,false\n").match()
        match.updates([number(1)])

        assert [str(problem) for problem in match.problems] == [
            "<stream>, line 3, column 2 (id): id 1 has the phone number 14155550001, "
            "which is already in <stream>, line 2, column number."
        ]

    def test_unseen_names_the_place_in_the_order_of_the_file(self):
        match = desired("number,id,sms_enabled\n,3,true\n14155550002,,true\n,1,true\n").match()
        match.updates([number(3)])

        assert [(target.id, target.number, str(target.place)) for target in match.unseen()] == [
            (None, "14155550002", "<stream>, line 3, column 1 (number)"),
            (1, None, "<stream>, line 4, column 2 (id)"),
        ]

    def test_each_matching_is_of_its_own(self):
        whole = desired("id,sms_enabled\n1,true\n")
        assert whole.match().updates([number(1)]) == [ON]
        assert [target.id for target in whole.match().unseen()] == [1]
        assert [target.id for target in whole.targets()] == [1]

    def test_more_numbers_at_once_than_a_statement_takes(self):
        whole = read((i, ON) for i in range(1, 40_001))
        match = whole.match()
        assert match.updates([Number(id=i, number="") for i in range(1, 40_002)]) == [ON] * 40_000 + [None]
        assert list(match.unseen()) == []

    def test_numbers_that_came_otherwise_than_documented(self):
        odd = [from_dict(Number, ex.number(id=one, number=two)) for one, two in (([1], 5), (None, None), (True, "x"))]
        assert desired("id,number,sms_enabled\n1,,true\n,5,true\n").match().updates(odd) == [None] * 3
