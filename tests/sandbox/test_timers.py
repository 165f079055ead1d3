"""Timers of the sandbox's clock: their order, and the time that an action sees."""

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
