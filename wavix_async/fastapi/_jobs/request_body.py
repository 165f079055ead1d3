"""Read and validate a request's body in a thread, with a size limit.

A body of a few megabytes can have a million errors. Collecting and reporting all of them would block the service for
half a minute, so validation stops at `MAX_PROBLEMS`.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message

from wavix_async import NumberDestination
from wavix_async.fastapi._jobs.problems import NotJsonError, TooLargeError
from wavix_async.fastapi._jobs.schemas import MAX_ID, ChangeSet, NumberChanges

__all__ = ["MAX_PROBLEMS", "JobRequest", "check_is_json", "shorten_problems"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""Enough for a million numbers."""
MAX_PROBLEMS: Final = 1_000
_TOO_LARGE: Final = f"The body may have {MAX_BYTES // 1024**2} MiB at most: split it into several jobs."
_MAX_KEYS: Final = 100
_MAX_CHARACTERS: Final = 100
_RENAMED: Final = {("body", "confirm"): "This field is now `hold`: true stops the job at `planned`, until you start it"}

_DESTINATION_ADAPTER: Final[TypeAdapter[Any]] = TypeAdapter(NumberDestination)


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
        for problem, _ in zip(problems, range(MAX_PROBLEMS), strict=False)
    ]


def _shorten_part(part: int | str) -> int | str:
    # The part may be a key from the request, which has any length.
    return part if isinstance(part, int) else part[:_MAX_CHARACTERS]


# --- in a thread ---


def _read(body: bytes) -> Any:
    raw = json.loads(body)
    if not isinstance(raw, dict):
        return raw
    raw = _limit_keys(raw)
    if "changes" in raw:
        raw["changes"] = _read_items(raw["changes"], _read_group)
    try:
        return ChangeSet.model_validate(raw)
    except ValidationError:
        # FastAPI validates the raw JSON again and reports where it is invalid.
        return raw


def _read_items(values: Any, read: Callable[[Any], tuple[Any, int]]) -> Any:
    """Return a list up to the item that reaches `MAX_PROBLEMS`, because further errors are not reported."""
    if not isinstance(values, list):
        return values
    items, problem_count = [], 0
    for value in values:
        item, problems = read(value)
        items.append(item)
        problem_count += problems
        if problem_count >= MAX_PROBLEMS:
            break
    return items


def _read_group(raw: Any) -> tuple[Any, int]:
    if isinstance(raw, dict):
        raw = _limit_keys(raw)
        for name, read in (("ids", _check_id), ("numbers", _check_number)):
            if name in raw:
                raw[name] = _read_items(raw[name], read)
        if isinstance(raw.get("set"), dict):
            raw["set"] = _limit_keys(raw["set"])
            if "destinations" in raw["set"]:
                raw["set"]["destinations"] = _read_items(raw["set"]["destinations"], _read_destination)
    try:
        return NumberChanges.model_validate(raw), 0
    except ValidationError as error:
        return raw, error.error_count()


def _check_id(raw: Any) -> tuple[Any, int]:
    return raw, int(type(raw) is not int or not 0 < raw <= MAX_ID)


def _check_number(raw: Any) -> tuple[Any, int]:
    return raw, int(type(raw) is not str)


def _read_destination(raw: Any) -> tuple[Any, int]:
    raw = _limit_keys(raw) if isinstance(raw, dict) else raw
    try:
        return _DESTINATION_ADAPTER.validate_python(raw), 0
    except ValidationError as error:
        return raw, error.error_count()


def _limit_keys(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a copy with the first `_MAX_KEYS` keys; in a larger object most keys are unknown anyway."""
    return dict(list(raw.items())[:_MAX_KEYS])
