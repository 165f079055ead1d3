"""Which operations of the API a method calls, and whether a user must agree first."""

import inspect
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from wavix_async import Operation

__all__ = ["Requests", "requests_of"]

_NAMED: Final = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE) (/v\d[\w/{}-]*)")


@attrs.frozen
class Requests:
    """The requests of a method.

    Attributes:
        names: Operations, such as `POST /v3/messages`, in the order of the docstring.
        scopes: The permissions that the key needs.
        asks: Whether a user must agree first: a request may charge, send, start, replace or delete something.
    """

    names: tuple[str, ...]
    scopes: tuple[str, ...]
    asks: bool

    @property
    def only_reads(self) -> bool:
        """Whether no request changes, sends or charges anything."""
        return not self.asks and all(name.startswith(("GET ", "HEAD ")) for name in self.names)


def requests_of(group: type, function: Callable[..., Any]) -> Requests:
    """Return the requests of a method of a group.

    The operations are constants of the module. A method whose operations cannot be found in its code has them in its
    docstring.
    """
    operations = list(dict.fromkeys(_operations(group, inspect.unwrap(function), set())))
    documented = list(dict.fromkeys(map(" ".join, _NAMED.findall(function.__doc__ or ""))))
    known = {operation.name: operation for operation in operations}
    names = [*documented, *(name for name in known if name not in documented)]
    # The docstring can name an operation of another group, whose constant is not here: its HTTP method decides.
    asks = any(_asks(known[name]) if name in known else not name.startswith(("GET ", "HEAD ")) for name in names)
    scopes = dict.fromkeys(operation.scope for operation in operations if operation.scope)
    return Requests(tuple(names), tuple(scopes), asks)


def _asks(operation: Operation[Any]) -> bool:
    # A GET that is not idempotent is charged. An idempotent POST or PATCH searches, or sets fields to given values.
    return not operation.idempotent or operation.method in {"PUT", "DELETE"}


def _operations(group: type, function: Callable[..., Any], seen: set[str]) -> Iterator[Operation[Any]]:
    """Yield the operations that the code of a function names, and those of the private functions that it calls."""
    names: dict[str, Any] = getattr(function, "__globals__", {})
    for name in _code_names(function.__code__):
        if name in seen:
            continue
        value = names.get(name)
        if isinstance(value, Operation):
            yield value
            continue
        if value is None and name.startswith("_"):
            value = inspect.getattr_static(group, name, None)
        if inspect.isfunction(value) and value.__module__ == function.__module__:
            seen.add(name)
            yield from _operations(group, inspect.unwrap(value), seen)


def _code_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_names(constant)
