"""The reference: which public name is explained on which page, and the directives that generate its entry."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import re
import sys
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

import wavix_async
from docs.site import docstrings
from wavix_async import UNSET, WavixClient, WavixError, models
from wavix_async._codes import CODES, MESSAGES, message_page
from wavix_async.webhooks import KINDS

PACKAGE: Final = "wavix_async"
REFERENCE: Final = Path(__file__).parents[1] / "reference"


@attrs.frozen
class Name:
    """A public name: where it is imported from, and where it is explained."""

    path: str
    """The shortest public path: `wavix_async.Number`."""
    value: Any = attrs.field(repr=False, eq=False)
    part: str
    """The part of the reference that explains it: `models.numbers`."""
    aliases: tuple[str, ...]
    """Its other public paths."""


def modules() -> list[ModuleType]:
    """Return the public modules, the package itself first, `models` last: names of models are also in other modules."""
    found = [each.name for each in pkgutil.iter_modules(wavix_async.__path__) if not each.name.startswith("_")]
    found.sort(key=lambda name: (name == "models", name))
    return [wavix_async, *(importlib.import_module(f"{PACKAGE}.{name}") for name in found)]


@cache
def names() -> tuple[Name, ...]:
    """Return every public name: all that stand in the `__all__` of a public module."""
    found: dict[Any, list[str]] = {}
    values: dict[Any, Any] = {}
    for module in modules():
        for name in module.__all__:
            value = getattr(module, name)
            # Texts and numbers have no identity: they are what their name says.
            key = id(value) if hasattr(value, "__module__") else name
            found.setdefault(key, []).append(f"{module.__name__}.{name}")
            values[key] = value
    return tuple(
        Name(paths[0], values[key], _part(paths[0], values[key]), tuple(paths[1:])) for key, paths in found.items()
    )


def _part(path: str, value: Any) -> str:
    """Return the part of the reference that explains a name."""
    public = path.removeprefix(f"{PACKAGE}.").rpartition(".")[0]
    home = str(getattr(value, "__module__", "") or "").removeprefix(f"{PACKAGE}.")
    if public in {"", "models"} and home.startswith("models."):
        group = home.split(".")[1]
        return "models.common" if group.startswith("_") else f"models.{group}"
    if public and public not in {"client", "config", "types", "resources"}:
        return public
    for prefix, part in (("errors", "errors"), ("_instrumentation", "events"), ("bulk", "bulk")):
        if home == prefix or home.startswith(f"{prefix}."):
            return part
    return {"Event": "events", "Outcome": "errors"}.get(path.rpartition(".")[2], "client")


def _directive(path: str, value: Any) -> str:
    options: list[str] = []
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        options = [":members:", ":show-inheritance:"]
    elif callable(value) and hasattr(value, "__name__") and inspect.isroutine(value):
        kind = "autofunction"
    else:
        return _data(path, value)
    return "\n".join([f".. {kind}:: {path}", *(f"   {option}" for option in options), ""])


def _data(path: str, value: Any) -> str:
    """Return the entry of a constant or of an alias of a type: autodoc does not find its text in another module."""
    module, _, name = path.rpartition(".")
    shown = re.sub(r"\b(?:\w+\.)+(?=\w)", "", repr(value))
    lines = [f".. py:data:: {name}", f"   :module: {module}", f"   :value: {shown}" if len(shown) < 100 else "", ""]
    lines += [f"   {line}" for line in docstrings.with_code(_text_of(name, value)).split("\n")]
    return "\n".join([*lines, ""])


def _text_of(name: str, value: Any) -> str:
    """Return the string below the assignment of a name, in whichever module of the package it is; or nothing."""
    for module in [each for key, each in sys.modules.items() if key.startswith(f"{PACKAGE}.")]:
        if vars(module).get(name) is not value:
            continue
        body = ast.parse(inspect.getsource(module)).body
        for statement, text in itertools.pairwise(body):
            match statement, text:
                case ast.AnnAssign(target=ast.Name(id=found)), ast.Expr(value=ast.Constant(value=str(doc))):
                    if found == name:
                        return inspect.cleandoc(doc)
    return ""


def _rst(directives: list[str]) -> str:
    return "\n".join(["````{eval-rst}", *directives, "````"])


def generated(what: str, part: str) -> str:
    """Return what a page says by `<!-- generated: what part -->`.

    - `api PART`: the entries of a part.
    - `summary PART`: a table of its names with their first sentences.
    - `options NAME`: a table of the parameters of a class or a function, with their defaults.
    - `kinds`: a table of the kinds of webhook events.
    - `codes`: tables of the codes and words of the API, with what each means.
    - `raised`: a table for each error, of the calls whose docs name it, with the reason.
    """
    if what == "codes":
        return _codes()
    if what == "raised":
        return _raised()
    if what == "options":
        return _options(part)
    if what == "kinds":
        rows = [f"| `{kind}` | `{found.__name__}` | {_first_sentence(found)} |" for kind, found in KINDS.items()]
        return "\n".join(["| kind | class | what happened |", "|---|---|---|", *rows])
    of_part = [name for name in names() if name.part == part]
    if not of_part:
        raise ValueError(f"no public name belongs to {part!r}")
    if what == "api":
        module = f".. py:module:: {PACKAGE}.{part}\n" if importlib.util.find_spec(f"{PACKAGE}.{part}") else ""
        return _rst([module, *(_directive(name.path, name.value) for name in of_part)])
    if what == "summary":
        rows = [f"| `{name.path.rpartition('.')[2]}` | {_summary(name)} |" for name in of_part]
        return "\n".join(["| name | what it is |", "|---|---|", *rows])
    raise ValueError(f"unknown: {what}")


def _codes() -> str:
    """Return a table for each group of the API's codes and words."""
    parts = []
    for group, found in itertools.groupby(CODES, key=lambda code: code.group):
        rows = []
        for code in found:
            page = message_page(code.code) if group == MESSAGES else None
            shown = f"[`{code.code}`]({page})" if page else f"`{code.code}`"
            rows.append(f"| {shown} | {code.meaning} | {code.remedy} |")
        title = "messages (code of an error)" if group == MESSAGES else group
        parts.append(
            "\n".join(
                [f"## {title[0].upper()}{title[1:]}\n", "| code | meaning | what to do |", "|---|---|---|", *rows]
            )
        )
    return "\n\n".join(parts)


