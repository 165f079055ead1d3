"""The only file that touches an aiohttp session: it sends one request, reads one response, and names every failure.

Facts about aiohttp that this file relies on; a canary test checks each:

- A session repeats GET, PUT and DELETE by itself when a connection drops; `_retry_connection = False` prevents that.
- Writing to a connection that the server has already closed raises `ClientConnectionResetError("Cannot write to closing
  transport")`: no byte has left. Every other `ClientOSError` and `ServerDisconnectedError` is ambiguous.
- A wait for a free connection counts as connecting. A call gets a slot first, so there is no such wait unless other
  code uses the same session.
"""

import asyncio
import io
import math
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from typing import Any, Final, NoReturn, TypeVar

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from wavix_async._aio import BULK_SHARE, LaneSemaphore, Watchdog, Watched, close_socket
from wavix_async._http.details import DETAILS
from wavix_async._http.failures import caller_error, clean_cause, name_failure
from wavix_async._http.file_part import FilePart, FilePayload
from wavix_async._http.fresh import can_have_twin, twin_without_pool
from wavix_async._http.open_answer import OpenAnswer
from wavix_async._http.plain_request import request_class
from wavix_async._http.pool import close_idle, guard
from wavix_async._http.proxy import Proxy
from wavix_async._http.request import Part, Request
from wavix_async._http.response import Response
from wavix_async._http.room import WaitingRoom
from wavix_async._version import __version__
from wavix_async.config import Secret
from wavix_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    DecodeError,
    TransportError,
    WavixError,
)

__all__ = ["MAX_BODY", "Transport", "refuse"]

R = TypeVar("R")

MAX_BODY: Final = 16 * 1024 * 1024
"""The longest answer that the client reads, in bytes after decompression."""

_SUSPICIOUS: Final = 1.0
"""Seconds without an answer, after which a cancelled request makes the idle connections suspect."""

_FAILURES: Final = (aiohttp.ClientError, OSError, ValueError, RuntimeError)
"""What a session raises."""

_USER_AGENT: Final = (
    f"wavix-async/{__version__} aiohttp/{aiohttp.__version__} python/{sys.version_info.major}.{sys.version_info.minor}"
)


