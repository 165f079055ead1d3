"""`Resource`: the base of a group of operations."""

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import attrs

from wavix_async._codec import query_of, to_dict
from wavix_async._http import BaseClient, Download, Export, Operation, Part
from wavix_async.errors import InputError
from wavix_async.models._base import Body, PageBody, PageQuery, Query
from wavix_async.models.common import Page
from wavix_async.resources._ids import Id
from wavix_async.resources._pagination import Paginator

__all__ = ["Resource", "refuse_empty"]

T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])


def refuse_empty(changes: Body) -> None:
    """Reject a change that sets no field.

    Raises:
        InputError: The change is empty; the message names its fields.
    """
    if changes.is_empty():
        raise _empty(changes)


def _empty(changes: object) -> InputError:
    kind: Any = type(changes)
    names = ", ".join(field.name for field in attrs.fields(kind))
    return InputError(f"{kind.__name__} is empty and would change nothing: set at least one of {names}.")


class Resource:
    """A group of operations under one path of the API."""

    _ids: ClassVar[tuple[Id, ...]] = ()
    """The ids in the paths of the group, in order."""

    def __init__(self, client: BaseClient) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    def _call(
        self,
        operation: Operation[T],
        *ids: object,
        query: Query | Mapping[str, object] | None = None,
        body: object = None,
        parts: Iterable[Part] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Make one call of the group.

        Args:
            operation: The operation to call.
            *ids: The values of the placeholders in its path, in order.
            query: A query model, or parameters by their wire names.
            body: A body model, or any JSON value.
            parts: The parts of a multipart body.
            headers: More headers for this call.

        Raises:
            InputError: An id is invalid for the group, or a PATCH would change nothing.
        """
        path = self._path(operation, ids) if ids else None
        # No isinstance here: with an abstract class it costs as much as the rest of this method.
        if operation.method == "PATCH" and getattr(body, "is_empty", bool)():
            raise _empty(body)
        if headers is None:
            return self._client.call(operation, path=path, query=query, body=body, parts=parts)
        return self._client.call(operation, path=path, query=query, body=body, parts=parts, headers=headers)

    def _download(
        self, operation: Operation[Download], *ids: object, query: Query | Mapping[str, object] | None = None
    ) -> Download:
        """Return a file that the API serves; nothing is sent until it is used. The arguments are those of `_call`."""
        path = self._path(operation, ids) if ids else None
        return self._client.download(operation, path=path, query=_filters(query))

    def _export(
        self, operation: Operation[Export[T]], *ids: object, query: Query | Mapping[str, object] | None = None
    ) -> Export[T]:
        """Return rows that the API streams; nothing is sent until they are read. The arguments are those of `_call`."""
        path = self._path(operation, ids) if ids else None
        return self._client.export(operation, path=path, query=_filters(query))

    def _path(self, operation: Operation[Any], ids: tuple[object, ...]) -> dict[str, object]:
        kinds, names = self._ids, operation.placeholders
        if operation.reserved:
            words = frozenset(operation.reserved)
            for kind, value in zip(kinds, ids, strict=False):
                if kind.check(value) in words:
                    raise InputError(f"{kind.name} must not be {value!r}, which is another path: pass {kind.what}.")
        if len(ids) == len(names) == 1 and kinds:
            return {names[0]: kinds[0].check(ids[0])}
        if len(ids) != len(names):
            raise TypeError(f"{operation.name} needs {len(names)} ids in its path, got {len(ids)}: {ids!r}.")
        return {
            name: kinds[place].check(value) if place < len(kinds) else value
            for place, (name, value) in enumerate(zip(names, ids, strict=True))
        }

    def _pages(self, operation: Operation[P], *ids: object, query: PageQuery) -> Paginator[P, Any]:
        """Return a paginator for an operation that returns a list page by page.

        Args:
            operation: The operation to call.
            *ids: The values of the placeholders in its path, in order.
            query: The query; `page`, `per_page` and `limit` control what is read.
        """
        filters = query_of(query)
        path = self._path(operation, ids) if ids else None

        def fetch(page: int | None, per_page: int | None) -> Coroutine[Any, Any, P]:
            return self._client.call(operation, path=path, query={**filters, "page": page, "per_page": per_page})

        return Paginator(fetch, query.page, query.per_page, query.limit, operation.name)

    def _search(self, operation: Operation[P], *ids: object, body: PageBody) -> Paginator[P, Any]:
        """Return a paginator for an operation that takes the filters and the page in its body.

        Args:
            operation: The operation to call. If it only reads, it must say `idempotent=True`.
            *ids: The values of the placeholders in its path, in order.
            body: The body; `page`, `per_page` and `limit` control what is read.
        """
        filters = to_dict(body)
        path = self._path(operation, ids) if ids else None

        def fetch(page: int | None, per_page: int | None) -> Coroutine[Any, Any, P]:
            place = {name: value for name, value in (("page", page), ("per_page", per_page)) if value is not None}
            return self._client.call(operation, path=path, body={**filters, **place})

        return Paginator(fetch, body.page or None, body.per_page or None, body.limit or None, operation.name)


def _filters(query: Query | Mapping[str, object] | None) -> Mapping[str, object] | None:
    return query_of(query) if isinstance(query, Query) else query
