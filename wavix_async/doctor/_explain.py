"""`explain`: what a code, a status, a word of the API or an error class of this package means."""

import inspect
import re
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from wavix_async import errors
from wavix_async._codes import CODES, MESSAGES, SMPP_OFFSET, message_page
from wavix_async.bulk import BulkError as BulkError  # its import makes the class known

__all__ = ["Meaning", "explain"]

_NO_TEXT: Final = "Wavix has a page about this code; what it means is published only there."
_SUPPORT: Final = "Ask Wavix support, with the request id and the time of the answer."
_STATUSES: Final = frozenset({*range(301, 309), 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 499})
"""Those with a meaning here, beside every 5xx."""
_ERRORS: Final = f"{errors.__name__}."
_OURS: Final = __name__.partition(".")[0]
_LONGEST: Final = 40
_LONGEST_LINE: Final = 400
_WORDS: Final = re.compile(r"[\s:,()]+")
_TODO: Final = "What to do: "


@frozen(kw_only=True)
class Meaning:
    """One meaning of a code, in one group of operations."""

    group: str
    """Where the code occurs, such as `messages` or `HTTP status`."""
    code: str
    """The code as the API writes it."""
    text: str
    """What it means."""
    remedy: str | None = None
    """What to do; None if nothing is wrong."""
    url: str | None = None
    """The vendor's page about it."""

    def __str__(self) -> str:
        parts = (f"{self.code} in {self.group}: {self.text}", self.remedy, self.url and f"See {self.url}")
        return " ".join(filter(None, parts))


def explain(code: str | int) -> tuple[Meaning, ...]:
    """Say what a code means: an error code or a status of the API, an HTTP status, or an error class of this package.

    A line that is copied from a log works too: of a text that is no code, each word counts.

        for meaning in explain("26"):
            print(meaning)

    Groups of the API use the same numbers for different things, so there may be several meanings.

    Args:
        code: Such as `26`, `091`, `undelivered`, `429` or `OutcomeUnknownError`, in capitals or not.

    Returns:
        All known meanings, or an empty tuple. Only what Wavix has published counts.
    """
    text = str(code).strip()
    words = _WORDS.split(text) if len(text) <= _LONGEST_LINE else ()
    found = _explain(text) or (meaning for word in words for meaning in _explain(word.removeprefix(_ERRORS)))
    return tuple(dict.fromkeys(found))


def _explain(word: str) -> tuple[Meaning, ...]:
    # Digits of other scripts are no codes, and a long number is none.
    if len(word) > _LONGEST or (word.isdecimal() and not word.isascii()):
        return ()
    return (*_codes(word.lower()), *_smpp(word), *_transactions(word), *_statuses(word), *_errors(word.lower()))


def _codes(word: str) -> Iterator[Meaning]:
    known = False
    for entry in CODES:
        # 091 may be copied without its zero, and 26 with one.
        if word == entry.code or (word.isdecimal() and entry.code.isdecimal() and int(word) == int(entry.code)):
            known |= entry.group == MESSAGES
            url = message_page(entry.code) if entry.group == MESSAGES else None
            yield Meaning(
                group=_group(entry.group), code=entry.code, text=entry.meaning, remedy=entry.remedy or None, url=url
            )
    page = message_page(word)
    if page is not None and not known:
        yield Meaning(group=_group(MESSAGES), code=word, text=_NO_TEXT, remedy=_SUPPORT, url=page)


def _group(name: str) -> str:
    return "messages (error code)" if name == MESSAGES else name


def _smpp(word: str) -> Iterator[Meaning]:
    if word.isdecimal() and len(word) == 4:
        plain = str(int(word) - SMPP_OFFSET)
        for found in _codes(plain):
            if found.url is not None:
                text = f"SMPP adds {SMPP_OFFSET} to the code {plain}. {found.text}"
                yield Meaning(group="messages over SMPP", code=word, text=text, remedy=found.remedy, url=found.url)


def _transactions(word: str) -> Iterator[Meaning]:
    from wavix_async.models.billing import TransactionType

    if word.isdecimal() and str(int(word)) == word:
        for kind in TransactionType:
            if kind.value == int(word):
                name = kind.name.replace("_", " ").lower()
                yield Meaning(group="billing (type of a transaction)", code=word, text=f"It is for: {name}.")


def _statuses(word: str) -> Iterator[Meaning]:
    if word.isdecimal() and (int(word) in _STATUSES or 500 <= int(word) < 600):
        kind = errors.error_for_status(int(word))
        text, remedy = _documented(kind)
        yield Meaning(group=f"HTTP status ({kind.__name__})", code=word, text=text, remedy=remedy)


def _errors(word: str) -> Iterator[Meaning]:
    kinds: list[type[errors.WavixError]] = [errors.WavixError, *_below(errors.WavixError)]
    for kind in kinds:
        if kind.__name__.lower() == word:
            text, remedy = _documented(kind)
            yield Meaning(group="errors of this package", code=kind.__name__, text=text, remedy=remedy)


def _below(kind: type[errors.WavixError]) -> Iterator[type[errors.WavixError]]:
    """Yield the error classes of the modules that are loaded: those of `fleet` are known once it is imported."""
    for each in kind.__subclasses__():
        if each.__module__.partition(".")[0] == _OURS:
            yield each
            yield from _below(each)


def _documented(kind: type) -> tuple[str, str | None]:
    """Return what the docstring of an error says, without its attributes: the meaning, and what to do."""
    texts, remedy = [], None
    for paragraph in (inspect.getdoc(kind) or "").split("\n\n"):
        line = " ".join(paragraph.split())
        if line.startswith(_TODO):
            remedy = line.removeprefix(_TODO)
        elif line.startswith("Attributes:"):
            break
        else:
            texts.append(line)
    return " ".join(texts), remedy
