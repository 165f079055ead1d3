"""What the site is made of is up to date: the table of operations, the pictures, the lists of errors and variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from docs.site import operations, pictures
from tests.support.operations import methods
from tests.support.operations import operations as all_operations
from tests.support.pages import text_of
from wavix_async import WavixError, bulk, errors, fleet

ROOT: Final = Path(__file__).parents[2]


def test_the_table_of_operations_is_that_of_the_package() -> None:
    """If not: `python -m docs.site.operations`."""
    assert text_of("api.md") == operations.page()


def test_the_table_names_the_method_of_each_operation() -> None:
    rows = re.findall(r"^\| `wavix\.([\w.]+)` \|.*\| `([A-Z]+ /[^`]+)` \|$", text_of("api.md"), re.MULTILINE)
    assert len(rows) == 122
    assert {operation: call for call, operation in rows} == {name: methods()[name][0].name for name in all_operations()}


@pytest.mark.parametrize("source", pictures.sources(), ids=lambda path: path.stem)
def test_a_picture_is_that_of_its_source(source: Path) -> None:
    """If not: `python -m docs.site.pictures`, which needs Graphviz."""
    picture = source.with_suffix(".svg").read_text(encoding="utf-8")
    assert f"<!-- source: {pictures.digest(source.read_text(encoding='utf-8'))} -->" in picture
    assert "prefers-color-scheme: dark" in picture


def test_there_are_pictures_and_each_is_shown() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert len(pictures.sources()) >= 3
    assert [each.stem for each in pictures.sources() if f"(pictures/{each.stem}.svg)" not in shown] == []


def test_every_error_is_listed_with_when_it_is_raised_and_what_to_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text_of("reference/errors.md"), re.MULTILINE)
    found = {getattr(part, name) for part in (errors, bulk, fleet) for name in part.__all__}
    raised = {each.__name__ for each in found if isinstance(each, type) and issubclass(each, WavixError)}
    assert sorted(name for name, _ in rows) == sorted(raised - {"WavixError"})
    assert [name for name, cells in rows if not all(cell.strip() for cell in cells.split(" | "))] == []


def test_every_variable_of_the_environment_is_listed() -> None:
    text = text_of("reference/options.md")
    used = {
        name
        for path in (ROOT / "wavix_async").rglob("*.py")
        for name in re.findall(r"environ(?:\.get\(|\[)\s*\"(WAVIX_\w+)\"", path.read_text(encoding="utf-8"))
    }
    assert len(used) >= 4
    assert sorted(name for name in used if f"`{name}`" not in text) == []
