"""`StrayTest` tells a stray 429 from a limit: one node of the API that refuses, a hiccup, a limit of another customer.

A limit and a stray differ in what happens to the *other* requests:

- Above a limit of `r` per second, the server refuses the share `1 - r / pace` of all requests. Below it, no request.
- A stray is independent of the pace: the server refuses a small share, now and then.

So the requests around a refusal decide, and each of these tests must take a refusal for a stray:

- **Proof.** The server has accepted `PROOF` requests at this pace. A refusal without company does not end the proof;
  a limit does.
- **Round trip.** The refusal is the only one of its round trip: of the requests that left before its answer arrived.
  If the group has shown a share of strays, as many are allowed as that share explains.
- **Share.** A cumulative sum (Page's CUSUM) compares two hypotheses: the server refuses the share of strays, or
  `EXCESS` times as much. Each refusal adds `log(EXCESS)`, each acceptance subtracts what it speaks for the first, and
  the sum never falls below 0. At `ALARM` the second hypothesis is more likely by a factor of a hundred.

A refusal that fails a test pauses all calls. The answers that arrive during the pause belong to the requests of the
same round trip. If nearly all are accepted (`was_alone`), that refusal was a stray, too, only too early to know.

A success costs nothing: all of it is computed at refusals, from the number of acceptances so far.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import Literal

__all__ = ["StrayTest", "Verdict"]

Verdict = Literal["stray", "unclear", "limit"]

PROOF = 200  # acceptances at the pace before a refusal can be a stray
PACE_BAND = 1.25  # a pace that is higher by this factor is another one
FEWEST = 0.015  # the share of strays that is taken for granted
EXCESS = 4.0  # times the share of strays: what a limit refuses at least
ALARM = 4.6  # log(100)
ALONE = 0.06  # the share of a round trip that strays refuse at most
WITNESSES = 5  # answers that show whether a refusal was alone, if the pace is far above any limit nearby ...
FEW = 4
SPARED = 6  # pauses in a row that may be found to be due to strays before there is proof
MEMORY = 3000  # acceptances after which what was seen counts half


class StrayTest:
    """Decides which refusals are stray. It is told the time, and how many requests the server has accepted."""

    def __init__(self) -> None:
        self._pace = inf  # the pace that the acceptances below prove
        self._proof_from = 0  # acceptances before the first at this pace
        self._strays = 0.0  # strays seen
        self._strays_from = 0  # acceptances before the first of them
        self._pending = 0  # refusals since the sum was 0: strays, or the first of many
        self._sum = 0.0
        self._summed = 0  # acceptances at the last refusal
        self._group = 0  # refusals of this round trip
        self._group_until = -inf  # a request that left until then belongs to this round trip
        self._spared = 0  # pauses in a row that strays explain
        self._proven = False
        self._alarm_pace = 0.0
        self._unclear = 0
        self.lone = True  # whether the last refusal came without more company than strays explain

    @property
    def suspicion(self) -> float:
        """How much speaks for a limit: the cumulative sum, as a part of the alarm."""
        return self._sum / ALARM

    def at_pace(self, pace: float, accepted: int) -> None:
        """Begin a new proof if requests leave faster than before."""
        if pace > self._pace * PACE_BAND:
            self._pace, self._proof_from = pace, accepted

    def limit_found(self, pace: float | None, accepted: int) -> None:
        """Note that the server does have a limit, and the new pace."""
        pace = inf if pace is None else pace
        if pace * PACE_BAND < self._pace:
            self._proof_from = accepted
        self._pace = pace
        self._pending, self._sum, self._unclear = 0, 0.0, 0

    def share(self, accepted: int) -> float:
        """Return the share of strays that the server has shown; the first one shows nothing yet."""
        seen = accepted - self._strays_from
        if seen > MEMORY:
            self._strays, self._strays_from = self._strays / 2, accepted - seen // 2
        return max(self._strays - 1.0, 0.0) / max(accepted - self._strays_from, PROOF)

    def shown(self, accepted: int) -> bool:
        """Return whether the server has shown that it refuses requests whatever the pace."""
        return self._strays >= 3.0 and self.share(accepted) >= 0.004

    def is_stray(self, permit: float, now: float, accepted: int, in_flight: int, *, lately: int, rising: bool) -> bool:
        """Note a refusal, and return whether it is a stray."""
        share = self.share(accepted)
        since = accepted - self._summed
        usual = max(1.5 * share, FEWEST)
        self._sum -= since * usual * (EXCESS - 1.0)
        if self._sum <= 0.0:
            self._strays += self._pending
            self._sum, self._pending = 0.0, 0
        self._sum += log(EXCESS)
        self._pending += not rising  # above the known limit, a refusal may be due to it
        self._summed = accepted
        if permit > self._group_until and since:
            self._group, self._group_until = 0, now
        self._group += 1
        expected = share * in_flight
        self.lone = self._group <= 1.0 + expected + 2.0 * sqrt(expected) and self._sum < ALARM
        self._proven = min(accepted - self._proof_from, lately) >= PROOF
        if self._proven:
            self._spared = self._unclear = 0
        return self._proven and self.lone

    def verdict(
        self, accepted: int, refused: int, *, unpaced: bool, rising: bool, before: int, allowed: float, pace: float, shown: bool
    ) -> Verdict:
        """Return what began a pause, by the answers that arrived during it.

        Args:
            accepted: How many requests these answers accepted.
            refused: How many they refused.
            unpaced: Whether nothing paced the requests: then the pace would be far above the limit, if there was one.
            rising: Whether the pace was above the known limit.
            before: How many requests the server had accepted since the pause before.
            allowed: How many requests the likely limit would have accepted in this round trip.
            pace: The pace.
        """
        doubt = self._sum + refused * log(EXCESS) - accepted * FEWEST * (EXCESS - 1.0)
        company = refused > ALONE * accepted
        if unpaced:
            few = accepted < max(WITNESSES, 0.0 if self._proven else 1.15 * allowed)
            if company or few or self._spared >= SPARED or doubt >= ALARM:
                return "limit"
        elif (rising or not self._proven) and (company or not self.lone):
            return "limit"
        elif doubt >= ALARM:
            # A lower pace after the last alarm has not helped: the refusals do not depend on the pace.
            before_alarm, self._alarm_pace = self._alarm_pace, pace
            if not pace < 0.99 * before_alarm:
                return "limit"
            doubt = 0.0
        elif not shown and (rising or (not self._proven and self._unclear < 3 and before < 100 and accepted + refused < FEW)):
            self._unclear += not rising
            return "unclear"
        self._sum = max(doubt, 0.0)
        self._spared += 1
        if accepted >= FEW:
            self._strays += self._pending + refused
        self._pending = 0
        return "stray"
