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
)
from wavix_async._instrumentation.logs import logger, mask
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
    "logger",
    "mask",
]
