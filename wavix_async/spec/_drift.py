"""`DriftCollector`: an observer that gathers what real answers showed."""

import threading
from collections.abc import Mapping
from typing import Final

from attrs import evolve

from wavix_async._instrumentation import DriftEvent, Event, mask
from wavix_async.spec._result import ChangeKind, Comparison, Effect, SpecChange, clean

__all__ = ["DriftCollector"]

_MOST: Final = 1_000
_LONGEST: Final = 80
_KINDS: Final[Mapping[str, tuple[ChangeKind, Effect]]] = {
    "unknown": (ChangeKind.ADDED, Effect.NOT_COVERED),
    "missing": (ChangeKind.REMOVED, Effect.BREAKS_READING),
    "null": (ChangeKind.NULLABLE, Effect.BREAKS_READING),
    "type": (ChangeKind.RETYPED, Effect.BREAKS_READING),
}


class DriftCollector:
    """Gather how real answers differ from the models, in the form of `wavix_async.spec.compare`.

    Give it to a client as an observer: `WavixClient(observers=[collector])`. It keeps names and types, and no values; a
    name that could be a phone number is masked. It keeps 1,000 differences and counts the rest. Several clients, tasks
    and threads can share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes = dict[tuple[str, str, str, str, str], SpecChange]()
        self._left_out = 0

    def __call__(self, event: Event, /) -> None:
        """Keep the event if it is drift; ignore all others."""
        if not isinstance(event, DriftEvent):
            return
        drift = event.drift
        kind, effect = _KINDS[drift.kind]
        field = _name(drift.field)
        subject = f"{_name(drift.model)}.{field}" if field else _name(drift.model)
        expected = "" if drift.kind == "unknown" else _name(drift.expected)
        found = "" if drift.kind in ("missing", "null") else _name(drift.found)
        key = (subject, kind, expected, found, effect)
        operation = clean(event.operation)
        with self._lock:
            self._left_out += event.more
            known = self._changes.get(key)
            if known is not None:
                if operation not in known.operations:
                    self._changes[key] = evolve(known, operations=(*known.operations, operation))
            elif len(self._changes) >= _MOST:
                self._left_out += 1
            else:
                self._changes[key] = SpecChange(
                    kind=kind,
                    effect=effect,
                    side="answer",
                    subject=subject,
                    operations=(operation,),
                    expected=expected,
                    found=found,
                )

    def comparison(self) -> Comparison:
        """Return what was gathered so far; what breaks code that reads answers comes first."""
        with self._lock:
            changes = sorted(self._changes.values(), key=lambda each: list(Effect).index(each.effect))
            return Comparison(changes=tuple(changes), left_out=self._left_out)

    def clear(self) -> None:
        """Forget what was gathered."""
        with self._lock:
            self._changes.clear()
            self._left_out = 0


def _name(text: str) -> str:
    """Return a name of an answer, which others chose: masked, short and printable."""
    return clean(mask(text), _LONGEST)
