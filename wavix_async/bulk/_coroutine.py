"""`TaskCoroutine`: what lets an object with `__await__` be handed to `asyncio.create_task` and `TaskGroup`.

Both take coroutines only, while `await`, `gather` and `wait_for` take anything that can be awaited. An object of this
base may be handed to any number of tasks: each task steps an iterator of its own.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["TaskCoroutine"]

T_co = TypeVar("T_co", covariant=True)


class TaskCoroutine(Coroutine[Any, Any, T_co]):
    """The coroutine protocol, on top of `__await__`; it is for the event loop, so do not call it yourself."""

    def __init__(self) -> None:
        # asyncio names a task after them.
        self.__name__ = self.__qualname__ = type(self).__name__
        self._steps: dict[asyncio.Task[Any] | None, Generator[Any, None, T_co]] = {}

    def __await__(self) -> Generator[Any, None, T_co]:
        raise NotImplementedError

    def send(self, value: Any, /) -> Any:
        """Go on to the next wait of the running task."""
        task = _current_task()
        try:
            return self._iterator(task).send(value)
        except BaseException:
            self._steps.pop(task, None)
            raise

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None, /) -> Any:  # noqa: ARG002
        """Raise an error where the running task waits."""
        task = _current_task()
        try:
            return self._iterator(task).throw(kind if value is None else value)
        except BaseException:
            self._steps.pop(task, None)
            raise

    def close(self) -> None:
        """End what the running task has begun."""
        steps = self._steps.pop(_current_task(), None)
        if steps is not None:
            steps.close()

    def _iterator(self, task: "asyncio.Task[Any] | None") -> Generator[Any, None, T_co]:
        steps = self._steps.get(task)
        if steps is None:
            steps = self._steps[task] = self.__await__()
        return steps


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
