"""Docstrings for Sphinx: they are written in Markdown, which `help()` shows well, and Sphinx reads reStructuredText."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

import attrs

_CODE: Final = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_SECTION: Final = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note|Notes):$")


def to_rst(lines: list[str]) -> str:
    """Return a docstring, which is in Markdown with sections as Google writes them, as reStructuredText with them."""
    text = "\n".join(_with_blocks(with_code("\n".join(_in_order(lines))).split("\n")))
    # Napoleon takes the words before a colon for a type; no docstring here gives one.
    return re.sub(r"^(Returns|Yields):$", lambda found: f":{found[1].lower()}:", text, flags=re.MULTILINE)


def _in_order(lines: list[str]) -> list[str]:
    """Return the lines with the section `Args` before `Returns` and `Raises`: methods get it at the end."""
    text = "\n".join(lines).rstrip()
    head, found, args = text.rpartition("\n\nArgs:\n")
    others = [at for name in ("Returns", "Raises") if (at := head.find(f"\n\n{name}:\n")) >= 0]
    if found and others and "\n\n" not in args:
        first = min(others)
        text = f"{head[:first]}{found}{args}{head[first:]}"
    return [*text.split("\n"), ""]


def without_entries(lines: list[str], names: set[str]) -> list[str]:
    """Return a docstring without the named fields in its section `Attributes`: each has an entry of its own."""
    head, found, fields = "\n".join(lines).partition("\nAttributes:\n")
    if not found:
        return lines
    entries, after = re.match(r"((?:(?: .*)?(?:\n|\Z))*)(.*)", fields, re.DOTALL).groups()  # type: ignore[union-attr]
    kept = [each for each in re.split(r"\n(?=    \S)", entries) if each.split(":")[0].strip() not in names]
    section = f"{found}{chr(10).join(kept)}" if any(each.strip() for each in kept) else "\n"
    return f"{head}{section}\n{after}".split("\n")


def with_code(text: str) -> str:
    """Return the text with its code in two backticks, and with no other sign that has a meaning."""
    parts, end = [], 0
    for found in _CODE.finditer(text):
        parts.append(_escaped(text[end : found.start()]))
        # reStructuredText wants a blank, or a backslash, after a literal: `Body`s.
        following = text[found.end() : found.end() + 1]
        parts.append(f"``{' '.join(found[2].split())}``" + ("\\ " if following.isalnum() else ""))
        end = found.end()
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    # `*args` and `name_` would begin emphasis and a link. Code blocks are not escaped: they are made back below.
    return re.sub(r"([*|\\])|(?<=\w)(_)(?!\w)", lambda found: "\\" + found[0], text)


def _with_blocks(lines: list[str]) -> Iterator[str]:
    """Yield the lines; an indented block after a paragraph is code, unless it belongs to a section."""
    in_section, in_block, last = False, False, ""
    for at, line in enumerate(lines):
        if line and not line[0].isspace():
            in_section, in_block = bool(_SECTION.match(line)), False
        starts = line.startswith("    ") and not in_section and not in_block and not last.strip()
        if starts and at:
            before = next((each for each in reversed(lines[:at]) if each.strip()), "")
            # A list goes on in the indented lines below its item.
            if not re.match(r"\s*[-*] ", before):
                in_block = True
                block = "\n".join(lines[at:])
                yield f".. code-block:: {_language(block)}"
                yield ""
        yield _unescaped(line) if in_block else line
        last = line


def _unescaped(line: str) -> str:
    return re.sub(r"\\([*|\\_])", r"\1", line).replace("``", "`")


def _language(block: str) -> str:
    return "text" if re.search(r"[├└│]", block) or block.lstrip().startswith(("$", "GET ", "POST ")) else "python"


def plain(annotation: Any) -> Any:
    """Return an annotation without what only this package reads in it: `Annotated[str, ...]` is `str`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return plain(annotation.__origin__)
    return annotation


def simplify(kind: type) -> None:
    """Replace the annotations of a class, and of the signatures of its methods, by plain ones."""
    if attrs.has(kind):
        own = inspect.get_annotations(kind)
        own.update({name: plain(annotation) for name, annotation in own.items()})
        kind.__annotations__ = own
    for method in vars(kind).values():
        signature = getattr(method, "__signature__", None)
        if signature is not None:
            parameters = [each.replace(annotation=plain(each.annotation)) for each in signature.parameters.values()]
            method.__signature__ = signature.replace(parameters=parameters)
        # `unpack` marks a coroutine function for `asyncio.iscoroutinefunction`, and Sphinx reads the flag of the code.
        if hasattr(method, "_is_coroutine"):
            method.__code__ = method.__code__.replace(co_flags=method.__code__.co_flags | inspect.CO_COROUTINE)
