"""`Webhooks`: checks a request, stores its event, answers, and runs the handlers of the event in the background.

    request -> checks (method, secret, network, type, size) -> parse_event -> store -> 200
                                                                                 -> waiters of `next`
                                                                                 -> queue -> handlers

The answer does not wait for a handler, because Wavix does not wait long for an answer. Events about the same message,
call, brand, campaign or number run one after another, in the order in which they came; others run at the same time.
"""

import asyncio
import contextlib
import contextvars
import difflib
import functools
import hashlib
import heapq
import hmac
import inspect
import os
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload
from urllib.parse import quote

import attrs

from wavix_async._codec import is_hidden
from wavix_async._instrumentation import (
    Observer,
    Observers,
    WebhookAnswerEvent,
    WebhookHandlerEvent,
    WebhookHandlerStart,
    log_to_stderr,
    logger,
)
from wavix_async.config import Secret, check_count, check_seconds
from wavix_async.errors import ConfigurationError, DecodeError, InputError, WaitTimeoutError
from wavix_async.models import MessageDeliveryStatus
from wavix_async.models.events import (
    BrandStatusChanged,
    CallEvent,
    CampaignStatusChanged,
    DeliveryReport,
    InboundMessage,
    NumberStatusChanged,
    PostCall,
)
from wavix_async.webhooks._networks import Networks
from wavix_async.webhooks._parse import KINDS, MAX_BODY, WebhookEvent, is_body_key, kind_of, name_of_kind, parse_event
from wavix_async.webhooks._request import Incoming, Reply
from wavix_async.webhooks._seen import EventStore, MemoryStore, NewEvent, StoredEvent

if TYPE_CHECKING:
    from aiohttp.web import Application
    from fastapi import APIRouter

    from wavix_async.webhooks._mounts import ASGIApp

__all__ = ["FailedHandler", "Webhooks"]

E = TypeVar("E")
E2 = TypeVar("E2")
E3 = TypeVar("E3")
R = TypeVar("R")

_SHORTEST_SECRET: Final = 16
_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]+")
_RETRY_AFTER: Final = "5"
_OTHER_LOOP: Final = "These webhooks already run in another event loop: close them there first."
_STORE_METHODS: Final = ("open", "add", "note", "remove", "close")
_STORE_PAUSES: Final = (0.1, 0.4, 1.6)
"""Seconds between the attempts to store that a handler has ended."""


@attrs.frozen(kw_only=True)
class FailedHandler:
    """A handler that raised an exception; `Webhooks.retry_failed` runs it again."""

    event: WebhookEvent
    handler: str
    """The name of the handler, with its module."""
    error: str
    """The class name of the exception. The log has its traceback."""


@attrs.frozen(eq=False)
class _Handler:
    name: str
    kinds: tuple[type[Any], ...]
    fields: Mapping[str, object]
    run: Callable[[Any], object]
    is_async: bool

    def wants(self, event: object) -> bool:
        return isinstance(event, self.kinds) and _matches(event, self.fields)

    async def call(self, event: object) -> None:
        """Run in a task of its own, so that a handler that cancels its task ends no other handler of the event."""
        await asyncio.create_task(self._call(event))

    async def _call(self, event: object) -> None:
        done = self.run(event) if self.is_async else await asyncio.to_thread(self.run, event)
        if inspect.isawaitable(done):
            await done


@attrs.define(eq=False)
class _Job:
    """An event whose handlers have not finished."""

    id: str
    event: Any
    names: Sequence[str]
    """The handlers that are left."""
    subject: str
    """What the event is about: jobs of one subject run one after another."""
    number: int = 0
    """Its place in the order of arrival."""
    failures: Mapping[str, str] = attrs.field(factory=dict)
    """The handlers that failed in an ended process, and the class names of their exceptions."""
    done: "asyncio.Future[int]" = attrs.field(factory=lambda: asyncio.get_running_loop().create_future())
    """How many of them have succeeded."""