def _raised() -> str:
    """Return a table for each error, of the calls that name it."""
    ours = {name.path.rpartition(".")[2] for name in names() if _is_error(name.value)}
    by_error: dict[str, list[str]] = {}
    for call, function in _callables():
        for error, reason in _documented(inspect.getdoc(function) or "", "Raises").items():
            # That an id may be of nothing goes without saying.
            if error not in ours or re.fullmatch(r"There is no such [\w ]+\.", reason):
                continue
            by_error.setdefault(error, []).append(f"| `{call}` | {reason.replace('|', chr(92) + '|')} |")
    first = sorted(by_error, key=lambda name: (name != "OutcomeUnknownError", name))
    return "\n\n".join(
        "\n".join([f"## `{error}`\n", "| call | when |", "|---|---|", *by_error[error]]) for error in first
    )


def _is_error(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, WavixError)


def _callables() -> Iterator[tuple[str, Any]]:
    """Yield the methods of the client's groups, and the public functions, by what a caller writes."""
    for path, kind in groups():
        for name in dir(kind):
            if inspect.isfunction(function := getattr(kind, name)) and not name.startswith("_"):
                yield f"{path}.{name}", function
    for name in names():
        if inspect.isfunction(name.value):
            yield name.path.removeprefix(f"{PACKAGE}."), name.value


