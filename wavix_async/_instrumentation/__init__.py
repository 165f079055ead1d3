"""Events, the observers that get them, and the log."""

from wavix_async._instrumentation.logs import logger, mask

__all__ = ["logger", "mask"]
