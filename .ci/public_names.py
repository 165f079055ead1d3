#!/usr/bin/env python3
"""Find changes of the public names that break programs which use the last release.

    python .ci/public_names.py             compare the package with docs/public-names.txt; exit code 1: something breaks
    python .ci/public_names.py --write     replace docs/public-names.txt, as a release does

docs/public-names.txt has every public name of the last release, with parameters and defaults, as Python that only
declares. `griffe` compares two such texts, and knows what breaks a caller: a name or a parameter that is gone, a new
parameter without a default, another order. New names break no caller, and are no difference.

The script makes the text from the imported package, not from its source, because `@unpack` and the lazy modules make
names and parameters when they are imported.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import pkgutil
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import attrs
import griffe

PACKAGE = "wavix_async"
FILE = Path(__file__).parent.parent / "docs" / "public-names.txt"
HEADING = "# module "
INTRODUCTION = """\
# Every public name of the last release, as Python declarations. `.ci/public_names.py` writes this file at a release,
# and fails if a later change breaks a program that uses these names.
"""


def public_modules() -> Iterator[types.ModuleType]:
    """Yield the modules with public names: those with an `__all__`, and no underscore in their path."""
    package = importlib.import_module(PACKAGE)
    yield package
    for found in pkgutil.walk_packages(package.__path__, PACKAGE + "."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            module = importlib.import_module(found.name)
            if hasattr(module, "__all__"):
                yield module


def declarations() -> str:
    """Return the public names of the imported package as text."""
    parts = [INTRODUCTION + f"# Version {importlib.import_module(PACKAGE).__version__}\n"]
    home: dict[int, str] = {}
    for module in public_modules():
        lines = [f"{HEADING}{module.__name__}"]
        for name in sorted(module.__all__):
            value = getattr(module, name)
            shared = inspect.isclass(value) or inspect.isfunction(value)
            if shared and id(value) in home:
                lines.append(f"{name} = {home[id(value)]}")
                continue
            if shared:
                home[id(value)] = f"{module.__name__}.{name}"
            lines += _declare(name, value)
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _declare(name: str, value: object) -> Iterator[str]:
    if inspect.isclass(value):
        yield from _declare_class(name, value)
    elif inspect.isfunction(value):
        yield _declare_function(name, value)
    else:
        yield f"{name}: ..."


def _declare_class(name: str, value: type) -> Iterator[str]:
    # Bases of other modules, such as those of enums, differ between versions of Python.
    known = [base for base in value.__mro__[1:-1] if base.__module__.split(".")[0] in {PACKAGE, "builtins"}]
    yield f"class {name}({', '.join(base.__name__ for base in known if not base.__name__.startswith('_'))}):"
    members = sorted(_members(value))
    yield from (f"    {line}" for line in members or ["..."])


def _members(owner: type) -> Iterator[str]:
    if isinstance(owner, enum.EnumMeta):
        yield from (f"{member} = {value.value!r}" for member, value in owner.__members__.items())
        return
    fields = {field.name for field in attrs.fields(owner)} if attrs.has(owner) else set()
    yield from (f"{field}: ..." for field in fields if not field.startswith("_"))
    if inspect.isfunction(owner.__init__) and (attrs.has(owner) or owner.__init__.__module__.startswith(PACKAGE)):
        yield _declare_function("__init__", owner.__init__)
    seen = set(fields)
    for base in owner.__mro__:
        if base.__module__.split(".")[0] != PACKAGE:
            continue
        for member, value in vars(base).items():
            if member.startswith("_") or member in seen:
                continue
            seen.add(member)
            if isinstance(value, staticmethod | classmethod):
                yield f"@{type(value).__name__} {_declare_function(member, value.__func__)}"
            elif inspect.isfunction(value):
                yield _declare_function(member, value)
            elif not isinstance(value, type):
                yield f"{member}: ..."


def _declare_function(name: str, function: object) -> str:
    word = "async def" if inspect.iscoroutinefunction(function) else "def"
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"{word} {name}(*args, **kwargs): ..."
    given = [
        parameter.replace(annotation=inspect.Parameter.empty, default=_default(parameter.default))
        for parameter in signature.parameters.values()
        if not parameter.name.startswith("_")
    ]
    return f"{word} {name}{inspect.Signature(given)}: ..."


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _default(value: object) -> object:
    if value is inspect.Parameter.empty:
        return value
    text = repr(value)
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return _Text("...")
    # The memory address of an object differs in every run.
    return _Text("..." if re.search(r"0x[0-9a-f]{6,}", text) else text)


def parse(text: str) -> dict[str, griffe.Module]:
    """Return the modules of a text of declarations."""
    found = {}
    for part in text.split(f"\n{HEADING}")[1:]:
        name, _, code = part.partition("\n")
        # A decorator needs a line of its own, which would tear it from its function when lines are sorted.
        code = re.sub(r"^    @(\w+) ", r"    @\1\n    ", code, flags=re.MULTILINE)
        found[name] = griffe.visit(name, Path(f"{name}.py"), code)
    return found


def breaks(old: str, new: str) -> Iterator[str]:
    """Yield what breaks a caller between two texts of declarations."""
    after = parse(new)
    for name, module in parse(old).items():
        if name not in after:
            yield f"{name}: the module is gone"
            continue
        for breakage in griffe.find_breaking_changes(module, after[name]):
            yield re.sub(r"\s+", " ", breakage.explain(griffe.ExplanationStyle.ONE_LINE)).partition(": ")[2]


def main(arguments: list[str]) -> int:
    """Compare, or write."""
    text = declarations()
    if arguments == ["--write"]:
        FILE.write_text(text, encoding="utf-8")
        return 0
    found = list(breaks(FILE.read_text(encoding="utf-8"), text))
    for line in found:
        print(line)
    if found:
        print(f"\n{len(found)} changes break programs that use the last release: see docs/versions.md.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
