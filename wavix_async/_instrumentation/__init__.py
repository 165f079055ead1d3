"""Events, the observers that receive them, and the log."""

from wavix_async._instrumentation.events import (
    AttemptEvent,
    AttemptStart,
    BulkEvent,
    BulkStart,
    DriftEvent,
    Event,
    Observer,
    PauseEvent,
    RateEvent,
    RetryEvent,
    Tracer,
    WebhookAnswerEvent,
    WebhookHandlerEvent,
    WebhookHandlerStart,
)
from wavix_async._instrumentation.logs import log_to_stderr, logger, mask
from wavix_async._instrumentation.observers import Observers

__all__ = [
    "AttemptEvent",
    "AttemptStart",
    "BulkEvent",
    "BulkStart",
    "DriftEvent",
    "Event",
    "Observer",
    "Observers",
    "PauseEvent",
    "RateEvent",
    "RetryEvent",
    "Tracer",
    "WebhookAnswerEvent",
    "WebhookHandlerEvent",
    "WebhookHandlerStart",
    "log_to_stderr",
    "logger",
    "mask",
]
