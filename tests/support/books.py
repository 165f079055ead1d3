"""A stub API that records each call, so that a test can compare how the call ended with what happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.stub import Reply, Seen, StubSession, _Answer
from wavix_async import Number, Operation, Success, WavixError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

GET = Operation("GET", "/v1/numbers/{id}", Number)
PATCH = Operation("PATCH", "/v1/numbers/{id}", Number, idempotent=True)
SEND = Operation("POST", "/v1/messages/{id}", Success)


def refused() -> aiohttp.ClientConnectorError:
    """Return a new one: an exception that is raised keeps its frames."""
    return aiohttp.ClientConnectorError(None, OSError(111, "Connection refused"))  # type: ignore[arg-type]


@dataclass
class Page:
    """What became of the requests of one call."""

    arrived: int = 0
    refused: int = 0
    applied: int = 0


class Books(StubSession):
    """Answers as `answer` says, `latency` seconds later; each call has an id of its own, and so a page."""

    def __init__(self, answer: Callable[[Seen], Reply] | None = None, *, latency: float = 0.0) -> None:
        super().__init__(answer, latency=latency)
        self.pages: dict[int, Page] = {}
        self.closed = False
        self._on_the_wire: set[asyncio.Task[Any]] = set()

    async def _meet(self, seen: Seen) -> _Answer:
        if self.closed:
            raise RuntimeError("Session is closed")
        reply = self._answer(seen)
        self.requests += 1
        if isinstance(reply.error, aiohttp.ClientConnectorError):
            raise reply.error
        page = self.pages.setdefault(seen.id if seen.path[-1].isdigit() else 0, Page())
        page.arrived += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        wire = asyncio.ensure_future(asyncio.sleep(self._latency + reply.before))
        self._on_the_wire.add(wire)
        try:
            try:
                await wire
            except asyncio.CancelledError:
                if self.closed and not _is_cancelled():
                    raise aiohttp.ClientConnectionError("Connection closed") from None
                raise
            page.applied += seen.method != "GET" and bool(
                reply.applied if reply.applied is not None else reply.error or reply.status < 300
            )
            page.refused += reply.status == 429
            if reply.error is not None:
                raise reply.error
        finally:
            self.in_flight -= 1
            self._on_the_wire.discard(wire)
        return _Answer(self._filled(reply, seen), lambda: None)

    async def close(self) -> None:
        """End what is on the wire, as closing the connections does."""
        self.closed = True
        for wire in list(self._on_the_wire):
            wire.cancel()

    def detach(self) -> None:
        """Let go of the connections; here there are none."""

    def hold(self, number: int, method: str, end: object) -> str:
        """Check the end of a call against its page, which is then torn out; return what sort of end it was."""
        page = self.pages.pop(number, Page())
        if isinstance(end, asyncio.CancelledError):
            return "cancelled"
        if isinstance(end, WavixError):
            assert end.attempts == page.arrived, (end, page)
            if end.outcome == "not_sent":
                # A refusal with "not now" has not begun to be carried out, and is waited out.
                assert page.arrived == page.refused, (end, page)
            elif end.outcome == "rejected":
                assert not page.applied, (end, page)
            else:
                assert page.arrived, (end, page)
            if method == "POST":
                assert page.applied <= 1, (end, page)
            return f"{type(end).__name__} {end.outcome}"
        if isinstance(end, BaseException):
            raise AssertionError("no WavixError") from end
        assert page.arrived
        if method == "POST":
            assert page.applied == 1
        elif method != "GET":
            assert page.applied >= 1
        return "done"


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def own(monkeypatch: pytest.MonkeyPatch, books: Books) -> None:
    """Have clients made without a session take the books for the one that they open themselves."""

    def new_session(_: object, *, force_close: bool) -> Books:
        books._retry_connection = False
        return books

    monkeypatch.setattr("wavix_async._http.transport.Transport._new_session", new_session)


def start(*calls: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(call) for call in calls]


def timers() -> list[asyncio.TimerHandle]:
    """Return the timers of the running loop that will still fire."""
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [timer for timer in scheduled if not timer.cancelled()]
