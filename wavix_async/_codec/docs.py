"""Docstrings of the fields of a class, read from its source on demand."""

import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Mapping
from typing import Any, Self, SupportsIndex

import attrs

__all__ = ["FieldDoc", "attribute_docs", "field_docs"]


@functools.cache
def attribute_docs(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return the docstrings below the fields of a module's classes; an empty mapping if there is no source."""
    try:
        # The class exists, so its module is loaded.
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            texts = found.setdefault(node.name, {})
            for field, text in zip(node.body, node.body[1:], strict=False):
                match field, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(doc))),
                    ):
                        texts[name] = doc
    return found


def section_docs(kind: Any) -> dict[str, str]:
    """Return the entries of the `Attributes:` section of a class's docstring, by name."""
    _, found, section = inspect.cleandoc(str(vars(kind).get("__doc__") or "")).partition("\nAttributes:\n")
    if not found:
        return {}
    block = re.split(r"\n(?=\S)", section, maxsplit=1)[0]
    entries = re.split(r"\n(?=\S)", textwrap.dedent(block).strip())
    return {name.strip(): text for name, colon, text in (entry.partition(":") for entry in entries) if colon}


def field_docs(kind: Any) -> dict[str, str]:
    """Return the docs of the fields of a class and its bases: from `Attributes:`, or the string below a field."""
    texts: dict[str, str] = {}
    for base in filter(attrs.has, reversed(kind.__mro__)):
        texts |= section_docs(base)
        texts |= attribute_docs(base.__module__).get(base.__qualname__, {})
    return texts


class FieldDoc(str):
    """A docstring that adds the docs of fields when `help()` shows it; the source is read only then.

    `inspect.getdoc`, which `help()` and notebooks use, calls `expandtabs` of a docstring first.
    """

    _kind: Any
    _heading: str

    def __new__(cls, text: str, kind: Any, heading: str) -> Self:
        """Return the text; `expandtabs` adds the fields of `kind` to its section `heading`."""
        made = super().__new__(cls, text)
        made._kind = kind
        made._heading = heading
        return made

    def expandtabs(self, tabsize: SupportsIndex = 8) -> str:
        """Return the whole docstring: the text, plus the fields that the text does not document."""
        text = inspect.cleandoc(str(self))
        known = _entries(text)
        lines = [
            f"    {name}: {' '.join(doc.split())}"
            for name, doc in field_docs(self._kind).items()
            if name not in known and _is_field(self._kind, name)
        ]
        if not lines:
            return str.expandtabs(text, tabsize)
        section = f"{self._heading}:\n"
        before, found, entries = text.partition(f"\n{section}")
        if not found:
            return f"{text}\n\n{section}" + "\n".join(lines)
        own, blank, rest = entries.partition("\n\n")
        return before + found + own + "\n" + "\n".join(lines) + blank + rest


def _entries(text: str) -> frozenset[str]:
    """Return the names that a docstring describes in one of its sections."""
    return frozenset(re.findall(r"^    (\w+)(?: \([^)]*\))?:", text, re.MULTILINE))


def _is_field(kind: Any, name: str) -> bool:
    return any(field.name == name and not name.startswith("_") for field in attrs.fields(kind))
