"""Reads the body of a request: no more of it than is sane, and not in the event loop.

A body of some megabytes can be wrong at a million places. To collect and to tell them all would take half a minute, in
which the whole service stands still.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from fastapi import HTTPException, Request
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message

from wavix_async import NumberDestination
from wavix_async.fastapi._jobs.schemas import MOST_ID, ChangeSet, NumberChanges

__all__ = ["MOST_BYTES", "MOST_PROBLEMS", "JobRequest", "TooLargeError", "tell_in_short"]

MOST_BYTES: Final = 16 * 1024 * 1024
"""Room for a million numbers."""
MOST_PROBLEMS: Final = 1_000
_MOST_KEYS: Final = 100
_MOST_CHARACTERS: Final = 100

_DESTINATION: Final[TypeAdapter[Any]] = TypeAdapter(NumberDestination)


class TooLargeError(HTTPException):
    """A body is larger than any that makes sense. FastAPI lets pass what it knows, and this is of its kind."""

    def __init__(self) -> None:
        super().__init__(413, f"The body may have {MOST_BYTES // 1024**2} MiB at most: make several jobs of it.")


class JobRequest(Request):
    """A request of which no more is read than is allowed, and whose JSON is read in a thread.

    Args:
        request: The request.
    """

    def __init__(self, request: Request) -> None:
        self._came = 0
        super().__init__(request.scope, self._receive_some)
        self._receive_any = request.receive

    async def json(self) -> Any:
        """Return the change set, or what FastAPI finds wrong in it."""
        return await asyncio.to_thread(_read, await self.body())

    def check_length(self) -> None:
        """Refuse at once what says that it is too large.

        Raises:
            TooLargeError: It does.
        """
        length = self.headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and (len(length) > 15 or int(length) > MOST_BYTES):
            raise TooLargeError

    async def _receive_some(self) -> Message:
        message = await self._receive_any()
        self._came += len(message.get("body", b""))
        if self._came > MOST_BYTES:
            raise TooLargeError
        return message


def tell_in_short(problems: Iterable[Any]) -> list[dict[str, Any]]:
    """Return what is wrong as it is told: the first places, without what stood there: that may be large, or no JSON."""
    return [
        {"type": problem["type"], "loc": [_place(part) for part in problem["loc"]], "msg": problem["msg"]}
        for problem, _ in zip(problems, range(MOST_PROBLEMS), strict=False)
    ]


def _place(part: int | str) -> int | str:
    # It may be a key of the caller's, of any length.
    return part if isinstance(part, int) else part[:_MOST_CHARACTERS]


# --- in a thread ---


def _read(body: bytes) -> Any:
    raw = json.loads(body)
    if not isinstance(raw, dict):
        return raw
    raw = _few_keys(raw)
    if "changes" in raw:
        raw["changes"] = _until_too_much(raw["changes"], _read_group)
    try:
        return ChangeSet.model_validate(raw)
    except ValidationError:
        # FastAPI finds the same, and says where.
        return raw


def _until_too_much(values: Any, read: Callable[[Any], tuple[Any, int]]) -> Any:
    """Return a list to where enough is wrong with it; the rest would add nothing."""
    if not isinstance(values, list):
        return values
    taken, found = [], 0
    for value in values:
        made, wrong = read(value)
        taken.append(made)
        found += wrong
        if found >= MOST_PROBLEMS:
            break
    return taken


def _read_group(raw: Any) -> tuple[Any, int]:
    if isinstance(raw, dict):
        raw = _few_keys(raw)
        for name, read in (("ids", _read_id), ("numbers", _read_number)):
            if name in raw:
                raw[name] = _until_too_much(raw[name], read)
        if isinstance(raw.get("set"), dict):
            raw["set"] = _few_keys(raw["set"])
            if "destinations" in raw["set"]:
                raw["set"]["destinations"] = _until_too_much(raw["set"]["destinations"], _read_destination)
    try:
        return NumberChanges.model_validate(raw), 0
    except ValidationError as error:
        return raw, error.error_count()


def _read_id(raw: Any) -> tuple[Any, int]:
    return raw, int(type(raw) is not int or not 0 < raw <= MOST_ID)


def _read_number(raw: Any) -> tuple[Any, int]:
    return raw, int(type(raw) is not str)


def _read_destination(raw: Any) -> tuple[Any, int]:
    raw = _few_keys(raw) if isinstance(raw, dict) else raw
    try:
        return _DESTINATION.validate_python(raw), 0
    except ValidationError as error:
        return raw, error.error_count()


def _few_keys(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without the last of so many keys that most of them are unknown anyway."""
    return dict(list(raw.items())[:_MOST_KEYS])
