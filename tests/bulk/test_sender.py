"""Sending a change: with the policy, the deadline, the stop signal and the semaphore of the client."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from tests.support.bulk import (
    FAST,
    ON,
    answering,
    client_of,
    counts,
    fast_client,
    finish,
    lost,
    run_from_1000,
)
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    RetryPolicy,
    StopSignal,
)


@pytest.mark.req_09
def test_the_run_follows_the_policy_of_the_client() -> None:
    """`none()` means no retries, and a policy with more attempts than the engine's default is kept."""
    session = StubSession(lambda _: lost(), latency=0.01)
    client = fast_client(session, retry=RetryPolicy.none())
    report = run_from_1000(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 51), ON))))
    assert counts(report) == (0, 0, 50, 0)
    assert session.writes.total() == 50

    session = StubSession(lambda _: lost(), latency=0.01)
    client = fast_client(session, retry=attrs.evolve(FAST, attempts=12))
    report = run_from_1000(finish(client.numbers.bulk_update({5: ON})))
    assert session.writes.total() == report.failures[0].attempts == 12


@pytest.mark.req_11
def test_the_deadline_is_each_items_own() -> None:
    """The deadline is not exceeded by more than 50 ms; in virtual time it is exact."""
    session = StubSession(lambda _: Reply(before=60))
    client = fast_client(session).with_options(deadline=3)
    report = run_from_1000(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 5), ON), concurrency=4)))
    assert counts(report) == (0, 0, 4, 0)
    # The reads of the reconciler have deadlines of their own.
    assert 6 <= report.elapsed <= 6.1
    assert all(result.error and result.error.elapsed <= 3.05 for result in report.failures)


@pytest.mark.req_10
def test_the_clients_own_signal_and_semaphore_hold_for_its_bulk_runs() -> None:
    async def main() -> None:
        session, stop = StubSession(latency=1), StopSignal()
        client = client_of(session).with_options(stop=stop, semaphore=asyncio.Semaphore(2))
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 51), ON), concurrency=8)
        asyncio.get_running_loop().call_later(2.5, stop.set)
        report = await run
        assert session.peak == 2
        assert (report.updated, report.not_sent) == (6, 44)

    run_virtual(main())


@pytest.mark.req_17
def test_statuses_that_must_not_be_repeated_are_not() -> None:
    session, client = answering(
        lambda seen: Reply() if seen.method == "GET" else Reply(500), retry=RetryPolicy(statuses=frozenset())
    )
    report = run_virtual(finish(client.numbers.bulk_update({7: ON})))
    assert report.failed == 1
    assert session.writes["/v1/numbers/7"] == 1