class Transport:
    """The connections of one event loop; made in it.

    Raises:
        ConfigurationError: `session` belongs to another event loop.
    """

    def __init__(
        self,
        *,
        api_key: Secret,
        max_connections: int,
        connect_timeout: float,
        session: aiohttp.ClientSession | None = None,
        proxy: Proxy | None = None,
        proxy_of_files: Callable[[URL], Proxy | None] | None = None,
        ssl: SSLContext | None = None,
        app_info: str = "",
        bulk_share: float = BULK_SHARE,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if session is not None:
            _check_loop(session, loop)
        self._max_connections = max_connections if session is None else min(max_connections, _pool_size(session))
        self._connect_timeout = connect_timeout
        self._session = session
        self._fresh: aiohttp.ClientSession | None = None
        self._files: aiohttp.ClientSession | None = None
        self._owns_session = session is None
        self._can_be_fresh = session is None or can_have_twin(session)
        self._slots = LaneSemaphore(self._max_connections, bulk_share)
        self._watch = watch = Watchdog(loop)
        self._open_answers = 0
        self._room = WaitingRoom(loop, lambda: len(watch) + self._open_answers)
        self._closed = False
        self._proxy = None if proxy is None else proxy.url
        self._proxy_login = None if proxy is None else proxy.headers
        self._proxy_of_files = proxy_of_files
        self._ssl = True if ssl is None else ssl
        self._user_agent = _USER_AGENT + app_info
        headers = {
            hdrs.AUTHORIZATION: Secret(f"Bearer {api_key}"),
            hdrs.ACCEPT: "application/json",
            hdrs.USER_AGENT: self._user_agent,
        }
        json = {hdrs.CONTENT_TYPE: "application/json"}
        # Our own session has the constant headers as its defaults: to merge them each time costs 1 % of a request. Not
        # with a proxy: aiohttp would send them in the CONNECT, with the API key as the login of the proxy.
        are_defaults = session is None and proxy is None
        self._session_headers: Final = CIMultiDict(headers if are_defaults else {})
        self._headers: Final = CIMultiDict({} if are_defaults else headers)
        self._json_headers: Final = CIMultiDict(json if are_defaults else {**headers, **json})
        # Other code may use the connections of a caller's session: a wait for one counts as connecting.
        pool_wait = None if session is None else connect_timeout
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=pool_wait, sock_connect=connect_timeout, ceil_threshold=math.inf
        )
        if session is not None:
            session._retry_connection = False
            guard(session.connector)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def slots(self) -> LaneSemaphore:
        """Return the semaphore that a request holds while it is on the wire.

        Raises:
            ClientClosedError: The client is closed.
        """
        if self._closed:
            refuse()
        return self._slots

    async def send(
        self,
        request: Request,
        until: float,
        deadline: float,
        connect: float,
        *,
        fresh: bool = False,
        again: bool = False,
    ) -> Response:
        """Send one request once and read its answer to the end.

        Args:
            request: What to send.
            until: When the attempt ends, in the loop's time. Time in which the process did not run is added to it.
            deadline: When the call ends: `until` is never moved beyond it.
            connect: Seconds to look up the host, and to open a connection.
            fresh: Open a connection for this request alone.
            again: Whether the process did not run while this request was connecting, so that it connects once more.

        Returns:
            The answer, with any status.

        Raises:
            ConnectError: No byte left this machine.
            DisconnectedError: The connection broke after the request had left, or may have left.
            AttemptTimeoutError: No complete answer came in time.
            DecodeError: The answer is longer than `MAX_BODY`, or cut off.
        """
        session = self._session
        if fresh or session is None or self._closed:
            session = self._session_here(fresh=fresh)
            fresh = session is self._fresh
        headers = self._headers if request.body is None else self._json_headers
        if request.headers is not None or self._proxy_login is not None:
            headers = _with_more(headers, request, self._proxy_login)
        data = request.body if request.parts is None else _multipart(request.parts)
        watch, loop = self._watch, self._loop
        began = loop.time()
        timeout = self._timeout
        if connect != self._connect_timeout or until - began <= connect:
            timeout = self._connecting_within(connect, until - began)
        watched = watch.enter(until, deadline)
        failure: WavixError | None = None
        try:
            answer = await session.request(
                request.method,
                request.url,
                data=data,
                headers=headers,
                allow_redirects=False,
                raise_for_status=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_login,
                timeout=timeout,
            )
            try:
                return Response(answer.status, answer.headers, await _read(answer), request)
            except BaseException:
                # An answer that is read to its end returns its connection to the pool; this one must not.
                answer.close()
                raise
        except asyncio.CancelledError:
            failure = self._name_cancellation(watched, session, request, began)
            if failure is None:
                raise
        except _FAILURES as error:
            if (own := caller_error(error)) is not None:
                raise own from None
            # aiohttp's timer counts time in which the process did not run. Nothing was sent: connect once more.
            if again or not isinstance(error, aiohttp.ConnectionTimeoutError) or watch.stalled_at <= began:
                failure = self._name(error, session, request, began, fresh=fresh)
        finally:
            watch.leave(watched)
            if self._room.waiting and not _is_crowded_out(failure):
                self._room.request_ended()
        if failure is None:
            return await self.send(request, watched.deadline, deadline, connect, fresh=fresh, again=True)
        try:
            # Outside of the handler: in it, the failure would refer to aiohttp's error, and to all of its frames.
            raise failure
        finally:
            del failure

    async def open(
        self,
        request: Request,
        until: float,
        deadline: float,
        connect: float,
        idle: float,
        *,
        fresh: bool = False,
        to_file_host: bool = False,
    ) -> OpenAnswer:
        """Send one request once, and read only the head of its answer. The caller must close the answer.

        Args:
            request: What to send.
            until: When the attempt ends, if no head came, in the loop's time.
            deadline: When the call ends, if no head came.
            connect: Seconds to look up the host, and to open a connection.
            idle: Seconds without a byte, after which reading the body fails.
            fresh: Open a connection for this request alone, if the session is our own.
            to_file_host: Whether the request goes to another host, which must not see the key.

        Raises:
            WavixError: As `send`, and so does reading the body.
        """
        session = self._session_here(fresh=fresh)
        proxy, login = self._proxy, self._proxy_login
        if to_file_host and self._proxy_of_files is not None:
            found = self._proxy_of_files(request.url)
            proxy, login = (None, None) if found is None else (found.url, found.headers)
        headers = _with_more(CIMultiDict({} if to_file_host else self._headers), request, login)
        headers.update({hdrs.ACCEPT: "*/*", hdrs.ACCEPT_ENCODING: "identity"})
        if to_file_host:
            session = self._session_without_key()
        loop = self._loop
        timeout = self._timeout
        if connect != self._connect_timeout or until - loop.time() <= connect:
            timeout = self._connecting_within(connect, until - loop.time())

        def begin() -> Awaitable[aiohttp.ClientResponse]:
            return session.request(
                request.method,
                request.url,
                headers=headers,
                allow_redirects=False,
                raise_for_status=False,
                # aiohttp does not notice the missing end of gzip: `OpenAnswer` does.
                auto_decompress=False,
                proxy=proxy,
                proxy_headers=login,
                timeout=timeout,
            )

        def read_on(answer: aiohttp.ClientResponse) -> Awaitable[bytes]:
            return self._watched(answer.content.readany, session, request, loop.time() + idle, math.inf, fresh=True)

        try:
            answer = await self._watched(begin, session, request, until, deadline, fresh=fresh)
        except BaseException as error:
            if self._room.waiting and not _is_crowded_out(error):
                self._room.request_ended()
            raise
        self._open_answers += 1
        return OpenAnswer(answer, request, read_on, self._answer_closed)

    async def _watched(
        self,
        step: Callable[[], Awaitable[R]],
        session: aiohttp.ClientSession,
        request: Request,
        until: float,
        deadline: float,
        *,
        fresh: bool,
    ) -> R:
        """Take one step of an open answer, and name its failure as `send` does."""
        watch, began = self._watch, self._loop.time()
        watched = watch.enter(until, deadline)
        failure: WavixError | None
        try:
            return await step()
        except asyncio.CancelledError:
            failure = self._name_cancellation(watched, session, request, began)
            if failure is None:
                raise
        except _FAILURES as error:
            # The client may have been closed between two steps, while nothing was watched.
            failure = _closed_meanwhile() if self._closed else self._name(error, session, request, began, fresh=fresh)
        finally:
            watch.leave(watched)
        try:
            raise failure
        finally:
            del failure

    def _name_cancellation(
        self, watched: Watched, session: aiohttp.ClientSession, request: Request, began: float
    ) -> WavixError | None:
        """Return what a cancellation of a request means; None: the caller has cancelled it."""
        if watched.was_closed():
            return _closed_meanwhile()
        ended = watched.expired or watched.closed
        if self._closed and not ended and watched.task.cancelling() <= watched.cancelling:
            # When aiohttp is closed, it cancels its look-ups of hosts, and with them the tasks that wait for them.
            return ClientClosedError("The client was closed before the request could be sent.")
        seconds = self._loop.time() - began
        if watched.timed_out():
            self._close_idle(session, request, seconds)
            return AttemptTimeoutError(
                f"No complete answer from {request.url.host} in time; the request may have been carried out."
            )
        if seconds > _SUSPICIOUS:
            # The caller may have a timeout of its own.
            self._close_idle(session, request, seconds)
        return None

    def _name(
        self, error: Exception, session: aiohttp.ClientSession, request: Request, began: float, *, fresh: bool
    ) -> WavixError:
        """Return what a failure of aiohttp means, and forget what may be wrong by now."""
        failure = name_failure(
            error, request, next_is_fresh=self._can_be_fresh and not fresh, others_in_flight=len(self._watch) > 1
        )
        if not _is_crowded_out(failure):
            self._suspect(session, failure, request, self._loop.time() - began)
        failure.__cause__ = clean_cause(error)
        return failure

    def _answer_closed(self) -> None:
        self._open_answers -= 1
        if self._room.waiting:
            self._room.request_ended()

    def _session_without_key(self) -> aiohttp.ClientSession:
        """Return a session for hosts of files: it does not have the key among its default headers."""
        if self._files is None:
            if self._owns_session:
                self._files = self._new_session(force_close=False, with_key=False)
            else:
                given = self._session
                assert given is not None
                # The caller's connections (TLS, proxy, addresses), without the caller's headers, cookies and login.
                self._files = aiohttp.ClientSession(
                    connector=given.connector,
                    connector_owner=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={hdrs.USER_AGENT: self._user_agent},
                    trust_env=given.trust_env,
                    proxy=getattr(given, "_default_proxy", None),
                    proxy_auth=getattr(given, "_default_proxy_auth", None),
                )
                self._files._retry_connection = False
        return self._files

    def _drop_files(self) -> aiohttp.ClientSession | None:
        """Forget the session without the key, and return it if its connections are our own."""
        files, self._files = self._files, None
        if files is not None and not self._owns_session:
            files.detach()
            return None
        return files

    async def wait_for_room(self, time_left: float, patience: float, *, fresh: bool, again: bool) -> bool:
        """Wait until there may be a connection for a call, after this machine had no descriptor for one more.

        Args:
            time_left: Seconds to wait at most.
            patience: Seconds to wait at most while no request of this client is in flight.
            fresh: Whether the call needs a new connection: then an idle one makes room for it.
            again: Whether the call has waited before.

        Returns:
            Whether to try again.
        """
        if fresh and self._session is not None and self._owns_session and close_idle(self._session.connector, most=1):
            # The event loop closes the socket in its next turn.
            await asyncio.sleep(0)
            return True
        return await self._room.wait(time_left, patience, again=again)

    def _connecting_within(self, connect: float, left: float) -> aiohttp.ClientTimeout:
        """Return aiohttp's timeouts for a call that has others, or that is about to end.

        Only aiohttp knows that it was still connecting, so that nothing was sent. `self._timeout` is without `connect`,
        which sets a timer for every request, even on an open connection.
        """
        return aiohttp.ClientTimeout(
            total=None, connect=max(min(left - 0.005, connect), 0.001), ceil_threshold=math.inf
        )

    def _suspect(self, session: aiohttp.ClientSession, failure: WavixError, request: Request, seconds: float) -> None:
        """After a failure of the network, forget what may be wrong by now: idle connections, and addresses."""
        if not isinstance(failure, TransportError):
            return
        self._close_idle(session, request, seconds)
        if isinstance(failure, ConnectError) and self._owns_session:
            # The host may have another address by now.
            connector = session.connector
            if isinstance(connector, aiohttp.TCPConnector):
                connector.clear_dns_cache()

    def _close_idle(self, session: aiohttp.ClientSession, request: Request, seconds: float) -> None:
        """After a failure, close the connections to that host that were idle all the while: they may be dead, too.

        Otherwise the following calls would find this out one by one, each with a timeout of its own.
        """
        pool = session if session is not self._fresh or self._session is None else self._session
        close_idle(pool.connector, seconds, request.url.raw_host)

    def distrust_idle(self, request: Request) -> None:
        """Close the idle connections to a host: one has given an answer that belongs to no request, or to another."""
        if self._session is not None:
            close_idle(self._session.connector, 0.0, request.url.raw_host)

    def _session_here(self, *, fresh: bool) -> aiohttp.ClientSession:
        """Return the session; `fresh`: one without a pool, since after a failure the pooled connections are suspect."""
        if self._closed:
            refuse()
        if fresh:
            if not self._owns_session:
                self._fresh = self._twin()
            elif self._fresh is None:
                self._fresh = self._new_session(force_close=True)
            if self._fresh is not None:
                return self._fresh
        session = self._session
        if session is None:
            session = self._session = self._new_session(force_close=False)
        return session

    def _twin(self) -> aiohttp.ClientSession | None:
        """Return a session that opens new connections as the caller's session does; None if that is not possible."""
        session, twin = self._session, self._fresh
        if session is None or not self._can_be_fresh or session.closed:
            return None
        if twin is None or twin.closed:
            twin = twin_without_pool(session, self._max_connections)
        return twin

    def _new_session(self, *, force_close: bool, with_key: bool = True) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_connections,
                ttl_dns_cache=60,
                resolver=_Resolver(self._connect_timeout),
                force_close=force_close,
                ssl=self._ssl,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._session_headers if with_key else {hdrs.USER_AGENT: self._user_agent},
            request_class=request_class() if self._proxy is None and with_key else aiohttp.ClientRequest,
            trust_env=False,
        )
        session._retry_connection = False
        guard(session.connector)
        return session

    async def close(self) -> None:
        """Close the connections, in their event loop; closing twice is fine."""
        self._closed = True
        self._watch.close()
        for session in self._take_sessions():
            await session.close()

    def abandon(self, *, paused: bool = False) -> None:
        """Close the sockets of a loop that does not run.

        Args:
            paused: The loop is open, and this is its process: then it also stops to watch the sockets.
        """
        self._closed = True
        for session in self._take_sessions():
            _abandon(session, self._loop if paused else None)

    def _take_sessions(self) -> list[aiohttp.ClientSession]:
        mine = (self._session if self._owns_session else None, self._fresh, self._drop_files())
        sessions = [session for session in mine if session is not None]
        self._session = self._fresh = None
        return sessions


