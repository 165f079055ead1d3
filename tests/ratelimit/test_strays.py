"""A stray 429 among hundreds of acceptances is no limit: it delays its own call, and costs the others nothing."""

import asyncio
import math
from itertools import pairwise
from typing import Any

import pytest

from tests.support import rate_control
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import Number, Operation, RateLimitError, WavixClient
from wavix_async._ratelimit import Pacer

GET = Operation("GET", "/v1/numbers/{id}", Number)
TRIP = 0.05


def send(pacer: Pacer, now: float) -> float:
    """Take the next permit as if the caller had waited for it."""
    return pacer.send(max(now, pacer.next_time(now)))


def proven(rate: float | None, acceptances: int = 200) -> tuple[Pacer, float]:
    """Return a pacer whose server has accepted so many requests, one at a time, and the time."""
    pacer, now = Pacer(rate), 0.0
    for _ in range(acceptances):
        now = send(pacer, now + 0.005)
        pacer.accepted(now)
    return pacer, now


# --- what is a stray: the arithmetic ---


@pytest.mark.req_06
@pytest.mark.req_30
@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_lone_refusal_after_200_acceptances_pauses_no_other_call(rate: float | None) -> None:
    pacer, now = proven(rate)
    pace = pacer.pace()
    permit = send(pacer, now)
    assert not pacer.refused(permit, permit + TRIP, 5.0)
    assert pacer.paused_until == -math.inf
    assert send(pacer, permit + TRIP) < permit + TRIP + 0.03
    assert pacer.pace() == pace


@pytest.mark.req_06
@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_lone_refusal_after_fewer_acceptances_pauses_all(rate: float | None) -> None:
    pacer, now = proven(rate, 199)
    permit = send(pacer, now)
    assert pacer.refused(permit, permit + TRIP, 5.0)
    assert pacer.next_time(permit + TRIP) == permit + TRIP + 5.0


@pytest.mark.req_06
@pytest.mark.req_30
@pytest.mark.parametrize("rate", [None, 50.0])
def test_two_refusals_of_one_round_trip_pause_all_as_long_as_either_asked(rate: float | None) -> None:
    pacer, now = proven(rate)
    first = send(pacer, now)
    second = send(pacer, first)
    assert not pacer.refused(first, first + TRIP, 5.0)
    assert pacer.refused(second, second + TRIP, 1.0)
    assert pacer.paused_until == pytest.approx(first + TRIP + 5.0)


@pytest.mark.req_06
def test_two_refusals_in_a_row_pause_all_however_slow_the_caller_is() -> None:
    pacer, now = proven(None)
    for began in (False, True):
        now = send(pacer, now + 0.5)
        assert pacer.refused(now, now + TRIP, 1.0) is began


@pytest.mark.req_06
def test_a_share_that_grows_pauses_all() -> None:
    """One refusal in eight is no stray, even if each is alone in its round trip."""
    pacer, now = proven(50.0)
    paused_after = 0
    while paused_after < 40:
        for _ in range(7):
            now = send(pacer, now)
            pacer.accepted(now)
        now = send(pacer, now)
        if pacer.refused(now, now + 0.01, 1.0):
            break
        paused_after += 1
    assert 1 <= paused_after <= 5


@pytest.mark.req_06
def test_acceptances_of_a_quiet_client_prove_no_pace() -> None:
    """Requests far apart are no proof for a burst."""
    pacer, now = Pacer(), 0.0
    for _ in range(400):
        now = send(pacer, now + 5.0)
        pacer.accepted(now)
    permits = [pacer.send(now + 5.0 + n / 1000) for n in range(8)]
    assert pacer.refused(permits[-1], now + 5.1, 1.0)


@pytest.mark.req_30
def test_an_early_stray_does_not_leave_a_low_rate_behind() -> None:
    """The answers that arrive in the pause show that it was alone; the pace is soon without limit again."""
    pacer = Pacer()
    permits = [pacer.send(0.0) for _ in range(8)]
    assert pacer.refused(permits[0], TRIP, 1.0)
    for permit in permits[1:]:
        pacer.accepted(permit)
    now, paces = 1.0 + TRIP, []
    for _ in range(400):
        now = send(pacer, now)
        paces.append(pacer.pace() or math.inf)
        pacer.accepted(now)
    assert paces[0] == 75.0
    assert now < 4.0
    assert pacer.is_open


@pytest.mark.req_30
def test_strays_do_not_lower_what_was_learned() -> None:
    """A learned rate of 50/s, and one stray in a hundred requests of 50,000."""
    pacer = Pacer()
    for _ in range(10):
        pacer.accepted(pacer.send(0.0))
    pacer.refused(pacer.send(0.0), 0.001, 1.0)
    now, tokens, last = 1.001, 10.0, 1.001
    for request in range(50_000):
        now = send(pacer, now)
        tokens, last = min(tokens + (now - last) * 50, 10.0), now
        if tokens < 1 or request % 100 == 99:
            pacer.refused(now, now + TRIP, 1.0)
            tokens = max(tokens - 1, 0.0)
        else:
            tokens -= 1
            pacer.accepted(now)
    assert 50_000 / now > 40.0


@pytest.mark.req_30
def test_a_second_loop_does_not_take_an_old_refusal_for_the_same_round_trip() -> None:
    pacer, now = proven(50.0)
    permit = send(pacer, now)
    assert not pacer.refused(permit, permit + TRIP, 1.0)
    for _ in range(10):
        now = send(pacer, now)
        pacer.accepted(now)
    pacer.shift_clock(-now)
    permit = send(pacer, 1.0)
    assert not pacer.refused(permit, permit + TRIP, 1.0)


