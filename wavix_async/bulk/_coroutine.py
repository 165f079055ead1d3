"""`TaskCoroutine`: a base class that makes an awaitable object usable with `asyncio.create_task` and `TaskGroup`.

Both accept only coroutines, while `await`, `gather` and `wait_for` accept any awaitable. Any number of tasks can await
one object of this class: each task has its own iterator.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["TaskCoroutine"]

T_co = TypeVar("T_co", covariant=True)


class TaskCoroutine(Coroutine[Any, Any, T_co]):
    """The coroutine protocol, built on `__await__`. The event loop calls its methods; your code should not."""

    def __init__(self) -> None:
        # asyncio names a task after them.
        self.__name__: str = type(self).__name__
        self.__qualname__: str = self.__name__
        self._steps: dict[asyncio.Task[Any] | None, Generator[Any, None, T_co]] = {}

    def __await__(self) -> Generator[Any, None, T_co]:
        raise NotImplementedError

    def send(self, value: Any, /) -> Any:
        """Run the current task's iterator until its next wait."""
        task = _current_task()
        try:
            return self._iterator(task).send(value)
        except BaseException:
            self._steps.pop(task, None)
            raise

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None, /) -> Any:  # noqa: ARG002
        """Raise an error at the point where the current task waits."""
        task = _current_task()
        try:
            return self._iterator(task).throw(kind if value is None else value)
        except BaseException:
            self._steps.pop(task, None)
            raise

    def close(self) -> None:
        """Close the current task's iterator."""
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
