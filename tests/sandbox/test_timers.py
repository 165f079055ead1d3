"""Timers of the sandbox's clock: their order, and the time that an action sees."""

import math

import pytest

from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox
from wavix_async.sandbox._server import Timers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_actions_run_in_order_of_time_and_see_the_time_at_which_they_were_due() -> None:
    clock, seen = Clock(), list[tuple[str, float | None]]()
    timers = Timers(clock)

    def ring() -> None:
        seen.append(("ring", timers.running_at))
        timers.after(3, lambda: seen.append(("answer", timers.running_at)))

    timers.after(5, lambda: seen.append(("late", timers.running_at)))
    timers.after(1, ring)
    timers.run_due()
    assert seen == []

    clock.now += 4.5
    timers.run_due()
    assert seen == [("ring", 101.0), ("answer", 104.0)]
    assert timers.next_due == 105.0

    clock.now += 10
    timers.run_due()
    assert seen[2:] == [("late", 105.0)]
    assert timers.next_due is None


def test_an_earlier_action_reports_a_change() -> None:
    clock, reported = Clock(), list[float | None]()
    timers = Timers(clock)
    timers.on_change = lambda: reported.append(timers.next_due)
    timers.after(5, ring := list[int]().clear)
    timers.after(9, ring)
    timers.after(2, ring)
    assert reported == [105.0, 102.0]


def test_actions_due_at_once_run_in_the_order_in_which_they_were_added() -> None:
    timers, seen = Timers(Clock()), list[int]()
    for number in range(3):
        timers.after(0, lambda number=number: seen.append(number))  # type: ignore[misc]
    timers.run_due()
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 1e12])
async def test_a_time_that_the_clock_cannot_show_is_refused_and_the_clock_goes_on(seconds: float) -> None:
    async with Sandbox() as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as client:
        sandbox.advance(1e9)
        with pytest.raises(ValueError, match="seconds must be"):
            sandbox.advance(seconds)
        assert (await client.messages.send(from_="Acme", to="+15125550143", text="Hello")).message_id
