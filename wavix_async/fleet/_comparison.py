"""`Comparison`: the current settings of a number, compared with its settings before and after a change."""

import json
from typing import Final, Literal

import attrs

from wavix_async import Number
from wavix_async._files import settings_of, to_json, update_from_json

__all__ = ["GONE", "Comparison", "compare"]

GONE: Final = "the account has this number no more"


@attrs.frozen
class Comparison:
    """Whether the change of a number is applied.

    Attributes:
        id: The record's id.
        state: `applied` if all fields have their new value, `pending` if some still have their old value, `conflict`
            if a field has a third value, which another client has set.
        difference: The fields without their new value, as text; "" if the change is applied.
        before: The old values as a JSON object; in a conflict, with the values that another client has set since.
        found: As `before`, but also with the new values that some fields have already.
        recorded: The state of the change in the journal; None before the run claims it.
        touched: Whether the change may have been sent.
        forced: Whether to send the change even if it is applied, because an earlier change that the API has confirmed
            may take effect later and replace it.
    """

    id: int
    state: Literal["applied", "pending", "conflict"]
    difference: str
    before: str
    found: str = ""
    recorded: str | None = None
    touched: bool = False
    forced: bool = False

    @property
    def needs_no_request(self) -> bool:
        """Whether this number needs no request."""
        return self.state == "applied" and not self.forced


def compare(number: Number, before: str, after: str) -> Comparison:
    """Compare a number with its settings before and after a change.

    Args:
        number: The number as it is now.
        before: The old values: a JSON object of settings.
        after: The new values: a JSON object with the same keys.
    """
    differing = update_from_json(after).differs_from(number)
    if not differing:
        return Comparison(number.id, "applied", "", before)
    settings, old = settings_of(number), json.loads(before)
    others = [name for name in differing if settings[name] != old[name]]
    met = {name: settings[name] for name in old if name not in differing}
    since = {**old, **{name: settings[name] for name in others}}
    found = to_json({**since, **met}) if met or others else before
    if not others:
        return Comparison(number.id, "pending", ", ".join(differing), before, found)
    words = (f"{name} is {to_json(settings[name])} and was {to_json(old[name])}" for name in others)
    return Comparison(number.id, "conflict", "; ".join(words), to_json(since), found)