class _Work:
    """The jobs of one event loop: which run, and which wait."""

    def __init__(self, run: "Callable[[_Work, _Job], Coroutine[Any, Any, None]]", concurrency: int) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] | None = None
        self.pending = 0
        """Events that are being stored, wait or run."""
        self._run = run
        self._concurrency = concurrency
        self._ready: list[tuple[int, _Job]] = []
        """A heap: what came first runs first, even if it had to wait for a job of its subject."""
        self._behind: dict[str, deque[_Job]] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.writes: set[asyncio.Future[None]] = set()
        """Writes to the store, which end although their tasks are cancelled."""
        self._running = 0
        self._context = contextvars.copy_context()
        self._jobs: set[_Job] = set()
        self._added = 0
        self._stopped = False
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    def add(self, job: _Job) -> None:
        """Queue a job, behind those of the same subject. Its place is already counted in `pending`."""
        self._added += 1
        job.number = self._added
        self._jobs.add(job)
        behind = self._behind.get(job.subject)
        if behind is not None:
            behind.append(job)
            return
        self._behind[job.subject] = deque()
        heapq.heappush(self._ready, (job.number, job))
        self._start()

    def reserve(self) -> None:
        """Count a place for an event."""
        self.pending += 1
        self._idle.clear()

    def release(self) -> None:
        """Free the place of an event."""
        self.pending -= 1
        if self.pending == 0:
            self._idle.set()

    def running(self, ids: Collection[str]) -> "list[asyncio.Future[int]]":
        """Return the ends of the jobs of these events."""
        return [job.done for job in self._jobs if job.id in ids]

    async def drain(self, seconds: float) -> None:
        """Wait until no event is left, then cancel what still runs."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._stopped = True
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self.writes, return_exceptions=True)
        for job in self._jobs:
            job.done.cancel()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that `drain` ends."""
        # Without the context of the request that happened to start it: a task may run the jobs of others.
        task = self.loop.create_task(work, context=self._context.copy())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _start(self) -> None:
        while self._ready and self._running < self._concurrency and not self._stopped:
            self._running += 1
            self.spawn(self._carry_out(heapq.heappop(self._ready)[1]))

    async def _carry_out(self, job: _Job) -> None:
        try:
            await self._run(self, job)
        finally:
            self._running -= 1
            self._jobs.discard(job)
            job.done.cancel()  # without effect after a result
            if behind := self._behind[job.subject]:
                following = behind.popleft()
                heapq.heappush(self._ready, (following.number, following))
            else:
                del self._behind[job.subject]
            self.release()
            self._start()


