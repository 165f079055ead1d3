"""Fleets in YAML: the order of entries, and the place of every mistake."""

from __future__ import annotations

import gzip
import io
import sys
import tracemalloc
from typing import Any

import pytest

from tests.support.fleets import number
from wavix_async import InputError, Number, NumberDestination, NumberUpdate
from wavix_async.fleet import DesiredState, FleetFileError, read

yaml = pytest.importorskip("yaml", reason="the extra `yaml` is not installed")

ON = NumberUpdate(sms_enabled=True)


def desired(content: str | bytes) -> DesiredState:
    return read(io.BytesIO(content.encode() if isinstance(content, str) else content), layout="yaml")


def updates(content: str, *numbers: Number) -> list[NumberUpdate | None]:
    match = desired(content).match()
    made = match.updates(numbers)
    assert match.problems == []
    return made


def problems(content: str | bytes) -> list[str]:
    with pytest.raises(FleetFileError) as caught:
        desired(content)
    return [str(problem).removeprefix("<stream>, ").removeprefix("<stream>: ") for problem in caught.value.problems]


class TestEntries:
    def test_every_way_to_name_numbers(self):
        content = """
numbers:
- id: 1
  set: {sms_enabled: true, call_status_url: null}
- number: +1 (415) 555-0002
  set: {destinations: [{destination: 14155550142, priority: 1, transport: 4}]}
- {id: 3, number: 14155550003, set: {transcription_threshold: 10}}
- ids: [4, 5]
  set: {sms_relay_url: https://x.test/}
- numbers: ["+1 415 555 0006", 14155550007]
  set: {call_status_url: "https://x.test/null"}
"""
        relayed, worded = (
            NumberUpdate(sms_relay_url="https://x.test/"),
            NumberUpdate(call_status_url="https://x.test/null"),
        )
        assert updates(content, *map(number, range(1, 9))) == [
            NumberUpdate(sms_enabled=True, call_status_url=None),
            NumberUpdate(destinations=[NumberDestination(destination="14155550142", priority=1, transport=4)]),
            NumberUpdate(transcription_threshold=10),
            relayed,
            relayed,
            worded,
            worded,
            None,
        ]

    def test_later_entries_win_field_by_field_whatever_names_the_number(self):
        content = """
numbers:
- id: 1
  set: {sms_enabled: true, call_recording_enabled: true, call_status_url: https://x.test/1}
- select: all
  set: {sms_enabled: false, transcription_threshold: 6}
- number: "14155550001"
  set: {transcription_threshold: 10}
- ids: [2, 1]
  set: {call_status_url: null}
"""
        assert updates(content, number(1), number(3)) == [
            NumberUpdate(
                sms_enabled=False, call_recording_enabled=True, transcription_threshold=10, call_status_url=None
            ),
            NumberUpdate(sms_enabled=False, transcription_threshold=6),
        ]

    def test_a_number_that_is_named_twice_is_one_target(self):
        whole = desired(
            "numbers:\n- {ids: [7, 5], set: {}}\n- {select: all, set: {sms_enabled: true}}\n- {id: 5, set: {}}"
        )
        match = whole.match()

        assert (whole.rows, len(whole.selectors), len(whole)) == (2, 1, 3)
        assert [(target.id, target.place.line, target.place.column) for target in whole.targets()] == [
            (7, 2, 10),
            (5, 2, 13),
        ]
        assert match.updates([number(5)]) == [ON]
        assert [target.id for target in match.unseen()] == [7]

    def test_a_phone_number_is_checked_against_the_account(self):
        match = desired("numbers:\n- {id: 1, number: +1 415 555 0002, set: {sms_enabled: true}}\n").match()

        assert match.updates([number(1)]) == [None]
        assert [str(problem) for problem in match.problems] == [
            "<stream>, line 2, column 8 (id): id 1 has the phone number 14155550001, not 14155550002."
        ]

    def test_anchors_aliases_and_merge_keys(self):
        content = """
x-common: &common {sms_enabled: true, transcription_threshold: 6}
x-more: &more {transcription_threshold: 10, call_status_url: null}
x-some: &some [1, 2]
numbers:
- ids: *some
  set: &both
    <<: [*common, *more]
    call_recording_enabled: true
- id: 3
  set: {<<: *both, sms_enabled: false}
- id: 4
  set: *common
"""
        both = {"transcription_threshold": 6, "call_status_url": None, "call_recording_enabled": True}
        assert updates(content, number(1), number(3), number(4)) == [
            NumberUpdate(sms_enabled=True, **both),
            NumberUpdate(sms_enabled=False, **both),
            NumberUpdate(sms_enabled=True, transcription_threshold=6),
        ]


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: text.decode().encode("utf-16")], ids=["gzip", "utf-16"])
def test_a_packed_file(pack: Any):
    content = pack("numbers:\n- {id: 1, set: {call_status_url: https://x.test/é}}\n".encode())
    assert desired(content).match().updates([number(1)]) == [NumberUpdate(call_status_url="https://x.test/é")]


