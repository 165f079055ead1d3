"""`@takes(Model)`: a method's keywords are the fields of a request body, spelled once, in the body's class."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from wavix_async.errors import InputError

__all__ = ["takes"]

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")
S = TypeVar("S")


class takes(Generic[P, B]):  # noqa: N801 - reads as a decorator
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

        @functools.wraps(method)
        def call(*args: Any, **keywords: Any) -> Any:
            try:
                body = model(**keywords)
            except TypeError as error:
                wrong = ", ".join(sorted(keywords.keys() - fields.keys())) or str(error)
                raise InputError(f"{method.__name__}() does not take {wrong}; it takes {', '.join(fields)}.") from None
            return method(*args, body)

        call.__signature__ = declared.replace(  # type: ignore[attr-defined]
            parameters=[*list(declared.parameters.values())[:-1], *fields.values()]
        )
        return call
