"""`@unpack(Model)`: a method's keywords are the fields of a request body, spelled once, in the body's class."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from wavix_async.errors import InputError

__all__ = ["unpack"]

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
S = TypeVar("S")


class unpack(Generic[P, B]):  # noqa: N801 - reads as a decorator
    """Replace the last parameter of a method, a request body, by the body's own fields as keywords.

    Args:
        model: The attrs class of the body.
    """

    def __init__(self, model: Callable[P, B]) -> None:
        self._model = model

    @overload
    def __call__(self, method: Callable[[S, A, B], R]) -> Callable[Concatenate[S, A, P], R]: ...
    @overload
    def __call__(self, method: Callable[[S, B], R]) -> Callable[Concatenate[S, P], R]: ...
    def __call__(self, method: Any) -> Any:
        """Return the method with the fields of the body as its keywords."""
        model: Any = self._model
        fields = inspect.signature(model).parameters
        declared = inspect.signature(method)

        # Those may be given by name, too, although the types have them by position.
        own = list(declared.parameters)[1:-1]

        @functools.wraps(method)
        def call(*args: Any, **keywords: Any) -> Any:
            mine = {name: keywords.pop(name) for name in own if name in keywords}
            try:
                body = model(**keywords)
            except TypeError:
                raise InputError(_what_is_wrong(method.__name__, fields, keywords)) from None
            try:
                return method(*args, *mine.values(), body)
            except TypeError:
                # Either an argument is missing, and the signature names it, or the error is none of ours.
                call.__signature__.bind(*args, **keywords)  # type: ignore[attr-defined]
                raise

        call.__signature__ = declared.replace(  # type: ignore[attr-defined]
            parameters=[*list(declared.parameters.values())[:-1], *fields.values()]
        )
        return call


def _what_is_wrong(name: str, fields: Mapping[str, inspect.Parameter], given: Mapping[str, object]) -> str:
    if unknown := sorted(given.keys() - fields.keys()):
        return f"{name}() does not take {', '.join(unknown)}; it takes {', '.join(fields)}."
    missing = [field for field, parameter in fields.items() if parameter.default is parameter.empty]
    return f"{name}() is missing {', '.join(sorted(set(missing) - given.keys()))}."
