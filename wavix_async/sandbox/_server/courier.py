"""Deliver events: post them to URLs on this machine, also twice, late and out of order if a test wants that."""

import asyncio
import ipaddress
import json
import random
import socket
from collections import deque
from functools import partial
from threading import RLock
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import Attribute, define, field, frozen

from wavix_async.sandbox._server.outbox import Outbox, SandboxEvent
from wavix_async.sandbox._server.timers import Timers

_RETRY_AFTER = 5.0
"""Seconds between the tries of one delivery, on the sandbox's clock."""
_TIMEOUT = 10.0
"""Seconds until a delivery without an answer is given up."""
_KEPT_ALIVE = 1.0
"""A connection that is idle for longer is not used again: the receiver may be about to close it."""


def _probability(_: Any, attribute: "Attribute[float]", value: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(
            f"Deliveries.{attribute.name} must be a probability from 0 to 1, not {value!r}: write 0.2 for 20 %"
        )


def _not_negative(_: Any, attribute: "Attribute[float]", value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"Deliveries.{attribute.name} must be 0 or more, not {value!r}: give seconds")


def _positive(_: Any, attribute: "Attribute[int]", value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"Deliveries.{attribute.name} must be a whole number of 1 or more, not {value!r}")


@frozen(kw_only=True)
class Deliveries:
    """How events reach their URLs; the default delivers each once, at once and in order.

    The chances are drawn from the sandbox's seed, for every event in the order of the events.

    Raises:
        ValueError: A value is out of range; the message names it.
    """

    doubled: float = field(default=0.0, validator=_probability)
    """The chance that an event is delivered twice."""
    late: float = field(default=0.0, validator=_probability)
    """The chance that a delivery comes `late_seconds` later."""
    out_of_order: float = field(default=0.0, validator=_probability)
    """The chance that a delivery comes after the next one to the same URL, or `late_seconds` later if there is none."""
    late_seconds: float = field(default=2.0, validator=_not_negative)
    """Seconds on the sandbox's clock, which `advance` moves."""
    at_once: int = field(default=1, validator=_positive)
    """How many deliveries to one URL may be in progress at once; with 1, each waits for the one before."""


@define(eq=False)
class _Delivery:
    event: SandboxEvent
    url: str
    waits_for_next: bool
    tries_left: int
    epoch: int


class _Loopback(AbstractResolver):
    """Finds `localhost` without asking a name server."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
        return [
            ResolveResult(hostname=host, host=address, port=port, family=one, proto=0, flags=socket.AI_NUMERICHOST)
            for one, address in addresses.items()
            if family in (socket.AF_UNSPEC, one)
        ]

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""


def refusal(url: str | None) -> str | None:
    """Return why nothing is posted to a URL; None: it is an http or https URL of this machine."""
    if url is None:
        return "no URL is set"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "the URL is malformed"
    if parts.scheme not in ("http", "https") or not host:
        return "the URL is not an http or https URL"
    if not _is_here(host):
        return "the URL is not on this machine, and the sandbox posts to no other"
    return None


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Courier:
    """Posts the events of an outbox to their URLs, as long as the sandbox runs.

    Deliveries to one URL go out in order; those to other URLs go out beside them. What is not delivered when the
    sandbox stops is delivered when it starts again.
    """

    def __init__(self, outbox: Outbox, timers: Timers, lock: RLock, settings: Deliveries, seed: int) -> None:
        self._outbox = outbox
        self._timers = timers
        self._lock = lock
        self._settings = settings
        self._seed = seed
        self._queues: dict[str, deque[_Delivery]] = {}
        self._held: dict[str, _Delivery] = {}
        self._epoch = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._session: aiohttp.ClientSession | None = None
        self._dice = random.Random()  # noqa: S311 - `clear` seeds it
        outbox.on_post = self._add
        outbox.refuses = refusal
        self.clear()

    def start(self) -> None:
        """Deliver from the running loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        self._start_tasks()

    async def stop(self) -> None:
        """Give up the deliveries in progress and close the connections; those that wait stay."""
        with self._lock:
            self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def clear(self) -> None:
        """Forget the deliveries that wait, and restart the random generator; the caller holds the lock."""
        self._queues.clear()
        self._held.clear()
        self._epoch += 1
        self._dice = random.Random(f"{self._seed} deliveries")  # noqa: S311 - repeatable, not secret

    async def settled(self) -> None:
        """Wait until every delivery that is due has ended; from any event loop.

        Raises:
            RuntimeError: The sandbox is not running.
        """
        loop = self._loop
        if loop is None or loop is asyncio.get_running_loop():
            await self._settled()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._settled(), loop))

    async def _settled(self) -> None:
        while True:
            with self._lock:
                self._timers.run_due()
                if not self._queues and not self._tasks:
                    return
                if self._loop is None:
                    raise RuntimeError("The sandbox is not running, so it delivers nothing: start it first")
            self._start_tasks()
            await asyncio.wait(list(self._tasks), return_when=asyncio.FIRST_COMPLETED)

    # --- from an event to a queue; the caller holds the lock ---

    def _add(self, event: SandboxEvent) -> None:
        assert event.url is not None
        settings = self._settings
        # All chances are drawn for every event, so that one setting does not change what another one hits.
        doubled = self._dice.random() < settings.doubled
        for copy in range(2):
            late = self._dice.random() < settings.late
            waits = self._dice.random() < settings.out_of_order
            if copy and not doubled:
                continue
            delivery = _Delivery(event, event.url, waits, event.tries, self._epoch)
            if late:
                self._timers.after(settings.late_seconds, partial(self._enqueue, delivery))
            else:
                self._enqueue(delivery)

    def _enqueue(self, delivery: _Delivery) -> None:
        url = delivery.url
        held = self._held.pop(url, None)
        if delivery.waits_for_next and held is None:
            self._held[url] = delivery
            self._timers.after(self._settings.late_seconds, partial(self._release, delivery))
            return
        queue = self._queues.setdefault(url, deque())
        queue.append(delivery)
        if held is not None:
            queue.append(held)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start_tasks)

    def _release(self, delivery: _Delivery) -> None:
        if self._held.get(delivery.url) is delivery:
            del self._held[delivery.url]
            delivery.waits_for_next = False
            self._enqueue(delivery)

    # --- from a queue to the receiver; in the sandbox's loop ---

    def _start_tasks(self) -> None:
        with self._lock:
            loop = self._loop
            if loop is None:
                return
            active = list(self._tasks.values())
            for url, queue in list(self._queues.items()):
                for _ in range(min(len(queue), self._settings.at_once - active.count(url))):
                    task = loop.create_task(self._work(url), name="wavix-sandbox delivery")
                    self._tasks[task] = url
                    task.add_done_callback(self._tasks.pop)

    async def _work(self, url: str) -> None:
        while (delivery := self._next(url)) is not None:
            status: int | None = None
            try:
                status = await self._post(delivery)
            finally:
                with self._lock:
                    self._record(delivery, status)

    def _next(self, url: str) -> _Delivery | None:
        with self._lock:
            queue = self._queues.get(url)
            if queue is None or self._loop is None:
                return None
            delivery = queue.popleft()
            if not queue:
                del self._queues[url]
            return delivery

    async def _post(self, delivery: _Delivery) -> int | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Loopback(), keepalive_timeout=_KEPT_ALIVE, limit=0),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        data = json.dumps(delivery.event.body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(delivery.url, data=data, headers=headers, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    def _record(self, delivery: _Delivery, status: int | None) -> None:
        delivery.event.statuses.append(status)
        delivery.tries_left -= 1
        if (
            delivery.epoch == self._epoch
            and delivery.tries_left > 0
            and not (status is not None and 200 <= status < 300)
        ):
            delivery.waits_for_next = False
            self._timers.after(_RETRY_AFTER, partial(self._enqueue, delivery))
