"""`UnawaitedGuard`: warns if an object that works only when it is awaited is thrown away unused, as coroutines do."""

import sys
import traceback
import warnings
from collections.abc import Callable
from types import FrameType

__all__ = ["UnawaitedGuard"]

_PACKAGE = __name__.partition(".")[0]


class UnawaitedGuard:
    """Emits a `RuntimeWarning` when it is collected before `cancel` was called.

    Create it as the last step of the owner's construction, so that a failed construction warns of nothing. The warning
    names the line outside of this package that made the owner. In asyncio's debug mode it has the whole stack.

    Args:
        message: The warning.
    """

    __slots__ = ("_message", "_origin")

    def __init__(self, message: str) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
            frame = frame.f_back
        # Keep no frame: it would keep the caller's variables alive.
        self._origin = None if frame is None else (frame.f_code.co_filename, frame.f_lineno)
        depth = sys.get_coroutine_origin_tracking_depth()
        if depth and frame is not None:
            stack = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=depth)
            stack.reverse()
            message = f"{message}\nIt was created at (most recent call last):\n{''.join(stack.format()).rstrip()}"
        self._message: str | None = message

    def cancel(self) -> None:
        """Never warn: the owner has been used."""
        self._message = None

    def __del__(
        self,
        warn: Callable[..., None] = warnings.warn_explicit,
        is_finalizing: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        # At the end of the process the owner may have waited for its use in a global, and the warning is only noise.
        if self._message is not None and not is_finalizing():
            filename, line = self._origin or ("sys", 1)
            warn(self._message, RuntimeWarning, filename, line)
