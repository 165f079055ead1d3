"""Check the arguments of a sandbox; each error names the argument and the fix."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from wavix_async.sandbox._server.file_host import MODES
from wavix_async.sandbox._server.rate_limit import Bucket, Limit, Window

_END_STATES = ("delivered", "undelivered", "expired", "rejected", "dlr_expired")
_MOST_CDRS = 100_000


def rate_limit(rate: float | None, burst: int | None, window: float | None) -> Limit | None:
    """Return the rate limit that the arguments describe, or None.

    Raises:
        ValueError: A value is out of range, or two values contradict each other.
    """
    if rate is None:
        if burst is not None or window is not None:
            raise ValueError("burst and window need a rate: give rate=50 for 50 requests per second")
        return None
    if not rate > 0 or rate == float("inf"):
        raise ValueError(f"rate must be above 0, not {rate!r}: give requests per second, or None for no limit")
    if window is None:
        if burst is not None and burst < 1:
            raise ValueError(f"burst must be 1 or more, not {burst!r}: without a token no request can pass")
        return Bucket(rate, burst or max(1, round(rate * 0.1)))
    if burst is not None:
        raise ValueError("burst and window cannot be used together: leave out one of them")
    if not window > 0:
        raise ValueError(f"window must be above 0, not {window!r}: give seconds, or None for a token bucket")
    allowed = round(rate * window)
    if allowed < 1:
        raise ValueError(f"rate * window must be 1 or more, not {rate * window:g}: increase rate or window")
    return Window(allowed, window)


def check_arguments(
    *,
    latency: float | tuple[float, float],
    retry_after: float | None,
    rate_headers: str | None,
    api_key: str | None,
    scopes: Mapping[str, str] | None,
    apply_delay: float,
    batch_limit: int | None,
    delivery_delay: float,
    end_states: Mapping[str, str] | None,
    message_rate: int | None,
    daily_messages: int | None,
    call_delay: float,
    call_duration: float,
    cdrs: int,
    transcription_delay: float,
    registry_delay: float,
    validation_delay: float,
    balance: Decimal | float | str | None,
    trunk_delay: float,
    files: str,
    port: int,
    variants: float,
) -> None:
    low, high = latency if isinstance(latency, tuple) else (latency, latency)
    if not 0 <= low <= high:
        raise ValueError(f"latency must be 0 or more seconds, or (low, high), not {latency!r}")
    if retry_after is not None and not retry_after >= 0:
        raise ValueError(f"retry_after must be 0 or more seconds, not {retry_after!r}: use None for no header")
    if rate_headers not in (None, "x", "ietf"):
        raise ValueError(f'rate_headers must be "x", "ietf" or None, not {rate_headers!r}')
    if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key != ""):
        raise ValueError("api_key must be printable ASCII without spaces at its ends: use None for the default")
    for group, reach in (scopes or {}).items():
        if reach not in ("none", "read", "write"):
            raise ValueError(f'scopes[{group!r}] must be "none", "read" or "write", not {reach!r}')
    if not apply_delay >= 0:
        raise ValueError(f"apply_delay must be 0 or more seconds, not {apply_delay!r}")
    if not delivery_delay >= 0:
        raise ValueError(f"delivery_delay must be 0 or more seconds, not {delivery_delay!r}")
    for key, state in (end_states or {}).items():
        if not key or state not in _END_STATES:
            states = ", ".join(_END_STATES)
            raise ValueError(f"end_states must map senders or last digits to one of {states}, not {key!r} to {state!r}")
    for name, most in (("message_rate", message_rate), ("daily_messages", daily_messages)):
        if most is not None and (type(most) is not int or most < 1):
            raise ValueError(f"{name} must be a whole number of 1 or more, not {most!r}: use None for no limit")
    if not call_delay >= 0:
        raise ValueError(f"call_delay must be 0 or more seconds, not {call_delay!r}")
    if not call_duration >= 0:
        raise ValueError(f"call_duration must be 0 or more seconds, not {call_duration!r}")
    if not 0 <= cdrs <= _MOST_CDRS:
        raise ValueError(f"cdrs must be from 0 to {_MOST_CDRS:,}, not {cdrs!r}")
    if not transcription_delay >= 0:
        raise ValueError(f"transcription_delay must be 0 or more seconds, not {transcription_delay!r}")
    if not registry_delay >= 0:
        raise ValueError(f"registry_delay must be 0 or more seconds, not {registry_delay!r}")
    if not validation_delay >= 0:
        raise ValueError(f"validation_delay must be 0 or more seconds, not {validation_delay!r}")
    if balance is not None and not _is_amount(balance):
        raise ValueError(f"balance must be an amount in USD, not {balance!r}: use None for more than enough")
    if not trunk_delay >= 0:
        raise ValueError(f"trunk_delay must be 0 or more seconds, not {trunk_delay!r}")
    if files not in MODES:
        raise ValueError(f"files must be one of {', '.join(MODES)}, not {files!r}")
    if batch_limit is not None and batch_limit < 1:
        raise ValueError(f"batch_limit must be 1 or more, not {batch_limit!r}: use None for no limit")
    if not 0 <= variants <= 1:
        raise ValueError(f"variants must be a share from 0 to 1, not {variants!r}: write 0.5 for half of the answers")
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be from 0 to 65535, not {port!r}: use 0 for a free port")


def _is_amount(value: Decimal | float | str) -> bool:
    try:
        return Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False
