"""The logger `wavix_async` gets the same events as observers and is silent until you configure it.

The text of a record is constant, so that a program can count records and alert on them. The details are in its
attributes (`extra=`), named like the fields of the event. Neither holds the API key, the address of a number, or any
content of a request or an answer; numbers that could be phone numbers are masked.

The environment variable WAVIX_LOG=info or WAVIX_LOG=debug writes the records to stderr, with their attributes.

`_ratelimit` is on the same layer, so it gets the logger by name: the last three rows are its records.

| text | level | attributes |
|---|---|---|
| `attempt ended` | DEBUG | operation, attempt, status, error, outcome, duration, request_id |
| `attempt will be repeated` | INFO | operation, attempt, wait, reason, status |
| `calls pause` | INFO | group, seconds |
| `rate learned` | INFO | group, rate |
| `bulk run ended` | INFO | operation, updated, failed, unknown, not_sent, requests, rate_limited, elapsed, stopped_by |
| `answer not as documented` (logger `wavix_async.drift`) | WARNING | operation, drift |
| `webhook answered` | DEBUG; WARNING if full, storage or network | kind, status, result, late, duration |
| `webhook handler ended` | DEBUG | kind, handler, error, duration |
| `webhook handler failed` | ERROR, with the traceback | kind, handler |
| `webhook store failed` | ERROR | error |
| `failed webhook handlers dropped` | WARNING | |
| `observer failed` | ERROR | observer |
| `shared limit out of reach` | WARNING | error, rate |
| `shared limit back` | WARNING | |
| `rate control failed and was reset` | ERROR | |
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
    WebhookAnswerEvent,
    WebhookHandlerEvent,
)
from wavix_async.errors import ConfigurationError

__all__ = ["is_debugging", "log_to_stderr", "logger", "mask", "write"]

logger: Final = logging.getLogger("wavix_async")
# Without a handler Python prints the warnings of a library to stderr.
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
    WebhookAnswerEvent: (
        logger,
        logging.DEBUG,
        "webhook answered",
        ("kind", "status", "result", "late", "duration"),
    ),
    WebhookHandlerEvent: (
        logger,
        logging.DEBUG,
        "webhook handler ended",
        ("kind", "handler", "error", "duration"),
    ),
}

_WORRYING: Final = ("full", "storage", "network")
"""Results of a webhook that an operator has to see; any scanner on the internet causes the others."""

# Six digits are a code or an id; no phone number is shorter than seven.
_NUMBER: Final = re.compile(r"\+?\d{4,12}(?=\d{3})")


def mask(text: str) -> str:
    """Hide all but the last three digits of every number in a text that may be a phone number."""
    return _NUMBER.sub("***", text)


class _Formatter(logging.Formatter):
    """Shows a record in one line, with the attributes that this package gives it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._usual = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the standard library
        found = {name: value for name, value in vars(record).items() if name not in self._usual and value is not None}
        return super().formatMessage(record) + "".join(f" {name}={value}" for name, value in found.items())


def log_to_stderr(level: str) -> None:
    """Write the records of this package to stderr; a second call only changes the level.

    Args:
        level: `info` or `debug`, in capitals or not.

    Raises:
        ConfigurationError: The level is another word.
    """
    number = {"info": logging.INFO, "debug": logging.DEBUG}.get(level.strip().lower())
    if number is None:
        raise ConfigurationError(f"WAVIX_LOG must be info or debug (or not set), got {level!r}.")
    logger.setLevel(number)
    if not any(isinstance(handler.formatter, _Formatter) for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(_Formatter())
        logger.addHandler(handler)


def is_debugging() -> bool:
    """Return whether the log shows every attempt."""
    return logger.isEnabledFor(logging.DEBUG)


def write(event: Event) -> None:
    """Log an event, if its level is enabled."""
    log, level, text, names = _RECORDS[type(event)]
    if isinstance(event, WebhookAnswerEvent) and event.result in _WORRYING:
        level = logging.WARNING
    if log.isEnabledFor(level):
        log.log(level, text, extra={name: _shown(getattr(event, name)) for name in names})


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    if not text.isprintable():
        # A name in an answer could add a line to the log, or an escape sequence for the terminal.
        text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return mask(text)
