"""`bounded`: what an error keeps of the body of an answer: little, shallow, and without keys, tokens and digits."""

import re
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

__all__ = ["DETAILS", "bounded", "hide_values"]

DETAILS: Final = 2000
"""Characters of an answer that an error keeps, about."""

_TEXT: Final = 1000
_NAME: Final = 100
_DEEPEST: Final = 8
_SCALAR: Final = 8
"""What a number, a container or a separator counts for."""
_LONGEST_NUMBER: Final = 256
"""Bits; Python refuses to write a number of more than 4,300 digits."""

_NAMES: Final = r"\w{0,40}(?:passw|secret|token|api_?key|appid)\w{0,40}|digits|pin|text|value"
"""Names whose values an error does not show. The `code` of an error is no secret."""
_IS_SECRET: Final = re.compile(_NAMES, re.IGNORECASE)
_SECRET_IN_JSON: Final = re.compile(
    rf"""("(?:{_NAMES})"\s*:\s*)(?:"(?:[^"\\]|\\.)*(?:"|\\?\Z)|-?\d[\d.eE+-]*)""", re.IGNORECASE
)
_HIDDEN: Final = "<hidden>"

# The API gives its reason under these keys, so they are kept first.
_FIRST: Final = (
    "message",
    "detail",
    "title",
    "error",
    "errors",
    "error_code",
    "code",
    "error_class",
    "success",
    "error_dids",
)


def hide_values(text: str) -> str:
    """Return the text of JSON, whole or not, without the values of names such as `token` and `digits`."""
    return _SECRET_IN_JSON.sub(rf'\1"{_HIDDEN}"', text)


def bounded(payload: Any, excerpt: Callable[[str, int], str]) -> Any:
    """Return parsed JSON with at most about `DETAILS` characters, and eight levels.

    A payload within these limits and without secrets comes back as it is. Otherwise long texts end with `…`, and in
    lists and objects `…` says how many more entries there were.

    Args:
        payload: The parsed JSON.
        excerpt: Returns the beginning of a text, without secrets.
    """
    return _Copy(excerpt).value(payload, 0)


class _Copy:
    def __init__(self, excerpt: Callable[[str, int], str]) -> None:
        self._excerpt = excerpt
        self._left = DETAILS

    def value(self, value: Any, depth: int) -> Any:
        if type(value) is str:
            return self._text(value, _TEXT)
        self._left -= _SCALAR
        if type(value) is dict:
            return self._object(value, depth)
        if type(value) is list:
            return self._list(value, depth)
        if type(value) is int and value.bit_length() > _LONGEST_NUMBER:
            return "…"
        return value

    def _text(self, text: str, most: int) -> str:
        most = max(min(most, self._left), 0)
        shown = self._excerpt(text, most)
        self._left -= len(shown) + _SCALAR
        return f"{shown}…" if len(text) > most else shown

    def _object(self, given: dict[str, Any], depth: int) -> dict[str, Any]:
        kept: dict[str, tuple[str, Any]] = {}
        for name in chain((name for name in _FIRST if name in given), given):
            if name in kept:
                continue
            if self._is_full(depth):
                break
            value = given[name]
            if type(value) in {str, int, float} and _IS_SECRET.fullmatch(name):
                value = _HIDDEN
            kept[name] = self._text(name, _NAME), self.value(value, depth + 1)
        if len(kept) == len(given):
            return dict(kept[name] for name in given)
        return {**dict(kept.values()), "…": f"{len(given) - len(kept):,} more"}

    def _list(self, given: list[Any], depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in given:
            if self._is_full(depth):
                shown.append(f"… {len(given) - len(shown):,} more")
                break
            shown.append(self.value(item, depth + 1))
        return shown

    def _is_full(self, depth: int) -> bool:
        return self._left <= 0 or depth >= _DEEPEST
