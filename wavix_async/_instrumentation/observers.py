"""`Observers` passes each event to the log and to the observers of a client, and catches their exceptions."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from wavix_async._instrumentation import logs as _log
from wavix_async._instrumentation.events import (
    AttemptEvent,
    AttemptStart,
    BulkStart,
    Event,
    Observer,
    WebhookHandlerStart,
)
from wavix_async.errors import WavixError

__all__ = ["Observers"]


class _Contained:
    """One observer. Its first exception is logged, once for all clients that share it through `with_options`."""

    __slots__ = ("_observer", "_reported", "of_success")

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._reported = False
        self.of_success = not getattr(observer, "failures_only", False)

    def __call__(self, event: Event) -> None:
        try:
            self._observer(event)
        except Exception as error:
            self._report(error)

    def wraps(self, what: str) -> bool:
        return callable(getattr(self._observer, what, None))

    def enter(self, what: str, start: object) -> Callable[..., object] | None:
        """Enter the context of the observer, and return the function that leaves it; None if the observer fails."""
        leave: Callable[..., object] | None = self.safely(_enter, getattr(self._observer, what), start)
        return leave

    def safely(self, step: Callable[..., Any], *args: object) -> Any:
        try:
            return step(*args)
        except Exception as error:
            # An exception that passes through the context belongs to the call, not to the observer.
            if not any(error is given for given in args):
                self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        if not self._reported:
            self._reported = True
            _forget_failures(error)
            _log.logger.exception("observer failed", extra={"observer": type(self._observer).__name__})


def _forget_failures(error: BaseException) -> None:
    """Remove the failure that the observer was handling: it may quote an answer, which the log must not show."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link.__cause__, WavixError):
            link.__cause__ = None
        if isinstance(link.__context__, WavixError):
            link.__context__ = None
        link = link.__cause__ or link.__context__


def _enter(wrap: Callable[[object], AbstractContextManager[object]], start: object) -> Callable[..., object]:
    """Enter the context of an observer, and return the function that leaves it."""
    manager = wrap(start)
    manager.__enter__()
    return manager.__exit__


class _Contexts:
    """The contexts of several observers in one. It wraps every request, so it is not a generator, which costs more."""

    __slots__ = ("_leave", "_observers", "_start", "_what")

    def __init__(self, observers: tuple[_Contained, ...], what: str, start: object) -> None:
        self._observers = observers
        self._what = what
        self._start = start

    def __enter__(self) -> None:
        self._leave = [(each, each.enter(self._what, self._start)) for each in self._observers]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for observer, leave in reversed(self._leave):
            if leave is not None:
                observer.safely(leave, kind, error, trace)


class Observers:
    """The observers of a client, and the log. An observer's exception affects no call; its first one is logged."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._bind((_Contained(_log.write), *map(_Contained, observers)))

    def _bind(self, observers: tuple[_Contained, ...]) -> None:
        self._all = observers
        self._of_success = tuple(each for each in observers if each.of_success)
        # The log itself is one of them.
        self._wants_success = len(self._of_success) > 1
        self._around_attempt = tuple(each for each in observers if each.wraps("around_attempt"))
        self._around_bulk = tuple(each for each in observers if each.wraps("around_bulk"))
        self._around_handler = tuple(each for each in observers if each.wraps("around_handler"))
        self.trace_attempts: bool = bool(self._around_attempt)
        self.trace_bulk: bool = bool(self._around_bulk)

    def and_also(self, observers: tuple[Observer, ...]) -> "Observers":
        """Return these observers plus more."""
        if not observers:
            return self
        other = Observers()
        other._bind((*self._all, *map(_Contained, observers)))
        return other

    def want_success(self) -> bool:
        """Return whether an observer or the log wants successful attempts: most succeed, and events cost time."""
        return self._wants_success or _log.is_debugging()

    def notify(self, event: Event) -> None:
        """Pass the event to every observer."""
        for observer in self._all:
            observer(event)

    def notify_success(self, event: AttemptEvent) -> None:
        """Pass a successful attempt to the observers that want it."""
        for observer in self._of_success:
            observer(event)

    def around_attempt(self, start: AttemptStart) -> _Contexts:
        """Return the contexts of all tracers of attempts as one; `trace_attempts` says whether there are any."""
        return _Contexts(self._around_attempt, "around_attempt", start)

    def around_bulk(self, start: BulkStart) -> _Contexts:
        """Return the contexts of all tracers of bulk runs as one; `trace_bulk` says whether there are any."""
        return _Contexts(self._around_bulk, "around_bulk", start)

    def around_handler(self, start: WebhookHandlerStart) -> _Contexts:
        """Return the contexts of all tracers of webhook handlers as one."""
        return _Contexts(self._around_handler, "around_handler", start)
