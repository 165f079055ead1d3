"""`Tries`: what has become of the attempts to make one change."""

import attrs

__all__ = ["Tries"]


@attrs.define(eq=False)
class Tries:
    """What has become of the attempts of one input."""

    attempts: int = 0
    backing_off: bool = False
    maybe_done: bool = False
    """Whether an attempt may have been carried out."""
    signs: tuple[int, ...] = ()
    """Signs of life of the API when the last two attempts failed."""
    unanswered: bool = False
    """Whether an attempt may still be carried out, since nobody has said how it ended."""

    def begin(self) -> None:
        """Begin with another input."""
        self.attempts, self.maybe_done, self.signs, self.unanswered = 0, False, (), False

    def add(self, other: "Tries") -> None:
        """Add attempts that were made for several at once."""
        self.attempts += other.attempts
        self.maybe_done = self.maybe_done or other.maybe_done
        self.unanswered = self.unanswered or other.unanswered
        self.signs = (*self.signs, *other.signs)[-2:]
