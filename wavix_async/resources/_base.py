"""`Resource`: the base of a group of operations."""

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar

from wavix_async._http import BaseClient, Operation, Part
from wavix_async.errors import InputError

__all__ = ["Resource", "positive_id"]

T = TypeVar("T")

_LARGEST_ID: Final = 10**100


class Resource:
    """A group of operations under one path of the API."""

    def __init__(self, client: BaseClient) -> None:
        self._client = client

    def _call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
        parts: Iterable[Part] | None = None,
    ) -> Coroutine[Any, Any, T]:
        return self._client.call(operation, path=path, query=query, body=body, parts=parts)


def positive_id(name: str, value: object, what: str = "the record's id") -> int:
    """Return an id when it is one.

    Args:
        name: The argument, for the message.
        value: What was given.
        what: What to pass, for the message.

    Returns:
        The id.

    Raises:
        InputError: It is not a positive integer.
    """
    if type(value) is int and value > _LARGEST_ID:
        raise InputError(f"{name} is no id: it has more than 100 digits. Pass {what}.")
    if type(value) is not int or value < 1:
        raise InputError(f"{name} must be a positive integer, got {value!r}: pass {what}.")
    return value
