"""The help of a generated command: what it does, what it sends, and an example made from its options."""

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

from wavix_async.cli._api.operations import Requests
from wavix_async.cli._api.options import Option

__all__ = ["command_help", "example"]


def command_help(summary: str, requests: Requests, shown: str) -> str:
    """Return the help above the options of a command.

    Args:
        summary: What the method does.
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
    return f"{summary}\n\n{middle}Example: `{shown}`"


_SAMPLES: Final = (
    (r"(phone|number|^from$|^to$|contact|did|callerid|_id_number)$", "15125550143"),
    (r"(callback|webhook|_url$|^url$|link|endpoint|website)", "https://example.com/wavix"),
    (r"email", "ann@example.com"),
    (r"(ip|host)$", "203.0.113.7"),
    (r"^text$", "hi"),
    (r"country", "US"),
    (r"audio_file$", "https://example.com/hi.wav"),
)


_MANY: Final = 6
"""Options that an example may have; a body with more is better in a file."""


def example(path: Sequence[str], options: Sequence[Option], saves: str | None, *, body: bool = False) -> str:
    """Return a command line that has everything which the method needs.

    Args:
        path: The words of the command.
        options: The options of the method.
        saves: The file that the command can write, if it saves one.
        body: Whether a file can have the fields.
    """
    words = ["wavix-async", *path]
    words += [_sample(option) for option in options if option.positional]
    needed = [option for option in options if option.required and not option.positional]
    if body and len(needed) > _MANY:
        return " ".join([*words, "--body", "FILE"])
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


def _is_needed(model: Any, option: Option) -> bool:
    return inspect.signature(model).parameters[option.path[-1]].default is inspect.Parameter.empty


def _sample(option: Option) -> str:
    kind, name = option.kind, option.path[-1].strip("_")
    if kind.choices:
        return kind.choices[0] if " " not in kind.choices[0] else f"'{kind.choices[0]}'"
    if kind.word == "rows":
        return f"{name.upper()}.ndjson"
    if kind.word == "object":
        return "'{}'"
    if kind.word == "objects":
        return "'[{}]'"
    if "price" in name:
        return "50"
    if kind.word in {"int", "float", "number"}:
        return "1001" if name == "id" or name.endswith("_id") else "1"
    if "ws or wss" in option.help:
        return "wss://example.com/audio"
    if kind.word == "path":
        return "FOLDER" if name == "to" else "FILE"
    if name == "from" and "sender ID" in option.help:
        return "Acme"
    if kind.word in {"day", "date", "datetime"}:
        return "2026-11-01"
    if kind.word == "pair":
        return "1 5"
    if kind.word == "list" and "phone number" in option.help.lower():
        return "15125550143"
    if kind.word == "list" and (name.endswith("ids") or (kind.item is not None and kind.item.word == "int")):
        return "1001"
    if option.positional:
        return name.upper()
    return next((sample for pattern, sample in _SAMPLES if re.search(pattern, name)), name.upper())
