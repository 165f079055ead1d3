"""`LoopEnd`: what belongs to an event loop ends with it, and what has ended before does not end again."""

from __future__ import annotations

import asyncio

import pytest

from wavix_async._aio import LoopEnd


class Owner:
    """Counts how often it was told that its loop ends."""

    def __init__(self) -> None:
        self.farewells = 0

    async def leave(self) -> None:
        self.farewells += 1
        await asyncio.sleep(0)


def test_the_end_of_a_loop_awaits_the_farewell() -> None:
    owner = Owner()

    async def main() -> LoopEnd:
        return LoopEnd(owner.leave)

    end = asyncio.run(main())
    assert owner.farewells == 1
    end.cancel()
    assert owner.farewells == 1


@pytest.mark.parametrize("from_another_loop", [False, True])
def test_a_cancelled_farewell_never_begins(from_another_loop: bool) -> None:
    owner = Owner()
    other = asyncio.new_event_loop()

    async def make() -> LoopEnd:
        return LoopEnd(owner.leave)

    async def cancel(end: LoopEnd) -> None:
        end.cancel()
        end.cancel()

    end = other.run_until_complete(make())
    if from_another_loop:
        asyncio.run(cancel(end))
    else:
        other.run_until_complete(cancel(end))
    other.run_until_complete(other.shutdown_asyncgens())
    other.close()
    assert owner.farewells == 0
