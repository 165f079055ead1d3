"""What a server says about its limits: pure parsing of headers; nothing here waits.

The parser reads three families. `Retry-After` (and `Retry-After-Ms`) is an order, so the longest of several values
counts. `RateLimit` with `RateLimit-Policy` (IETF draft 10, and the `limit=, remaining=, reset=` form of draft 7) and
`X-RateLimit-Limit/-Remaining/-Reset` are hints about what is left. The parser treats a value that it does not
understand as missing, and never raises: nonsense from a server must not stop a client.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs
from multidict import istr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

from wavix_async._codec import Value

__all__ = ["RateHint", "answered_at", "rate_hint", "retry_after", "wait_told"]

MAX_WAIT = 366 * 86_400.0
"""The longest wait in seconds. A longer one means the same, and this one keeps timers in the range of a float."""

LONGEST_RESET = 86_400.0
"""The longest time in seconds until a reset that the parser believes: a hint must not close a client for longer."""

MAX_HEADER = 2_048
"""Characters of a header that the parser reads."""

_EPOCH = 1e9
# Most answers have none of these. A lookup is four times as fast with names whose case is already folded.
_HINTS = tuple(
    map(istr, ("RateLimit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Remaining", "RateLimit-Reset"))
)
_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]*)?"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAM = rf";[ \t]*([a-z*][a-z0-9_.*-]*)(?:=({_QUOTED}|[^;,\" \t]+))?[ \t]*"
_KEY = rf"[ \t]*({_QUOTED}|[A-Za-z0-9*][^;,=\" \t]*)(?:=([^;,\" \t]+))?[ \t]*"
# Few APIs send such headers, so the patterns are compiled on first use.
_compiled = functools.cache(re.compile)


@attrs.frozen(eq=False, repr=False)
class RateHint(Value):
    """What the server says is left; a part that it does not say is None."""

    remaining: float | None = None
    """Requests that may still be sent before the reset."""

    reset: float | None = None
    """Seconds from the answer until the quota is full again; None also if it says more than a day."""

    limit: float | None = None
    """Requests allowed per window."""

    window: float | None = None
    """Seconds of the window that `limit` counts for."""


def retry_after(headers: Mapping[str, str], wall_now: float) -> float | None:
    """Return how many seconds the server asks to wait; None if it does not ask, or the value makes no sense.

    Args:
        headers: The answer's headers; if the mapping has `getall`, all values of a repeated header count.
        wall_now: Seconds since the epoch by the local clock, used for a date if the answer itself has no `Date`.
    """
    waits = [_seconds(value, headers, wall_now) for value in _all(headers, "Retry-After")]
    waits += [_wait(_number(value), headers, wall_now, 0.001) for value in _all(headers, "Retry-After-Ms")]
    return max((wait for wait in waits if wait is not None), default=None)


def wait_told(status: int, headers: Mapping[str, str], wall_now: float) -> float | None:
    """Return how many seconds an answer asks to wait: its Retry-After, or the reset of a 429 without Retry-After."""
    wait = retry_after(headers, wall_now)
    if wait is None and status == 429 and (hint := rate_hint(headers, wall_now)) is not None and not hint.remaining:
        return hint.reset
    return wait


def rate_hint(headers: Mapping[str, str], wall_now: float) -> RateHint | None:
    """Return what the rate headers of an answer say; None if there are none.

    Args:
        headers: The answer's headers.
        wall_now: Seconds since the epoch by the local clock, used if the answer itself has no `Date`.
    """
    if not any(map(headers.__contains__, _HINTS)):
        return None
    get = headers.get
    ietf = get("RateLimit")
    if ietf is not None:
        return _ietf(ietf, get("RateLimit-Policy") or "")
    for prefix in ("X-RateLimit-", "RateLimit-"):
        remaining, reset = get(prefix + "Remaining"), get(prefix + "Reset")
        if remaining is not None or reset is not None:
            return _separate(remaining, reset, get(prefix + "Limit") or "", headers, wall_now)
    return None


def _all(headers: Mapping[str, str], name: str) -> Iterable[str]:
    if name not in headers:
        return ()
    getall = getattr(headers, "getall", None)
    values: Iterable[str] = getall(name) if getall is not None else (headers[name],)
    return values


def _number(text: str | None) -> float | None:
    """Read a plain decimal number and limit its size; no exponents, no `inf`, no digits of other scripts."""
    text = (text or "").strip(" \t")[:MAX_HEADER]
    if not _compiled(_NUMBER).fullmatch(text):
        return None
    return min(max(float(text), 0.0), 1e15)


def _wait(value: float | None, headers: Mapping[str, str], wall_now: float, unit: float = 1.0) -> float | None:
    """Return the seconds of a wait; a number that is too large for a wait is an epoch time, in any unit."""
    if value is None:
        return None
    return min(value * unit if value <= _EPOCH else _until(value, headers, wall_now), MAX_WAIT)


def _until(epoch: float, headers: Mapping[str, str], wall_now: float) -> float:
    """Return the seconds until an epoch time; its size shows whether it is in seconds or milliseconds."""
    return max((epoch / 1000 if epoch > 1e12 else epoch) - _server_now(headers, wall_now), 0.0)


def _believable(reset: float | None) -> float | None:
    return None if reset is None or reset > LONGEST_RESET else reset


def _seconds(text: str, headers: Mapping[str, str], wall_now: float) -> float | None:
    """Read one Retry-After: a number, a date, or several numbers that a proxy folded into one line."""
    date = _date(text)
    if date is not None:
        return min(max(date - _server_now(headers, wall_now), 0.0), MAX_WAIT)
    numbers = [number for part in text[:MAX_HEADER].split(",") if (number := _number(part)) is not None]
    return _wait(max(numbers, default=None), headers, wall_now)


def answered_at(headers: Mapping[str, str]) -> datetime | None:
    """Return when the server says that it answered, in UTC; None if it does not say."""
    return _datetime(headers.get("Date"))


def _datetime(text: str | None) -> datetime | None:
    if not text or ":" not in text or len(text) > 64:
        return None
    try:
        date = parsedate_to_datetime(text)
        # The parser returns a naive date for "-0000" or a missing zone; HTTP has no zone but GMT.
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _date(text: str | None) -> float | None:
    date = _datetime(text)
    return None if date is None else date.timestamp()


def _server_now(headers: Mapping[str, str], wall_now: float) -> float:
    # The server names a time by its own clock; ours may be minutes off.
    date = _date(headers.get("Date"))
    return wall_now if date is None else date


def _separate(
    remaining: str | None, reset: str | None, limit: str, headers: Mapping[str, str], wall_now: float
) -> RateHint | None:
    # "100, 100;w=60" is the form of an early draft: use the first number, and the window if there is one.
    items = _items(limit)
    quota = _number(items[0][0]) if items else None
    window = next((w for _, params in items if (w := _number(params.get("w"))) is not None), None)
    left, until = _number(remaining), _reset(_number(reset), headers, wall_now)
    if left is None and until is None:
        return None
    return RateHint(left, until, quota, window)


def _reset(value: float | None, headers: Mapping[str, str], wall_now: float) -> float | None:
    """Return the seconds until a reset; the size of the value shows whether it is in seconds or an epoch time."""
    if value is not None and value > _EPOCH:
        value = _until(value, headers, wall_now)
    return _believable(value)


def _items(text: str) -> list[tuple[str, dict[str, str]]]:
    """Split a structured-field list (or dictionary) into (key, parameters); `key=value` keeps its value under ""."""
    key_at, param_at = _compiled(_KEY).match, _compiled(_PARAM).match
    text, position, items = text[:MAX_HEADER], 0, []
    while position < len(text) and (key := key_at(text, position)):
        params, position = {"": key[2] or ""}, key.end()
        while param := param_at(text, position):
            params[param[1]], position = param[2] or "", param.end()
        items.append((key[1].strip('"'), params))
        if text[position : position + 1] != ",":
            break
        position += 1
    return items


def _ietf(limits: str, policies: str) -> RateHint | None:
    quotas = dict(_items(policies))
    hints = []
    for name, params in _items(limits):
        policy = quotas.get(name, {})
        if policy.get("qu", '"requests"').strip('"') == "requests":
            left, until = _number(params.get("r")), _number(params.get("t"))
            hints.append(RateHint(left, _believable(until), _number(policy.get("q")), _number(policy.get("w"))))
    hints = [hint for hint in hints if hint.remaining is not None]
    # Of several limits, the one that leaves the fewest requests per second will be reached first.
    return min(hints, key=_tightness, default=None) or _draft_7(limits, policies)


def _tightness(hint: RateHint) -> float:
    return (hint.remaining or 0.0) / max(hint.reset or hint.window or 1.0, 0.001)


def _draft_7(limits: str, policies: str) -> RateHint | None:
    fields = {key.lower(): _number(params[""]) for key, params in _items(limits)}
    if fields.get("remaining") is None:
        return None
    window = next((w for _, params in _items(policies) if (w := _number(params.get("w"))) is not None), None)
    return RateHint(fields["remaining"], _believable(fields.get("reset")), fields.get("limit"), window)
