"""Every promise (`markers` in pyproject.toml) has tests that hold it, and is named where reliability is documented.

The sources are read, not imported: what counts is what `pytest -m req_07` would select on any machine.
"""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
PROMISED = range(1, 38)
MARK = re.compile(r"req_(\d\d)")


def marks(nodes: list[ast.expr]) -> tuple[set[int], bool]:
    """Return the requirements that decorators (or a `pytestmark`) name, and whether they expect a test to fail."""
    names = [node.attr for each in nodes for node in ast.walk(each) if isinstance(node, ast.Attribute)]
    found = {int(match[1]) for name in names if (match := MARK.fullmatch(name))}
    # Inside of `parametrize` they concern one set of parameters, and not the test.
    outermost = [each.func if isinstance(each, ast.Call) else each for each in nodes]
    return found, any(isinstance(each, ast.Attribute) and each.attr in {"xfail", "skip"} for each in outermost)


def held_by(source: str) -> dict[int, list[str]]:
    """Return the tests of a module by requirement; one that is expected to fail holds nothing."""
    held: dict[int, list[str]] = defaultdict(list)

    def look(body: list[ast.stmt], outer: set[int]) -> None:
        for node in body:
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets
            ):
                outer = outer | marks([node.value])[0]
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                look(node.body, outer | marks(node.decorator_list)[0])
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own, fails = marks(node.decorator_list)
                for number in () if fails else outer | own:
                    held[number].append(node.name)

    look(ast.parse(source).body, set())
    return held


@functools.cache
def all_held() -> dict[int, list[str]]:
    held: dict[int, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, tests in held_by(path.read_text(encoding="utf-8")).items():
            held[number] += tests
    return held


@pytest.mark.parametrize("number", PROMISED)
def test_every_requirement_is_held_by_a_test(number: int) -> None:
    assert all_held()[number], f"no test is marked @pytest.mark.req_{number:02}"


def test_every_requirement_is_registered_with_words() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    markers = dict(marker.split(": ", 1) for marker in settings["markers"])
    assert [name for name in markers if MARK.fullmatch(name)] == [f"req_{number:02}" for number in PROMISED]
    assert all(len(words.split()) >= 5 for words in markers.values())
    assert set(all_held()) <= set(PROMISED)


def test_every_requirement_is_named_in_the_documentation() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    # By the mark, or as the number of a heading or a list item, or alone in the first cell of a row.
    heads = re.findall(r"\breq_(\d\d)\b|^#+ +(\d+)\b|^(?:[-*] +)?[*`]*(\d+)[.)]|^\|([\d,*` ]+)\|", text, re.MULTILINE)
    named = {int(number) for head in heads for number in re.findall(r"\d+", " ".join(head))}
    assert [number for number in PROMISED if number not in named] == []


def test_the_tests_that_the_documentation_names_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    defined = set[str]()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^ *(?:async )?def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(named) > 40
    assert named - defined == set()


def test_marks_are_found_wherever_they_are() -> None:
    source = """
import pytest
pytestmark = [pytest.mark.req_01, pytest.mark.slow]

@pytest.mark.req_02
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.req_03)])
async def test_one(x): ...

@pytest.mark.req_04
class TestMore:
    pytestmark = pytest.mark.req_05
    @pytest.mark.req_06
    def test_two(self): ...
    @pytest.mark.req_07
    @pytest.mark.xfail(strict=True, reason="broken")
    def test_broken(self): ...

@pytest.mark.req_08
def helper(): ...

@pytest.mark.req_09
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.xfail)])
def test_three(x): ...

text = "pytest.mark.req_10"
"""
    assert dict(held_by(source)) == {
        1: ["test_one", "test_two", "test_three"],
        2: ["test_one"],
        3: ["test_one"],
        4: ["test_two"],
        5: ["test_two"],
        6: ["test_two"],
        9: ["test_three"],
    }
