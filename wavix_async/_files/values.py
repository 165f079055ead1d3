"""Convert text and JSON to the fields of `NumberUpdate`, by the types that it declares."""

import json
import re
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import attrs

from wavix_async import InputError, NumberUpdate, UnsetType

__all__ = ["KINDS", "ValueProblem", "WrongValues", "from_text", "is_list", "make_update"]

# Excel writes booleans in the language of its user.
_TRUE: Final = ("true", "yes", "on", "1", "wahr", "vrai", "verdadero", "vero", "waar")
_FALSE: Final = ("false", "no", "off", "0", "falsch", "faux", "falso", "onwaar")
_WORDS: Final = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
_NULLS: Final = frozenset({"null", "Null", "NULL"})
_LONGEST_SHOWN: Final = 40
# Python raises an error for integers of more than about 4,000 digits.
_INTEGER: Final = re.compile(r"-?[0-9]{1,1000}")


class ValueProblem(Exception):  # noqa: N818 - collected and shown, not always raised
    """A value is invalid for its field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message


class WrongValues(Exception):  # noqa: N818
    """Some values are invalid for their fields; `problems` has one problem for each."""

    def __init__(self, problems: Sequence[ValueProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def _kinds(annotation: Any) -> tuple[Any, ...]:
    members = (annotation,) if is_list(annotation) else typing.get_args(annotation) or (annotation,)
    return tuple(member for member in members if member is not UnsetType)


def is_list(kind: Any) -> bool:
    """Return whether a type is a list."""
    return typing.get_origin(kind) in {list, Sequence}


def _model_of(kind: Any) -> Any:
    """Return the model of the list's items, even if Python callers may also pass other types."""
    (item,) = typing.get_args(kind)
    return next(filter(attrs.has, typing.get_args(item)), item)


KINDS: Final[Mapping[str, tuple[Any, ...]]] = {field.name: _kinds(field.type) for field in attrs.fields(NumberUpdate)}
"""The types that each field accepts."""


_LISTS: Final = {name: _model_of(kind) for name, kinds in KINDS.items() for kind in kinds if is_list(kind)}
"""The fields that hold a list, with the model of its items."""
_MEMBERS: Final = {
    model: tuple((field.name, field.default is attrs.NOTHING) for field in attrs.fields(model))
    for model in _LISTS.values()
    if attrs.has(model)
}
"""For each such model, its fields and whether they are required."""


def from_text(field: str, text: str) -> Any:
    """Convert text to the value of a field. Invalid text is returned unchanged: `make_update` rejects it.

    `null` (also `Null` and `NULL`, as in YAML) clears a field that can be cleared. Text in JSON quotes is literal.

    Raises:
        ValueProblem: The field needs JSON, and the text is not JSON.
    """
    kinds = KINDS[field]
    if text in _NULLS and type(None) in kinds:
        return None
    if bool in kinds:
        return _WORDS.get(text.lower(), text)
    if int in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if field in _LISTS:
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueProblem(field, f"must be a JSON list: {error}.") from None
    if str in kinds and text.startswith('"') and text.endswith('"'):
        with suppress(ValueError):
            return json.loads(text)
    return text


def make_update(values: Mapping[str, Any]) -> NumberUpdate:
    """Return an update with these values, which are in the form of JSON.

    Raises:
        WrongValues: Some values are invalid; it has one problem for each such field.
    """
    problems: list[ValueProblem] = []
    made: dict[str, Any] = {}
    for field, value in values.items():
        try:
            made[field] = _convert(field, value) if isinstance(value, list) else value
        except ValueProblem as problem:
            problems.append(problem)
    if not problems:
        try:
            return NumberUpdate(**made)
        except InputError:
            pass
    for field, value in made.items():
        try:
            NumberUpdate(**{field: value})
        except InputError as error:
            message = str(error).removeprefix(f"{NumberUpdate.__name__}.{field} ")
            problems.append(ValueProblem(field, _with_value(message, value)))
    raise WrongValues(problems)


def _with_value(message: str, value: Any) -> str:
    """Show the text that is not a URL: the client does not, because it may be a secret, but this one is in a file."""
    shown = message.removesuffix("got another text.")
    if shown == message or not isinstance(value, str):
        return message
    value = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}..."
    return f"{shown}to keep its value, leave it empty; null clears it; got {value!r}."


def _convert(field: str, value: list[Any]) -> Any:
    model = _LISTS.get(field)
    if model not in _MEMBERS:
        return value
    return [_construct(field, index, model, item) for index, item in enumerate(value)]


def _construct(field: str, index: int, model: type[Any], item: Any) -> Any:
    members = _MEMBERS[model]
    names = [name for name, _ in members]
    if not isinstance(item, dict):
        raise ValueProblem(field, f"[{index}] must be an object with {', '.join(names)}; got {item!r}.")
    if unknown := item.keys() - names:
        raise ValueProblem(
            field, f"[{index}] has unknown keys: {', '.join(sorted(unknown))}; the keys are {', '.join(names)}."
        )
    if missing := [name for name, needed in members if needed and name not in item]:
        raise ValueProblem(field, f"[{index}] is missing {', '.join(sorted(missing))}.")
    try:
        return model(**item)
    except InputError as error:
        raise ValueProblem(field, f"[{index}]: {error}") from None
