"""`AttemptLog`: the attempts to send one change."""

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from wavix_async.bulk._journal import Entry

__all__ = ["AttemptLog"]


@attrs.define(eq=False)
class AttemptLog:
    """The attempts to send one item, and how they ended."""

    attempts: int = 0
    backing_off: bool = False
    maybe_done: bool = False
    """Whether the API may have carried out one of the attempts."""
    answers_seen: tuple[int, ...] = ()
    """The number of answers that the circuit breaker had counted when each of the last two attempts failed."""
    unanswered: bool = False
    """Whether the API may still carry out one of the attempts, because no answer says how it ended."""

    entry: "Entry | None" = None
    """The item in the journal of the run; None if the run has not claimed it."""

    def reset(self) -> None:
        """Clear the log for the next item."""
        self.attempts, self.maybe_done, self.answers_seen, self.unanswered, self.entry = 0, False, (), False, None

    def add(self, other: "AttemptLog") -> None:
        """Add the attempts of a batch request that included this item."""
        self.attempts += other.attempts
        self.maybe_done = self.maybe_done or other.maybe_done
        self.unanswered = self.unanswered or other.unanswered
        self.answers_seen = (*self.answers_seen, *other.answers_seen)[-2:]