def test_a_damaged_gzip_file():
    assert problems(gzip.compress(b"numbers: []\n" * 99)[:-9])[0].startswith("is not a whole gzip file: ")


class TestProblems:
    def test_all_that_is_wrong_is_reported_at_once_with_line_and_column(self):
        content = """\
numbers:
- select: {lable: x, channels: many}
  set: {sms_enabled: maybe}
- id: 0
  set: {sms_enabeld: true}
- id: 5
- ids: [1, 1, x]
  set: {destinations: [{destination: "1", priority: 1}]}
- anything
- select: {}
  set: {}
- select: {number: abc*, label: [], city: [[x]]}
  select: all
  set: {call_status_url: , transcription_threshold: 010}
- {number: 1x, set: 5}
- set: {sms_enabled: true}
- {id: 1, ids: [2], set: {}}
- {select: some, set: {sms_enabled: true, sms_enabled: false}}
nummbers: []
"""
        expected = [
            (2, 12, "unknown key lable in a selector; the keys are id, number, "),
            (2, 32, "(channels): must be a whole number or null; got 'many'."),
            (3, 22, "(sms_enabled): must be true or false; leave it out to keep its value; got 'maybe'."),
            (4, 7, "must be the number's record id, a positive whole number; got 0."),
            (5, 9, "unknown key sms_enabeld in set; the keys are sms_enabled, "),
            (6, 3, "set is missing: give a mapping of fields and values."),
            (7, 12, "1 is already in this list, in line 7."),
            (7, 15, "must be the number's record id, a positive whole number; got 'x'."),
            (8, 23, "(destinations): [0] is missing transport."),
            (9, 3, "must be an entry: a mapping with set, and with select, id, number, ids or numbers."),
            (10, 11, "select must be all, or a mapping with some of id, number, "),
            (11, 8, "no changes: give at least one field a value."),
            (12, 20, "(number): must be a phone number, or a part of one with * or ?"),
            (12, 33, "(label): the list is empty, so it matches no number."),
            (12, 44, "must be one value, not a list."),
            (13, 3, "select is already in line 12."),
            (14, 26, "the value is empty: write null to clear it, or leave out the key."),
            (14, 53, "(transcription_threshold): must be a whole number; "),
            (15, 12, "must be a phone number, such as +1 415 555 0100; got '1x'."),
            (15, 21, "set must be a mapping of fields and values."),
            (16, 3, "the numbers are missing: give one of select, id, number, ids, numbers."),
            (17, 11, "an entry cannot have both id and ids."),
            (18, 12, "select must be all, or a mapping with some of "),
            (18, 43, "sms_enabled is already in line 18."),
            (19, 1, "unknown key nummbers: the keys are numbers and, "),
        ]
        found = problems(content)

        for problem, (line, column, message) in zip(found, expected, strict=True):
            separator = " " if message.startswith("(") else ": "
            assert problem.startswith(f"line {line}, column {column}{separator}{message}")
        assert found[0].endswith(" Did you mean label?")
        assert found[-1].endswith(" Did you mean numbers?")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "the file is empty: add the key numbers"),
            (b"# nothing\n", "the file is empty: add the key numbers"),
            (b"[]", "line 1, column 1: must be a mapping with the key numbers"),
            (b"{}", "line 1, column 1: the key numbers is missing"),
            (b"x-a: 1\nnumbers:\n  a: 1\n", "line 3, column 3: numbers must be a list of entries."),
            (b"numbers: []\nnumbers: []\n", "line 2, column 1: numbers is already in line 1."),
            (b"numbers: []\n---\nnumbers: []\n", "line 2, column 1: a second document: only one is allowed."),
            (b"numbers:\n- {id: 1, set: {a: [}\n", "line 2, column 21: is not YAML: "),
            (b"numbers:\n- id: 1\n\tset: {}\n", "line 3, column 1: is not YAML: "),
            (b"numbers: []\n# \xc3\xa9 \xff\n", "line 2, column 5: is not UTF-8: save the file as UTF-8 "),
            (b"numbers: []\n# \xe2\x82", "line 2, column 3: is not UTF-8"),
            ("numbers: 1".encode("utf-16"), "line 1, column 10: numbers must be a list of entries."),
            (b"numbers: []\n# \x07", "line 2, column 3: the character '\\x07' is not allowed in YAML: escape it."),
            (
                b"numbers:\n- id: *x\n",
                "line 2, column 7: there is no anchor &x before this alias; put a text that begins",
            ),
            (
                b"numbers:\n- &a {id: 1, set: *a}\n",
                "line 2, column 19: the alias *a refers to a value that contains it.",
            ),
            (b"numbers:\n- !!python/object:os.system {id: 1}\n", "line 2, column 3: the tag "),
            (b"numbers:\n- {id: !!float 1, set: {}}\n", "line 2, column 8: the tag "),
            (b"numbers:\n- " + b"[" * 1_000, "line 2, column 43: is nested too deeply."),
            (b"numbers:\n- " + b"[\n" * 1_000, "line 42, column 1: is nested too deeply."),
            (b"numbers:\n- " + b"{a: " * 1_000, "line 2, column 160: is nested too deeply."),
            (b"numbers:\n- " + b"- " * 1_000, "line 2, column 83: is nested too deeply."),
            (b"# " + b"x" * 40_000 + b"\nnumbers:\n- " + b"[" * 1_000, "line 3, column 43: is nested too deeply."),
            (b"numbers:\n- {id: 1, set: {<<: 5}}\n", "line 2, column 21: << must be followed by a mapping"),
        ],
    )
    def test_a_file_that_is_not_a_fleet(self, content: bytes, message: str):
        (problem,) = problems(content)
        assert problem.startswith(message)

    def test_a_byte_order_mark_and_a_character_across_two_reads(self):
        content = "\ufeffnumbers:\n" + "# \u20ac\u00e9\U0001f600\n" * 20_000 + "- {id: 1, set: {sms_enabled: true}}\n"
        assert updates(content, number(1)) == [ON]

    def test_the_parser_without_a_compiled_part_reads_the_same(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
        content = "numbers:\n- {id: 1, number: +1 415 555 0001, set: {sms_enabled: true}}\n"

        assert updates(content, number(1)) == [ON]
        assert problems("numbers:\n- {id: 0, set: {}}\n") == [
            "line 2, column 8: must be the number's record id, a positive whole number; got 0."
        ]
        assert problems(b"numbers: []\n\xff") == [
            'line 2, column 1: is not UTF-8: save the file as UTF-8 (in Excel: "CSV UTF-8").'
        ]

    def test_without_the_extra_the_message_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(InputError, match=r"pip install 'wavix-async\[yaml\]'"):
            desired("numbers: []")


class TestBounds:
    @pytest.mark.parametrize("way", ["lists", "merge keys", "set"])
    def test_a_few_lines_cannot_mean_a_billion_values(self, way: str):
        lines = ["x-0: &a0 {a: 1}"]
        for step in range(1, 40):
            others = ", ".join([f"*a{step - 1}"] * 10)
            lines.append(f"x-{step}: &a{step} " + (f"{{<<: [{others}]}}" if way == "merge keys" else f"[{others}]"))
        lines.append("numbers:\n- {id: 1, set: " + ("*a39}" if way == "set" else "{destinations: *a39}}"))
        tracemalloc.start()
        try:
            (problem,) = problems("\n".join(lines))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert problem.endswith("too many values have an anchor.")
        assert peak < 5e6

    def test_aliases_cannot_repeat_a_list_without_end(self):
        ids = ", ".join(map(str, range(1, 40_001)))
        entries = "- {ids: *a, set: &s {destinations: []}, select: all}\n" * 300
        (problem,) = problems(f"x-a: &a [{ids}]\nnumbers:\n{entries}")[-1:]
        assert problem.endswith("the aliases expand to more than 10,000,000 values.")

    def test_an_entry_has_a_bound(self):
        (problem,) = problems("numbers:\n- {set: {}, ids: [" + "1," * 500_000 + "]}")
        assert problem.endswith("this entry is too large: split it, or use CSV.")

    def test_a_long_file_is_read_entry_by_entry(self):
        content = "numbers:\n" + "".join(
            f"- id: {i}\n  set: {{call_status_url: https://x.test/{i}}}\n" for i in range(1, 5_001)
        )
        stream = io.BytesIO(content.encode())
        tracemalloc.start()
        try:
            assert read(stream, layout="yaml").rows == 5_000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # The nodes of the whole file would use more than 6 MB.
        assert peak < 2e6
