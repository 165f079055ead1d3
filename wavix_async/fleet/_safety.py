"""`Safety`: limits that stop a run from changing too much, or from continuing after too many failures."""

from typing import Any

import attrs

from wavix_async import ConfigurationError
from wavix_async.fleet._errors import SafetyError
from wavix_async.fleet._records import FleetStatus

__all__ = ["Breaker", "Safety"]

_FRACTION_FROM = 10
_FAILED_FROM = 20


def _check_count(_: object, attribute: Any, value: object) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise ConfigurationError(
            f"Safety.{attribute.name} must be a whole number of 1 or more, or None; got {value!r}."
        )


def _check_fraction(_: object, attribute: Any, value: object) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if value is not None and not good:
        raise ConfigurationError(f"Safety.{attribute.name} must be a share from 0 to 1, or None; got {value!r}.")


@attrs.frozen(kw_only=True)
class Safety:
    """The limits at which a plan is refused, or a run stops. None turns a limit off.

    Attributes:
        max_changes: The most numbers that a plan may change. Default None.
        max_fraction: The largest share of the account's numbers that a plan may change, from 0 to 1. It does not apply
            to fewer than ten changes. Default 0.3.
        failures_in_a_row: The number of consecutive failed changes that stops a run. Default 20.
        failed_fraction: The run stops when more than this share of the changes tried has failed, from 0 to 1. It does
            not apply to fewer than twenty failures. Default 0.05.

    Raises:
        ConfigurationError: A value is out of range.
    """

    max_changes: int | None = attrs.field(default=None, validator=_check_count)
    max_fraction: float | None = attrs.field(default=0.3, validator=_check_fraction)
    failures_in_a_row: int | None = attrs.field(default=20, validator=_check_count)
    failed_fraction: float | None = attrs.field(default=0.05, validator=_check_fraction)

    def check(self, changes: int, account: int) -> None:
        """Check that a plan does not change too much.

        Raises:
            SafetyError: The plan changes too many numbers.
        """
        if refusal := self.refusal(changes, account):
            raise SafetyError(f"Refused by safety: {refusal}. Nothing was sent.")

    def refusal(self, changes: int, account: int) -> str | None:
        """Return why these limits refuse a plan, and which limit would allow it; None if they allow it."""
        if self.max_changes is not None and changes > self.max_changes:
            return (
                f"the plan changes {changes:,} numbers, more than max_changes={self.max_changes:,}: apply needs "
                f"max_changes={changes}"
            )
        if self.max_fraction is not None and changes >= _FRACTION_FROM and changes > self.max_fraction * account:
            percent = next((each for each in range(100) if changes <= each / 100 * account), 100)
            return (
                f"the plan changes {changes:,} of the account's {account:,} numbers "
                f"({changes / account if account else 1.0:.0%}), more than max_fraction={self.max_fraction:g}: apply "
                f"needs max_fraction={percent / 100:g}"
            )
        return None


class Breaker:
    """Counts failed changes, and decides when they stop the run.

    Args:
        safety: The limits.
    """

    def __init__(self, safety: Safety) -> None:
        self._safety = safety
        self._tried = 0
        self._failed = 0
        self._in_a_row = 0

    def count(self, status: FleetStatus) -> SafetyError | None:
        """Count a result; return an error if the run must stop, otherwise None."""
        if status is not FleetStatus.FAILED:
            self._tried += status is FleetStatus.UPDATED
            self._in_a_row = 0 if status is FleetStatus.UPDATED else self._in_a_row
            return None
        self._tried += 1
        self._failed += 1
        self._in_a_row += 1
        most, share = self._safety.failures_in_a_row, self._safety.failed_fraction
        if most is not None and self._in_a_row >= most:
            return SafetyError(f"Stopped by safety: {self._in_a_row} changes in a row were refused.")
        if share is not None and self._failed >= _FAILED_FROM and self._failed > share * self._tried:
            return SafetyError(
                f"Stopped by safety: {self._failed:,} of {self._tried:,} changes were refused "
                f"({self._failed / self._tried:.0%}), more than failed_fraction={share:g}."
            )
        return None
