"""What the fleet raises on top of the errors of the client."""

from typing import TYPE_CHECKING

from wavix_async import InputError, WavixError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JournalError", "MissingNumbersError", "SafetyError", "StalePlanError"]

_SHOWN = 20


class SafetyError(WavixError):
    """A run was refused, or ended, before it could do harm: too many changes, or too many failures."""

    default_outcome = "not_sent"


class StalePlanError(SafetyError):
    """Numbers have changed since the plan was made, or are gone. This call has sent nothing.

    Attributes:
        numbers: One line for each, the first thousand: the id, the field, and what it is now.
        count: How many numbers.
    """

    def __init__(self, numbers: "Sequence[str]", count: int) -> None:
        super().__init__(
            f"{count:,} numbers have changed since the plan was made; nothing is sent now. Make a new plan, or pass "
            f'stale="skip" (leave them) or stale="write" (change them all the same).{_listed(numbers, count)}'
        )
        self.numbers = tuple(numbers)
        self.count = count

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.numbers, self.count)


class MissingNumbersError(InputError):
    """The account lacks numbers that are wanted. Nothing was sent.

    Attributes:
        numbers: One line for each, the first thousand: the file, the line, the column, and the id or phone number.
        count: How many numbers.
    """

    def __init__(self, numbers: "Sequence[str]", count: int) -> None:
        super().__init__(
            f"The account lacks {count:,} of the numbers; nothing was sent. Correct them, or pass "
            f'missing="skip" to change the others.{_listed(numbers, count)}'
        )
        self.numbers = tuple(numbers)
        self.count = count

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.numbers, self.count)


class JournalError(WavixError):
    """A journal cannot be used: in use by another process, of another plan or account, or no journal at all."""

    default_outcome = "not_sent"


def _listed(lines: "Sequence[str]", count: int) -> str:
    more = f"\n  ... and {count - _SHOWN:,} more" if count > _SHOWN else ""
    return "".join(f"\n  {line}" for line in lines[:_SHOWN]) + more
