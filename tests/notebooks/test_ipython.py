"""In IPython: `await` at the top level works, and its formatters take the tables and bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pages import python_blocks, text_of
from wavix_async import NumberPage
from wavix_async.sandbox import Sandbox
from wavix_async.testing import make_number, make_page

if TYPE_CHECKING:
    from pathlib import Path


def test_ipython_shows_a_page_as_a_table() -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    data, _ = formatters.DisplayFormatter().format(make_page(NumberPage, [make_number(label="Sales")]))
    assert data["text/html"].startswith("<table")
    assert "Sales" in data["text/html"]
    assert data["text/plain"].startswith("NumberPage(")


@pytest.mark.filterwarnings("ignore")  # of IPython, and of what it loads
async def test_the_cells_of_the_recipe_run_in_ipython(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interactive = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")
    publishers = pytest.importorskip("IPython.core.displaypub")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    published: list[dict[str, Any]] = []

    class Shell(interactive.InteractiveShell):  # type: ignore[misc, name-defined]
        """A shell that publishes into a list."""

        def init_display_pub(self) -> None:
            self.display_pub = publishers.CapturingDisplayPublisher()
            self.display_pub.outputs = published

        def init_displayhook(self) -> None:
            super().init_displayhook()
            self.displayhook.write_format_data = lambda data, *_: published.append({"data": data})

    shell = Shell.instance()
    try:
        async with Sandbox(numbers=3) as sandbox:
            for number in (1001, 1002):
                sandbox.change(number, label="Support", transcription_enabled=False)
            monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
            monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
            first, bars, *_ = python_blocks(text_of("recipes/notebook.md"))
            for cell in (first, bars, "await wavix.close()"):
                result = await shell.run_cell_async(cell, transformed_cell=shell.transform_cell(cell))
                result.raise_error()
    finally:
        Shell.clear_instance()
    shown = [each["data"].get("text/html", "") for each in published]
    assert shown[0].startswith("<table")
    assert "<caption>NumberPage" in shown[0]
    assert [html for html in shown[1:-1] if not html.startswith("<progress")] == []
    assert len(shown) > 3
    assert "2 updated of 2" in shown[-1]
