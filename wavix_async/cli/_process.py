"""What a command has of its process: streams that do not fail it, signals that stop it, and files for its user only.

This module needs no extra: `main` uses it before it imports anything else.
"""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, TextIO, cast

__all__ = ["OutputError", "own_process", "stop_signals"]


class OutputError(OSError):
    """Stdout cannot be written: the disk is full, or the terminal is gone."""


class _Stream:
    """A stream that fails once at most: what is written later goes nowhere.

    Args:
        stream: The stream of Python.
        is_data: Whether its text is what the command is for: the failure raises `OutputError`, or `BrokenPipeError`.
            Otherwise the failure is ignored.
    """

    def __init__(self, stream: TextIO, *, is_data: bool) -> None:
        self._stream = stream
        self._is_data = is_data
        self._failed = False

    def write(self, data: str | bytes) -> int:
        """Write a text, or bytes."""
        self._try(self._stream.buffer.write if isinstance(data, bytes) else self._stream.write, data)
        return len(data)

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self._stream.flush)

    @property
    def buffer(self) -> "_Stream":
        """The stream for bytes."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, call: Callable[..., object], *arguments: object) -> None:
        if self._failed:
            return
        try:
            call(*arguments)
        except OSError as error:
            self._failed = True
            # Python flushes the stream at exit, and would report the error again.
            with suppress(OSError, ValueError), open(os.devnull, "wb") as empty:
                os.dup2(empty.fileno(), self._stream.fileno())
            if self._is_data and isinstance(error, BrokenPipeError):
                raise
            if self._is_data:
                raise OutputError(error.errno, error.strerror) from error


@contextmanager
def own_process() -> Iterator[None]:
    """Prepare the process for a command, and put it back after the block.

    - The streams take every text, and exist even if the shell has closed them (`>&-`).
    - SIGTERM and SIGHUP do what Ctrl-C does: as process 1 of a container, a process without a handler ignores them.
    - Only the user can read the files that the block creates: they have phone numbers and settings of the account.
    """
    _fill_descriptors()
    streams = sys.stdin, sys.stdout, sys.stderr
    mask = os.umask(0o077)
    with ExitStack() as stack:
        # An in-process caller gets back what was there.
        stack.callback(os.umask, mask)
        sys.stdin, stdout, stderr = (_lenient(each, stack) for each in streams)
        sys.stdout = cast("TextIO", _Stream(stdout, is_data=True))
        sys.stderr = cast("TextIO", _Stream(stderr, is_data=False))
        try:
            with _as_ctrl_c():
                yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = streams


def _fill_descriptors() -> None:
    """Open what the shell has closed: otherwise the next file would get the number, and the messages of a stream."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest number that is free.
            os.open(os.devnull, os.O_RDWR)


def _lenient(stream: TextIO | None, stack: ExitStack) -> TextIO:
    """Return a stream that takes every text; for one that the shell has closed, one that is empty."""
    if stream is None:
        return stack.enter_context(open(os.devnull, "r+", encoding="utf-8"))
    # An encoding such as ASCII lacks most characters, and none has half characters.
    if isinstance(stream, io.TextIOWrapper) and stream.errors in {"strict", "surrogateescape"}:
        stream.reconfigure(errors="backslashreplace")
    return stream


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a command as Ctrl-C does. One that is ignored is not: `nohup` ignores SIGHUP."""
    found = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in found if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def _as_ctrl_c() -> Iterator[None]:
    handlers: dict[signal.Signals, Any] = dict.fromkeys(stop_signals(), _on_signal)
    mask: set[Any] | None = None
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and hasattr(signal, "pthread_sigmask"):
        # A background job of a shell ignores Ctrl-C. A blocked signal is ignored, too, and asyncio can use its handler.
        handlers[signal.SIGINT] = signal.default_int_handler
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    before = {number: signal.getsignal(number) for number in handlers}
    _set_handlers(handlers)
    try:
        yield
    finally:
        _set_handlers(before)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _set_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    # Outside the main thread, handlers cannot be set.
    with suppress(ValueError):
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _on_signal(number: int, frame: FrameType | None) -> None:
    # While asyncio runs, its handler of Ctrl-C cancels the task.
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)
