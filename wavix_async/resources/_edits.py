"""`merged`: the body of a PUT that keeps what a record has, for operations that replace a whole record."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from wavix_async._codec import shape_of
from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model

__all__ = ["merged"]

B = TypeVar("B", bound=Body)


def merged(kind: Callable[..., B], record: Model, converted: Mapping[str, Any], changes: Body) -> B:
    """Return the body that writes a record back with some changes.

    Only fields of the body are taken from the record. A field without a value is left out.

    Args:
        kind: The class of the body.
        record: The record as the API returned it.
        converted: The fields that have another name or another form in a body than in an answer.
        changes: What to change; its fields win.

    Raises:
        InputError: The answer did not show a field that the body requires, or one that the documentation promises: a
            write without it could reset it. Or a field has the wrong type.
    """
    body: Any = kind
    fields = {field.name: field.default is attrs.NOTHING for field in attrs.fields(body)}
    shown = {field.name: getattr(record, field.name) for field in attrs.fields(type(record)) if field.name in fields}
    kept = {name: value for name, value in {**shown, **converted}.items() if value is not None}
    values = {**kept, **changes}
    promised = {field.name for field in shape_of(type(record)).fields if not field.optional} - converted.keys()
    needed = (name for name, required in fields.items() if required or name in promised)
    if missing := sorted(name for name in needed if name not in values):
        raise InputError(
            f"The API does not show {', '.join(missing)} of this {type(record).__name__}, and a write replaces "
            "everything: pass the value as well."
        )
    return kind(**values)
