"""What happens to a request outside the API itself: the rate limit, the latency, the faults, and the counters.

The server and the test may run in different threads. So any code that reads or changes a sandbox's state holds the
lock, but never across an `await`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from math import ceil
from threading import RLock
from typing import Any, Literal

from aiohttp import web
from attrs import define

from wavix_async.sandbox._server.errors import ApiError, api_error, invalid, too_many_requests
from wavix_async.sandbox._server.faults import Fault, FaultPlan
from wavix_async.sandbox._server.rate_limit import Limit, header_lines
from wavix_async.sandbox._server.request_log import KEPT_BODY, SandboxRequest, SandboxStats
from wavix_async.sandbox._server.response import ConnectionReset, Reply
from wavix_async.sandbox._server.router import Call, Router

_KEPT_REQUESTS = 10_000
_STALL_POLL = 0.02
_PROXY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@define
class _Exchange:
    """A request in progress; when it ends, only its record remains."""

    method: str
    path: str
    query: str
    at: float
    request_id: str
    body: bytes = b""
    fault: Fault | None = None
    status: int | None = None
    over: bool = False
    _record: SandboxRequest | None = None

    def end(self) -> None:
        self.body = self.body[:KEPT_BODY]
        self.over = True

    def record(self, origin: float) -> SandboxRequest:
        if self._record is not None:
            return self._record
        record = SandboxRequest(
            method=self.method,
            path=self.path,
            query=self.query,
            body=self.body[:KEPT_BODY],
            status=self.status,
            fault=None if self.fault is None else self.fault.kind,
            at=self.at - origin,
            request_id=self.request_id,
        )
        if self.over:
            self._record = record
        return record


class RequestHandler:
    """Handles every request, whatever its route.

    Args:
        router: Answers the requests that pass the rate limit and the faults.
        plan: Chooses the faults.
        stats: The counters to update.
        clock: Seconds.
        lock: The lock of the sandbox.
        limit: The rate limit, or None.
        latency: The least and the most seconds before a request is carried out.
        retry_after: Seconds for `Retry-After`, or None for no such header.
        rate_headers: The style of the rate limit headers in every response, or None for no headers.
        seed: Makes the latencies reproducible.
    """

    def __init__(
        self,
        router: Router,
        plan: FaultPlan,
        stats: SandboxStats,
        clock: Callable[[], float],
        lock: RLock,
        *,
        limit: Limit | None,
        latency: tuple[float, float],
        retry_after: float | None,
        rate_headers: Literal["x", "ietf"] | None,
        seed: int,
    ) -> None:
        self.exchanges: deque[_Exchange] = deque(maxlen=_KEPT_REQUESTS)
        self._router = router
        self._plan = plan
        self._stats = stats
        self._clock = clock
        self._lock = lock
        self._limit = limit
        self._latency = latency
        self._retry_after = retry_after
        self._rate_headers = rate_headers
        self._seed = seed
        self._tasks: set[asyncio.Task[Any]] = set()
        self.begin()

    def begin(self) -> None:
        """Restart the time of the records, the rate limit and the random generator."""
        self._origin = self._clock()
        self._dice = random.Random(self._seed)  # noqa: S311 - repeatable, not secret
        if self._limit is not None:
            self._limit.reset(self._origin)

    def requests(self) -> tuple[SandboxRequest, ...]:
        """Return the latest requests, in the order of arrival."""
        return tuple(exchange.record(self._origin) for exchange in self.exchanges)

    async def cancel(self) -> None:
        """Cancel the requests in flight, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request and count it; aiohttp calls this."""
        stats = self._stats
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        path, _, query = request.raw_path.partition("?")
        with self._lock:
            stats.requests += 1
            stats.in_flight += 1
            stats.max_in_flight = max(stats.max_in_flight, stats.in_flight)
            exchange = _Exchange(request.method, path, query, self._clock(), f"sandbox-{stats.requests:08x}")
            self.exchanges.append(exchange)
        reply = None
        try:
            reply = await self._handle(request, exchange)
            return reply
        finally:
            # aiohttp writes the response after this returns, so the counters are updated first.
            self._tasks.discard(task)
            with self._lock:
                stats.in_flight -= 1
                if reply is not None and not isinstance(reply, ConnectionReset):
                    exchange.status = reply.code
                    stats.by_status[reply.code] += 1
                    stats.answered += not reply.cut
                exchange.end()

    async def _handle(self, request: web.BaseRequest, exchange: _Exchange) -> Reply:
        """Apply the rate limit, the latency, the faults and the API, in this order."""
        lines = f"X-Request-Id: {exchange.request_id}\r\n"
        with self._lock:
            if limited := self._limit is not None and not self._limit.take(exchange.at):
                self._stats.refused += 1
                lines += self._retry_line(exchange.at)
            else:
                self._stats.accepted += 1
                exchange.fault = self._plan.draw(exchange.method, exchange.path)
            if self._limit is not None and self._rate_headers is not None:
                lines += header_lines(self._limit, exchange.at, self._rate_headers)
        if self._latency[1]:
            await asyncio.sleep(self._dice.uniform(*self._latency))
        if limited:
            return Reply.error(too_many_requests(), lines)
        try:
            call = self._router.find(request, exchange.path, exchange.query)
            if call.route is None or not call.route.upload:
                exchange.body = call.body = await request.read()
            reply = await self._play(call, exchange)
        except ConnectionError:
            return ConnectionReset()
        except web.HTTPRequestEntityTooLarge:
            reply = Reply.error(api_error(413))
        except web.RequestPayloadError:
            reply = Reply.error(invalid("body", "malformed transfer"))
        reply.lines += lines
        return reply

    def _retry_line(self, now: float) -> str:
        if self._retry_after is None:
            return ""
        needed = self._limit.wait(now) if self._limit is not None else 0.0
        return f"Retry-After: {ceil(max(self._retry_after, needed))}\r\n"

    async def _play(self, call: Call, exchange: _Exchange) -> Reply:
        """Carry out the request, or make its fault happen, or both in the order that the fault needs."""
        fault = exchange.fault
        if fault is None:
            return await self._answer(call)
        kind = fault.kind
        with self._lock:
            self._stats.faults[kind] += 1
            if kind.startswith("status_"):
                return self._failed(int(kind[7:]), fault)
        if kind == "reset_before":
            return ConnectionReset()
        if kind == "stall":
            # aiohttp has no event for a client that disconnects while its request is handled.
            while (transport := call.request.transport) is not None and not transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_STALL_POLL)
            return ConnectionReset()
        reply = await self._answer(call)
        if kind == "reset_after":
            return ConnectionReset()
        if kind == "slow":
            await asyncio.sleep(self._plan.faults.slow_seconds)
        elif kind == "half_body":
            reply.cut = True
        else:
            reply.payload = reply.payload[: len(reply.payload) // 2] + b"<garbage>"
        return reply

    async def _answer(self, call: Call) -> Reply:
        try:
            return await self._router.answer(call)
        except ApiError as error:
            return Reply.error(error)

    def _failed(self, status: int, fault: Fault) -> Reply:
        lines = ""
        if fault.retry_after is not None:
            lines = f"Retry-After: {ceil(fault.retry_after)}\r\n"
        elif status == 429:
            lines = self._retry_line(self._clock())
        if status == 502 and fault.message is None:
            return Reply(502, _PROXY_PAGE, "text/html", lines)
        error = api_error(status)
        if fault.message is not None:
            error.body["message"] = fault.message
        return Reply.error(error, lines)
