"""What no schema can say of a change set: all that is wrong with it, each at its place."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from wavix_async import NumberUpdate
from wavix_async._files import NOT_A_PHONE, digits_of
from wavix_async.fastapi._jobs.request_body import MOST_PROBLEMS
from wavix_async.fastapi._jobs.schemas import ChangeSet

__all__ = ["check"]

_NOTHING: Final = NumberUpdate()
_UPDATE: Final = TypeAdapter(NumberUpdate)


def check(request: ChangeSet) -> None:
    """Refuse a change set that makes no sense.

    Raises:
        RequestValidationError: It names all places, the first thousand.
    """
    if found := [problem for problem, _ in zip(_problems(request), range(MOST_PROBLEMS), strict=False)]:
        raise RequestValidationError(found)


def _problems(request: ChangeSet) -> Iterator[dict[str, Any]]:
    seen: dict[int | str, str] = {}
    for index, group in enumerate(request.changes):
        place = ("body", "changes", index)
        if not group.ids and not group.numbers:
            yield _problem((*place,), "missing", "One of ids and numbers must name a number")
        if group.set == _NOTHING:
            yield _problem((*place, "set"), "too_short", "At least one field must be given a value")
        if not _is_text(group.set):
            yield _problem((*place, "set"), "string_unicode", "It must not have halves of characters (lone surrogates)")
        lists: tuple[tuple[str, Sequence[int | str]], ...] = (("ids", group.ids), ("numbers", group.numbers))
        for name, values in lists:
            for position, value in enumerate(values):
                key = value if isinstance(value, int) else digits_of(value.strip())
                if key is None:
                    yield _problem((*place, name, position), "value_error", f"It {NOT_A_PHONE}")
                elif key in seen:
                    message = f"This number is named twice, first at {seen[key]}"
                    yield _problem((*place, name, position), "value_error", message)
                else:
                    seen[key] = f"changes.{index}.{name}.{position}"


def _is_text(update: NumberUpdate) -> bool:
    try:
        _UPDATE.dump_json(update)
    except PydanticSerializationError:
        # JSON lets it in, and not out.
        return False
    return True


def _problem(place: tuple[int | str, ...], kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "loc": place, "msg": message}
