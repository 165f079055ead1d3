"""What belongs to an event loop ends with it.

`asyncio.run`, and whatever else ends a loop in order, finalizes the asynchronous generators of the loop: after it has
cancelled the tasks, and while the loop still runs. `LoopEnd` is such a generator. A loop that is closed without this
ends nothing; its owner has to notice that by itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias
from weakref import WeakMethod

__all__ = ["LoopEnd", "close_socket", "run_in_loop"]

_POLL: Final = 0.005

_running: Final[set[asyncio.Task[object]]] = set()

_Farewell: TypeAlias = WeakMethod[Callable[[], Awaitable[object]]]


class LoopEnd:
    """Awaits a method when the running event loop ends. It does not keep the object of the method alive.

    Args:
        farewell: The method, without arguments.
    """

    __slots__ = ("_farewell", "_generator")

    def __init__(self, farewell: Callable[[], Awaitable[object]]) -> None:
        self._generator: AsyncGenerator[None, None] | None = None
        self._farewell: list[_Farewell] = []
        if getattr(asyncio.get_running_loop(), "_asyncgens_shutdown_called", False):
            # The loop is about to end, and would only warn of one more generator.
            return
        self._farewell.append(WeakMethod(farewell))
        self._generator = _wait_for_end(self._farewell)
        with contextlib.suppress(StopIteration):
            self._generator.__anext__().__await__().send(None)

    def cancel(self) -> None:
        """Do nothing when the loop ends: what belongs to it has ended before. Any loop may do this."""
        self._farewell.clear()
        generator, self._generator = self._generator, None
        if generator is not None:
            # A RuntimeError means that the loop is ending at this moment.
            with contextlib.suppress(StopIteration, RuntimeError):
                generator.aclose().__await__().send(None)

    def __del__(self) -> None:
        self.cancel()


async def _wait_for_end(farewell: list[_Farewell]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        method = farewell[0]() if farewell else None
        if method is not None:
            await method()


async def run_in_loop(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, object]], seconds: float
) -> bool:
    """Run a coroutine function in the loop of another thread, and wait for it.

    Args:
        loop: The loop, which runs.
        work: The coroutine function.
        seconds: How long to wait.

    Returns:
        Whether it has ended; false if the loop was too busy, or ended first.
    """
    tasks: list[asyncio.Task[object]] = []

    def begin() -> None:
        task = loop.create_task(work())
        tasks.append(task)
        # A loop keeps no task alive, and the caller may stop to wait for this one.
        _running.add(task)
        task.add_done_callback(_running.discard)

    try:
        loop.call_soon_threadsafe(begin)
    except RuntimeError:
        return False
    here = asyncio.get_running_loop()
    until = here.time() + seconds
    while not (tasks and tasks[0].done()) and loop.is_running() and here.time() < until:  # noqa: ASYNC110
        await asyncio.sleep(_POLL)
    return bool(tasks) and tasks[0].done()


def close_socket(transport: Any, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Close the socket of a connection whose event loop does not run, and so cannot close the connection.

    Args:
        transport: The transport of the connection.
        loop: The loop, if it is open and belongs to this process: then it also stops to watch the socket.
    """
    while (tls := getattr(transport, "_ssl_protocol", None)) is not None:
        # A TLS transport needs the loop to close; the transport below it has the socket.
        transport._closed = True
        transport = tls._transport
    sock = getattr(transport, "_sock", None)
    if sock is None:
        return
    transport._closing = True
    for stop in (getattr(loop, "_remove_reader", None), getattr(loop, "_remove_writer", None)):
        if stop is not None:
            stop(sock.fileno())
    sock.close()
    transport._sock = None
