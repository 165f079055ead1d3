"""Faults: what may go wrong, how often, and which request is hit."""

import random
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from attrs import Attribute, asdict, define, field, fields, frozen

Match = str | Callable[[str, str], bool] | None


def matches(match: Match, method: str, path: str) -> bool:
    """Tell whether a request is meant by a `match` argument."""
    if match is None:
        return True
    if isinstance(match, str):
        return any(fnmatchcase(text, match) for text in (method, path, f"{method} {path}"))
    return match(method, path)


def _probability(_: Any, attribute: "Attribute[float]", value: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(
            f"Faults.{attribute.name} must be a probability from 0 to 1, not {value!r}: write 0.02 for 2 %"
        )


def _not_negative(_: Any, attribute: "Attribute[float]", value: float) -> None:
    if not value >= 0:
        raise ValueError(f"Faults.{attribute.name} must be 0 or more, not {value!r}: give seconds")


def _chance() -> float:
    return field(default=0.0, validator=_probability)


@frozen(kw_only=True)
class Faults:
    """The probability of each kind of fault, per request that the rate limit has let in.

    All default to 0, and they may add up to 1 at most: a request suffers one fault.

    Raises:
        ValueError: A probability is outside 0..1, the sum is above 1, or `slow_seconds` is negative.
    """

    reset_before: float = _chance()
    """The connection is reset before the request is carried out."""
    reset_after: float = _chance()
    """The request is carried out, then the connection is reset without an answer."""
    half_body: float = _chance()
    """The request is carried out; the answer promises its full length, brings half of it, and the connection ends."""
    garbage: float = _chance()
    """The request is carried out and answered with its status, but the body is broken JSON."""
    status_500: float = _chance()
    """Answered 500, not carried out."""
    status_502: float = _chance()
    """Answered 502 with the HTML page of a proxy, not carried out."""
    status_503: float = _chance()
    """Answered 503, not carried out."""
    slow: float = _chance()
    """Carried out at once, answered `slow_seconds` later."""
    stall: float = _chance()
    """Neither carried out nor answered; the connection stays open until the client leaves."""
    slow_seconds: float = field(default=2.0, validator=_not_negative)
    """Seconds that a `slow` answer is held back."""

    def __attrs_post_init__(self) -> None:
        total = sum(self.chances().values())
        if total > 1 + 1e-9:
            raise ValueError(f"The probabilities of Faults add up to {total:g}: lower them to a sum of 1 at most")

    @classmethod
    def mix(cls, share: float) -> "Faults":
        """Return faults that hit `share` of the requests, spread evenly over the kinds that answer at once.

        `slow` and `stall` are left out, since they cost the caller time rather than attention.

        Args:
            share: The probability that a request is hit, from 0 to 1.

        Raises:
            ValueError: `share` is not a probability.
        """
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise ValueError(f"faults must be Faults(...) or a share from 0 to 1, not {share!r}: write 0.02 for 2 %")
        return cls(**dict.fromkeys(_MIXED, share / len(_MIXED)))

    def chances(self) -> dict[str, float]:
        """Return the probabilities by kind."""
        return asdict(self, filter=lambda attribute, _: attribute.name != "slow_seconds")


FAULT_KINDS: tuple[str, ...] = tuple(f.name for f in fields(Faults) if f.name != "slow_seconds")
"""The kinds of faults, in the order in which they are drawn."""

_MIXED = tuple(kind for kind in FAULT_KINDS if kind not in {"slow", "stall"})


@frozen
class Fault:
    """What a request suffers."""

    kind: str
    retry_after: float | None = None
    """Seconds for `Retry-After`; None: what is usual for the status."""
    message: str | None = None
    """What the answer says; None: what is usual for the status."""


@define
class _Order:
    fault: Fault
    left: int
    match: Match


class FaultPlan:
    """Decides which request suffers what: first what was ordered by hand, then the dice."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._orders: list[_Order] = []
        chances = [(kind, chance) for kind, chance in faults.chances().items() if chance]
        edges = accumulate(chance for _, chance in chances)
        self._edges = list(zip(edges, (Fault(kind) for kind, _ in chances), strict=True))
        self.reset()

    def reset(self) -> None:
        """Forget the orders and start the dice anew."""
        self._orders.clear()
        self._dice = random.Random(self._seed)  # noqa: S311 - repeatable, not secret

    def order(self, kind: str | int, count: int, match: Match, retry_after: float | None, message: str | None) -> None:
        """Make the next `count` requests that match suffer `kind`."""
        name = f"status_{kind}" if type(kind) is int else kind
        is_status = isinstance(name, str) and re.fullmatch(r"status_[45]\d\d", name) is not None
        if not is_status and name not in FAULT_KINDS:
            kinds = ", ".join(FAULT_KINDS)
            raise ValueError(
                f"kind must be a status from 400 to 599, status_400 to status_599, or one of {kinds}, not {kind!r}"
            )
        if count < 1:
            raise ValueError(f"count must be 1 or more, not {count!r}: leave the call out to fail nothing")
        if not is_status and (retry_after is not None or message is not None):
            raise ValueError(f"retry_after and message belong to a status, and {kind!r} is none: leave them out")
        if retry_after is not None and not retry_after >= 0:
            raise ValueError(f"retry_after must be 0 or more seconds, not {retry_after!r}")
        self._orders.append(_Order(Fault(str(name), retry_after, message), count, match))

    def draw(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, or None."""
        for order in self._orders:
            if matches(order.match, method, path):
                order.left -= 1
                if not order.left:
                    self._orders.remove(order)
                return order.fault
        if self._edges:
            roll = self._dice.random()
            for edge, fault in self._edges:
                if roll < edge:
                    return fault
        return None
