"""How a number stands between what it was and what it shall be."""

import json
from typing import Final, Literal

import attrs

from wavix_async import Number
from wavix_async._files import settings_of, to_json, update_from_json

__all__ = ["GONE", "Stands", "compare"]

GONE: Final = "the account has this number no more"


@attrs.frozen
class Stands:
    """How a number stands.

    Attributes:
        id: The record's id.
        how: `there` where it is as it shall be, `before` where it is as it was (or partly so and partly as it shall
            be), `elsewhere` where somebody has set something else.
        what: The fields that are not as they shall be, in words; "" where it is `there`.
        now: What it was, as one JSON object, with what somebody else has set since.
        state: What the journal says of its change.
        touched: Whether the change may have left already.
        forced: Whether it shall be sent although the number is as it shall be: a change that was confirmed before may
            not have come into effect yet.
    """

    id: int
    how: Literal["there", "before", "elsewhere"]
    what: str
    now: str
    state: str | None = None
    touched: bool = False
    forced: bool = False

    @property
    def needs_nothing(self) -> bool:
        """Whether nothing need be sent for it."""
        return self.how == "there" and not self.forced


def compare(number: Number, before: str, after: str) -> Stands:
    """Hold a number against what it was and what it shall be.

    Args:
        number: As it is now.
        before: What it was: a JSON object of settings.
        after: What it shall be: a JSON object with the same keys.
    """
    differing = update_from_json(after).differs_from(number)
    if not differing:
        return Stands(number.id, "there", "", after)
    settings, old = settings_of(number), json.loads(before)
    others = [name for name in differing if settings[name] != old[name]]
    if not others:
        return Stands(number.id, "before", ", ".join(differing), before)
    now = to_json({**old, **{name: settings[name] for name in others}})
    words = (f"{name} is {to_json(settings[name])} and was {to_json(old[name])}" for name in others)
    return Stands(number.id, "elsewhere", "; ".join(words), now)