def _options(path: str) -> str:
    """Return a table of the parameters of a class or a function."""
    value = _found(path)
    known = _documented(inspect.getdoc(value) or "")
    if inspect.isclass(value):
        known |= _documented(inspect.getdoc(value.__init__) or "")
    rows = []
    for parameter in inspect.signature(value).parameters.values():
        text = known.get(parameter.name)
        if text:
            default = "" if parameter.default is parameter.empty else f"`{_shown(parameter.default)}`"
            rows.append(f"| `{parameter.name}` | {default} | {text.replace('|', chr(92) + '|')} |")
    if not rows:
        raise ValueError(f"{path} documents no parameter")
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def _found(path: str) -> Any:
    head, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(head), name)
    except ModuleNotFoundError:
        return getattr(_found(head), name)


def _documented(text: str, sections: str = "Args|Attributes") -> dict[str, str]:
    """Return the parameters, fields or errors that a section of a docstring describes."""
    found: dict[str, str] = {}
    for section in re.findall(rf"^(?:{sections}):\n((?:(?: .*)?(?:\n|\Z))+)", text, re.MULTILINE):
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section)):
            name, colon, about = entry.partition(":")
            if colon:
                found[name.strip()] = " ".join(about.split())
    return found


def _shown(default: Any) -> str:
    return str(default) if isinstance(default, type(UNSET)) or inspect.isclass(default) else repr(default)


def _summary(name: Name) -> str:
    if inspect.isclass(name.value) or inspect.isroutine(name.value) or inspect.ismodule(name.value):
        return _first_sentence(name.value)
    # The docstring of a constant is that of its type.
    text = _text_of(name.path.rpartition(".")[2], name.value)
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def _first_sentence(value: Any) -> str:
    text = " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())
    return text.replace("|", "\\|")


# --- groups of the client ---


def groups(owner: Any = None, path: str = "wavix") -> Iterator[tuple[str, type]]:
    """Yield the groups of the client by the path that callers write: `wavix.messages.sender_ids`, and their classes."""
    owner = WavixClient("a-key-of-the-site") if owner is None else owner
    for base in reversed(type(owner).__mro__):
        for name, value in vars(base).items():
            if isinstance(value, cached_property) and not name.startswith("_"):
                group = getattr(owner, name)
                yield f"{path}.{name}", type(group)
                yield from groups(group, f"{path}.{name}")


def pages() -> Iterator[tuple[str, str]]:
    """Yield each page that is not written by hand: of a group, of a module of models, of another public module."""
    by_top: dict[str, list[tuple[str, type]]] = {}
    for path, kind in groups():
        by_top.setdefault(path.split(".")[1], []).append((path, kind))
    for top, found in by_top.items():
        models_page = f"The classes of bodies and answers: [{top}](../models/{top}.md)."
        has_models = any(name.part == f"models.{top}" for name in names())
        parts = [f"# `wavix.{top}`\n", f"{_first_sentence(found[0][1])} {models_page if has_models else ''}\n"]
        for path, kind in found:
            if path.count(".") > 1:
                parts.append(f"## `{path}`\n")
            parts.append(_rst([_group_directive(kind)]) + "\n")
        yield f"reference/groups/{top}.md", "\n".join(parts)
    for part in sorted({name.part for name in names()} - {"cli", *(page.stem for page in REFERENCE.glob("*.md"))}):
        if not part.startswith("models."):
            summary, entries = generated("summary", part), generated("api", part)
            yield f"reference/{part}.md", f"# `{PACKAGE}.{part}`\n\n{summary}\n\n{entries}\n"
            continue
        group = part.partition(".")[2]
        title = _first_sentence(importlib.import_module(f"{models.__name__}.{group}"))
        text = f"# Models: {group}\n\n{title}\n\n{generated('api', part)}\n"
        yield f"reference/models/{group}.md", text


def _group_directive(kind: type) -> str:
    return f".. autoclass:: {kind.__module__}.{kind.__qualname__}()\n   :members:\n   :inherited-members: Resource\n"
