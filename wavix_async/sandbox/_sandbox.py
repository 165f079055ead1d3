"""The sandbox: arguments, lifetime, and what a test may look at."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from threading import RLock
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from wavix_async.sandbox._groups import Context, Groups
from wavix_async.sandbox._groups.numbers import FOREIGN_CITIES, HOME_CITIES
from wavix_async.sandbox._server import (
    FaultPlan,
    Faults,
    LoopThread,
    Match,
    RequestHandler,
    Router,
    SandboxRequest,
    SandboxStats,
    check_arguments,
    matches,
    rate_limit,
)

_HOST = "127.0.0.1"
_DEFAULT_KEY = "sandbox-key"
_MAX_BODY = 16 * 1024 * 1024
_SHUTDOWN = 0.01


class _Server(web.Server):
    """aiohttp's low-level server, counting connections and allowing uploads."""

    def __init__(self, handler: RequestHandler, stats: SandboxStats) -> None:
        super().__init__(handler.handle, request_factory=self._request, access_log=None)
        self._stats = stats

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=_MAX_BODY)

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        self._stats.connections += 1
        super().connection_made(handler, transport)


def _sockets_of(site: Any) -> list[Any]:
    server = getattr(site, "_server", None)
    return list(getattr(server, "sockets", ()))


class Sandbox:
    """A local Wavix on a loopback port, with its state in memory.

    Use it with `async with`, or call `start()` and `stop()`: it runs in the caller's event loop. With `with` it runs in
    a thread of its own, for synchronous code and for tests whose event loop may be blocked; then `await stop()` and
    `await start()` play an outage, from any event loop. Everything else may be used from any thread, always.

    A request is met by the rate limit, then by the latency, then by a fault or by the API; a request that is refused by
    the rate limit suffers no fault.

    Args:
        numbers: How many phone numbers the account owns; their ids begin at 1001. They are computed when somebody looks
            at them, so that a million costs nothing until it is changed. All start with SMS off.
        rate: Requests per second that are let in, or None for no limit.
        burst: How many requests may come at once: the size of the token bucket. Default: a tenth of `rate`, at least 1.
        faults: What goes wrong: `Faults(...)`, a share from 0 to 1 that is spread over the kinds that answer at once
            (see `Faults.mix`), or None.
        latency: Seconds before a request is carried out, or the two ends of a range.
        seed: Makes data, faults and latencies repeatable. Document URLs also depend on the port.
        window: Seconds of a fixed window; makes the limit `rate * window` requests per window instead of a bucket.
        retry_after: Seconds told in `Retry-After` when a request is refused, rounded up, and never less than the limit
            needs. None leaves the header out.
        rate_headers: Adds the state of the limit to every answer: `"x"` as X-RateLimit-Limit, -Remaining and -Reset
            (seconds from now), `"ietf"` as RateLimit and RateLimit-Policy. None adds nothing.
        api_key: The key that is asked for. Default: a fixed one, readable as `api_key`.
        scopes: What the key may do, by group: `{"numbers": "read"}`; a group left out is `"none"`. None: everything.
        apply_delay: Seconds until new destinations and SMS callbacks can be seen; the live API applies them late, too.
        batch_limit: The most ids in one batch update (more: 422), or None for no limit.
        foreign: Share of numbers outside the US and Canada, which have no SMS. Default 0.
        delivery_delay: Seconds until a message is delivered: it is pending and sent at thirds of them. The answer to a
            send always says accepted. A recipient that ends in 0007 ends undelivered, in 0008 rejected, in 0009
            dlr_expired.
        port: The port to listen on; 0 takes a free one.

    Raises:
        ValueError: An argument is out of range; the message names it and the remedy.
    """

    def __init__(
        self,
        numbers: int = 1000,
        rate: float | None = None,
        burst: int | None = None,
        faults: Faults | float | None = None,
        latency: float | tuple[float, float] = 0.0,
        seed: int = 0,
        *,
        window: float | None = None,
        retry_after: float | None = 1.0,
        rate_headers: Literal["x", "ietf"] | None = None,
        api_key: str | None = None,
        scopes: Mapping[str, Literal["none", "read", "write"]] | None = None,
        apply_delay: float = 0.0,
        batch_limit: int | None = None,
        foreign: float = 0.0,
        delivery_delay: float = 0.0,
        port: int = 0,
    ) -> None:
        check_arguments(
            latency=latency,
            retry_after=retry_after,
            rate_headers=rate_headers,
            api_key=api_key,
            scopes=scopes,
            apply_delay=apply_delay,
            batch_limit=batch_limit,
            delivery_delay=delivery_delay,
            port=port,
        )
        if not isinstance(faults, Faults):
            faults = Faults.mix(faults or 0.0)
        self.api_key: str = api_key or _DEFAULT_KEY
        self.stats: SandboxStats = SandboxStats()
        self._port = port
        self._ahead = 0.0
        self._lock = RLock()
        self._home: LoopThread | None = None
        self._plan = FaultPlan(faults, seed)
        self._groups = Groups(
            Context(
                lock=self._lock,
                clock=self._now,
                date=self._date,
                stats=self.stats,
                seed=seed,
                numbers=numbers,
                foreign=foreign,
                apply_delay=apply_delay,
                batch_limit=batch_limit,
                delivery_delay=delivery_delay,
            )
        )
        self._handler = RequestHandler(
            Router(
                self._groups.routes,
                api_key=self.api_key,
                scopes=scopes,
                charges=self.stats.charges,
                lock=self._lock,
            ),
            self._plan,
            self.stats,
            self._now,
            self._lock,
            limit=rate_limit(rate, burst, window),
            latency=latency if isinstance(latency, tuple) else (latency, latency),
            retry_after=retry_after,
            rate_headers=rate_headers,
            seed=seed,
        )
        self._runner: web.ServerRunner | None = None
        self._last_port = 0
        self._url = ""

    @property
    def url(self) -> str:
        """The base URL, such as `http://127.0.0.1:43121`.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        if self._runner is None:
            raise RuntimeError("The sandbox is not running: use `async with Sandbox(...)` or await start() first")
        return self._url

    @property
    def numbers(self) -> Mapping[int, dict[str, Any]]:
        """The state by number id, in wire form, as a GET would show it; every read is a fresh copy."""
        return self._groups.numbers.view

    @property
    def messages(self) -> Mapping[str, dict[str, Any]]:
        """The messages by message id, oldest first, in wire form; every read is a fresh copy."""
        return self._groups.messages.messages.view

    @property
    def sender_ids(self) -> Mapping[str, dict[str, Any]]:
        """The sender ids by record id, in wire form; every read is a fresh copy."""
        return self._groups.messages.sender_ids.view

    @property
    def opt_outs(self) -> Mapping[tuple[str, str | None], dict[str, Any]]:
        """The opt-outs by phone number and sender (None: of all messages), without plus signs; fresh copies."""
        return self._groups.messages.opt_outs.view

    @property
    def requests(self) -> tuple[SandboxRequest, ...]:
        """The latest 10,000 requests, in the order in which they arrived.

        Who has an answer finds its request here, complete. One that is still being handled is here, too: what it has
        not got yet (`status`, and `body` at first) is None or empty.
        """
        return self.requests_to(None)

    @property
    def cities(self) -> Mapping[int, str]:
        """The cities that the numbers can belong to: `city_id` to name."""
        return {city.id: city.name for city in (*HOME_CITIES, *FOREIGN_CITIES)}

    async def start(self) -> Self:
        """Listen on the loopback address: after a stop, on the same port as before where nobody else has taken it.

        Raises:
            RuntimeError: It is running already.
            OSError: The port is taken.
        """
        home = self._home
        if home is None or home.is_here():
            return await self._start()
        return await asyncio.wrap_future(home.submit(self._start()))

    async def _start(self) -> Self:
        if self._runner is not None:
            raise RuntimeError("The sandbox is running already: stop it first, or make a second one")
        runner = web.ServerRunner(_Server(self._handler, self.stats), handle_signals=False, shutdown_timeout=_SHUTDOWN)
        await runner.setup()
        try:
            await self._listen(runner)
        except BaseException:
            await runner.cleanup()
            raise
        with self._lock:
            self._runner = runner
            self._last_port = runner.addresses[0][1]
            self._url = f"http://{_HOST}:{self._last_port}"
            self._groups.numbers.store.base_url = self._url
            self._handler.begin()
        return self

    async def _listen(self, runner: web.ServerRunner) -> None:
        if self._last_port and not self._port:
            try:
                await web.TCPSite(runner, _HOST, self._last_port).start()
            except OSError:
                pass
            else:
                return
        await web.TCPSite(runner, _HOST, self._port).start()

    async def stop(self) -> None:
        """Stop listening, cancel what is in flight and close every connection; the state stays readable.

        Stopping twice does nothing.
        """
        home = self._home
        if home is None or home.is_here():
            await self._stop()
        else:
            await asyncio.wrap_future(home.submit(self._stop()))

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await self._handler.cancel()
        # A connection that is accepted while the server is closed would be dropped half-made, with its socket open:
        # no more are accepted, and those that were are given the rounds in which they become connections.
        loop = asyncio.get_running_loop()
        for site in runner.sites:
            for listening in _sockets_of(site):
                loop.remove_reader(listening.fileno())
        for _ in range(2):
            await asyncio.sleep(0)
        await runner.cleanup()
        # Closed sockets are taken down by callbacks; without these rounds the loop could end before them.
        for _ in range(3):
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        if self._runner is not None or self._home is not None:
            raise RuntimeError("The sandbox is running already: stop it first, or make a second one")
        home = LoopThread()
        try:
            home.submit(self._start()).result()
        except BaseException:
            home.close()
            raise
        self._home = home
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        home, self._home = self._home, None
        if home is not None:
            try:
                home.submit(self._stop()).result()
            finally:
                home.close()

    def requests_to(self, match: Match) -> tuple[SandboxRequest, ...]:
        """Return those of the latest 10,000 requests that match, in the order in which they arrived.

        Args:
            match: Which requests, as in `fail_next`: `"PATCH"`, `"/v1/numbers/1001"`, `"GET /v1/*"`, a function of
                method and path; None: all.
        """
        with self._lock:
            requests = self._handler.requests()
        return tuple(request for request in requests if matches(match, request.method, request.path))

    def reset(self) -> None:
        """Go back to the first day: numbers, counters, records, the rate limit, the faults and their dice."""
        with self._lock:
            self._groups.reset()
            self.stats.clear()
            self._handler.exchanges.clear()
            self._plan.reset()
            self._handler.begin()

    def fail_next(
        self,
        kind: str | int,
        count: int = 1,
        match: Match = None,
        *,
        retry_after: float | None = None,
        message: str | None = None,
    ) -> None:
        """Make the next requests fail, before any fault that is drawn by chance.

        A request that the rate limit refuses does not count.

        Args:
            kind: A status to answer, from 400 to 599, or a kind of fault (see `FAULT_KINDS`).
            count: How many requests.
            match: Which requests: a method, a path or `"METHOD /path"`, with `*` and `?` as in a shell, or a function
                of method and path. None: any.
            retry_after: Seconds told in `Retry-After`, rounded up; for statuses only. Default: a 429 says what those of
                the rate limit say, others nothing.
            message: What the answer says; for statuses only. Default: what the API says with that status.

        Raises:
            ValueError: `kind` is unknown, or `count` is below 1, or a fault that is no status has `retry_after` or
                `message`.
        """
        with self._lock:
            self._plan.order(kind, count, match, retry_after, message)

    def change(self, number_id: int, **fields: Any) -> None:
        """Set fields of a number behind the API's back, in wire form, without validation, delay or counting.

        This plays somebody else who changes the account, or an API that has moved (new fields, other types).

        Raises:
            KeyError: The account does not own the number.
        """
        with self._lock:
            store = self._groups.numbers.store
            if number_id not in store:
                raise KeyError(number_id)
            store.change(number_id, fields)

    def receive(self, sender: str, to: str, text: str, media: Sequence[str] = ()) -> dict[str, Any]:
        """Play a message that reaches the account, and return it in wire form.

        The text STOP opts the sender out of messages from `to`.

        Args:
            sender: The phone number that sends it.
            to: The account's number that it is sent to.
            text: The text.
            media: URLs; with any, it is an MMS.
        """
        with self._lock:
            return deepcopy(self._groups.messages.receive(sender, to, text, media))

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward: late changes come due and the rate limit refills; latencies do not shrink.

        Raises:
            ValueError: `seconds` is negative.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {seconds!r}: the clock only moves forward")
        with self._lock:
            self._ahead += seconds

    def _date(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def _now(self) -> float:
        return time.monotonic() + self._ahead
