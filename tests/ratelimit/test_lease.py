"""Leased slots without an event loop: the offset of two clocks, what a lease holds and requests, its pacer."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavix_async._ratelimit import (
    ALIVE,
    FRESH,
    PROBE,
    ClockOffset,
    Lease,
    LeasedPacer,
    LeaseGrant,
    LeaseRequest,
    RateHint,
)


def grant(at: float, first: float, slots: int, **more: Any) -> LeaseGrant:
    return LeaseGrant(at, first, slots, **{"pause": 0.0, "processes": 1, "active": 1, **more})


def leased(lease: Lease, at: float, waiting: int, due: float, **more: Any) -> None:
    """Ask and hear in the same instant; the two clocks are the same."""
    request = lease.make_request(at, waiting, -math.inf)
    lease.update(request, at, grant(at, due, request.slots, **more))


@given(
    st.floats(-1e6, 1e9),
    st.lists(st.tuples(st.floats(1e-4, 0.5), st.floats(0.0, 1.0), st.floats(0.0, 5.0)), min_size=1, max_size=30),
)
def test_the_stores_clock_is_known_to_half_the_shortest_round_trip(
    offset: float, trips: list[tuple[float, float, float]]
) -> None:
    clock, time = ClockOffset(), 100.0
    for length, part, gap in trips:
        clock.update(time, time + length, time + part * length + offset)
        time += length + gap
    shortest = min(length for length, _, _ in trips)
    assert abs(clock.to_local(time + offset) - time) <= shortest / 2 + 2e-4 * (time - 100.0) + 1e-5


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_is_believed_at_once(step: float) -> None:
    clock = ClockOffset()
    clock.update(0.0, 0.01, 1000.0)
    clock.update(1.0, 1.01, 1001.0 + step)
    assert clock.to_local(1002.0 + step) == pytest.approx(2.0, abs=0.01)


def test_as_many_slots_as_callers_wait_and_no_more_than_ones_part_for_a_while() -> None:
    lease = Lease(100.0)
    assert lease.make_request(0.0, 3, -math.inf).slots == 3
    assert lease.make_request(0.0, 500, -math.inf).slots == 20
    leased(lease, 0.0, 1, 0.0, active=4)
    assert lease.make_request(0.0, 500, -math.inf).slots == 5
    assert lease.make_request(0.0, 2, -math.inf).slots == 1, "one is in hand"
    slow = Lease(0.5)
    assert slow.make_request(0.0, 9, -math.inf).slots == 1


def test_a_late_slot_is_lost_and_not_sent_later() -> None:
    lease = Lease(100.0)
    leased(lease, 0.0, 5, 0.0)
    assert lease.usable(0.019, -math.inf)
    assert len(lease) == 5
    assert lease.usable(0.035, -math.inf)
    assert len(lease) == 3, "those due at 0.02, 0.03, 0.04"
    assert not lease.usable(0.1, -math.inf)


@pytest.mark.req_06
def test_a_pause_voids_the_slots_in_it() -> None:
    lease = Lease(100.0)
    leased(lease, 0.0, 10, 0.0)
    assert lease.usable(0.0, 0.055)
    assert lease.next_due() == pytest.approx(0.06)


def test_only_the_slot_of_the_permit_is_put_back() -> None:
    pacer = LeasedPacer(100.0)
    leased(pacer.lease, 0.0, 4, 0.0)
    permits = [pacer.send(time) for time in (0.0, 0.011, 0.022)]
    pacer.refund(permits[1])
    assert pacer.lease.next_due() == pytest.approx(0.01)
    pacer.refund(permits[0])
    assert not pacer.lease.usable(0.06, -math.inf), "an old slot does no good when it is given back late"
    pacer.refund(0.5)  # an older permit, of which the lease knows nothing
    assert len(pacer.lease) == 0


def test_when_the_store_is_asked() -> None:
    lease, never = Lease(100.0), -math.inf
    assert lease.request_at(0.0, 0, never) == math.inf, "no caller needs anything"
    assert lease.request_at(0.0, 1, never) == 0.0
    leased(lease, 0.0, 10, 0.0)
    assert lease.request_at(0.0, 10, never) == math.inf, "one slot for each"
    assert lease.request_at(0.0, 11, never) == pytest.approx(0.04), "shortly before the last is due"
    assert lease.request_at(0.0, 0, 2.0) == 0.0, "a pause is news that cannot wait"
    lease.update(lease.make_request(0.0, 0, 2.0), 0.0, grant(0.0, 0.0, 0, pause=2.0))
    assert lease.request_at(0.0, 0, 2.0) == math.inf
    assert lease.request_at(0.0, 5, 2.0) == pytest.approx(1.95)
    assert lease.make_request(0.0, 5, 2.0).slots == 0
    assert lease.make_request(1.95, 5, 2.0).slots == 5


@pytest.mark.req_06
def test_a_slot_that_is_far_away_is_confirmed_before_it_is_used() -> None:
    pacer = LeasedPacer(0.5)
    leased(pacer.lease, 0.0, 1, 3.0)
    assert pacer.next_time(0.0) == math.inf
    assert pacer.earliest(0.0) == 3.0
    at = pacer.lease.request_at(0.0, 1, -math.inf)
    assert 3.0 - FRESH < at < 3.0
    leased(pacer.lease, at, 1, 0.0)
    assert pacer.next_time(at) == 3.0
    assert len(pacer.lease) == 1


def test_a_far_store_is_asked_earlier_and_for_slots_that_come_in_time() -> None:
    lease = Lease(100.0)
    request = lease.make_request(0.0, 10, -math.inf)
    lease.update(request, 0.08, grant(0.04, 0.1, 10))
    assert lease.request_at(0.08, 20, -math.inf) == pytest.approx(0.19 - 0.16)
    assert lease.make_request(0.08, 20, -math.inf).ahead == pytest.approx(0.05)


def test_a_process_missing_for_a_moment_still_counts() -> None:
    lease = Lease(100.0, processes=3)
    assert lease.share == pytest.approx(100 / 3)
    leased(lease, 0.0, 1, 0.0, processes=4)
    leased(lease, 5.0, 1, 0.0, processes=1)
    assert lease.share == 25.0
    leased(lease, 5.0 + ALIVE, 1, 0.0, processes=2)
    assert lease.share == 50.0


def test_without_the_store_a_part_of_the_rate_from_the_next_slot_on() -> None:
    pacer = LeasedPacer(100.0)
    leased(pacer.lease, 0.0, 2, 0.0, processes=4)
    pacer.send(0.0)
    pacer.go_local(0.001)
    times = []
    for _ in range(3):
        times.append(pacer.next_time(0.001))
        pacer.send(times[-1])
    assert times == pytest.approx([0.01, 0.05, 0.1]), "and no more than three in a tenth of a second"
    assert pacer.pace() == 25.0
    assert pacer.lease.request_at(0.1, 1, -math.inf) == pytest.approx(0.001 + PROBE)
    leased(pacer.lease, 0.6, 1, 0.0, processes=4)
    pacer.update(pacer.lease.make_request(0.6, 5, -math.inf), 0.6, grant(0.6, 0.6, 4))
    assert pacer.pace() == 100.0


def test_the_slots_pace_and_nothing_besides() -> None:
    pacer = LeasedPacer(100.0)
    leased(pacer.lease, 0.0, 3, 0.0)
    pacer.send(0.008)
    assert pacer.next_time(0.008) == pytest.approx(0.01), "one late request does not delay all later ones"
    pacer.go_local(0.009)
    pacer.send(pacer.next_time(0.009))
    pacer.go_local(0.4)
    pacer.lease.processes = 50
    pacer.go_local(0.41)
    pacer.send(0.5)
    assert pacer.next_time(0.5) == pytest.approx(1.0)
    pacer.update(LeaseRequest(0.6, 1, 0.0, 0.0, True), 0.6, grant(0.6, 0.62, 1))
    assert pacer.next_time(0.6) == pytest.approx(0.62), "nor by the pace of before"


def test_what_headers_say_is_left_counts_besides_the_lease() -> None:
    pacer = LeasedPacer(100.0)
    leased(pacer.lease, 0.0, 20, 0.0)
    pacer.quota.update(0.0, RateHint(remaining=2, reset=1.0), 0)
    left, time = [], 0.0
    while (time := max(pacer.next_time(time), time)) < 0.3:
        left.append(pacer.send(time))
        time += 0.001
    assert len(left) <= 2
