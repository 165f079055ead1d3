"""What every model shares: answers (`Model`), request bodies (`Body`), queries (`Query`) and enums that stay open.

The modules of this package do without `from __future__ import annotations`: their annotations are read as real types.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from wavix_async._codec.docs import FieldDoc
from wavix_async._codec.kinds import AnswerBase, FieldsBase, OpenIntBase, OpenStrBase
from wavix_async.errors import InputError
from wavix_async.models._checks import holds_mapping, normalize

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema, SchemaSerializer

__all__ = ["Body", "Model", "OpenIntEnum", "OpenStrEnum", "PageQuery", "Query"]

MAX_PER_PAGE: Final = 100
"""Records in one page, at most."""


class _PydanticHooks:
    """Tells pydantic, when it asks, how to take, write and describe a class; nothing of it is loaded before."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from wavix_async._codec import pydantic

        return pydantic.schema(source, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler") -> "JsonSchemaValue":
        from wavix_async._codec import pydantic

        return pydantic.describe(schema, handler)


class _Object(_PydanticHooks):
    """What answers and bodies share: how pydantic writes an instance, and what a wrong attribute name is told."""

    __slots__ = ()

    HINTS: ClassVar[Mapping[str, str]] = {}
    """What to write instead of a name that this class does not have, where the spelling does not tell."""

    @property
    def __pydantic_serializer__(self) -> "SchemaSerializer":
        try:
            from wavix_async._codec import pydantic
        except ImportError:
            raise AttributeError("__pydantic_serializer__") from None
        return pydantic.SERIALIZER

    if not TYPE_CHECKING:  # a checker would take any attribute name

        def __getattr__(self, name: str) -> Any:
            # Without `obj`, or Python would add a hint of its own.
            raise AttributeError(_no_such_attribute(type(self), name), name=name)

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        cls.__doc__ = FieldDoc(cls.__doc__ or "", cls, "Attributes")


def _no_such_attribute(kind: Any, name: str) -> str:
    text = f"{kind.__name__} has no attribute {name!r}"
    if name.startswith("__"):
        return text
    if hint := kind.HINTS.get(name):
        return f"{text}: {hint}"
    import difflib

    close = difflib.get_close_matches(name, [field.name for field in attrs.fields(kind)], n=1)
    return f"{text}: did you mean {close[0]!r}?" if close else text


# The bases have no instances: attrs makes no methods for them, which keeps the import quick.


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Model(_Object, AnswerBase):
    """The base of every answer.

    A field whose type allows None may be missing or null in an answer. Any other is documented as always there; should
    the API leave it out all the same, it holds None, and a value of another type than documented is kept as it came
    (`WavixClient(strict=True)` raises `DecodeError` instead).

    A model is a value, but not hashable: it may hold lists. `wavix_async.to_dict(model)` gives its wire form, and
    `json.dumps(model, default=wavix_async.to_dict)` writes it.

    Attributes:
        extra: Keys of the answer that this version does not know, as they came.
    """

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        super().__attrs_init_subclass__()
        # attrs gives every subclass a hash of its fields, which would fail on the first list.
        _replace(cls, __hash__=None, __repr__=_repr)


def _replace(kind: type, **methods: object) -> None:
    """Put other methods in the place of those that attrs has made."""
    for name, method in methods.items():
        setattr(kind, name, method)


def _repr(model: Model) -> str:
    shown = [
        f"{field.name}={getattr(model, field.name)!r}" for field in attrs.fields(type(model)) if field.repr is True
    ]
    if model.extra:
        shown.append(f"extra={model.extra!r}")
    return f"{type(model).__name__}({', '.join(shown)})"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Body(_Object, FieldsBase):
    """The base of every request body: `UNSET` fields are not sent, None is sent as null.

    It is also a mapping of the fields that are set, so that it can be passed on: `numbers.update(id, **body)`.

    An annotation names what callers may pass. A list is kept as a tuple, a string for an enum as the member, a mapping
    for another body as that body.

    Raises:
        InputError: A field has another type than its annotation says; the message names the field.
    """

    LEFT_OUT: ClassVar[str] = ", or left out"
    """What an error adds for a field that need not be given."""

    def __attrs_post_init__(self) -> None:
        normalize(self)

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        super().__attrs_init_subclass__()
        if taken := {"keys", "values", "items", "get"} & {field.name for field in attrs.fields(cls)}:
            word = min(taken)
            raise TypeError(
                f"{cls.__name__}.{word} would hide a method of the mapping that a body is: call the field {word}_, "
                f'with Annotated[..., override(rename="{word}")].'
            )
        if holds_mapping(cls):
            _replace(cls, __hash__=None)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Query(_Object, FieldsBase):
    """The base of the query parameters of an operation: a field that is None is not sent.

    Raises:
        InputError: A field has another type than its annotation says; the message names the field.
    """

    def __attrs_post_init__(self) -> None:
        normalize(self)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PageQuery(Query):
    """The query parameters of a list that comes in pages.

    Raises:
        InputError: A field has another type than its annotation says, or is out of range.
    """

    page: int | None = None
    """The page to begin with, counted from 1."""
    per_page: int | None = None
    """Records in a page, 1 to 100; the API's default is 25, iteration uses 100."""
    limit: int | None = attrs.field(default=None, metadata={"wire": False})
    """How many records to read at most; it is not sent."""

    def __attrs_post_init__(self) -> None:
        for name, value, most in (
            ("page", self.page, None),
            ("per_page", self.per_page, MAX_PER_PAGE),
            ("limit", self.limit, None),
        ):
            if value is not None and (type(value) is not int or value < 1 or (most is not None and value > most)):
                bound = f"between 1 and {most}" if most else "of 1 or more"
                raise InputError(f"{name} must be a whole number {bound}, got {value!r}.")
        normalize(self)


class OpenStrEnum(_PydanticHooks, OpenStrBase):
    """An enum of strings; an unknown string becomes a pseudo-member that compares equal to it."""


class OpenIntEnum(_PydanticHooks, OpenIntBase):
    """An enum of integers; an unknown integer becomes a pseudo-member that compares equal to it."""
