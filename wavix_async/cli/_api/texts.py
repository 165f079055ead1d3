"""The texts of the help of generated commands, from the docstrings of the client."""

import inspect
import re
from typing import Any, Final

import docstring_parser

from wavix_async.cli._api.kinds import Kind

__all__ = ["docs_of_fields", "group_help", "option_help", "summary"]

_PYTHON: Final = re.compile(r"`[^`]*[\w)]\([^`]*`|`await`|`async for`|\bUNSET\b|\brepr\b|\bNone\b|\biterable\b")
"""What only makes sense in a program."""
_MOST_CHOICES: Final = 12


def summary(doc: str | None) -> str:
    """Return what a method or a group is, in one short sentence, by its docstring: `Calls.` for `Calls: /v1/calls.`."""
    first, _, _ = (doc or "").strip().partition("\n\n")
    return f"{_first_clause(' '.join(first.split()))}."


def _first_clause(text: str) -> str:
    clause = re.split(r" \([A-Z]+ /|[.;:](?: |$)", text, maxsplit=1)[0].rstrip(".")
    if len(clause) > 66:
        clause = clause.partition(", ")[0]
    return clause.replace("`", "")


def group_help(doc: str | None, shown: str) -> str:
    """Return the help of a group, with the example of one of its commands."""
    return f"{summary(doc)}\n\nExample: `{shown}`"


def docs_of_fields(documented: Any) -> dict[str, str]:
    """Return the docs of the fields of a body, or of the parameters of a method."""
    found = docstring_parser.parse(inspect.getdoc(documented) or "", docstring_parser.DocstringStyle.GOOGLE).params
    return {param.arg_name: " ".join((param.description or "").split()) for param in found}


def option_help(doc: str, name: str, kind: Kind, *, required: bool, default: Any) -> str:
    """Return the help of an option.

    Args:
        doc: The docs of the parameter.
        name: Its name in Python.
        kind: How its text is read.
        required: Whether to say that it is required.
        default: The value without it; None: nothing worth saying.
    """
    doc = doc.replace("A path, the bytes, or a file object open for reading bytes", "A path")
    kept = [_without_none(sentence) for sentence in re.split(r"(?<=[.])\s+", doc)]
    # The first sentence: help should fit a screen.
    text = (
        next((sentence for sentence in kept if sentence and not _PYTHON.search(sentence)), "")
        or f"{name.strip('_').replace('_', ' ').capitalize()}."
    )
    if kind.choices and len(kind.choices) <= _MOST_CHOICES and not all(choice in text for choice in kind.choices):
        text += f" One of {', '.join(kind.choices)}."
    if kind.word in {"object", "objects"}:
        text += " JSON."
    if kind.word == "list" and kind.model is not None:
        text = "Only these, by their ids."
    if kind.word == "rows":
        text = "The items: NDJSON, or CSV with a header; - for stdin. A column `key` is optional."
    if required:
        text += " [required]"
    if default is not None and kind.word != "flag":
        text += f" [default: {' '.join(map(str, default)) if isinstance(default, tuple) else default}]"
    return text


def _without_none(sentence: str) -> str:
    """Drop what None means: on the command line, an option that is not given means it."""
    text = re.sub(r"(?:[;,] |^)(?:default )?None: [^.;]*", "", sentence)
    return text.strip(" ;") if text.endswith(".") else f"{text.strip(' ;')}." * bool(text.strip(" ;."))
