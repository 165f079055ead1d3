"""Base classes of all models: answers (`Model`), request bodies (`Body`), queries (`Query`) and open enums.

The modules of this package do not use `from __future__ import annotations`: the code needs annotations as real types.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from wavix_async._codec.docs import FieldDoc
from wavix_async._codec.encoder import to_dict
from wavix_async._codec.kinds import AnswerBase, CaseBlindStrBase, FieldsBase, OpenIntBase, OpenStrBase
from wavix_async._codec.notebook import html_record
from wavix_async._codec.values import Value
from wavix_async.errors import InputError
from wavix_async.models._checks import holds_mapping, normalize
from wavix_async.types import UNSET, UnsetType

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema, SchemaSerializer

__all__ = ["Body", "CaseBlindStrEnum", "Model", "OpenIntEnum", "OpenStrEnum", "PageBody", "PageQuery", "Query"]

MAX_PER_PAGE: Final = 100
"""The most records in one page."""


class _PydanticHooks:
    """Hooks that pydantic calls to validate, write and describe a class; `_codec.pydantic` is loaded only then."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from wavix_async._codec import pydantic

        return pydantic.schema(source, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler") -> "JsonSchemaValue":
        from wavix_async._codec import pydantic

        return pydantic.describe(schema, handler)


def _give(kind: type, **methods: object) -> None:
    """Give a class the methods that it does not define itself; attrs compiles none that a class has.

    Type checkers do not see them: they know the methods of attrs, which do the same.
    """
    for name, method in methods.items():
        if name not in vars(kind):
            setattr(kind, name, method)


class _Object(Value, _PydanticHooks):
    """The common base of answers and bodies: pydantic's serializer, and the error for a wrong attribute name."""

    __slots__ = ()

    HINTS: ClassVar[Mapping[str, str]] = {}
    """What to write instead of a wrong attribute name, for names that a spelling check does not correct."""

    @property
    def __pydantic_serializer__(self) -> "SchemaSerializer":
        try:
            from wavix_async._codec import pydantic
        except ImportError:
            raise AttributeError("__pydantic_serializer__") from None
        return pydantic.SERIALIZER

    def _repr_html_(self) -> str:
        return html_record(self, _without_secrets(getattr(self, "extra", None)))

    if not TYPE_CHECKING:  # with this method, type checkers would accept any attribute name

        def __getattr__(self, name: str) -> Any:
            # Without `obj`: with it, Python would add its own hint.
            raise AttributeError(_no_such_attribute(type(self), name), name=name)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _give(cls, __eq__=Value.__eq__, __hash__=Value.__hash__, __repr__=Value.__repr__)

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


# The base classes have no instances: attrs generates no methods for them, which keeps the import fast.


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Model(_Object, AnswerBase):
    """The base of every answer.

    A field whose type allows None may be missing or null in an answer. Every other field is documented as always
    present. If the API omits it anyway, the field is None; if the API sends a type other than the documented one,
    the field keeps the value as received (`WavixClient(strict=True)` raises `DecodeError` instead).

    Models compare by value. They are not hashable, because they may hold lists. `wavix_async.to_dict(model)` returns
    the wire form, `model.to_json()` its text, and `json.dumps(models, default=wavix_async.to_dict)` writes many.

    Attributes:
        extra: Keys of the answer that this version does not know, as received.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        # A hash would fail on lists.
        _give(cls, __hash__=None, __repr__=_repr)
        super().__init_subclass__(**options)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the model as JSON text, as received: the text of `to_dict(model)`, unknown keys included.

        Args:
            indent: Spaces for each level of nesting; None: everything in one line.
        """
        text = json.dumps(to_dict(self), indent=indent, ensure_ascii=False)
        # Half a character, which an answer may hold, cannot be written to a file.
        return _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _repr(model: Model) -> str:
    text = Value.__repr__(model)
    return f"{text[:-1]}, extra={_without_secrets(model.extra)!r})" if model.extra else text


_HALF: Final = re.compile("[\ud800-\udfff]")
_SECRET: Final = re.compile("passw|secret|token|api_?key|appid|^(?:code|digits|url|pin|value)$", re.IGNORECASE)
"""Names of unknown keys whose values are not shown: a newer API may send a key or the URL of a file under them."""


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: "<hidden>" if _SECRET.search(str(name)) and isinstance(each, str | int) else _without_secrets(each)
            for name, each in value.items()
        }
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Body(_Object, FieldsBase):
    """The base of every request body: `UNSET` fields are not sent, None is sent as null.

    A body is also a mapping of the fields that are set, so you can pass it on: `numbers.update(id, **body)`.

    The annotation of a field lists the types that callers may pass. The body keeps a list as a tuple, a string for an
    enum as the enum's member, and a mapping for another body as that body.

    Raises:
        InputError: A field does not have the type of its annotation; the message names the field.
    """

    LEFT_OUT: ClassVar[str] = ", or left out"
    """What an error message adds for an optional field."""
    EMPTY_IS_LEFT_OUT: ClassVar[bool] = False
    """Whether NaN, which pandas puts into empty cells, means that an optional field is left out."""

    def __attrs_post_init__(self) -> None:
        normalize(self)

    @classmethod
    def __attrs_init_subclass__(cls) -> None:
        super().__attrs_init_subclass__()
        if taken := {"keys", "values", "items", "get"} & {field.name for field in attrs.fields(cls)}:
            word = min(taken)
            raise TypeError(
                f"{cls.__name__}.{word} would hide a method, because a body is a mapping: name the field {word}_, "
                f'with Annotated[..., override(rename="{word}")].'
            )
        if holds_mapping(cls):
            setattr(cls, "__hash__", None)  # noqa: B010 - an assignment would be a type error


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Query(_Object, FieldsBase):
    """The base of the query parameters of an operation: a field that is None is not sent.

    Raises:
        InputError: A field does not have the type of its annotation; the message names the field.
    """

    def __attrs_post_init__(self) -> None:
        normalize(self)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PageQuery(Query):
    """The query parameters of a list that the API returns in pages.

    Raises:
        InputError: A field does not have the type of its annotation, or is out of range.
    """

    page: int | None = None
    """The first page to read, counted from 1."""
    per_page: int | None = None
    """Records per page, 1 to 100; the API's default is 25, iteration uses 100."""
    limit: int | None = attrs.field(default=None, metadata={"wire": False})
    """How many records to read at most; this is not sent to the API."""

    def __attrs_post_init__(self) -> None:
        _check_place(self.page, self.per_page, self.limit)
        normalize(self)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PageBody(Body):
    """The body of a search that the API answers in pages.

    Raises:
        InputError: A field does not have the type of its annotation, or is out of range.
    """

    page: int | UnsetType = UNSET
    """The first page to read, counted from 1."""
    per_page: int | UnsetType = UNSET
    """Records per page, 1 to 100; the API's default is 25, iteration uses 100."""
    limit: int | UnsetType = attrs.field(default=UNSET, metadata={"wire": False})
    """How many records to read at most; this is not sent to the API."""

    def __attrs_post_init__(self) -> None:
        _check_place(*(None if each is UNSET else each for each in (self.page, self.per_page, self.limit)))
        normalize(self)


def _check_place(page: object, per_page: object, limit: object) -> None:
    for name, value, most in (("page", page, None), ("per_page", per_page, MAX_PER_PAGE), ("limit", limit, None)):
        if value is not None and (type(value) is not int or value < 1 or (most is not None and value > most)):
            bound = f"between 1 and {most}" if most else "of 1 or more"
            raise InputError(f"{name} must be a whole number {bound}, got {value!r}.")


class OpenStrEnum(_PydanticHooks, OpenStrBase):
    """An enum of strings; an unknown string becomes a pseudo-member that compares equal to it."""


class CaseBlindStrEnum(_PydanticHooks, CaseBlindStrBase):
    """An open enum of strings that compares without case: `ANSWERED` equals `answered`; `value` is the text as it came.

    Its hash is that of the text in lower case. So look such values up in sets and dicts of members, or of lower case.
    """


class OpenIntEnum(_PydanticHooks, OpenIntBase):
    """An enum of integers; an unknown integer becomes a pseudo-member that compares equal to it."""
