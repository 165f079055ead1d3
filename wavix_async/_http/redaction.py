"""Hide the API key: it must not reach an error, an event or a log, even if a server repeats it.

Servers repeat the key in many spellings: escaped in JSON, HTML or a URL, in base64, in lower case as the name of a
header, or only its beginning. Nothing here runs for a call that succeeds as documented.

Every text of a server passes `excerpt` before it is cut: a key that a limit cuts in two would not be found afterwards.
"""

import base64
import html
import re
from typing import Any, Final

import attrs

from wavix_async._codec import AnswerBase, Drift, decode, to_dict
from wavix_async._http.details import DETAILS, bounded
from wavix_async.config import Secret
from wavix_async.errors import WavixError

__all__ = ["NO_KEY", "Redactor"]

_SHORTEST_KEY: Final = 8
"""Characters. A shorter key is not real: a test uses a short word, which any answer may contain."""
_SHORTEST_PART: Final = 16
"""Characters of the beginning of a key that are hidden even without its end."""
_LONGEST_PART: Final = 64
"""Characters of a long key (a JWT may have thousands) that are matched one by one: groups cannot nest much deeper."""
_REST: Final = r"""(?:[^\s"'<>&]|&(?:amp;)?\#?\w+;)*"""
"""What is hidden after them: anything up to a blank, a quote or markup."""
_LONGEST_SPELLING: Final = 10
"""Characters that one character of the key may become, as in `&#x0002f;`."""
_LONGEST_NAME: Final = 200
"""Characters of a field or a path in a drift."""
_LONGEST_MODEL: Final = 4096
"""Characters of an answer that an error keeps as a model."""


class _Pattern:
    """A compiled pattern. Its own repr would show the key."""

    __slots__ = ("search", "sub")

    def __init__(self, source: str) -> None:
        compiled = re.compile(source, re.IGNORECASE)
        self.sub = compiled.sub
        self.search = compiled.search

    def __reduce__(self) -> str:
        raise TypeError("The pattern of an API key cannot be pickled.")


class Redactor:
    """Replaces the key of one client by `<hidden>`, only in failed calls and in answers with drift."""

    __slots__ = ("_key", "_made")

    def __init__(self, api_key: Secret) -> None:
        self._key = api_key if len(api_key) >= _SHORTEST_KEY else Secret("")
        self._made: _Pattern | None = None

    @property
    def _pattern(self) -> _Pattern:
        # Compiling takes longer than a request, and most clients never need it.
        if self._made is None:
            self._made = _Pattern("|".join(_spellings(self._key)))
        return self._made

    def hide(self, value: Any) -> Any:
        """Return a text, a parsed JSON value or a model without the key."""
        if not self._key:
            return value
        if isinstance(value, str):
            return self._pattern.sub("<hidden>", value)
        if isinstance(value, list | tuple):
            return type(value)(map(self.hide, value))
        if isinstance(value, dict):
            return {self.hide(name): self.hide(item) for name, item in value.items()}
        if isinstance(value, AnswerBase):
            payload = to_dict(value)
            hidden = self.hide(payload)
            return value if hidden == payload else decode(type(value), hidden)[0]
        return value

    def excerpt(self, text: str, most: int) -> str:
        """Return the first `most` characters of a text, without the key and without a part of it at the cut."""
        if not self._key:
            return text[:most]
        window = text[: most + len(self._key) * _LONGEST_SPELLING]
        hidden: str = self._pattern.sub("<hidden>", window)
        # Only the end of a window that is not the whole text can hold a beginning that is too short to be found.
        margin = min(len(self._key), _LONGEST_PART) * _LONGEST_SPELLING
        return hidden[:most] if len(window) == len(text) else hidden[: min(most, max(len(hidden) - margin, 0))]

    def error(self, error: WavixError) -> None:
        """Hide the key in every text that an error shows, and drop what led to it: frames and errors of libraries.

        They may hold the answer itself, and a stored error would keep it. `__cause__` stays: the transport cleans it.
        """
        error.__traceback__ = error.__context__ = None
        for name in ("message", "code", "reason", "request_id"):
            setattr(error, name, self.hide(getattr(error, name)))
        error.args = (error.message,)
        try:
            details = error.details
            error.details = self.excerpt(details, DETAILS) if isinstance(details, str) else self.hide(details)
        except RecursionError:
            error.details = None

    def answer(self, value: Any) -> Any:
        """Return what an error keeps of an answer that contradicts its request: thousands of them may be kept.

        Args:
            value: The model, a list of models, or parsed JSON.

        Returns:
            The model if it is short (a model with drift: very short), else its JSON, shortened.
        """
        payload = to_dict(value) if isinstance(value, AnswerBase | list) else value
        short = bounded(payload, self.excerpt)
        if short == payload:
            return value
        if isinstance(value, AnswerBase) and len(repr(payload)) <= _LONGEST_MODEL:
            hidden = self.hide(payload)
            model, drifts = decode(type(value), hidden)
            if not drifts:
                return value if hidden == payload else model
        return short

    def drift(self, drift: Drift) -> Drift:
        """Return a drift whose field and path are short and do not show the key."""
        field, path = self.excerpt(drift.field, _LONGEST_NAME), self.excerpt(drift.path, 2 * _LONGEST_NAME)
        return attrs.evolve(drift, field=field, path=path)


NO_KEY: Final = Redactor(Secret(""))
"""Hides nothing, and still cuts."""


# --- spellings of a key ---


def _spellings(key: str) -> list[str]:
    """Return patterns for the key as it is, escaped in any way, or in base64."""
    found = [_beginning([_spelled(char) for char in key])]
    for before in range(3):
        # The text before the key shifts its bits; the first and the last character may hold bits of its neighbours.
        encoded = base64.b64encode(b"\0" * before + key.encode()).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(key)) * 8 // 6]
        found.append(_beginning([_in_base64(char) for char in whole]))
    return found


def _beginning(chars: list[str]) -> str:
    """Return the pattern of a text, or of its first half if that is long enough to be no other word."""
    part = max(_SHORTEST_PART, min(len(chars) // 2, _LONGEST_PART))
    optional = chars[part : part + _LONGEST_PART]
    rest = _REST if chars[part + _LONGEST_PART :] else ""
    return "".join(chars[:part]) + "".join(f"(?:{char}" for char in optional) + rest + ")?" * len(optional)


def _spelled(char: str) -> str:
    """Return the pattern of one character of a key, as it is or escaped in JSON, in a URL or in HTML."""
    code = ord(char)
    named = html.escape(char)
    plain = r"\\*" + re.escape(char)
    if char.isalnum():
        return re.escape(char)
    escaped = [plain, rf"\\+u{code:04x}", rf"%(?:25)*{code:02x}", rf"&(?:amp;)?#x0*{code:x};", rf"&(?:amp;)?#0*{code};"]
    if named != char:
        escaped.append(re.escape(named))
    return f"(?:{'|'.join(escaped)})"


def _in_base64(char: str) -> str:
    """Return the pattern of one character in either alphabet of base64."""
    if char == "+":
        return f"(?:{_spelled('+')}|-)"
    return f"(?:{_spelled('/')}|_)" if char == "/" else char
