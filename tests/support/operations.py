"""All operations of the package, and the public methods that call them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, Final

import attrs

from wavix_async import Operation, WavixClient, resources
from wavix_async.resources._base import Resource

_NAMED: Final = re.compile(r"\((GET|POST|PUT|PATCH|DELETE) (/[^\s)]+)\)")


def operations() -> dict[str, Operation[Any]]:
    """Return every operation of the package, by name."""
    found: dict[str, Operation[Any]] = {}
    for module in pkgutil.walk_packages(resources.__path__, f"{resources.__name__}."):
        for constant, value in vars(importlib.import_module(module.name)).items():
            # A private one is a variant of another.
            if isinstance(value, Operation) and not constant.startswith("_"):
                found[value.name] = value
    return found


@attrs.frozen
class Method:
    """A public method whose first sentences name an operation."""

    name: str
    """Its place on the client: `messages.sender_ids.list`."""
    operation: str
    keywords: tuple[str, ...]
    """The names of its parameters."""
    required: tuple[str, ...]
    """Those without a default."""
    model: Any
    """The class of the body or the query whose fields are its keywords; None: it has none."""

    def of(self, client: WavixClient) -> Any:
        found: Any = client
        for part in self.name.split("."):
            found = getattr(found, part)
        return found


def methods() -> dict[str, list[Method]]:
    """Return the public methods by the operation that they call; helpers that call it, too, come after the method."""
    found: dict[str, list[Method]] = {}
    client = WavixClient("key")
    for path, resource in _groups(client, ""):
        for name, function in _functions(type(resource)):
            for named in _NAMED.finditer((inspect.getdoc(function) or "").partition("\n\n")[0]):
                operation = f"{named[1]} {named[2]}"
                found.setdefault(operation, []).append(_method(f"{path}{name}", operation, function))
    return found


def _method(name: str, operation: str, function: Any) -> Method:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    model = None
    if hasattr(function, "__wrapped__"):
        # `unpack` replaces the last parameter of the method, whose annotation is the model.
        *_, last = inspect.signature(function.__wrapped__).parameters.values()
        model = last.annotation
    return Method(
        name,
        operation,
        tuple(each.name for each in parameters),
        tuple(each.name for each in parameters if each.default is each.empty),
        model,
    )


def _groups(owner: Any, path: str) -> Iterator[tuple[str, Resource]]:
    for name in dir(type(owner)):
        if not name.startswith("_") and not callable(getattr(type(owner), name)):
            value = getattr(owner, name)
            if isinstance(value, Resource):
                yield f"{path}{name}.", value
                yield from _groups(value, f"{path}{name}.")


def _functions(kind: type) -> Iterator[tuple[str, Any]]:
    for base in kind.__mro__:
        if base is not Resource and issubclass(base, Resource):
            for name, value in vars(base).items():
                if inspect.isfunction(value) and not name.startswith("_"):
                    yield name, value
