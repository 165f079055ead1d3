"""`Turns`: one number never has two changes under way, and those of one number go in the order of the input."""

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """Who is busy with a number, and who waits for it."""

    def __init__(self) -> None:
        self._busy: dict[int, deque[asyncio.Future[None]] | None] = {}

    async def take(self, number_id: int) -> None:
        """Wait until nobody else is busy with a number."""
        if number_id not in self._busy:
            self._busy[number_id] = None
            return
        turn = asyncio.get_running_loop().create_future()
        waiting = self._busy[number_id]
        if waiting is None:
            waiting = self._busy[number_id] = deque()
        waiting.append(turn)
        await turn

    def leave(self, number_id: int) -> None:
        """Let the next one have a number."""
        waiting = self._busy[number_id]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._busy[number_id]
