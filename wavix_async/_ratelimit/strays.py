"""`StrayTest` tells a stray 429 from a limit: one node of the API that refuses, a hiccup, a limit of other customers.

A limit and a stray differ in what happens to the *other* requests:

- Above a limit of `r` per second, the server refuses the share `1 - r / pace` of all requests; below it, none.
- A stray does not depend on the pace: the server refuses a small share of the requests, now and then.

A refusal is a stray, and delays only its own call, if it passes three tests:

- **Proof.** The server has accepted `PROOF` requests at this pace.
- **Round trip.** It is the only refusal of its round trip, that is of the requests that left before its answer arrived.
  Once the server has shown a share of strays, there may be as many as that share explains.
- **Share.** A cumulative sum (Page's CUSUM) compares two hypotheses: the server refuses the usual share of strays, or
  `EXCESS` times as much. Each refusal adds `log(EXCESS)`, each acceptance subtracts its part, and the sum never falls
  below 0. At `ALARM` the second hypothesis is a hundred times as likely as the first.

Any other refusal pauses all calls. The answers that arrive during the pause are those of its round trip, so `judge`
knows more at the end of the pause: a refusal among acceptances only was a stray that came too early to be known.

A success costs nothing: refusals compute all of this from the number of acceptances so far.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import Literal

import attrs

__all__ = ["PROOF", "Pause", "StrayTest", "Verdict"]

Verdict = Literal["stray", "unclear", "limit"]

PROOF = 200  # acceptances at a pace that prove it
PACE_BAND = 1.25  # a pace that is higher by this factor needs a proof of its own
USUAL = 0.015  # the share of strays that the sum takes for granted
EXCESS = 4.0  # a limit refuses at least so many times the usual share
ALARM = 4.6  # log(100)
ALONE = 0.06  # the share of the answers in a pause that may be refusals, if a stray began the pause
WITNESSES = 5  # acceptances in a pause that show that nothing limits requests that nothing paced
MARGIN = 1.15  # times the requests that the likely limit accepts, for the same
FEW = 4  # answers in a pause that show nothing about a pace near the limit
EARLY = 100  # acceptances since the last pause; after fewer, a refusal with few answers is unclear
SPARED = 6  # pauses in a row without proof that may be due to strays
UNCLEAR = 3  # the same, of those that are unclear
SHOWN = 3.0  # strays ...
SHOWN_SHARE = 0.004  # ... and their share, that show that the server refuses requests at any pace
MEMORY = 3000  # acceptances after which the strays seen count half


@attrs.frozen
class Pause:
    """What is known at the end of a pause about the refusal that began it."""

    accepted: int
    """Requests that the answers during the pause accepted."""

    refused: int
    """Requests that they refused."""

    before: int
    """Requests accepted between the pause before and this one."""

    pace: float
    """Requests per second when the pause began; infinite if nothing paced them."""

    unpaced: bool = False
    """Whether the requests were paced by no estimate: then a limit, if there is one, is far below their pace."""

    rising: bool = False
    """Whether the pace was above the estimate."""

    allowed: float = 0.0
    """Requests that the likely limit accepts in one round trip, if `unpaced`."""


class StrayTest:
    """Decides which refusals are stray, by the number of requests that the server has accepted so far."""

    def __init__(self) -> None:
        self.alone = True  # whether the last refusal passed the tests of the round trip and of the share
        self._proven = False  # the same, of the test of the proof
        self._pace = inf  # the highest pace that the acceptances prove ...
        self._proof_from = 0  # ... and how many there were before
        self._strays = 0.0  # strays seen ...
        self._strays_from = 0  # ... since so many acceptances
        self._pending = 0  # refusals since the sum was 0: strays, or the first ones of a limit
        self._sum = 0.0
        self._summed = 0  # acceptances at the last refusal
        self._group = 0  # refusals of this round trip
        self._group_until = -inf  # a request that left until then belongs to this round trip
        self._spared = self._unclear = 0  # pauses in a row with such a verdict
        self._alarm_pace = 0.0  # at the last alarm

    @property
    def suspicion(self) -> float:
        """How much speaks for a limit: the cumulative sum, as a part of the alarm."""
        return self._sum / ALARM

    def at_pace(self, pace: float, accepted: int) -> None:
        """Begin a new proof if requests leave faster than before."""
        if pace > self._pace * PACE_BAND:
            self._pace, self._proof_from = pace, accepted

    def limit_found(self, pace: float | None, accepted: int) -> None:
        """Note that the server has a limit, and the new pace; a much lower pace needs a proof of its own."""
        pace = inf if pace is None else pace
        if pace * PACE_BAND < self._pace:
            self._proof_from = accepted
        self._pace = pace
        self._pending, self._sum, self._unclear = 0, 0.0, 0

    def forget_times(self) -> None:
        """Keep what was learned and drop what depends on a clock."""
        self._group_until = -inf

    def share(self, accepted: int) -> float:
        """Return the share of strays that the server has shown; a single one shows nothing."""
        seen = accepted - self._strays_from
        if seen > MEMORY:
            self._strays, self._strays_from = self._strays / 2, accepted - seen // 2
        return max(self._strays - 1.0, 0.0) / max(accepted - self._strays_from, PROOF)

    def shown(self, accepted: int) -> bool:
        """Return whether the server has shown that it refuses requests at any pace."""
        return self._strays >= SHOWN and self.share(accepted) >= SHOWN_SHARE

    def is_stray(self, permit: float, now: float, accepted: int, in_flight: int, *, lately: int, rising: bool) -> bool:
        """Note a refusal, and return whether it is a stray.

        Args:
            permit: When the request left.
            now: When its answer arrived.
            accepted: Requests that the server has accepted so far.
            in_flight: Requests without an answer.
            lately: Acceptances that count as proof, at most.
            rising: Whether the pace is above the estimate: then the refusal may be due to the limit.
        """
        share = self.share(accepted)
        since = accepted - self._summed
        self._sum -= since * max(1.5 * share, USUAL) * (EXCESS - 1.0)
        if self._sum <= 0.0:
            self._strays += self._pending
            self._sum, self._pending = 0.0, 0
        self._sum += log(EXCESS)
        self._pending += not rising
        self._summed = accepted
        # Two refusals without an acceptance between them belong together, however far apart a slow caller sent them.
        if permit > self._group_until and since:
            self._group, self._group_until = 0, now
        self._group += 1
        expected = share * in_flight
        self.alone = self._group <= 1.0 + expected + 2.0 * sqrt(expected) and self._sum < ALARM
        self._proven = min(accepted - self._proof_from, lately) >= PROOF
        if self._proven:
            self._spared = self._unclear = 0
        return self._proven and self.alone

    def judge(self, pause: Pause, accepted: int) -> Verdict:
        """Return what began a pause; `accepted` is the number of requests accepted so far."""
        doubt = self._sum + pause.refused * log(EXCESS) - pause.accepted * USUAL * (EXCESS - 1.0)
        company = pause.refused > ALONE * pause.accepted
        if pause.unpaced:
            enough = WITNESSES if self._proven else max(WITNESSES, MARGIN * pause.allowed)
            if company or pause.accepted < enough or self._spared >= SPARED or doubt >= ALARM:
                return "limit"
        elif (pause.rising or not self._proven) and (company or not self.alone):
            return "limit"
        elif doubt >= ALARM:
            # If a lower pace since the last alarm has not helped, the refusals do not depend on the pace.
            before, self._alarm_pace = self._alarm_pace, pause.pace
            if pause.pace >= 0.99 * before:
                return "limit"
            doubt = 0.0
        elif not self.shown(accepted) and (pause.rising or self._shows_nothing(pause)):
            self._unclear += not pause.rising
            return "unclear"
        self._sum = max(doubt, 0.0)
        self._spared += 1
        if pause.accepted >= FEW:
            self._strays += self._pending + pause.refused
        self._pending = 0
        return "stray"

    def _shows_nothing(self, pause: Pause) -> bool:
        """Return whether too little is known to spare a limit that was guessed too high."""
        few = pause.accepted + pause.refused < FEW and pause.before < EARLY
        return few and not self._proven and self._unclear < UNCLEAR
