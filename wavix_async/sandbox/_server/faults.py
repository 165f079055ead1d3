"""Faults: what can go wrong, how often, and for which requests."""

import random
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from attrs import Attribute, asdict, define, field, fields, frozen

Match = str | Callable[[str, str], bool] | None


def matches(match: Match, method: str, path: str) -> bool:
    """Return whether a request matches a `match` argument."""
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
    """The probability of each kind of fault, for every request that the rate limit accepts.

    The default of each is 0. Their sum must not exceed 1, because a request gets at most one fault.

    Raises:
        ValueError: A probability is not from 0 to 1, the sum is above 1, or `slow_seconds` is negative.
    """

    reset_before: float = _chance()
    """The request is not carried out; the server resets the connection."""
    reset_after: float = _chance()
    """The request is carried out; then the server resets the connection without a response."""
    half_body: float = _chance()
    """The request is carried out; the response announces its full length, but the connection ends after half of it."""
    garbage: float = _chance()
    """The request is carried out; the response has the right status, but its body is broken JSON."""
    status_500: float = _chance()
    """The request is not carried out; the response is a 500."""
    status_502: float = _chance()
    """The request is not carried out; the response is a 502 with the HTML page of a proxy."""
    status_503: float = _chance()
    """The request is not carried out; the response is a 503."""
    slow: float = _chance()
    """The request is carried out at once; the response comes `slow_seconds` later."""
    stall: float = _chance()
    """The request is neither carried out nor answered; the connection stays open until the client closes it."""
    slow_seconds: float = field(default=2.0, validator=_not_negative)
    """Seconds by which a `slow` response is delayed."""

    def __attrs_post_init__(self) -> None:
        total = sum(self.chances().values())
        if total > 1 + 1e-9:
            raise ValueError(f"The probabilities of Faults add up to {total:g}: lower them to a sum of 1 at most")

    @classmethod
    def mix(cls, share: float) -> "Faults":
        """Return faults for `share` of the requests, spread evenly over all kinds except `slow` and `stall`.

        `slow` and `stall` are left out because they would make tests wait.

        Args:
            share: The probability that a request gets a fault, from 0 to 1.

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
"""The kinds of faults, in the order in which the sandbox draws them."""

_MIXED = tuple(kind for kind in FAULT_KINDS if kind not in {"slow", "stall"})


@frozen
class Fault:
    """The fault of one request."""

    kind: str
    retry_after: float | None = None
    """Seconds for `Retry-After`; None: the usual value for the status."""
    message: str | None = None
    """The message of the response; None: the usual message for the status."""


@define
class _Order:
    fault: Fault
    left: int
    match: Match


class FaultPlan:
    """Chooses the fault of each request: first the faults ordered by `fail_next`, then random ones."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._seed = seed
        self._orders: list[_Order] = []
        chances = [(kind, chance) for kind, chance in faults.chances().items() if chance]
        edges = accumulate(chance for _, chance in chances)
        self._edges = list(zip(edges, (Fault(kind) for kind, _ in chances), strict=True))
        self.reset()

    def reset(self) -> None:
        """Remove all orders and restart the random generator."""
        self._orders.clear()
        self._dice = random.Random(self._seed)  # noqa: S311 - repeatable, not secret

    def order(self, kind: str | int, count: int, match: Match, retry_after: float | None, message: str | None) -> None:
        """Order a fault for the next `count` requests that match."""
        name = f"status_{kind}" if type(kind) is int else kind
        is_status = isinstance(name, str) and re.fullmatch(r"status_[45]\d\d", name) is not None
        if not is_status and name not in FAULT_KINDS:
            kinds = ", ".join(FAULT_KINDS)
            raise ValueError(
                f"kind must be a status from 400 to 599, status_400 to status_599, or one of {kinds}, not {kind!r}"
            )
        if count < 1:
            raise ValueError(f"count must be 1 or more, not {count!r}: to fail no request, leave out the call")
        if not is_status and (retry_after is not None or message is not None):
            raise ValueError(f"retry_after and message need a status, and {kind!r} is not a status: leave them out")
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
