"""From text or JSON to the fields of `NumberUpdate`, as its own types say."""

import json
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from wavix_async import InputError, NumberUpdate, UnsetType

__all__ = ["FIELDS", "KINDS", "ValueProblem", "WrongValues", "from_text", "is_list", "make_update"]

_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_INTEGER: Final = re.compile(r"-?[0-9]+")


class ValueProblem(Exception):  # noqa: N818 - collected and shown, not always raised
    """A value does not fit its field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message


class WrongValues(Exception):  # noqa: N818
    """Some values do not fit their fields; `problems` tells which."""

    def __init__(self, problems: Sequence[ValueProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def _kinds(annotation: Any) -> tuple[Any, ...]:
    members = (annotation,) if is_list(annotation) else typing.get_args(annotation) or (annotation,)
    return tuple(member for member in members if member is not UnsetType)


def is_list(kind: Any) -> bool:
    """Tell whether a type is a list of something."""
    return typing.get_origin(kind) is list


KINDS: Final[Mapping[str, tuple[Any, ...]]] = {field.name: _kinds(field.type) for field in attrs.fields(NumberUpdate)}
"""The types that each field takes."""

FIELDS: Final = tuple(KINDS)
"""What can be changed, in the order in which `NumberUpdate` has it."""


def from_text(field: str, text: str) -> Any:
    """Return what a text says for a field; what makes no sense is left as it is, for `make_update` to refuse.

    Raises:
        ValueProblem: The field wants JSON, and this is none.
    """
    kinds = KINDS[field]
    if text == "null" and type(None) in kinds:
        return None
    if bool in kinds:
        return _WORDS.get(text.lower(), text)
    if int in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if any(map(is_list, kinds)):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueProblem(field, f"must be JSON, a list: {error}.") from None
    return text


def make_update(values: Mapping[str, Any]) -> NumberUpdate:
    """Return the update with these values, as JSON has them.

    Raises:
        WrongValues: With one problem for each field that is wrong.
    """
    problems: list[ValueProblem] = []
    made: dict[str, Any] = {}
    for field, value in values.items():
        try:
            made[field] = _convert(field, value)
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
            problems.append(ValueProblem(field, str(error).removeprefix(f"{NumberUpdate.__name__}.{field} ")))
    raise WrongValues(problems)


def _convert(field: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    element = next((typing.get_args(kind)[0] for kind in KINDS[field] if is_list(kind)), None)
    if element is None or not attrs.has(element):
        return value
    return [_construct(field, index, element, item) for index, item in enumerate(value)]


def _construct(field: str, index: int, model: type[Any], item: Any) -> Any:
    known = attrs.fields_dict(model)
    needed = {name for name, attribute in known.items() if attribute.default is attrs.NOTHING}
    if not isinstance(item, dict):
        raise ValueProblem(field, f"[{index}] must be an object with {', '.join(known)}; got {item!r}.")
    if unknown := item.keys() - known.keys():
        raise ValueProblem(field, f"[{index}] has no {', '.join(sorted(unknown))}; it has {', '.join(known)}.")
    if missing := needed - item.keys():
        raise ValueProblem(field, f"[{index}] lacks {', '.join(sorted(missing))}.")
    try:
        return model(**item)
    except InputError as error:
        raise ValueProblem(field, f"[{index}]: {error}") from None
