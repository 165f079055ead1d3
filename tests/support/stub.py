"""A stub of an aiohttp session without sockets, so tests of waits run in virtual time (`tests/support/virtual.py`).

It has only what `WavixClient(session=...)` uses of a session. Tests compare reports with what it saw.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from tests.support import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from yarl import URL

NUMBER: dict[str, Any] = examples.number(
    id=1,
    number="12565378257",
    destination=[],
    documents=[],
    require_docs=[],
    label=None,
    sms_relay_url=None,
    transcription_enabled=False,
    transcription_threshold=6,
)


@dataclass(frozen=True)
class Seen:
    """One request as the stub saw it."""

    at: float
    """Seconds since the first request."""
    method: str
    path: str
    body: Any

    @property
    def id(self) -> int:
        return int(self.path.rpartition("/")[2])


@dataclass
class Reply:
    """What to answer; `before` and `after` are seconds of loop time around the change being carried out."""

    status: int = 200
    body: Any = None
    """None under a 200: the answer that an honest API gives to this request. Bytes are sent as they are."""
    headers: dict[str, str] = field(default_factory=dict)
    before: float = 0.0
    after: float = 0.0
    error: Exception | None = None
    """Raised in place of an answer, after `before` and `after`."""
    applied: bool | None = None
    """Whether the change is carried out; default: with a 2xx or an error in place of an answer."""


class _Answer:
    """An answer; its connection is back when it has been read, released or closed."""

    def __init__(self, reply: Reply, leave: Callable[[], None]) -> None:
        body = reply.body
        self._data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self._leave: Callable[[], None] | None = leave
        self.status = reply.status
        self.headers = CIMultiDict({"Content-Type": "application/json", **reply.headers})
        self.content_length = len(self._data)

    async def read(self) -> bytes:
        self.close()
        return self._data

    def close(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None

    release = close


class _Exchange:
    """What `session.request` gives: to be awaited, or entered."""

    def __init__(self, session: StubSession, seen: Seen) -> None:
        self._session = session
        self._seen = seen

    def __await__(self) -> Generator[Any, None, _Answer]:
        return self._session._meet(self._seen).__await__()

    async def __aenter__(self) -> _Answer:
        self._answer = await self
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        self._answer.release()


class StubSession:
    """Answers every request as `answer` says, `latency` seconds later.

    The default is a 200 about the id asked for, which shows the values sent, and those of the changes before.
    """

    def __init__(self, answer: Callable[[Seen], Reply] | None = None, *, latency: float = 0.0) -> None:
        self._answer = answer or (lambda _: Reply())
        self._latency = latency
        self._retry_connection = True
        self.connector = None
        self.requests = 0
        self.statuses: Counter[int] = Counter()
        self.seen: Counter[str] = Counter()
        """Requests by path."""
        self.writes: Counter[str] = Counter()
        """The same without GETs."""
        self.applied: Counter[str] = Counter()
        """Changes carried out by path."""
        self.bodies: dict[str, list[Any]] = {}
        self._values: dict[int, dict[str, Any]] = {}
        """What the changes carried out have left, by number."""
        self.in_flight = 0
        self.peak = 0
        self.overlaps = 0
        """Requests that came while another of the same path was in flight."""
        self.times: deque[float] = deque(maxlen=10_000)
        """When the last requests came, in seconds since the first."""
        self._by_path: Counter[str] = Counter()
        self._began: float | None = None

    def answer(self, answer: Callable[[Seen], Reply]) -> None:
        """From now on, answer like this."""
        self._answer = answer

    def forget(self) -> None:
        """Forget each request and change, for tests that measure what the client keeps."""
        for kept in (self.seen, self.writes, self.applied, self.bodies, self.times, self._values):
            kept.clear()

    def request(self, method: str, url: URL, *, data: bytes | None = None, **_: Any) -> _Exchange:
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        return _Exchange(self, Seen(now - self._began, method, url.path, json.loads(data) if data else None))

    async def _meet(self, seen: Seen) -> _Answer:
        reply = self._answer(seen)
        self.requests += 1
        self.seen[seen.path] += 1
        self.writes[seen.path] += seen.method != "GET"
        self.times.append(seen.at)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.overlaps += self._by_path[seen.path] > 0
        self._by_path[seen.path] += 1
        try:
            if self._latency + reply.before:
                await asyncio.sleep(self._latency + reply.before)
            carried_out = reply.applied if reply.applied is not None else reply.error or reply.status < 300
            if carried_out and seen.method != "GET":
                self.applied[seen.path] += 1
                self.bodies.setdefault(seen.path, []).append(seen.body)
                self._change(seen)
            if reply.after:
                await asyncio.sleep(reply.after)
            if reply.error is not None:
                raise reply.error
        except BaseException:
            self._leave(seen)
            raise
        self.statuses[reply.status] += 1
        return _Answer(self._filled(reply, seen), lambda: self._leave(seen))

    def _filled(self, reply: Reply, seen: Seen) -> Reply:
        """Return the reply with a body: its own, or the one that an honest API gives."""
        return replace(reply, body=self._honest(seen)) if reply.status == 200 and reply.body is None else reply

    def _honest(self, seen: Seen) -> dict[str, Any]:
        if seen.method == "DELETE":
            return {"success": True}
        number = int(seen.path.rpartition("/")[2]) if seen.path[-1].isdigit() else NUMBER["id"]
        if seen.method == "GET":
            return self._number(number)
        body = seen.body if isinstance(seen.body, dict) else {}
        if "ids" in body:
            return {"items": [self._number(each, body) for each in body["ids"]]}
        return self._number(number, body) | ({"success": True} if seen.method == "POST" else {})

    def _number(self, number: int, sent: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a number as the changes carried out have left it, with the values sent."""
        return {**NUMBER, "sms_enabled": False, "id": number, **self._values.get(number, {}), **shown(sent or {})}

    def _change(self, seen: Seen) -> None:
        if seen.method in ("PATCH", "PUT") and isinstance(seen.body, dict):
            for number in seen.body.get("ids") or [seen.id]:
                self._values[number] = {**self._values.get(number, {}), **shown(seen.body)}

    def _leave(self, seen: Seen) -> None:
        self.in_flight -= 1
        self._by_path[seen.path] -= 1
        if not self._by_path[seen.path]:
            del self._by_path[seen.path]


def shown(body: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a request as an answer shows them."""
    values = {name: value for name, value in body.items() if name not in ("ids", "destinations")}
    if "destinations" in body:
        values["destination"] = [{"id": place, **each} for place, each in enumerate(body["destinations"], 1)]
    return values
