"""The table of all operations in `docs/api.md`, generated from the `Operation`s: `python -m docs.site.operations`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import typing
from pathlib import Path
from typing import Any, Final

from docs.site.reference import groups
from wavix_async import Download, Export, Operation, Page, resources
from wavix_async.sandbox import Sandbox

PAGE: Final = Path(__file__).parents[1] / "api.md"

_NAMED: Final = re.compile(r"\((GET|POST|PUT|PATCH|DELETE) (/[^\s)]+)\)")
_HEAD: Final = """# All operations

Every operation of the API, with the call that makes it. Your browser's search (Ctrl-F) finds a call, a scope or a URL.

- **Scope**: what the key needs. A call with another key raises `PermissionDeniedError`, which names the scope. *None
  documented* means that the API's documentation names no scope.
- **Again**: *yes* means that the operation is idempotent: the client repeats it when an answer is lost. *No* means that
  the client sends it once, and raises `OutcomeUnknownError` when the answer is lost. [Retries](retries.md) explains it.
- **Charged**: the account pays for each request that the API accepts.
- **Answer**: *pages* is a list that you can await or iterate, *stream* an [export](files.md), *file* a download.

"""


def operations() -> dict[str, Operation[Any]]:
    """Return every operation of the package, by name, in the order of the groups."""
    found: dict[str, Operation[Any]] = {}
    for module in pkgutil.walk_packages(resources.__path__, f"{resources.__name__}."):
        for constant, value in vars(importlib.import_module(module.name)).items():
            # A private one is a variant of another.
            if isinstance(value, Operation) and not constant.startswith("_"):
                found[value.name] = value
    return found


def calls() -> dict[str, str]:
    """Return the call of each operation: the first method whose first paragraph names it."""
    found: dict[str, str] = {}
    for path, kind in groups():
        for base in kind.__mro__:
            for name, function in vars(base).items():
                if inspect.isfunction(function) and not name.startswith("_"):
                    for named in _NAMED.finditer((inspect.getdoc(function) or "").partition("\n\n")[0]):
                        found.setdefault(f"{named[1]} {named[2]}", f"{path}.{name}")
    return found


def charged() -> frozenset[str]:
    """Return the operations that cost money, as the sandbox counts them; placeholders are `{}`."""
    routes = Sandbox(numbers=1)._groups.routes
    return frozenset(_shape(f"{route.method} {route.path}") for route in routes if route.charged)


def _shape(name: str) -> str:
    return re.sub(r"\{\w+\}", "{}", name)


def _answer(operation: Operation[Any]) -> str:
    result = operation.result
    if result is Download:
        return "file"
    if result is Export or typing.get_origin(result) is Export:
        return "stream"
    return "pages" if inspect.isclass(result) and issubclass(result, Page) else ""


def page() -> str:
    """Return the text of the page."""
    known, made_by, costs = operations(), calls(), charged()
    by_group: dict[str, list[str]] = {}
    for name, operation in known.items():
        call = made_by[name]
        row = (
            f"`{call}`",
            f"`{operation.scope}`" if operation.scope else "none documented",
            "yes" if operation.idempotent else "**no**",
            "yes" if _shape(name) in costs else "",
            _answer(operation),
            f"`{name}`",
        )
        by_group.setdefault(call.split(".")[1], []).append("| " + " | ".join(row) + " |")
    parts = [_HEAD + f"The API has {len(known)} operations in {len(by_group)} groups.\n"]
    for path, _ in groups():
        if path.count(".") == 1 and (rows := by_group.get(path.split(".")[1])):
            head = ["| Call | Scope | Again | Charged | Answer | HTTP |", "|---|---|---|---|---|---|"]
            parts.append("\n".join([f"## {path.split('.')[1]}", "", *head, *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
