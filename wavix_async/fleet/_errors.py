"""The errors of `wavix_async.fleet`, in addition to those of the client."""

from collections.abc import Sequence
from typing import ClassVar

from wavix_async import InputError, JournalError, Outcome, WavixError
from wavix_async._files import Problem, Problems, listed

__all__ = ["FleetFileError", "JournalError", "MissingNumbersError", "SafetyError", "StalePlanError", "file_error"]


class FleetFileError(InputError):
    """The source given to `read` has mistakes, or contradicts the account. Nothing was sent.

    What to do: Correct the places that `problems` names.

    Attributes:
        problems: The first thousand mistakes, with their places; the error text shows twenty.
        count: How many mistakes there are in total.
    """

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = (), count: int | None = None) -> None:
        super().__init__(message)
        self.problems: list[Problem] = list(problems)
        self.count: int = len(self.problems) if count is None else count


class SafetyError(WavixError):
    """A safety limit refused a plan with too many changes, or stopped a run with too many failures.

    What to do: Look at the plan or the report. If it is right, raise the limit that the message names.
    """

    default_outcome: ClassVar[Outcome] = "not_sent"


class StalePlanError(SafetyError):
    """Numbers have changed since the plan was made, or are no longer in the account. This call sent nothing.

    What to do: Make a new plan, or pass `stale="skip"` or `stale="write"`.

    Attributes:
        numbers: One line for each of the first thousand numbers: the id, the field, and its current value.
        count: How many such numbers there are in total.
    """

    def __init__(self, numbers: Sequence[str], count: int) -> None:
        super().__init__(
            listed(
                f"{count:,} numbers have changed since the plan was made; this call sent nothing. Make a new plan, or "
                'pass stale="skip" (leave them unchanged) or stale="write" (overwrite them).',
                numbers,
                count,
            )
        )
        self.numbers: tuple[str, ...] = tuple(numbers)
        self.count = count

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.numbers, self.count)


class MissingNumbersError(InputError):
    """Numbers of the desired state are not in the account, or a selector matches no number. Nothing was sent.

    What to do: Remove the lines that `numbers` names, or check that the key is of the right account.

    Attributes:
        numbers: One line for each of the first thousand: the file, line, column, and the id, phone number or selector.
        count: How many there are in total.
    """

    def __init__(self, numbers: Sequence[str], count: int) -> None:
        super().__init__(
            listed(
                f"{count:,} numbers or selectors match nothing in the account; nothing was sent. Correct them, or pass "
                'missing="skip" to change the others.',
                numbers,
                count,
            )
        )
        self.numbers: tuple[str, ...] = tuple(numbers)
        self.count = count

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.numbers, self.count)


def file_error(name: str, problems: Problems) -> FleetFileError:
    """Return an error with all problems of a file."""
    return FleetFileError(problems.text(name), problems=problems.kept, count=problems.count)
