"""Only the proofs at full size are deselected by default, and each of them has a small version that runs."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import pytest_collection_modifyitems

TESTS = Path(__file__).parents[1]
MARK = "pytest.mark.scale"


def count_marks(node: ast.AST) -> int:
    return sum(
        isinstance(each, ast.Attribute) and each.attr == "scale" and ast.unparse(each) == MARK
        for each in ast.walk(node)
    )


def test_each_proof_at_full_size_has_a_small_version() -> None:
    found = 0
    for path in TESTS.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if MARK not in text or path == Path(__file__):
            continue
        tree = ast.parse(text)
        marks = count_marks(tree)
        lists = [each.elts for each in ast.walk(tree) if isinstance(each, ast.List)]
        counts = [[count_marks(each) for each in elements] for elements in lists]
        # A mark outside of a list of parameters would deselect all of its test.
        assert marks == sum(sum(each) for each in counts), path
        assert all(0 in each for each in counts if any(each)), path
        found += marks
    assert found >= 10


@pytest.mark.parametrize(
    ("expression", "kept"),
    [("", ["small"]), ("req_07", ["small"]), ("scale", ["small", "full"]), ("req_07 or scale", ["small", "full"])],
)
def test_only_an_expression_that_names_the_marker_selects_them(expression: str, kept: list[str]) -> None:
    deselected: list[Any] = []
    config: Any = SimpleNamespace(
        option=SimpleNamespace(markexpr=expression),
        hook=SimpleNamespace(pytest_deselected=lambda items: deselected.extend(items)),
    )
    items: Any = [
        SimpleNamespace(name="small", get_closest_marker=lambda _: None),
        SimpleNamespace(name="full", get_closest_marker=lambda name: name == "scale" or None),
    ]

    pytest_collection_modifyitems(config, items)

    assert [item.name for item in items] == kept
    assert [item.name for item in deselected] == [name for name in ("small", "full") if name not in kept]
