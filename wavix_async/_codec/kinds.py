"""The base classes that the codec knows: for answers, for bodies and queries, and for open enums.

`wavix_async.models` adds what only models need: checks, help and pydantic's hooks.
"""

import enum
import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import attrs

from wavix_async._codec.values import Value
from wavix_async.types import UNSET

__all__ = [
    "NO_EXTRA",
    "AnswerBase",
    "CaseBlindStrBase",
    "FieldsBase",
    "OpenEnum",
    "OpenIntBase",
    "OpenStrBase",
    "Origin",
]


@attrs.frozen(eq=False, repr=False)
class Origin(Value):
    """Details of an answer that the decoded fields lose; with them `to_dict` restores the answer exactly."""

    absent: frozenset[str] = frozenset()
    """Wire names of documented fields that the answer did not have."""
    texts: Mapping[str, tuple[object, object]] = attrs.field(factory=dict)
    """Wire name -> (decoded value, value as received), if encoding the first does not give the second."""


class _NoExtra(Mapping[str, object]):
    """The empty mapping that all models without unknown keys share."""

    __slots__ = ()

    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NO_EXTRA"


NO_EXTRA: Final[Mapping[str, object]] = _NoExtra()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AnswerBase:
    """The base of every answer. It keeps the keys that match no field, and the details that decoding would lose."""

    extra: Mapping[str, object] = attrs.field(default=NO_EXTRA, repr=False)
    _origin: Origin | None = attrs.field(default=None, alias="_origin", repr=False, eq=False)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class FieldsBase(Mapping[str, Any]):
    """The base of bodies and queries, which are mappings of the fields that are set."""

    def __getitem__(self, name: str) -> Any:
        value = getattr(self, name, UNSET) if name in _names(type(self)) else UNSET
        if value is UNSET:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in _names(type(self)) if getattr(self, name) is not UNSET)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True

    def is_empty(self) -> bool:
        """Return whether no field is set."""
        for name in _names(type(self)):  # noqa: SIM110 - a generator costs more than the whole loop
            if getattr(self, name) is not UNSET:
                return False
        return True


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))


class OpenEnum:
    """An enum that accepts unknown values, so that an answer still decodes after the API has added some."""

    @classmethod
    def _pseudo_member(cls, value: Any, kind: type, made: Any) -> Any:
        if type(value) is not kind:
            return None
        made._name_ = str(value)
        made._value_ = value
        return made


class OpenStrBase(OpenEnum, enum.StrEnum):
    """An enum of strings; an unknown string becomes a pseudo-member that compares equal to it."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        made = str.__new__(cls, value) if type(value) is str else None
        return typing.cast("Self | None", cls._pseudo_member(value, str, made))


class CaseBlindStrBase(OpenStrBase):
    """An open enum of strings that compares without case, and keeps the text as it came."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        made = super()._missing_(value)
        if made is not None:
            known = next((member for member in cls if member == made), None)
            if known is not None:
                made._name_ = known.name
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.value.lower() == str(getattr(other, "value", other)).lower()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.value.lower())


class OpenIntBase(OpenEnum, enum.IntEnum):
    """An enum of integers; an unknown integer becomes a pseudo-member that compares equal to it."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        made = int.__new__(cls, value) if type(value) is int else None
        return typing.cast("Self | None", cls._pseudo_member(value, int, made))
