"""How fast requests may leave, and what the server says about it.

A limiter (`Limiter`) hands out one permit for each request. `pacer.py` decides when, `estimator.py` finds a rate that
is not configured, and `headers.py` parses the rate headers of answers. `LeasedLimiter` shares a rate with other
processes; its modules are loaded on first use.
"""

from typing import TYPE_CHECKING

from wavix_async._ratelimit.estimator import AcceptedHistogram, RateEstimator
from wavix_async._ratelimit.headers import (
    MAX_WAIT,
    RateHint,
    answered_at,
    rate_hint,
    retry_after,
    wait_told,
)
from wavix_async._ratelimit.limiter import Limiter, LimitSnapshot, LoopSide, WaitTooLong
from wavix_async._ratelimit.pacer import Pacer, Quota

if TYPE_CHECKING:
    from wavix_async._ratelimit.lease import FRESH, ClockOffset, Lease, LeasedPacer
    from wavix_async._ratelimit.leased_limiter import LeasedLimiter, StoreOutage
    from wavix_async._ratelimit.shared_limit import (
        ALIVE,
        PATIENCE,
        PROBE,
        LeaseGrant,
        LeaseRequest,
        RateSource,
        SharedLimit,
    )

__all__ = [
    "ALIVE",
    "FRESH",
    "MAX_WAIT",
    "PATIENCE",
    "PROBE",
    "AcceptedHistogram",
    "ClockOffset",
    "Lease",
    "LeaseGrant",
    "LeaseRequest",
    "LeasedLimiter",
    "LeasedPacer",
    "LimitSnapshot",
    "Limiter",
    "LoopSide",
    "Pacer",
    "Quota",
    "RateEstimator",
    "RateHint",
    "RateSource",
    "SharedLimit",
    "StoreOutage",
    "WaitTooLong",
    "answered_at",
    "rate_hint",
    "retry_after",
    "wait_told",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from wavix_async._ratelimit import lease, leased_limiter, shared_limit

        for module in (lease, leased_limiter, shared_limit):
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
