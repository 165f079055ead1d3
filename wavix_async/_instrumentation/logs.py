"""The logger `wavix_async`: what observers are told, for those who only configure logging.

Nothing is written unless the application asks for it. The text of a record is constant, so that records can be counted
and alerted on; what differs is in its attributes (`extra=`), named like the fields of the event. Neither holds the key,
the address of a number, or anything that a request or an answer carried; what could be a phone number is masked.

| text | level | attributes |
|---|---|---|
| `attempt ended` | DEBUG | operation, attempt, status, error, outcome, duration, request_id |
| `attempt will be repeated` | INFO | operation, attempt, wait, reason, status |
| `calls pause` | INFO | group, seconds |
| `rate learned` | INFO | group, rate |
| `bulk run ended` | INFO | operation, updated, failed, unknown, not_sent, requests, rate_limited, elapsed, stopped_by |
| `answer not as documented` (logger `wavix_async.drift`) | WARNING | operation, drift |
| `shared limit out of reach` | WARNING | error, rate |
| `shared limit back` | WARNING | |
"""

import logging
import re
from typing import Any, Final

from wavix_async._instrumentation.events import (
    AttemptEvent,
    BulkEvent,
    DriftEvent,
    Event,
    PauseEvent,
    RateEvent,
    RetryEvent,
)

__all__ = ["is_debugging", "logger", "mask", "write"]

logger: Final = logging.getLogger("wavix_async")
# Without a handler Python would print warnings of a library to stderr by itself.
logger.addHandler(logging.NullHandler())
_drifts: Final = logger.getChild("drift")

_RECORDS: Final[dict[type[Event], tuple[logging.Logger, int, str, tuple[str, ...]]]] = {
    AttemptEvent: (
        logger,
        logging.DEBUG,
        "attempt ended",
        ("operation", "attempt", "status", "error", "outcome", "duration", "request_id"),
    ),
    RetryEvent: (
        logger,
        logging.INFO,
        "attempt will be repeated",
        ("operation", "attempt", "wait", "reason", "status"),
    ),
    PauseEvent: (logger, logging.INFO, "calls pause", ("group", "seconds")),
    RateEvent: (logger, logging.INFO, "rate learned", ("group", "rate")),
    BulkEvent: (
        logger,
        logging.INFO,
        "bulk run ended",
        (
            "operation",
            "updated",
            "failed",
            "unknown",
            "not_sent",
            "requests",
            "rate_limited",
            "elapsed",
            "stopped_by",
        ),
    ),
    DriftEvent: (_drifts, logging.WARNING, "answer not as documented", ("operation", "drift")),
}

# Six digits are a code or an id; no phone number is shorter than seven.
_NUMBER: Final = re.compile(r"\+?\d{4,12}(?=\d{3})")


def mask(text: str) -> str:
    """Return a text with all but the last three digits of whatever could be a phone number hidden."""
    return _NUMBER.sub("***", text)


def is_debugging() -> bool:
    """Tell whether every single attempt is logged."""
    return logger.isEnabledFor(logging.DEBUG)


def write(event: Event) -> None:
    """Log an event, if anybody wants to know."""
    log, level, text, names = _RECORDS[type(event)]
    if log.isEnabledFor(level):
        log.log(level, text, extra={name: _shown(getattr(event, name)) for name in names})


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float) else mask(str(value))
