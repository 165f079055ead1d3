"""The help of a generated command: its summary, the texts of its options, and an example, all from the docstrings."""

import inspect
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import docstring_parser

from wavix_async.cli._api.kinds import Kind

if TYPE_CHECKING:
    from wavix_async.cli._api.operations import Requests
    from wavix_async.cli._api.options import Option

__all__ = ["Text", "command_help", "docs_of_fields", "example", "group_help", "group_summary", "option_help"]

_PYTHON: Final = re.compile(r"`[^`]*[\w)]\([^`]*`|`await`|`async for`|\bUNSET\b|\brepr\b|\bNone\b|\biterable\b")
"""What only makes sense in a program."""
_MOST_CHOICES: Final = 12


class Text:
    """The docstring of a method.

    Args:
        function: The method.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def first(self) -> str:
        """The first paragraph."""
        return " ".join(str(self._function.__doc__ or "").strip().partition("\n\n")[0].split())

    @cached_property
    def whole(self) -> str:
        """The whole docstring, with the fields of the body."""
        return inspect.getdoc(self._function) or ""

    @property
    def summary(self) -> str:
        """What the method does, in one short sentence."""
        return f"{_first_clause(self.first)}."


def _first_clause(text: str) -> str:
    clause = re.split(r" \([A-Z]+ /|[.;:](?: |$)", text, maxsplit=1)[0].rstrip(".")
    if len(clause) > 66:
        clause = clause.partition(", ")[0]
    return clause.replace("`", "")


def group_help(doc: str, shown: str) -> str:
    """Return the help of a group, with the example of one of its commands."""
    return f"{group_summary(doc)}\n\nExample: `{shown}`"


def group_summary(doc: str) -> str:
    """Return what a group is, in one short sentence: `Calls: /v1/calls.` gives `Calls.`"""
    return f"{_first_clause(' '.join(doc.split()))}."


def docs_of_fields(model: Any) -> dict[str, str]:
    """Return the docs of the fields of a body."""
    found = docstring_parser.parse(inspect.getdoc(model) or "", docstring_parser.DocstringStyle.GOOGLE).params
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
    text = next((sentence for sentence in kept if sentence and not _PYTHON.search(sentence)), "") or f"{name.strip('_').replace('_', ' ').capitalize()}."
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


def command_help(text: Text, requests: "Requests", shown: str) -> str:
    """Return the help above the options of a command.

    Args:
        text: The docstring of the method.
        requests: What it sends.
        shown: The example.
    """
    facts = []
    if requests.names:
        scope = f" (scope {', '.join(requests.scopes)})" if requests.scopes else ""
        facts.append(f"{'; '.join(requests.names)}{scope}.")
    if requests.asks:
        facts.append("It asks first; --yes agrees.")
    middle = f"{' '.join(facts)}\n\n" if facts else ""
    return f"{text.summary}\n\n{middle}Example: `{shown}`"


_SAMPLES: Final = (
    (r"(phone|number|^from$|^to$|contact|did|callerid|_id_number)$", "15125550143"),
    (r"(callback|webhook|_url$|^url$|link|endpoint|website)", "https://example.com/wavix"),
    (r"email", "ann@example.com"),
    (r"(ip|host)$", "203.0.113.7"),
    (r"^text$", "hi"),
    (r"country", "US"),
    (r"file|attachment", "FILE"),
)


def example(path: Sequence[str], options: Sequence["Option"], saves: str | None) -> str:
    """Return a command line that has everything which the method needs.

    Args:
        path: The words of the command.
        options: The options of the method.
        saves: The file that the command can write, if it saves one.
    """
    words = ["wavix-async", *path]
    words += [_sample(option) for option in options if option.positional]
    needed = [option for option in options if option.required and not option.positional]
    for option in needed:
        if option.kind.word == "object" and option.kind.model is not None:
            inside = [each for each in options if each.path[:-1] == option.path and _is_needed(option.kind.model, each)]
            for each in inside:
                words += [each.name, _sample(each)]
            if inside:
                continue
        words += [option.name] if option.kind.word == "flag" else [option.name, _sample(option)]
    # One text for a message: a body has this or an object.
    if any(option.path == ("message_body",) for option in options):
        words += [f"--{'text' if any(option.path == ('text',) for option in options) else 'message-body.text'}", "hi"]
    if saves is not None:
        words += ["-o", saves]
    return " ".join(words)


def _is_needed(model: Any, option: "Option") -> bool:
    return inspect.signature(model).parameters[option.path[-1]].default is inspect.Parameter.empty


def _sample(option: "Option") -> str:
    kind, name = option.kind, option.path[-1].strip("_")
    if kind.choices:
        return kind.choices[0] if " " not in kind.choices[0] else f"'{kind.choices[0]}'"
    if kind.word == "rows":
        return f"{name.upper()}.ndjson"
    if kind.word == "object":
        return "'{}'"
    if kind.word == "objects":
        return "'[{}]'"
    if kind.word in {"int", "float", "number"}:
        return "1001" if name == "id" or name.endswith("_id") else "1"
    if kind.word == "path":
        return "FOLDER" if name == "to" else "FILE"
    if name == "from" and "sender ID" in option.help:
        return "Acme"
    if kind.word in {"day", "date", "datetime"}:
        return "2026-11-01"
    if kind.word == "pair":
        return "1 5"
    if kind.word == "list" and kind.item is not None and kind.item.word == "int":
        return "1001"
    if option.positional:
        return name.upper()
    return next((sample for pattern, sample in _SAMPLES if re.search(pattern, name)), name.upper())
