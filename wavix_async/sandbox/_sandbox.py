"""`Sandbox`: its arguments, its lifetime, and what a test can read from it."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import RLock
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from wavix_async.sandbox._groups import END_STATES, Context, Groups, Ledger, Relays
from wavix_async.sandbox._groups.numbers import FOREIGN_CITIES, HOME_CITIES
from wavix_async.sandbox._server import (
    Courier,
    Deliveries,
    FaultPlan,
    Faults,
    FileHost,
    FileMode,
    Key,
    KeyRing,
    LoopThread,
    Match,
    Outbox,
    RequestHandler,
    Router,
    SandboxEvent,
    SandboxRequest,
    SandboxStats,
    Ticker,
    Timers,
    Variants,
    check_arguments,
    matches,
    rate_limit,
)

_HOST = "127.0.0.1"
_DEFAULT_KEY = "sandbox-key"
_MAX_BODY = 16 * 1024 * 1024
_SHUTDOWN = 0.01
_LONGEST_TIME = 100 * 365 * 86_400
"""Seconds: each date that the sandbox makes from its clock then has a year of four digits."""


class _Server(web.Server):
    """aiohttp's low-level server, which also counts connections and allows uploads."""

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
    """A local Wavix simulator on a loopback port, with its state in memory.

    With `async with`, or with `start()` and `stop()`, the sandbox runs in the caller's event loop. In a `with` block it
    runs in its own thread, for synchronous code and for tests that may block their event loop. Then `await stop()` and
    `await start()` simulate an outage, from any event loop. All other methods work from any thread at any time.

    Every request first meets the rate limit, then the latency, then a fault or the API. A request that the rate limit
    refuses gets no fault.

    Args:
        numbers: How many phone numbers the account owns; their ids begin at 1001. Each is computed when it is read, so
            a million numbers cost nothing until they are changed. All start with SMS off.
        rate: Requests per second that the sandbox accepts, or None for no limit.
        burst: How many requests may come at once: the size of the token bucket. Default: a tenth of `rate`, at least 1.
        faults: The faults: `Faults(...)`, a share of the requests from 0 to 1 (see `Faults.mix`), or None.
        latency: Seconds before a request is carried out, or a range as (low, high).
        seed: Makes data, faults and latencies reproducible. Document URLs also depend on the port.
        window: Seconds of a fixed window: the limit is then `rate * window` requests per window, not a token bucket.
        retry_after: Seconds in the `Retry-After` header of a refused request, rounded up, and never less than the limit
            needs. None: no header.
        rate_headers: Adds the state of the limit to every response: `"x"` as X-RateLimit-Limit, -Remaining and -Reset
            (seconds from now), `"ietf"` as RateLimit and RateLimit-Policy. None: no headers.
        api_key: The key that requests must have. Default: a fixed key, which you can read as `api_key`.
        scopes: The access of the key by group: `{"numbers": "read"}`; a missing group is `"none"`. None: full access.
        apply_delay: Seconds until new destinations and SMS callbacks are visible; the live API also applies them late.
        batch_limit: The most ids in one batch update, or None for no limit; more ids get a 422.
        foreign: The share of numbers outside the US and Canada, which have no SMS. Default 0.
        delivery_delay: Seconds until a message is delivered; it becomes pending after a third of them, sent after two
            thirds. The response to a send always says accepted.
        end_states: The final status of messages by their sender, or by the last digits of their recipient; all others
            are delivered. Default: undelivered for 0007, rejected for 0008, dlr_expired for 0009.
        message_rate: Messages that can be sent in one second, or None for no limit; more get a 429 with the code 26.
        daily_messages: Messages that can be sent to one number in 24 hours, or None for no limit; the API documents 20.
        sms_relay_url: Where messages are posted that arrive at a number without an `sms_relay_url`; a test may change
            it as `sandbox.sms_relay_url`.
        dlr_relay_url: Where delivery reports are posted of messages without a `callback_url`; a test may change it as
            `sandbox.dlr_relay_url`.
        call_delay: Seconds of each step of a call: until an outbound call rings, until it is answered, and until audio
            that is played ends. By the end of its recipient, a call is busy (0486), rejected (0603), failed (0503),
            not answered (0408) or answered by a machine (0999) instead.
        call_duration: Seconds from the answer of a call until the other side hangs up.
        cdrs: How many calls of the past the account has: one every 17 minutes before the start, most of them recorded
            and some transcribed.
        transcription_delay: Seconds until a call or a file is transcribed.
        registry_delay: Seconds until the 10DLC registry decides. It verifies brands, but not with an `ein_taxid` that
            ends in 0000; it approves campaigns, but not with `declined` in the name; it approves numbers, but not with
            `rejected` in the label.
        validation_delay: Seconds until an asynchronous batch of validations is finished.
        balance: USD of the account at the start. What costs more than is left gets a 422 "Insufficient funds"; the
            validation of a number gets the error code 091, and a checkout buys what the balance pays for. None: more
            than enough. Every charge is a transaction.
        trunk_delay: Seconds until the IP authentication of a SIP trunk is decided: a private address is rejected, all
            others are accepted.
        files: How the API answers with a recording, or a file that was uploaded: `"redirect"` (a 302 to another port,
            which refuses requests with a key), `"location200"` (a 200 with the same `Location`) or `"bytes"` (the
            file itself).
        port: The port to listen on; 0 chooses a free port.
        deliveries: How events reach their URLs: doubled, late or out of order. Default: each once, in order. The
            sandbox posts them to URLs on this machine only; `outbox` shows all events.
        variants: The share, from 0 to 1, of answers and events in another shape that the API was seen to send, such as
            a message in `{"message": ...}`, 204 for a confirmation, or a call event with its id under `uuid`.

    Raises:
        ValueError: An argument is out of range; the message names the argument and the fix.
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
        end_states: Mapping[str, str] | None = None,
        message_rate: int | None = None,
        daily_messages: int | None = None,
        sms_relay_url: str | None = None,
        dlr_relay_url: str | None = None,
        call_delay: float = 0.0,
        call_duration: float = 600.0,
        cdrs: int = 0,
        transcription_delay: float = 0.0,
        registry_delay: float = 0.0,
        validation_delay: float = 0.0,
        balance: Decimal | float | str | None = None,
        trunk_delay: float = 0.0,
        files: FileMode = "redirect",
        port: int = 0,
        deliveries: Deliveries | None = None,
        variants: float = 0.0,
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
            end_states=end_states,
            message_rate=message_rate,
            daily_messages=daily_messages,
            call_delay=call_delay,
            call_duration=call_duration,
            cdrs=cdrs,
            transcription_delay=transcription_delay,
            registry_delay=registry_delay,
            validation_delay=validation_delay,
            balance=balance,
            trunk_delay=trunk_delay,
            files=files,
            port=port,
            variants=variants,
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
        self._timers = Timers(self._real_now)
        self._outbox = Outbox(self._now)
        self._ticker = Ticker(self._timers, self._lock)
        self._courier = Courier(self._outbox, self._timers, self._lock, deliveries or Deliveries(), seed)
        self._variants = Variants(variants, seed) if variants else None
        if self._variants is not None:
            self._outbox.shape = self._variants.change_event
        self._relays = Relays(sms_relay_url, dlr_relay_url)
        self._files = FileHost(files)
        self._ledger = Ledger(None if balance is None else Decimal(str(balance)))
        keys = KeyRing(self._date)
        keys.add(Key(self.api_key, scopes))
        self._groups = Groups(
            Context(
                lock=self._lock,
                clock=self._now,
                date=self._date,
                stats=self.stats,
                timers=self._timers,
                outbox=self._outbox,
                seed=seed,
                numbers=numbers,
                foreign=foreign,
                apply_delay=apply_delay,
                batch_limit=batch_limit,
                delivery_delay=delivery_delay,
                end_states=END_STATES if end_states is None else dict(end_states),
                message_rate=message_rate,
                daily_messages=daily_messages,
                relays=self._relays,
                call_delay=call_delay,
                call_duration=call_duration,
                cdrs=cdrs,
                transcription_delay=transcription_delay,
                registry_delay=registry_delay,
                validation_delay=validation_delay,
                ledger=self._ledger,
                trunk_delay=trunk_delay,
                api_key=self.api_key,
                keys=keys,
                files=self._files,
            )
        )
        self._handler = RequestHandler(
            Router(
                self._groups.routes,
                keys=keys,
                charges=self.stats.charges,
                timers=self._timers,
                lock=self._lock,
                variants=self._variants,
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
            raise RuntimeError("The sandbox is not running: use `async with Sandbox(...)`, or await start() first")
        return self._url

    @property
    def numbers(self) -> Mapping[int, dict[str, Any]]:
        """The numbers by id, in wire form, as a GET returns them; every read returns a copy."""
        return self._groups.numbers.view

    @property
    def messages(self) -> Mapping[str, dict[str, Any]]:
        """The messages by message id, oldest first, in wire form; every read returns a copy."""
        return self._groups.messages.messages.view

    @property
    def sender_ids(self) -> Mapping[str, dict[str, Any]]:
        """The sender ids by record id, in wire form; every read returns a copy."""
        return self._groups.messages.sender_ids.view

    @property
    def opt_outs(self) -> Mapping[tuple[str, str | None], dict[str, Any]]:
        """The opt-outs by phone number and sender (None: all), without plus signs; every read returns a copy."""
        return self._groups.messages.opt_outs.view

    @property
    def calls(self) -> Mapping[str, dict[str, Any]]:
        """The active calls by id, oldest first, in wire form; every read returns a copy."""
        return self._groups.calls.calls.view

    @property
    def call_streams(self) -> Mapping[str, dict[str, Any]]:
        """The streams of active calls by stream id, with the id of their call; every read returns a copy.

        The sandbox does not connect to their URLs.
        """
        return self._groups.calls.streams.view

    @property
    def outbox(self) -> tuple[SandboxEvent, ...]:
        """The latest 100,000 events that the account has caused, oldest first, with what became of each delivery.

        Events that the sandbox does not deliver are here too, with the reason.
        """
        with self._lock:
            self._timers.run_due()
            return self._outbox.snapshot()

    async def delivered(self) -> None:
        """Wait until every event that is due was delivered; call it from any event loop.

        Events that are late or wait for another try are due at their time on the sandbox's clock: see `advance`.

        Raises:
            RuntimeError: The sandbox is not running, and events wait.
        """
        await self._courier.settled()

    @property
    def cdrs(self) -> Mapping[str, dict[str, Any]]:
        """The calls that have ended, by call id, oldest first, in wire form; every read returns a copy."""
        return self._groups.cdrs.cdrs.view

    @property
    def recordings(self) -> Mapping[int, dict[str, Any]]:
        """The recordings by record id, without those that were deleted, in wire form; every read returns a copy."""
        return self._groups.cdrs.recordings.view

    @property
    def call_transcriptions(self) -> Mapping[str, dict[str, Any]]:
        """The transcriptions of calls by call id, in wire form; every read returns a copy."""
        return self._groups.cdrs.transcriptions.view

    @property
    def file_transcriptions(self) -> Mapping[str, dict[str, Any]]:
        """The finished transcriptions of files by request id, in wire form; every read returns a copy."""
        return self._groups.speech.transcriptions.view

    @property
    def brands(self) -> Mapping[str, dict[str, Any]]:
        """The 10DLC brands by id, also deleted ones, in wire form; every read returns a copy."""
        return self._groups.ten_dlc.brands.view

    @property
    def campaigns(self) -> Mapping[str, dict[str, Any]]:
        """The 10DLC campaigns by id, also deleted ones, in wire form; every read returns a copy."""
        return self._groups.ten_dlc.campaigns.view

    @property
    def balance(self) -> Decimal:
        """USD that the account has left."""
        with self._lock:
            self._timers.run_due()
            return self._ledger.balance

    @property
    def transactions(self) -> Mapping[int, dict[str, Any]]:
        """The transactions by id, oldest first, in wire form; every read returns a copy."""
        return self._groups.billing.transactions.view

    @property
    def cart(self) -> tuple[dict[str, Any], ...]:
        """The numbers in the cart, in wire form; every read returns a copy."""
        with self._lock:
            return tuple(map(deepcopy, self._groups.buy.cart.values()))

    @property
    def validations(self) -> Mapping[str, dict[str, Any]]:
        """The asynchronous batches of validations by request id, oldest first, as they were asked for."""
        return self._groups.validation.batches.view

    @property
    def two_fa_services(self) -> Mapping[str, dict[str, Any]]:
        """The 2FA services by id; there is one. Every read returns a copy."""
        return self._groups.two_fa.services.view

    @property
    def two_fa_sessions(self) -> Mapping[str, dict[str, Any]]:
        """The 2FA sessions by id, oldest first, in wire form; every read returns a copy."""
        return self._groups.two_fa.sessions.view

    @property
    def trunks(self) -> Mapping[int, dict[str, Any]]:
        """The SIP trunks by id, oldest first, in wire form, as a GET returns them; every read returns a copy."""
        return self._groups.trunks.trunks.view

    @property
    def api_keys(self) -> Mapping[int, dict[str, Any]]:
        """The API keys that were made, by record id, in wire form, with the keys masked; every read returns a copy."""
        return self._groups.api_keys.keys.view

    @property
    def sub_organizations(self) -> Mapping[int, dict[str, Any]]:
        """The sub-organizations by id, oldest first, in wire form; every read returns a copy."""
        return self._groups.sub_organizations.organizations.view

    @property
    def keys_to_file_host(self) -> int:
        """How many requests sent a key to the host of the files, which refused them: a client must send none."""
        return self._files.refused

    @property
    def requests(self) -> tuple[SandboxRequest, ...]:
        """The latest 10,000 requests, in the order of arrival.

        Every request is listed, including unanswered ones. A request is complete before its response is sent. While it
        is in flight, `status` is None, and at first `body` is empty.
        """
        return self.requests_to(None)

    @property
    def cities(self) -> Mapping[int, str]:
        """The cities of the numbers: `city_id` to name."""
        return {city.id: city.name for city in (*HOME_CITIES, *FOREIGN_CITIES)}

    async def start(self) -> Self:
        """Listen on the loopback address; after a stop, on the same port as before if that port is still free.

        Raises:
            RuntimeError: The sandbox is already running.
            OSError: The port is in use.
        """
        home = self._home
        if home is None or home.is_here():
            return await self._start()
        return await asyncio.wrap_future(home.submit(self._start()))

    async def _start(self) -> Self:
        if self._runner is not None:
            raise RuntimeError("The sandbox is already running: stop it first, or create a second one")
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
            self._groups.begin(self._url)
            self._handler.begin()
        self._ticker.start()
        self._courier.start()
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
        """Stop listening, cancel the requests in flight and close every connection; the state stays readable.

        A second stop does nothing.
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
        await self._ticker.stop()
        await self._courier.stop()
        await self._handler.cancel()
        # A connection accepted while the server closes would be dropped before it is set up, and its socket would stay
        # open. So accept no more, and give the accepted ones the rounds of the loop that their set-up takes.
        loop = asyncio.get_running_loop()
        for site in runner.sites:
            for listening in _sockets_of(site):
                loop.remove_reader(listening.fileno())
        for _ in range(2):
            await asyncio.sleep(0)
        await runner.cleanup()
        await self._files.stop()
        # Callbacks close the sockets; without these rounds the loop could end before them.
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
            raise RuntimeError("The sandbox is already running: stop it first, or create a second one")
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
        """Return the matching requests of the latest 10,000, in the order of arrival.

        Args:
            match: Which requests to return, as in `fail_next`: `"PATCH"`, `"/v1/numbers/1001"`, `"GET /v1/*"`, or a
                function of method and path. None: all.
        """
        with self._lock:
            requests = self._handler.requests()
        return tuple(request for request in requests if matches(match, request.method, request.path))

    def reset(self) -> None:
        """Restore the initial state: numbers, counters, records, events, the rate limit and the faults."""
        with self._lock:
            self._timers.clear()
            self._courier.clear()
            self._outbox.clear()
            if self._variants is not None:
                self._variants.reset()
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
        """Make the next requests fail; these faults come before random ones.

        A request that the rate limit refuses does not count.

        Args:
            kind: The status of the response, from 400 to 599, or a kind of fault (see `FAULT_KINDS`).
            count: How many requests to fail.
            match: Which requests to fail: a method, a path or `"METHOD /path"`, with `*` and `?` as in a shell, or a
                function of method and path. None: all.
            retry_after: Seconds in `Retry-After`, rounded up; only for a status. Default: for a 429 the same as the
                rate limit's, otherwise no header.
            message: The message of the response; only for a status. Default: the API's message for that status.

        Raises:
            ValueError: `kind` is unknown, `count` is below 1, or `retry_after` or `message` is given for a kind that is
                not a status.
        """
        with self._lock:
            self._plan.order(kind, count, match, retry_after, message)

    def change(self, number_id: int, **fields: Any) -> None:
        """Set fields of a number directly, in wire form, without validation, delay or counting.

        Use this to simulate another user of the account, or a changed API (new fields, other types).

        Raises:
            KeyError: The account does not own the number.
        """
        with self._lock:
            store = self._groups.numbers.store
            if number_id not in store:
                raise KeyError(number_id)
            store.change(number_id, fields)

    @property
    def sms_relay_url(self) -> str | None:
        """Where messages are posted that arrive at a number without an `sms_relay_url`; None: nowhere."""
        return self._relays.sms

    @sms_relay_url.setter
    def sms_relay_url(self, url: str | None) -> None:
        with self._lock:
            self._relays.sms = url

    @property
    def dlr_relay_url(self) -> str | None:
        """Where delivery reports are posted of messages without a `callback_url`; None: nowhere."""
        return self._relays.dlr

    @dlr_relay_url.setter
    def dlr_relay_url(self, url: str | None) -> None:
        with self._lock:
            self._relays.dlr = url

    def inbound_message(self, sender: str, to: str, text: str, media: Sequence[str] = ()) -> dict[str, Any]:
        """Simulate an inbound message, and return it in wire form.

        Its event is posted to the `sms_relay_url` of the number, or else of the account. The text STOP opts the sender
        out of messages from `to`.

        Args:
            sender: The phone number that sends the message.
            to: The account's number that receives it.
            text: The text.
            media: The URLs of media, which make the message an MMS.
        """
        with self._lock:
            self._timers.run_due()
            return deepcopy(self._groups.messages.receive(sender, to, text, media))

    def receive(self, sender: str, to: str, text: str, media: Sequence[str] = ()) -> dict[str, Any]:
        """Do what `inbound_message` does: the older name of it."""
        return self.inbound_message(sender, to, text, media)

    def inbound_call(self, sender: str, to: str) -> dict[str, Any]:
        """Simulate an inbound call, and return it in wire form. It rings for 60 seconds, or until the API answers it.

        Its events go to the `call_status_url` of the number, and to the account's webhook for calls.

        Args:
            sender: The phone number that calls.
            to: The account's number that is called.
        """
        with self._lock:
            return deepcopy(self._groups.calls.ring(sender, to))

    def press(self, call_id: str, digits: str) -> None:
        """Simulate keys that the other side of a call presses, while `calls.collect` waits for them.

        Args:
            call_id: The call's id.
            digits: The keys: `0` to `9`, `*`, `#` and `A` to `D`.

        Raises:
            KeyError: There is no such active call.
            ValueError: A key does not exist, or nothing collects digits.
        """
        with self._lock:
            self._timers.run_due()
            self._groups.calls.press(call_id, digits)

    def hang_up(self, call_id: str) -> None:
        """Simulate that the other side of a call hangs up; an outbound call that rings is rejected.

        Raises:
            KeyError: There is no such active call.
        """
        with self._lock:
            self._timers.run_due()
            self._groups.calls.hang_up(call_id)

    def set_registry_status(self, record_id: str, status: str) -> None:
        """Simulate that the 10DLC registry sets the status of a brand or a campaign: `SUSPENDED`, `EXPIRED`, any other.

        Its event goes to the subscription of the account.

        Args:
            record_id: The id of the brand or of the campaign.
            status: The status.

        Raises:
            KeyError: There is no such brand or campaign.
        """
        with self._lock:
            self._timers.run_due()
            group = self._groups.ten_dlc
            if record_id not in group.brands and record_id not in group.campaigns:
                raise KeyError(record_id)
            group.set_status(record_id, status)

    def code(self, session_id: str) -> str:
        """Return the code of a 2FA session that was sent last: a test types it in for the person.

        Raises:
            KeyError: There is no such session.
        """
        with self._lock:
            return self._groups.two_fa.code(session_id)

    def click(self, link: str) -> str | None:
        """Simulate a click on a short link, and return where it leads.

        A link that has expired leads to its fallback, or nowhere (None), and the click does not count.

        Raises:
            KeyError: There is no such link.
        """
        with self._lock:
            return self._groups.short_links.click(link)

    def sell(self, number: str) -> None:
        """Simulate that another customer buys a number: the account cannot buy it any more.

        Args:
            number: A number that the account can buy, also one in its cart.

        Raises:
            KeyError: The number is not for sale.
        """
        with self._lock:
            if self._groups.buy.find(number) is None:
                raise KeyError(number)
            self._groups.buy.sold.add(number)

    def emit(self, kind: str, url: str | None, body: Mapping[str, Any]) -> None:
        """Post an event of your own, as the API would: one that no operation of the sandbox causes, or a strange one.

        Args:
            kind: The kind of event (see `SandboxEvent.kind`).
            url: Where it goes. The sandbox posts to URLs of this machine only.
            body: The event in wire form.

        Raises:
            TypeError: `body` cannot be written as JSON.
        """
        json.dumps(body)
        with self._lock:
            self._outbox.post(kind, url, dict(body))

    def add_call(
        self,
        *,
        from_: str,
        to: str,
        type: Literal["placed", "received"] = "received",  # noqa: A002 - the name of the filter
        disposition: Literal["answered", "noanswer", "busy", "failed"] = "answered",
        duration: int = 60,
        began: datetime | None = None,
        recording: bool = True,
        transcription: bool = False,
        speech: Sequence[tuple[Literal["agent", "client"], str]] | None = None,
    ) -> dict[str, Any]:
        """Add a call that has ended, and return its CDR in wire form.

        A call with a number that ends in 0007 cannot be transcribed.

        Args:
            from_: The phone number that called.
            to: The phone number that was called.
            type: Whether the account has `placed` or `received` it.
            disposition: How the call ended; only answered calls have recordings.
            duration: Seconds.
            began: When the call began, with a time zone; None: `duration` ago.
            recording: Whether it was recorded.
            transcription: Whether its recording is transcribed, after `transcription_delay`.
            speech: What was said, in order; None: a few words about a bill.
        """
        with self._lock:
            record = self._groups.cdrs.add_call(
                from_=from_,
                to=to,
                kind=type,
                disposition=disposition,
                duration=duration,
                began=began,
                recording=recording,
                transcription=transcription,
                speech=speech,
            )
            return deepcopy(record)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward: delayed changes apply and the rate limit refills, but latencies still last.

        Raises:
            ValueError: `seconds` is negative, or the clock would be more than a hundred years ahead.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {seconds!r}: the clock only moves forward")
        with self._lock:
            if self._ahead + seconds > _LONGEST_TIME:
                raise ValueError(f"seconds must be at most {_LONGEST_TIME} in all calls together, not {seconds!r}")
            self._ahead += seconds
            self._timers.run_due()
        self._ticker.wake()

    def _date(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead + self._now() - self._real_now())

    def _now(self) -> float:
        """Return the time of the sandbox; while a timer's action runs, the time at which it was due."""
        at = self._timers.running_at
        return self._real_now() if at is None else at

    def _real_now(self) -> float:
        return time.monotonic() + self._ahead
