"""Read and validate a request's body in a thread, with a size limit.

A body of a few megabytes can have a million errors. Collecting and reporting all of them would block the service for
half a minute, so validation stops at `MAX_PROBLEMS`.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message

from wavix_async import NumberDestination, NumberUpdate, to_dict
from wavix_async._files import NOT_A_PHONE, digits_of, is_text
from wavix_async.fastapi._jobs.problems import NotJsonError, TooLargeError
from wavix_async.fastapi._jobs.schemas import ChangeSet, NumberChanges, RecordId

__all__ = ["JobRequest", "check_change_set", "check_is_json", "shorten_problems"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""Enough for a million numbers."""
MAX_PROBLEMS: Final = 1_000
_TOO_LARGE: Final = f"The body may have {MAX_BYTES // 1024**2} MiB at most: split it into several jobs."
_MAX_KEYS: Final = 100
_MAX_CHARACTERS: Final = 100
_RENAMED: Final = {("body", "confirm"): "This field is now `hold`: true stops the job at `planned`, until you start it"}

_GROUP: Final = TypeAdapter(NumberChanges)
_ID: Final[TypeAdapter[int]] = TypeAdapter(RecordId)
_NUMBER: Final = TypeAdapter(str)
_DESTINATION: Final = TypeAdapter(NumberDestination)
_EMPTY_UPDATE: Final = NumberUpdate()


def check_is_json(request: Request) -> None:
    """Check that a request with a method that changes something says that it is JSON.

    Raises:
        NotJsonError: It says something else, or nothing.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type != "application/json":
        raise NotJsonError("Send the header Content-Type: application/json, also without a body.")


class JobRequest(Request):
    """A request that reads at most `MAX_BYTES`, and parses its JSON in a thread.

    Args:
        request: The request.
    """

    def __init__(self, request: Request) -> None:
        self._received = 0
        super().__init__(request.scope, self._receive_limited)
        self._receive_unlimited = request.receive

    async def json(self) -> Any:
        """Return the change set, or the raw JSON if it is invalid; FastAPI then reports the errors."""
        return await asyncio.to_thread(_read, await self.body())

    def check_length(self) -> None:
        """Check the declared length before the body is read.

        Raises:
            TooLargeError: The length exceeds `MAX_BYTES`.
        """
        length = self.headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and (len(length) > 15 or int(length) > MAX_BYTES):
            raise TooLargeError(_TOO_LARGE)

    async def _receive_limited(self) -> Message:
        message = await self._receive_unlimited()
        self._received += len(message.get("body", b""))
        if self._received > MAX_BYTES:
            raise TooLargeError(_TOO_LARGE)
        return message


def shorten_problems(problems: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the first problems without their input values, which may be large or invalid JSON."""
    return [
        {
            "type": problem["type"],
            "loc": [_shorten_part(part) for part in problem["loc"]],
            "msg": _RENAMED.get(tuple(problem["loc"]), problem["msg"]),
        }
        for problem in islice(problems, MAX_PROBLEMS)
    ]


def _shorten_part(part: int | str) -> int | str:
    # The part may be a key from the request, which has any length.
    return part if isinstance(part, int) else part[:_MAX_CHARACTERS]


# --- in a thread ---


def _read(body: bytes) -> Any:
    raw = json.loads(body)
    if isinstance(raw, dict):
        raw = _limit_keys(raw)
        if "changes" in raw:
            raw["changes"] = _read_items(raw["changes"], _GROUP, _prune_group)
    try:
        return ChangeSet.model_validate(raw)
    except ValidationError:
        # FastAPI validates the raw JSON again and reports where it is invalid.
        return raw


def _read_items(values: Any, adapter: TypeAdapter[Any], prune: Callable[[Any], None] = lambda _: None) -> Any:
    """Return a list up to the item that reaches `MAX_PROBLEMS`, because further errors are not reported."""
    if not isinstance(values, list):
        return values
    items, problem_count = [], 0
    for value in values:
        if isinstance(item := value, dict):
            item = _limit_keys(value)
            prune(item)
        try:
            items.append(adapter.validate_python(item))
        except ValidationError as error:
            items.append(item)
            problem_count += error.error_count()
        if problem_count >= MAX_PROBLEMS:
            break
    return items


def _prune_group(raw: dict[str, Any]) -> None:
    for name, adapter in (("ids", _ID), ("numbers", _NUMBER)):
        if name in raw:
            raw[name] = _read_items(raw[name], adapter)
    if isinstance(raw.get("set"), dict):
        settings = raw["set"] = _limit_keys(raw["set"])
        if "destinations" in settings:
            settings["destinations"] = _read_items(settings["destinations"], _DESTINATION)


def _limit_keys(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a copy with the first `_MAX_KEYS` keys; in a larger object most keys are unknown anyway."""
    return dict(islice(raw.items(), _MAX_KEYS))


# --- what the schema cannot express ---


def check_change_set(request: ChangeSet) -> None:
    """Validate a change set.

    Raises:
        RequestValidationError: The change set is invalid; the error has the first 1,000 problems.
    """
    if problems := [*islice(_mistakes(request), MAX_PROBLEMS)]:
        raise RequestValidationError(problems)


def _mistakes(request: ChangeSet) -> Iterator[dict[str, Any]]:
    seen: dict[int | str, str] = {}
    for index, group in enumerate(request.changes):
        location = ("body", "changes", index)
        if not group.ids and not group.numbers:
            yield _mistake((*location,), "missing", "Give at least one number, in ids or numbers")
        if group.set == _EMPTY_UPDATE:
            yield _mistake((*location, "set"), "too_short", "Give at least one field to set")
        if not is_text(json.dumps(to_dict(group.set), ensure_ascii=False)):
            yield _mistake(
                (*location, "set"), "string_unicode", "The text must not have lone surrogates (halves of characters)"
            )
        lists: tuple[tuple[str, Sequence[int | str]], ...] = (("ids", group.ids), ("numbers", group.numbers))
        for name, values in lists:
            for position, value in enumerate(values):
                key = value if isinstance(value, int) else digits_of(value.strip())
                if key is None:
                    yield _mistake((*location, name, position), "value_error", f"It {NOT_A_PHONE}")
                elif key in seen:
                    message = f"This number is listed twice, first at {seen[key]}"
                    yield _mistake((*location, name, position), "value_error", message)
                else:
                    seen[key] = f"changes.{index}.{name}.{position}"


def _mistake(location: tuple[int | str, ...], problem_type: str, message: str) -> dict[str, Any]:
    return {"type": problem_type, "loc": location, "msg": message}
