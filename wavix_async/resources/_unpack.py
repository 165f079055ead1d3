"""`@unpack(Model)`: a method takes the fields of a body or a query as keywords, defined once, in the model's class."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from wavix_async._codec.docs import FieldDoc
from wavix_async._codec.kinds import FieldsBase
from wavix_async.errors import InputError

__all__ = ["unpack"]

P = ParamSpec("P")
A = TypeVar("A")
A2 = TypeVar("A2")
A3 = TypeVar("A3")
B = TypeVar("B")
R = TypeVar("R")
S = TypeVar("S")


class unpack(Generic[P, B]):  # noqa: N801 - reads as a decorator
    """Replace the last parameter of a method (a body or a query) with the model's fields as keywords.

    Up to three ids may come before it. `help()` of the method shows the docs of the fields.

    Args:
        model: The class of the body or the query.
    """

    def __init__(self, model: Callable[P, B]) -> None:
        if "__attrs_attrs__" not in vars(model):
            raise TypeError(f"{model!r} has no fields: decorate the class with @frozen(kw_only=True).")
        self._model = model

    @overload
    def __call__(self, method: Callable[[S, A, A2, A3, B], R]) -> Callable[Concatenate[S, A, A2, A3, P], R]: ...
    @overload
    def __call__(self, method: Callable[[S, A, A2, B], R]) -> Callable[Concatenate[S, A, A2, P], R]: ...
    @overload
    def __call__(self, method: Callable[[S, A, B], R]) -> Callable[Concatenate[S, A, P], R]: ...
    @overload
    def __call__(self, method: Callable[[S, B], R]) -> Callable[Concatenate[S, P], R]: ...
    def __call__(self, method: Any) -> Any:
        """Return the method with the fields of the model as its keywords."""
        model: Any = self._model
        fields = inspect.signature(model).parameters
        declared = inspect.signature(method)

        # Callers may also pass these by name, although the types say by position.
        own = list(declared.parameters)[1:-1]
        most = len(own) + 1

        @functools.wraps(method)
        def call(*args: Any, **keywords: Any) -> Any:
            if len(args) == most:
                mine: list[Any] = []
            else:
                mine = [keywords.pop(name) for name in own if name in keywords]
                if len(args) > most:
                    raise InputError(_too_many(method.__name__, model, own, args[most:]))
            try:
                body = model(**keywords)
            except TypeError:
                raise InputError(_what_is_wrong(method.__name__, model, fields, keywords)) from None
            try:
                return method(*args, *mine, body)
            except TypeError:
                # If an argument is missing, `bind` raises an error that names it. Otherwise the error is the method's.
                try:
                    call.__signature__.bind(*args, **keywords)  # type: ignore[attr-defined]
                except TypeError as error:
                    raise TypeError(f"{method.__name__}() is {error}.") from None
                raise

        call.__signature__ = declared.replace(  # type: ignore[attr-defined]
            parameters=[*list(declared.parameters.values())[:-1], *fields.values()]
        )
        if inspect.iscoroutinefunction(method):
            _mark_coroutine_function(call)
        call.__doc__ = FieldDoc(method.__doc__ or "", model, "Args")
        # The command line makes an option of each field.
        call.unpacks = model  # type: ignore[attr-defined]
        return call


def _mark_coroutine_function(call: Any) -> None:
    """Mark `call` as a coroutine function for `iscoroutinefunction` and mocks."""
    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(call)
    else:  # Python 3.11
        call._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)


def _too_many(name: str, model: Any, own: list[str], left: tuple[Any, ...]) -> str:
    """Return the error message for arguments that must be keywords."""
    ids = "".join(f"{each}, " for each in own)
    if isinstance(left[0], FieldsBase | Mapping):
        return f"{name}() takes the fields of {model.__name__} as keywords: write {name}({ids}**changes)."
    return f"{name}() takes the fields of {model.__name__} as keywords, not by position; got {left[0]!r}."


def _what_is_wrong(name: str, model: Any, fields: Mapping[str, inspect.Parameter], given: Mapping[str, object]) -> str:
    if unknown := sorted(given.keys() - fields.keys()):
        known = ", ".join(fields)
        if hint := getattr(model, "HINTS", {}).get(unknown[0]):
            return f"{name}() does not take {unknown[0]}: {hint}. It takes {known}."
        import difflib

        close = difflib.get_close_matches(unknown[0], fields, n=1)
        guess = f" Did you mean {close[0]}?" if close else ""
        return f"{name}() does not take {', '.join(unknown)}; it takes {known}.{guess}"
    missing = [field for field, parameter in fields.items() if parameter.default is parameter.empty]
    return f"{name}() is missing {', '.join(sorted(set(missing) - given.keys()))}."
