"""`Observers`: gives each event to the log and to the observers of a client, and contains those that fail."""

from collections.abc import Iterable

from wavix_async import _log
from wavix_async._events import AttemptEvent, Event, Observer

__all__ = ["Observers"]


class _Contained:
    """One observer; what it raises is reported once, however many clients of `with_options` share it."""

    __slots__ = ("_observer", "_reported", "of_success")

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._reported = False
        self.of_success = not getattr(observer, "failures_only", False)

    def __call__(self, event: Event) -> None:
        try:
            self._observer(event)
        except Exception:
            if not self._reported:
                self._reported = True
                _log.logger.exception("observer failed", extra={"observer": type(self._observer).__name__})


class Observers:
    """The observers of a client, and the log; one that raises is contained, and reported once."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._bind((_Contained(_log.write), *map(_Contained, observers)))

    def _bind(self, everybody: tuple[_Contained, ...]) -> None:
        self._all = everybody
        self._of_success = tuple(each for each in everybody if each.of_success)
        # The log is one of them.
        self._somebody = len(self._of_success) > 1

    def and_also(self, observers: tuple[Observer, ...]) -> "Observers":
        """Return these observers and some more."""
        if not observers:
            return self
        other = Observers()
        other._bind((*self._all, *map(_Contained, observers)))
        return other

    def want_success(self) -> bool:
        """Tell whether anybody wants to know of attempts that succeed: most do, and events cost time."""
        return self._somebody or _log.is_debugging()

    def tell(self, event: Event) -> None:
        """Give the event to every observer."""
        for observer in self._all:
            observer(event)

    def tell_success(self, event: AttemptEvent) -> None:
        """Give an attempt that succeeded to the observers that want to know."""
        for observer in self._of_success:
            observer(event)
