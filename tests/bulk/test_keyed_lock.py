"""A key never has two changes in flight, and the changes of a key are sent in input order."""

from __future__ import annotations

import random

import aiohttp
import attrs
import pytest

from tests.support.bulk import (
    FAST,
    ON,
    counts,
    fast_client,
    finish,
    lost,
    run_from_1000,
)
from tests.support.stub import Reply, Seen, StubSession
from wavix_async import (
    NumberUpdate,
)


@pytest.mark.req_20
@pytest.mark.parametrize("seed", range(4))
def test_one_number_never_has_two_writes_in_flight(seed: int) -> None:
    """The order holds even through faults, and the run ends in limited time."""
    dice = random.Random(seed)

    def answer(_: Seen) -> Reply:
        reply = dice.choice([Reply(), Reply(), Reply(503), lost(), Reply(error=aiohttp.ClientPayloadError())])
        reply.before = dice.uniform(0, 0.05)
        return reply

    session = StubSession(answer)
    client = fast_client(session, retry=attrs.evolve(FAST, attempts=40))
    given = [(dice.randint(1, 5), turn) for turn in range(200)]
    updates = ((number, NumberUpdate(transcription_threshold=turn)) for number, turn in given)
    report = run_from_1000(finish(client.numbers.bulk_update(updates, concurrency=12)))
    assert counts(report) == (200, 0, 0, 0)
    assert session.statuses[503] > 10
    assert session.overlaps == 0
    for number in range(1, 6):
        written = [body["transcription_threshold"] for body in session.bodies[f"/v1/numbers/{number}"]]
        wanted = [turn for of, turn in given if of == number]
        # A write whose answer was lost occurs twice in a row.
        assert [turn for turn, before in zip(written, [None, *written], strict=False) if turn != before] == wanted


@pytest.mark.req_20
def test_an_input_of_one_number_only_is_no_deadlock() -> None:
    """All workers but one wait for the key."""
    session = StubSession(lambda seen: Reply(503) if seen.at % 0.2 < 0.02 else Reply(), latency=0.01)
    client = fast_client(session, retry=attrs.evolve(FAST, attempts=20))
    report = run_from_1000(finish(client.numbers.bulk_update(((7, ON) for _ in range(100)), concurrency=4)))
    assert counts(report) == (100, 0, 0, 0)
    assert session.peak == 1
    assert session.statuses[503] > 0


@pytest.mark.req_17
@pytest.mark.req_20
def test_a_mapping_and_a_list_with_the_same_number_twice() -> None:
    """A list may also name a number twice; each item has its own outcome."""
    session = StubSession(latency=0.01)
    updates = [(3, NumberUpdate(transcription_threshold=1)), (3, NumberUpdate(transcription_threshold=2)), (4, ON)]
    report = run_from_1000(finish(fast_client(session).numbers.bulk_update(updates, concurrency=8)))
    assert counts(report) == (3, 0, 0, 0)
    assert session.overlaps == 0
    assert [body["transcription_threshold"] for body in session.bodies["/v1/numbers/3"]] == [1, 2]
