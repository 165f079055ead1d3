"""Validate what the schema of a change set cannot express, and give every problem with its location."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from wavix_async import NumberUpdate
from wavix_async._files import NOT_A_PHONE, digits_of
from wavix_async.fastapi._jobs.request_body import MAX_PROBLEMS
from wavix_async.fastapi._jobs.schemas import ChangeSet

__all__ = ["check_change_set"]

_EMPTY_UPDATE: Final = NumberUpdate()
_UPDATE_ADAPTER: Final = TypeAdapter(NumberUpdate)


def check_change_set(request: ChangeSet) -> None:
    """Validate a change set.

    Raises:
        RequestValidationError: The change set is invalid; the error has the first 1,000 problems.
    """
    if problems := [problem for problem, _ in zip(_problems(request), range(MAX_PROBLEMS), strict=False)]:
        raise RequestValidationError(problems)


def _problems(request: ChangeSet) -> Iterator[dict[str, Any]]:
    seen: dict[int | str, str] = {}
    for index, group in enumerate(request.changes):
        location = ("body", "changes", index)
        if not group.ids and not group.numbers:
            yield _problem((*location,), "missing", "Give at least one number, in ids or numbers")
        if group.set == _EMPTY_UPDATE:
            yield _problem((*location, "set"), "too_short", "Give at least one field to set")
        if not _is_valid_unicode(group.set):
            yield _problem(
                (*location, "set"), "string_unicode", "The text must not have lone surrogates (halves of characters)"
            )
        lists: tuple[tuple[str, Sequence[int | str]], ...] = (("ids", group.ids), ("numbers", group.numbers))
        for name, values in lists:
            for position, value in enumerate(values):
                key = value if isinstance(value, int) else digits_of(value.strip())
                if key is None:
                    yield _problem((*location, name, position), "value_error", f"It {NOT_A_PHONE}")
                elif key in seen:
                    message = f"This number is listed twice, first at {seen[key]}"
                    yield _problem((*location, name, position), "value_error", message)
                else:
                    seen[key] = f"changes.{index}.{name}.{position}"


def _is_valid_unicode(update: NumberUpdate) -> bool:
    try:
        _UPDATE_ADAPTER.dump_json(update)
    except PydanticSerializationError:
        # JSON input may contain lone surrogates; UTF-8 output cannot.
        return False
    return True


def _problem(location: tuple[int | str, ...], problem_type: str, message: str) -> dict[str, Any]:
    return {"type": problem_type, "loc": location, "msg": message}