def _with_more(headers: CIMultiDict[str], request: Request, proxy_login: Mapping[str, str] | None) -> CIMultiDict[str]:
    """Return the headers of a request with those of its caller, and the login of a proxy that reads the request."""
    headers = CIMultiDict(headers)
    headers.update(request.headers or {})
    if request.url.scheme == "http":
        # With https only the proxy's CONNECT has the login.
        headers.update(proxy_login or {})
    return headers


def refuse() -> NoReturn:
    """Refuse a call: the client is closed.

    Raises:
        ClientClosedError: Always.
    """
    raise ClientClosedError("The client is closed: open a new WavixClient, or call it before close().")


def _closed_meanwhile() -> ClientClosedError:
    return ClientClosedError(
        "The client was closed while it waited for the answer; the request may have been carried out.",
        outcome="unknown",
    )


def _is_crowded_out(failure: BaseException | None) -> bool:
    """Return whether this machine had no descriptor for one more connection."""
    return isinstance(failure, ConnectError) and failure.local_limit


def _check_loop(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    """Refuse to use a session of the caller outside of its event loop, which has its connections and timers."""
    if getattr(session, "_loop", loop) is not loop:
        raise ConfigurationError(
            "The session passed as session= belongs to another event loop. Use the client in that loop only, or omit "
            "session=: then the client opens connections of its own in each loop."
        )


class _Resolver(aiohttp.ThreadedResolver):
    """Limits the look-up of a host: a slow one fails as not sent and does not use up the time of the attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        try:
            async with asyncio.timeout(self._seconds):
                return await super().resolve(host, port, family)
        except TimeoutError:
            raise OSError(None, f"looking up {host} took longer than {self._seconds:g} s") from None


def _pool_size(session: aiohttp.ClientSession) -> int:
    """Return how many connections a session can have to one host: calls wait for a slot, not inside aiohttp."""
    connector = session.connector
    limits = (getattr(connector, "limit", 0), getattr(connector, "limit_per_host", 0))
    return min((limit for limit in limits if limit), default=sys.maxsize)


def _abandon(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop | None) -> None:
    """Drop a session whose loop is closed or does not run: only the sockets of its connections can still be closed."""
    connector = session.connector
    session.detach()
    if connector is not None:
        for connections in getattr(connector, "_conns", {}).values():
            for protocol, *_ in connections:
                close_socket(getattr(protocol, "transport", None), loop)
        connector._conns.clear()


def _multipart(parts: tuple[Part, ...]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for part in parts:
        if isinstance(part.content, FilePart):
            form.add_field(part.name, FilePayload(part.content, part.content_type), filename=part.filename)
            continue
        # aiohttp warns about plain bytes of more than 1 MB.
        value: Any = io.BytesIO(part.content) if part.filename else part.content.decode()
        form.add_field(part.name, value, filename=part.filename, content_type=part.content_type)
    return form


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    length = answer.content_length
    if length is not None and length <= MAX_BODY and hdrs.CONTENT_ENCODING not in answer.headers:
        return await answer.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            raise DecodeError(
                f"The answer is longer than {MAX_BODY // 2**20} MB: reading stopped.",
                status=answer.status,
                # More than an error keeps: the call removes the key before it cuts.
                details=b"".join(chunks)[: 16 * DETAILS].decode("utf-8", "replace"),
            )
        chunks.append(chunk)
    return b"".join(chunks)
