"""`Observers`: gives each event to the log and to the observers of a client, and contains those that fail."""

from wavix_async import _log
from wavix_async._events import AttemptEvent, Event, Observer

__all__ = ["Observers"]


class Observers:
    """The observers of a client, and the log; one that raises is contained, and reported once."""

    def __init__(self, observers: tuple[Observer, ...] = ()) -> None:
        self.given = observers
        self._all = (_log.write, *observers)
        self._of_success = tuple(each for each in observers if not getattr(each, "failures_only", False))
        self._reported: set[int] = set()

    def want_success(self) -> bool:
        """Tell whether anybody wants to know of attempts that succeed: most do, and events cost time."""
        return bool(self._of_success) or _log.is_debugging()

    def tell(self, event: Event) -> None:
        """Give the event to every observer."""
        self._give(event, self._all)

    def tell_success(self, event: AttemptEvent) -> None:
        """Give an attempt that succeeded to the observers that want to know."""
        self._give(event, (_log.write, *self._of_success))

    def _give(self, event: Event, observers: tuple[Observer, ...]) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception:
                if id(observer) not in self._reported:
                    self._reported.add(id(observer))
                    _log.logger.exception("observer failed", extra={"observer": type(observer).__name__})
