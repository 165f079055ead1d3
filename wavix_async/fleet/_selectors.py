"""`Selector`: the desired settings of all numbers that meet criteria."""

import fnmatch
import json
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any, Final, Literal, TypeAlias

import attrs

from wavix_async import Number
from wavix_async._files import ParsedChange, Place, ValueProblem, digits_of

__all__ = ["CRITERIA", "Selector", "check_criterion"]

Kind: TypeAlias = Literal["bool", "int", "text", "phone"]

# Counters are not useful as criteria.
_NOT_SELECTABLE: Final = frozenset({"seconds"})
# Labels are case-sensitive; people write these fields in any case.
_ANY_CASE: Final = frozenset({"city", "state", "country", "country_short_name", "status"})
_WILD: Final = re.compile(r"[*?]")
_PHONE_PATTERN: Final = re.compile(r"(?:[0-9*?]|\[!?[0-9-]+\])+", re.ASCII)
_SQUARE: Final = re.compile(r"(\[[^\]]*\])")


def _kind(name: str, annotation: Any) -> Kind | None:
    if name == "number":
        return "phone"
    members = [member for member in typing.get_args(annotation) or (annotation,) if member is not NoneType]
    if (
        name in _NOT_SELECTABLE
        or typing.get_origin(annotation) is list
        or len(members) > 1
        or not isinstance(members[0], type)
    ):
        return None
    if members[0] in {bool, int}:
        return "bool" if members[0] is bool else "int"
    return "text" if issubclass(members[0], str) else None


def _criteria() -> Iterator[tuple[str, Kind]]:
    for field in attrs.fields(Number):
        kind = _kind(field.name, field.type)
        if kind is not None:
            yield field.name, kind


CRITERIA: Final[Mapping[str, Kind]] = dict(_criteria())
"""The criteria of a selector: the fields of `Number` that hold one plain value."""

_WORDS: Final[Mapping[Kind, str]] = {
    "bool": "true, false or null",
    "int": "a whole number or null",
    "text": "a text or null",
    "phone": "a phone number, or a part of one with * or ? for the rest, such as 1415*",
}


def check_criterion(name: str, value: Any) -> Any:
    """Check a value of a criterion, and return it in the form that `Selector` needs.

    Args:
        name: One of `CRITERIA`.
        value: The value in the file. None matches numbers without a value.

    Raises:
        ValueProblem: The value is invalid for this criterion.
    """
    kind = CRITERIA[name]
    if value is None and kind != "phone":
        return None
    if kind == "phone":
        fit = _phone_pattern(value) if isinstance(value, str) else None
        if fit is not None:
            return fit
    elif type(value) is {"bool": bool, "int": int, "text": str}[kind] and value != "":
        return value
    raise ValueProblem(name, f"must be {_WORDS[kind]}; got {value!r}.")


def _phone_pattern(text: str) -> str | None:
    bare = "".join(part if part.startswith("[") else re.sub(r"[ +.()-]", "", part) for part in _SQUARE.split(text))
    return bare if _PHONE_PATTERN.fullmatch(bare) else None


_Tests: TypeAlias = tuple[Callable[[Number], bool], ...]


@attrs.frozen(eq=False)
class Selector:
    """The desired settings of all numbers that meet criteria.

    Attributes:
        criteria: Names with allowed values. A number must have one of the values of each criterion. None matches a
            number without a value. A text may be a pattern with `*` and `?`; the pattern of a phone number may
            also have `[...]`. `country` is the name or the two-letter code. A selector without criteria matches every
            number.
        change: The desired settings.
        place: The place in the file.
        exceptions: Criteria of numbers that the selector leaves out, with their places.
    """

    criteria: Mapping[str, tuple[Any, ...]]
    change: ParsedChange = attrs.field(repr=False)
    place: Place
    exceptions: tuple[tuple[Mapping[str, tuple[Any, ...]], Place], ...] = ()
    _tests: tuple[_Tests, ...] = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(
            lambda self: tuple(
                tuple(_test(name, values) for name, values in criteria.items())
                for criteria in (self.criteria, *(each for each, _ in self.exceptions))
            ),
            takes_self=True,
        ),
    )

    @property
    def values(self) -> Mapping[str, Any]:
        """The desired settings by field, in wire form."""
        return self.change.values

    def matches(self, number: Number) -> bool:
        """Return whether a number meets all criteria, and those of no exception."""
        return self.examine(number) == 0

    def examine(self, number: Number) -> int | None:
        """Return 0 for a number that is selected, n for one that the n-th exception leaves out, otherwise None."""
        criteria, *exceptions = self._tests
        if not all(test(number) for test in criteria):
            return None
        for index, tests in enumerate(exceptions, start=1):
            if all(test(number) for test in tests):
                return index
        return 0

    def parts(self) -> Iterator[tuple[Place, str]]:
        """Yield the place and a description of the selector, then those of its exceptions, as `examine` counts them."""
        yield self.place, f"select {_describe(self.criteria)}"
        for criteria, place in self.exceptions:
            yield place, f"except {_describe(criteria)}"


def _describe(criteria: Mapping[str, tuple[Any, ...]]) -> str:
    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    return ", ".join(f"{name}: {' or '.join(map(text, values))}" for name, values in criteria.items()) or "all"


def _test(name: str, values: tuple[Any, ...]) -> Callable[[Number], bool]:
    kind = CRITERIA[name]
    if kind == "bool" or kind == "int":
        # In Python True equals 1; in the API it does not.
        exact = frozenset((type(value), value) for value in values)

        def same(number: Number) -> bool:
            value = getattr(number, name)
            return value.__hash__ is not None and (type(value), value) in exact

        return same
    reads = _TextTest(name, values)
    if name == "country":
        code = _TextTest("country_short_name", values)
        return lambda number: reads(number) or code(number)
    return reads


class _TextTest:
    def __init__(self, name: str, values: tuple[Any, ...]) -> None:
        self._name = name
        self._normalize: Callable[[str], Any] = (
            str.casefold if name in _ANY_CASE else digits_of if name == "number" else _plain
        )
        self._none = None in values
        texts = [text.casefold() if name in _ANY_CASE else text for text in values if text is not None]
        # In a phone number, square brackets list alternative digits; in other fields they are literal.
        wild = re.compile(r"[*?\[]") if name == "number" else _WILD
        self._exact = frozenset(text for text in texts if not wild.search(text))
        patterns = [text if name == "number" else text.replace("[", "[[]") for text in texts if wild.search(text)]
        self._patterns = tuple(re.compile(fnmatch.translate(pattern)) for pattern in patterns)

    def __call__(self, number: Number) -> bool:
        value = getattr(number, self._name)
        if value is None or value == "":
            return self._none
        text = self._normalize(value) if isinstance(value, str) else None
        if text is None:
            return False
        return text in self._exact or any(pattern.match(text) for pattern in self._patterns)


def _plain(text: str) -> str:
    # A status is an instance of a str subclass.
    return str(text)
