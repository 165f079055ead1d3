"""In IPython: `await` at the top level works, and its formatters take the tables."""

from __future__ import annotations

import pytest

from wavix_async import NumberPage
from wavix_async.testing import make_number, make_page


def test_ipython_shows_a_page_as_a_table() -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    data, _ = formatters.DisplayFormatter().format(make_page(NumberPage, [make_number(label="Sales")]))
    assert data["text/html"].startswith("<table")
    assert "Sales" in data["text/html"]
    assert data["text/plain"].startswith("NumberPage(")
