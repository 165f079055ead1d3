"""`RunOptions`: the options of a run. The journal stores them, so that `resume` uses the same options."""

import json
from typing import Any, Literal

import attrs

from wavix_async import ConfigurationError
from wavix_async.fleet._safety import Safety

__all__ = ["RunOptions", "check_choice"]


@attrs.frozen(kw_only=True)
class RunOptions:
    """The options of `apply` and `roll_back` that the journal stores."""

    verify: bool
    verify_within: float
    concurrency: int
    batch: Literal["auto"] | int | None
    safety: Safety

    def __attrs_post_init__(self) -> None:
        if type(self.concurrency) is not int or self.concurrency < 1:
            raise ConfigurationError(f"concurrency must be a whole number of 1 or more, got {self.concurrency!r}.")
        if self.batch not in (None, "auto") and (type(self.batch) is not int or not 2 <= self.batch <= 1000):
            raise ConfigurationError(
                f'batch must be "auto", a whole number from 2 to 1,000, or None; got {self.batch!r}.'
            )
        within = self.verify_within
        if not isinstance(within, int | float) or isinstance(within, bool) or not within >= 0:
            raise ConfigurationError(f"verify_within must be seconds, 0 or more; got {within!r}.")
        if not isinstance(self.safety, Safety):
            raise ConfigurationError(f"safety must be a fleet.Safety(...), got {self.safety!r}.")

    def to_json(self) -> str:
        """Return the options as the journal stores them."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RunOptions":
        """Return the options that a journal has stored."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "safety": Safety(**values["safety"])})


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check that an option is one of its choices.

    Raises:
        ConfigurationError: It is not one of them.
    """
    if value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices)
        raise ConfigurationError(f"{name} must be one of {listed}; got {value!r}.")
