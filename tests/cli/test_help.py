"""Every help page, of the commands written by hand and of the generated ones: what it does, and an example."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cyclopts")

from wavix_async.cli import _app

if TYPE_CHECKING:
    from tests.support.cli import Cli


def pages(*words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the application of each page, as the command line makes them."""
    app: Any = _app._make_app(words)
    for word in words:
        app = app[word]
    yield words, app
    for name in commands(app):
        # Only the group that is called is filled.
        is_group = app[name].default_command is None
        yield from pages(*words, name) if is_group or not words else [((*words, name), app[name])]


def commands(app: Any) -> list[str]:
    return [name for name in app if not name.startswith("-")]


def help_of(app: Any) -> str:
    return inspect.cleandoc(app.help or inspect.getdoc(app.default_command) or "")


def test_every_page_has_an_example_of_itself():
    found = dict(pages())
    assert {("fleet", "drift"), ("messages", "send"), ("demo",), ("ten-dlc", "brands", "campaigns", "list")} <= set(
        found
    )
    for words, app in found.items():
        text = help_of(app)
        first, *_ = text.splitlines()
        assert len(first) <= 100, words
        (example,) = re.findall(r"^Example: `(.+)`$", text, re.MULTILINE)
        assert shlex.split(example)[: len(words) + 1] == ["wavix-async", *words], words
        # The example of a group is one of its commands.
        assert not commands(app) or tuple(shlex.split(example)[1 : len(words) + 2]) in found, words


@pytest.mark.parametrize("words", [(), ("fleet",), ("fleet", "drift"), ("messages", "send"), ("sandbox",)])
def test_the_example_is_printed(cli: Cli, words: tuple[str, ...]):
    ran = cli(*words, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"Example: wavix-async {' '.join(words)}" in ran.out


@pytest.mark.parametrize("one_in", [20, pytest.param(1, marks=pytest.mark.scale)])
def test_pages_print_their_examples(cli: Cli, one_in: int):
    for words, _ in [*pages()][::one_in]:
        assert "Example: wavix-async " in cli(*words, "--help").out, words