class Webhooks:
    """Receives the events of Wavix, and passes each to your handlers once.

        hooks = Webhooks(secret=os.environ["WAVIX_WEBHOOK_SECRET"])

        @hooks.on(DeliveryReport, status="undelivered")
        async def retry(report: DeliveryReport) -> None: ...

        app.include_router(hooks.router, prefix="/wavix")  # Wavix posts to https://your.host/wavix/<secret>

    Wavix signs nothing. The secret in the path is all that tells its requests from others: keep it out of logs.

    It belongs to one event loop at a time. A mount starts it with the application, or with its first request, and
    closes it with the application; elsewhere, use `async with hooks`.

    Args:
        secret: The part of the path that only you and Wavix know: at least 16 letters, digits or `-._~`, for example
            from `secrets.token_urlsafe(32)`.
        networks: The networks that requests may come from, such as `WAVIX_NETWORKS`. None: any. Behind a proxy it needs
            `trusted_proxies`.
        trusted_proxies: The networks of your own proxies; `unix` for one that connects by a Unix socket. For a request
            from one of them, the sender is the last address in `X-Forwarded-For` that is not a proxy's. From others the
            header counts for nothing.
        seen: Where events are stored: `MemoryStore()` (the default), `SqliteStore(path)` or `RedisStore(url)`. What is
            in memory is lost at a crash.
        concurrency: How many events are handled at once. Default 16.
        max_pending: How many events may wait or run; beyond that, requests are answered with 503. Default 1,000.
        max_failed: Of how many events `failed` keeps the handlers that failed. Beyond that, the oldest event is
            dropped, and a warning logged. Default 1,000.
        max_body: The longest body, in bytes; at most 1 MiB. Default 262,144.
        key_ttl: Seconds for which the key of an event is remembered. Default 48 hours.
        state_key_ttl: The same for events whose key may come back: the statuses of brands, campaigns and numbers,
            transcriptions, and unknown events. Default 10 minutes.
        grace: Seconds that `close` waits for handlers. Default 10.
        observers: Called with a `WebhookAnswerEvent` for every request and a `WebhookHandlerEvent` for every run of a
            handler; `wavix_async.otel.OpenTelemetry` makes spans and metrics of them.

    Raises:
        ConfigurationError: A setting is wrong; the message names it.
    """

    def __init__(
        self,
        *,
        secret: str,
        networks: Iterable[str] | None = None,
        trusted_proxies: Iterable[str] = (),
        seen: EventStore | None = None,
        concurrency: int = 16,
        max_pending: int = 1_000,
        max_failed: int = 1_000,
        max_body: int = 262_144,
        key_ttl: float = 172_800.0,
        state_key_ttl: float = 600.0,
        grace: float = 10.0,
        observers: Iterable[Observer] = (),
    ) -> None:
        # Rebind the name, so that no traceback frame has the secret as a plain string.
        secret = Secret(secret) if isinstance(secret, str) else secret
        if not isinstance(secret, str) or len(secret) < _SHORTEST_SECRET or not _SECRET.fullmatch(secret):
            raise ConfigurationError(
                f"secret must be at least {_SHORTEST_SECRET} characters, only letters, digits and -._~: "
                "secrets.token_urlsafe(32) makes one."
            )
        if check_count("max_body", max_body) > MAX_BODY:
            raise ConfigurationError(f"max_body must be at most {MAX_BODY}, got {max_body}.")
        if level := os.environ.get("WAVIX_LOG"):
            log_to_stderr(level)
        self._secret = secret
        self._digest = _digest(secret)
        self._allowed = None if networks is None else Networks("networks", networks)
        self._proxies = Networks("trusted_proxies", trusted_proxies)
        self._store: EventStore = MemoryStore() if seen is None else _check_store(seen)
        self._concurrency = check_count("concurrency", concurrency)
        self._max_pending = check_count("max_pending", max_pending)
        self._max_failed = check_count("max_failed", max_failed)
        self._max_body = max_body
        self._key_ttl = check_seconds("key_ttl", key_ttl)
        self._state_key_ttl = check_seconds("state_key_ttl", state_key_ttl)
        self._grace = check_seconds("grace", grace)
        self._observers = Observers(observers)
        self._handlers: dict[str, _Handler] = {}
        self._waiters: list[tuple[type[Any], Mapping[str, object], asyncio.Future[Any]]] = []
        self._failed: dict[str, dict[str, FailedHandler]] = {}
        self._work: _Work | None = None
        self._closing = False

    # --- handlers and waiters ---

    @overload
    def on(self, kind: type[E], /, **fields: object) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...
    @overload
    def on(
        self, kind: type[E], kind2: type[E2], /, **fields: object
    ) -> Callable[[Callable[[E | E2], R]], Callable[[E | E2], R]]: ...
    @overload
    def on(
        self, kind: type[E], kind2: type[E2], kind3: type[E3], /, **fields: object
    ) -> Callable[[Callable[[E | E2 | E3], R]], Callable[[E | E2 | E3], R]]: ...
    def on(self, /, *kinds: type[Any], **fields: object) -> Callable[[Callable[[Any], R]], Callable[[Any], R]]:
        """Register a handler of events of a class, or of up to three, whose fields have these values.

        A handler takes the event. It may be a coroutine function, or a plain function, which runs in a thread. Several
        handlers of one event run one after another, in the order of their registration, and one that fails does not
        stop the others. An event that another copy of the process has stored runs there.

        A store on disk knows a handler by its module and name: a handler that you rename counts as a new one.

        Args:
            kinds: The classes of the events; `Model` means all.
            fields: Values of fields. A tuple, a list or a set means: one of these.

        Returns:
            The decorator; it returns the handler unchanged.

        Raises:
            ConfigurationError: A class has no field of that name, or is not the class of an event.
        """
        for kind in kinds or (None,):
            problem = _problem(kind, fields)
            if problem is not None:
                raise ConfigurationError(problem)

        def register(handler: Callable[[Any], R]) -> Callable[[Any], R]:
            if not callable(handler) or inspect.isasyncgenfunction(handler):
                raise ConfigurationError(f"A handler is a function or a coroutine function, got {handler!r}.")
            name = base = _name_of(handler)
            count = 1
            while name in self._handlers:
                count += 1
                name = f"{base}#{count}"
            self._handlers[name] = _Handler(name, kinds, dict(fields), handler, _is_async(handler))
            return handler

        return register

    async def next(self, kind: type[E], *, timeout: float | None = None, **fields: object) -> E:
        """Wait for the next event of a class whose fields have these values.

        Only events that this process gets while it waits count, and no duplicates. The waiters of the client take
        `events=hooks`, and read the object as well.

        Args:
            kind: The class of the event.
            timeout: Seconds to wait at most; None: no limit.
            fields: Values of fields. A tuple, a list or a set means: one of these.

        Returns:
            The event.

        Raises:
            WaitTimeoutError: No such event came in time.
            InputError: The class has no field of that name, or is not the class of an event.
        """
        problem = _problem(kind, fields)
        if problem is not None:
            raise InputError(problem)
        if timeout is not None:
            check_seconds("timeout", timeout)
        loop = asyncio.get_running_loop()
        if self._work is not None and self._work.loop is not loop and not self._work.loop.is_closed():
            raise ConfigurationError(_OTHER_LOOP)
        found: asyncio.Future[E] = loop.create_future()
        waiter = (kind, fields, found)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await found
        except TimeoutError:
            if found.done() and not found.cancelled():
                return found.result()
            raise WaitTimeoutError(f"Not within {timeout:g} s: an event {kind.__name__}.") from None
        finally:
            self._waiters.remove(waiter)

    # --- failed handlers ---

    @property
    def failed(self) -> Sequence[FailedHandler]:
        """The handlers that have raised an exception, oldest first; a store on disk keeps them over restarts."""
        return tuple(each for failures in self._failed.values() for each in failures.values())

    async def retry_failed(self) -> int:
        """Run the failed handlers again, and wait for them.

        Returns:
            How many of them have succeeded. The others are in `failed` again.
        """
        work = await self.start()
        while running := work.running(self._failed):
            # A job that still runs the other handlers of an event would remove it from the store.
            await asyncio.wait(running)
            if self._work is not work:
                return 0
        taken, self._failed = self._failed, {}
        jobs = []
        for event_id, failures in taken.items():
            event = next(iter(failures.values())).event
            job = _Job(event_id, event, list(failures), _subject(event) or event_id)
            work.reserve()
            work.add(job)
            jobs.append(job)
        if jobs:
            # Unlike `gather`, this leaves the jobs alone if the caller is cancelled.
            await asyncio.wait([job.done for job in jobs])
        for job in jobs:
            if job.done.cancelled():
                # `close` has cut it off.
                self._failed.setdefault(job.id, taken[job.id])
        return sum(job.done.result() for job in jobs if not job.done.cancelled())

    # --- lifetime ---

    async def start(self) -> "_Work":
        """Open the store, and run what a killed process has left. A mount does it by itself; twice is harmless.

        Raises:
            ConfigurationError: Another event loop uses these webhooks, or the store cannot be opened.
        """
        loop = asyncio.get_running_loop()
        work = self._work
        if work is not None and work.loop is not loop:
            if not work.loop.is_closed():
                raise ConfigurationError(_OTHER_LOOP)
            work = None
        if work is None:
            self._closing = False
            work = self._work = _Work(self._run_job, self._concurrency)
        if work.opened is None or _has_failed(work.opened):
            work.opened = asyncio.ensure_future(self._store.open(functools.partial(self._adopt, work)))
        if not work.opened.done():
            await asyncio.shield(work.opened)
        return work

    async def close(self) -> None:
        """Refuse new events, wait for the handlers, at most `grace` seconds, and close the store.

        Handlers that still run then are cancelled. A store on disk keeps their events for the next start.
        """
        work = self._work
        if work is None or work.loop is not asyncio.get_running_loop():
            return
        self._closing = True
        try:
            await work.drain(self._grace)
        finally:
            if self._work is work:
                self._work = None
            if work.opened is not None:
                with contextlib.suppress(Exception):
                    await work.opened
                    await self._store.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- mounts ---

    def path(self, kind: str | type[Any] | None = None) -> str:
        """Return the path of the URL to give to Wavix, below the place where you mount: `/<secret>`.

        Args:
            kind: The kind of the events that come to this URL, a class or a name such as `dlr`. Default: any; each
                event is recognized by its keys.
        """
        if kind is None:
            return f"/{self._secret}"
        wanted = kind_of(kind)
        name = kind if isinstance(kind, str) else next(name for name, each in KINDS.items() if each is wanted)
        return f"/{self._secret}/{name}"

    @cached_property
    def router(self) -> "APIRouter":
        """A FastAPI router, for `app.include_router(hooks.router, prefix="/wavix")`; it has a lifespan."""
        from wavix_async.webhooks._mounts import make_router

        return make_router(self)

    @cached_property
    def asgi(self) -> "ASGIApp":
        """A plain ASGI application, to serve or to mount; it handles the lifespan if the server sends one."""
        from wavix_async.webhooks._mounts import make_asgi

        return make_asgi(self)

    def add_to(self, app: "Application", prefix: str = "") -> None:
        """Add the route to an `aiohttp.web` application, which starts and closes these webhooks.

        Args:
            app: The application, not started yet.
            prefix: The beginning of the path, such as `/wavix`.
        """
        from wavix_async.webhooks._mounts import add_to_aiohttp

        add_to_aiohttp(self, app, prefix)

    async def receive(self, request: Incoming) -> Reply:
        """Answer one request; the mounts call this."""
        began = time.perf_counter()
        reply, result, kind, late = await self._receive(request)
        self._observers.notify(
            WebhookAnswerEvent(
                kind=kind, status=reply.status, result=result, late=late, duration=time.perf_counter() - began
            )
        )
        return reply

    async def _receive(self, request: Incoming) -> tuple[Reply, str, str | None, bool]:
        # A wrong secret is answered like a wrong path, and before anything else is looked at.
        if not hmac.compare_digest(_digest(request.secret), self._digest):
            return Reply(404, "Not Found"), "secret", None, False
        if request.kind is not None and request.kind not in KINDS:
            return Reply(404, "Not Found"), "path", None, False
        if request.method != "POST":
            return Reply(405, "Use POST.", {"Allow": "POST"}), "method", None, False
        if self._allowed is not None and not self._allowed.allow(
            request.peer, request.header("x-forwarded-for"), self._proxies
        ):
            return Reply(403, "Forbidden"), "network", None, False
        if not _is_json(request.header("content-type")):
            return Reply(415, "The body must be JSON."), "type", None, False
        try:
            body = await self._read(request)
            if body is None:
                return Reply(413, f"The body may have {self._max_body} bytes at most."), "size", None, False
            event = parse_event(body, request.kind)
        except DecodeError:
            return Reply(400, "The body is not JSON."), "body", None, False
        kind = name_of_kind(event)
        if self._closing:
            return _busy("Shutting down."), "closed", kind, False
        try:
            work = await self.start()
            if work.pending >= self._max_pending:
                return _busy("Too many events wait."), "full", kind, False
            work.reserve()
            # A sender that disconnects must not separate an event that is stored from its handlers.
            verdict = await asyncio.shield(work.spawn(self._accept(work, event, request.kind or "", body)))
        except Exception as error:
            logger.error("webhook store failed", extra={"error": type(error).__name__})
            return _busy("The event could not be stored."), "storage", kind, False
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return _busy("Shutting down."), "closed", kind, False
        if verdict is None:
            return Reply(200, "OK"), "duplicate", kind, False
        return Reply(200, "OK"), "stored", kind, verdict

    async def _read(self, request: Incoming) -> bytes | None:
        """Return the body; None if it is too long, without reading the rest."""
        length = request.header("content-length") or ""
        if length.isascii() and length.isdecimal() and (len(length) > 15 or int(length) > self._max_body):
            return None
        body = bytearray()
        async for chunk in request.body:
            body += chunk
            if len(body) > self._max_body:
                return None
        return bytes(body)

    async def _accept(self, work: _Work, event: WebhookEvent, hint: str, body: bytes) -> bool | None:
        """Store an event, and pass it on; return whether it is late, or None for a duplicate."""
        kept = False
        try:
            subject, rank = _state(event)
            stored = body if self._may_be_wanted(event) else None
            verdict = await self._store.add(
                NewEvent(
                    key=event.key,
                    ttl=self._state_key_ttl if _comes_back(event) else self._key_ttl,
                    kind=hint,
                    body=stored,
                    subject=subject,
                    rank=rank,
                    subject_ttl=self._key_ttl,
                )
            )
            if verdict.id is None:
                return None
            if verdict.late and isinstance(event, DeliveryReport):
                event = attrs.evolve(event, late=True)
            for kind, fields, found in self._waiters:
                if not found.done() and isinstance(event, kind) and _matches(event, fields):
                    found.set_result(event)
            names = self._handlers_of(event)
            if names or stored is not None:
                # Without a handler, as for a late event, the job only removes the body from the store.
                work.add(_Job(verdict.id, event, names, _subject(event) or verdict.id))
                kept = True
            return verdict.late
        finally:
            if not kept:
                work.release()

    def _may_be_wanted(self, event: WebhookEvent) -> bool:
        """Return whether a handler wants an event; whether it is late shows only when it is stored."""
        if isinstance(event, DeliveryReport) and self._handlers_of(attrs.evolve(event, late=True)):
            return True
        return bool(self._handlers_of(event))

    def _handlers_of(self, event: WebhookEvent) -> list[str]:
        return [name for name, each in self._handlers.items() if each.wants(event)]

    # --- work in the background ---

    def _adopt(self, work: _Work, left: Sequence[StoredEvent]) -> None:
        """Take over events that an ended process has stored; one that no handler wants stays there."""
        for stored in left:
            event = parse_event(stored.body, stored.kind or None)
            if stored.late and isinstance(event, DeliveryReport):
                event = attrs.evolve(event, late=True)
            if known := self._handlers_of(event):
                failures = {name: error for name, error in stored.failed.items() if name in known}
                names = [name for name in known if name not in stored.done and name not in failures]
                job = _Job(stored.id, event, names, _subject(event) or stored.id, failures=failures)
                work.reserve()
                work.add(job)

    async def _run_job(self, work: _Work, job: _Job) -> None:
        succeeded = 0
        if job.failures:
            await self._keep_failed(work, job.id, job.event, job.failures)
        for count, name in enumerate(job.names, start=1):
            error = await self._run_handler(self._handlers[name], job.event)
            if error is None:
                succeeded += 1
            else:
                await self._keep_failed(work, job.id, job.event, {name: error})
            if count < len(job.names) or job.id in self._failed:
                await self._persist(work, functools.partial(self._store.note, job.id, name, error))
        if job.id not in self._failed:
            await self._persist(work, functools.partial(self._store.remove, job.id))
        job.done.set_result(succeeded)

    async def _run_handler(self, handler: _Handler, event: WebhookEvent) -> str | None:
        """Run a handler; return the class name of its exception, or None."""
        kind = name_of_kind(event)
        began = time.perf_counter()
        failure: BaseException | None = None
        with self._observers.around_handler(WebhookHandlerStart(kind=kind, handler=handler.name)):
            try:
                await handler.call(event)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                failure = error
            except Exception as error:
                failure = error
            name = None if failure is None else type(failure).__name__
            self._observers.notify(
                WebhookHandlerEvent(kind=kind, handler=handler.name, error=name, duration=time.perf_counter() - began)
            )
        if failure is not None:
            logger.error("webhook handler failed", exc_info=failure, extra={"kind": kind, "handler": handler.name})
        return name

    async def _keep_failed(self, work: _Work, event_id: str, event: WebhookEvent, failures: Mapping[str, str]) -> None:
        kept = self._failed.pop(event_id, {})
        self._failed[event_id] = kept | {
            name: FailedHandler(event=event, handler=name, error=error) for name, error in failures.items()
        }
        if len(self._failed) > self._max_failed:
            oldest = next(iter(self._failed))
            del self._failed[oldest]
            logger.warning("failed webhook handlers dropped")
            await self._persist(work, functools.partial(self._store.remove, oldest))

    async def _persist(self, work: _Work, write: Callable[[], Awaitable[None]]) -> None:
        """Write to the store, even if this task is cancelled, and try again if the store is out of reach."""
        writing = asyncio.ensure_future(self._write(write))
        work.writes.add(writing)
        writing.add_done_callback(work.writes.discard)
        await asyncio.shield(writing)

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        for pause in (*_STORE_PAUSES, None):
            try:
                await write()
                return
            except Exception as error:
                if pause is None:
                    logger.error("webhook store failed", extra={"error": type(error).__name__})
                    return
            await asyncio.sleep(pause)

    def __repr__(self) -> str:
        return f"<Webhooks with {len(self._handlers)} handlers and {self._store!r}>"