# --- what a stray costs, in virtual time: the rows of `python -m benchmarks.rate_control "S "` ---

STRAYS = [row for row in rate_control.strays() if row.items <= 1500]


@pytest.mark.req_30
@pytest.mark.parametrize("name", [row.name for row in STRAYS])
def test_one_percent_of_strays_cost_half_the_time_and_two_pauses_at_most(name: str) -> None:
    (row,) = (row for row in STRAYS if row.name == name)
    found = rate_control.compare(row, range(9 if row.workers == 32 else 3))
    assert not found.faults
    assert found.seconds <= 1.5 * found.without + 2.0


# --- through a client ---


def client_of(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


@pytest.mark.req_06
@pytest.mark.req_07
@pytest.mark.req_08
@pytest.mark.req_30
@pytest.mark.parametrize("rate", [None, 100.0])
def test_a_stray_429_delays_its_own_call_alone(rate: float | None) -> None:
    """It waits without a slot and without holding up the queue."""
    sent: dict[int, list[float]] = {}

    def answer(seen: Seen) -> Reply:
        sent.setdefault(seen.id, []).append(seen.at)
        return Reply(429, headers={"Retry-After": "3"}) if seen.id == 300 and len(sent[300]) == 1 else Reply()

    async def main() -> None:
        session = StubSession(answer, latency=0.02)
        client = client_of(session, rate=rate, max_connections=4)

        async def work(numbers: range) -> None:
            for number in numbers:
                await client.call(GET, path={"id": number})

        await asyncio.gather(*(work(range(start, 601, 4)) for start in range(1, 5)))
        assert client.limits.snapshot().refused == 1
        assert session.requests == 601

    run_virtual(main())
    refused, again = sent.pop(300)
    assert again >= refused + 0.02 + 3.0
    assert again < refused + 3.1
    # The three other workers went on at their pace.
    others = sorted(at for times in sent.values() for at in times if refused <= at <= refused + 1.5)
    assert len(others) >= (100 if rate else 200)
    assert all(later - earlier <= 0.05 for earlier, later in pairwise(others))


@pytest.mark.req_07
@pytest.mark.req_11
@pytest.mark.req_30
def test_a_stray_429_that_does_not_fit_the_deadline_fails_at_once() -> None:
    async def main() -> None:
        session = StubSession(
            lambda seen: Reply(429, headers={"Retry-After": "9"}) if seen.id == 999 else Reply(), latency=0.01
        )
        client = client_of(session)
        for number in range(1, 251):
            await client.call(GET, path={"id": number})
        began = asyncio.get_running_loop().time()
        with pytest.raises(RateLimitError) as caught:
            await client.with_options(deadline=5).call(GET, path={"id": 999})
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.01)
        assert caught.value.retry_after == pytest.approx(9.0)
        assert (caught.value.status, caught.value.outcome, caught.value.attempts) == (429, "rejected", 1)
        await client.call(GET, path={"id": 1})
        assert asyncio.get_running_loop().time() - began < 0.1

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.req_30
def test_a_call_that_a_stray_429_delays_can_be_cancelled_and_ends_with_the_client() -> None:
    async def main() -> None:
        session = StubSession(
            lambda seen: Reply(429, headers={"Retry-After": "9"}) if seen.id > 900 else Reply(), latency=0.01
        )
        client = client_of(session)
        for number in range(1, 251):
            await client.call(GET, path={"id": number})
        cancelled = asyncio.ensure_future(client.call(GET, path={"id": 999}))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        await asyncio.wait([cancelled], timeout=0.05)
        assert cancelled.cancelled()
        for number in range(1, 51):
            await client.call(GET, path={"id": number})
        closed = asyncio.ensure_future(client.call(GET, path={"id": 998}))
        await asyncio.sleep(0.1)
        assert not closed.done()
        await client.close()
        with pytest.raises(Exception, match=r"client|closed"):
            await closed
        assert client.limits.snapshot().in_flight == 0

    run_virtual(main())


@pytest.mark.req_07
@pytest.mark.req_30
def test_a_stray_that_comes_during_a_shorter_pause_keeps_its_own_retry_after() -> None:
    began: list[tuple[int, float]] = []

    def answer(seen: Seen) -> Reply:
        now = asyncio.get_running_loop().time()
        began.append((seen.id, now))
        times = sum(number == seen.id for number, _ in began)
        if times == 1 and seen.id == 9001:
            return Reply(503, {}, {"Retry-After": "1"}, before=0.05)
        if times == 1 and seen.id == 9002:
            return Reply(429, {}, {"Retry-After": "4"}, before=0.15)
        return Reply(200, {"id": seen.id})

    async def main() -> None:
        session: Any = StubSession(answer)
        async with WavixClient("key-of-strays", base_url="https://api.wavix.test", session=session) as client:
            plain = Operation("GET", "/v1/numbers/{id}", dict)
            await asyncio.gather(*(client.call(plain, path={"id": number}) for number in range(1, 600)))
            await asyncio.gather(*(client.call(plain, path={"id": number}) for number in (9001, 9002)))
        first, second = (at for number, at in began if number == 9002)
        assert second - first >= 4.15

    run_virtual(main())
