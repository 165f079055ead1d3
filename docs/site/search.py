"""The search of the site also finds numbers: a status such as 429, an error code such as 26. Sphinx leaves them out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sphinx.search import SearchEnglish

_LONGEST: Final = 4
"""Digits of a number that a reader may search."""
_SKIPS: Final = " || queryTerm.match(/^\\d+$/)"


class SearchWords(SearchEnglish):
    """The English of Sphinx, with short numbers."""

    def word_filter(self, word: str) -> bool:
        """Return whether the index has a word."""
        return word not in self.stopwords and (not word.isdigit() or 2 <= len(word) <= _LONGEST)


def find_numbers(to: Path) -> None:
    """Change the script of the search, which would drop the numbers of a query."""
    script = to / "_static" / "searchtools.js"
    text = script.read_text(encoding="utf-8")
    if _SKIPS not in text:
        raise RuntimeError(f"{script} has changed: look where it drops numbers, and change docs/site/search.py")
    script.write_text(text.replace(_SKIPS, ""), encoding="utf-8")