def _has_failed(opened: "asyncio.Future[None]") -> bool:
    return opened.done() and (opened.cancelled() or opened.exception() is not None)


# --- requests ---


def _digest(secret: str) -> bytes:
    # Of equal length, so that the time of a comparison does not show the length either.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _is_json(content_type: str | None) -> bool:
    # A request without the header is read: what it holds shows in the body.
    if not content_type:
        return True
    name = content_type.partition(";")[0].strip().lower()
    return name in {"application/json", "text/json"} or name.endswith("+json")


def _busy(text: str) -> Reply:
    return Reply(503, text, {"Retry-After": _RETRY_AFTER})


# --- settings ---


def _check_store(store: EventStore) -> EventStore:
    # Without this check, each event would be answered 503. The value is not shown: it may be a URL with a password.
    if isinstance(store, type) or not all(callable(getattr(store, name, None)) for name in _STORE_METHODS):
        raise ConfigurationError(
            "seen must be a store of events, such as SqliteStore('events.db'); got a value of type "
            f"{type(store).__name__}."
        )
    return store


# --- handlers ---


def _name_of(handler: Any) -> str:
    inner = inspect.unwrap(handler)
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    return f"{getattr(inner, '__module__', None) or type(inner).__module__}.{name}"


def _is_async(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004


def _problem(kind: Any, fields: Mapping[str, object]) -> str | None:
    """Return what is wrong with a class and the names of its fields; None if nothing is."""
    if not isinstance(kind, type) or not any(issubclass(each, kind) for each in KINDS.values()):
        return f"{kind!r} is not the class of an event: use a class such as DeliveryReport, or Model for all events."
    known = [name for name in dir(kind) if isinstance(inspect.getattr_static(kind, name), property)]
    if attrs.has(kind):
        known += [each.name for each in attrs.fields(kind) if each.name == "late" or not is_hidden(each)]
    for name in fields:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            return f"{kind.__name__} has no field {name!r}" + (f"; did you mean {close[0]!r}?" if close else ".")
    return None


def _matches(event: object, fields: Mapping[str, object]) -> bool:
    for name, wanted in fields.items():
        value = getattr(event, name)
        choices = wanted if isinstance(wanted, tuple | list | set | frozenset) else (wanted,)
        if not any(value == each for each in choices):
            return False
    return True


# --- what an event is about ---

_RANKS: Final = {
    MessageDeliveryStatus.ACCEPTED: 0,
    MessageDeliveryStatus.PENDING: 1,
    MessageDeliveryStatus.SENT: 2,
    MessageDeliveryStatus.DELIVERED: 3,
    MessageDeliveryStatus.UNDELIVERED: 3,
    MessageDeliveryStatus.EXPIRED: 3,
    MessageDeliveryStatus.REJECTED: 3,
    MessageDeliveryStatus.DLR_EXPIRED: 3,
}


def _state(event: WebhookEvent) -> tuple[str | None, int]:
    """Return what the state of an event belongs to, and its rank; None if its states have no order."""
    if isinstance(event, DeliveryReport) and isinstance(event.status, str) and event.status in _RANKS:
        return _subject(event), _RANKS[event.status]
    return None, 0


def _subject(event: WebhookEvent) -> str | None:
    """Return what an event is about: a message, a call and so on; None if it does not say."""
    value: object
    match event:
        case DeliveryReport() | InboundMessage():
            name, value = "message", event.message_id
        case CallEvent():
            name, value = "call", event.call_id or ""
        case PostCall():
            name, value = "call", event.uuid
        case NumberStatusChanged():
            name, value = "number", event.number
        case CampaignStatusChanged():
            name, value = "campaign", event.campaign_id
        case BrandStatusChanged():
            name, value = "brand", event.brand_id
        case _:
            return None
    return _name_of_subject(name, value)


def _name_of_subject(name: str, value: object) -> str | None:
    """Return the name of what an event is about; None if the API has sent another type in place of an id."""
    if not isinstance(value, str | int):
        return None
    text = quote(str(value), safe="", errors="surrogatepass")
    return f"{name}:{text}" if len(text) <= 200 else f"{name}:{hashlib.sha256(text.encode()).hexdigest()}"


def _comes_back(event: WebhookEvent) -> bool:
    """Return whether an equal event may be another occurrence, not a copy."""
    return not isinstance(event, CallEvent | PostCall | InboundMessage | DeliveryReport) or is_body_key(event.key)
