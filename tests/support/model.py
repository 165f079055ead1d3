"""A model of the API that knows the truth and fails by a schedule, for virtual time (`tests/support/virtual.py`).

Each request names its owner: by `?call=` in a single call, by number and value in a bulk run, where one request may
have several owners. So the model knows what it saw and carried out for each owner, whatever the client believes. As in
a real server, a request that was received is carried out even if the client no longer waits for the answer.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import Mock

import aiohttp
import attrs
from multidict import CIMultiDict

from tests.support.stub import NUMBER, Seen, StubSession
from wavix_async import WavixClient, WavixError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from yarl import URL

KEY: Final = "key/5d1e-that-no-one-may-see"
ESCAPED: Final = KEY.replace("/", "\\/")
"""The same as some servers write it in JSON."""
MISSING, UNFIT = 13, 11
"""The server knows nothing of the one, and takes no change of the other."""

UNSENT: Final = ("refused", "closing", "slow_connect")
NOT_DONE: Final = ("reset_before", "stall", "status_500", "status_503", "busy_503", "html_502", "408", "409")
DONE: Final = ("reset_after", "cut", "stall_after", "status_500_after", "garbage", "foreign", "wrong_type", "empty",
               "partial")  # fmt: skip
FATES: Final = ("ok", *UNSENT, *NOT_DONE, *DONE)


@attrs.frozen
class Fate:
    """What becomes of one request.

    Attributes:
        kind: One of `FATES`, `429` or `403`.
        before: Seconds until the change is carried out.
        after: Seconds from there to the answer.
        wait: Retry-After of a `429` or `busy_503`, in seconds; None: the header is left out.
    """

    kind: str = "ok"
    before: float = 0.01
    after: float = 0.0
    wait: float | None = None


@attrs.frozen
class Down:
    """Seconds of the session's time in which every request has the same fate."""

    start: float
    seconds: float
    kind: str


@attrs.define
class Bucket:
    """The limit of the server: tokens, filled by time."""

    rate: float
    burst: float
    tells: bool
    """Whether its refusals say for how long."""
    tokens: float = attrs.field(init=False, default=0.0)
    at: float = attrs.field(init=False, default=-1e9)

    def refuses(self, now: float) -> Fate | None:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return None
        return Fate("429", wait=round((1 - self.tokens) / self.rate + 0.005, 2) if self.tells else None)


class Answer:
    """What aiohttp gives for an answer; the connection is free when it was read or closed."""

    def __init__(self, status: int, data: bytes, headers: dict[str, str], leave: Callable[[], None]) -> None:
        self.status = status
        self.headers = CIMultiDict({"Content-Type": "application/json", **headers})
        self.content_length = len(data)
        self.error: Exception | None = None
        self.on_read: Callable[[], None] = lambda: None
        self._data = data
        self._leave: Callable[[], None] | None = leave

    async def read(self) -> bytes:
        self.close()
        if self.error is not None:
            raise self.error
        self.on_read()
        return self._data

    def close(self) -> None:
        if self._leave is not None:
            self._leave()
            self._leave = None

    release = close


class _Sending:
    def __init__(self, session: ModelSession, seen: Seen, owners: list[str], connecting: float) -> None:
        self._given = session, seen, owners, connecting

    def __await__(self) -> Generator[Any, None, Answer]:
        session, *given = self._given
        return session.handle(*given).__await__()


class ModelSession(StubSession):
    """The server; `fates` are used up by the requests in their order, all that follow are answered well."""

    def __init__(self, fates: Iterable[Fate] = (), *, bucket: Bucket | None = None, down: Down | None = None) -> None:
        super().__init__()
        self._fates = list(fates)[::-1]
        self._bucket = bucket
        self._down = down
        self.healthy = False
        """Set it to end all misbehaviour: every answer then takes a second, and is good."""
        self.values: dict[int, int] = {}
        """What was written last, by number."""
        self.gone: set[int] = set()
        self._writing: Counter[int] = Counter()
        self.got: Counter[str] = Counter()
        """Requests that reached the server, by owner."""
        self.got_last: dict[str, float] = {}
        """When the last of them came, in the loop's time."""
        self.interrupted: Counter[str] = Counter()
        """Requests that were given up while they still connected, of which a client cannot know that nothing left."""
        self.done: Counter[str] = Counter()
        """Changes carried out, by owner."""
        self.late: set[str] = set()
        """Owners of changes carried out when no client waited for the answer any more."""
        self.refusals: Counter[str] = Counter()
        """Answers that say that nothing was done, and why, by owner."""
        self.fired: Counter[str] = Counter()
        self.intruders: list[str] = []
        """Owners of requests that came during a pause that the server had asked for."""
        self._closed_until = -1.0

    def request(self, method: str, url: URL, *, data: bytes | None = None, **options: Any) -> Any:
        sending = super().request(method, url, data=data)
        seen: Seen = sending._seen
        value = (seen.body or {}).get("transcription_threshold")
        call = url.query.get("call")
        owners = [call] if call else [f"{number}={value}" for number in numbers_of(seen)]
        timeout = options["timeout"]
        return _Sending(self, seen, owners, timeout.connect or timeout.sock_connect)

    async def handle(self, seen: Seen, owners: list[str], connecting: float) -> Answer:
        loop = asyncio.get_running_loop()
        if loop.time() < self._closed_until - 1e-9:
            self.intruders += owners
        fate = self._fate_of(seen)
        self.fired[fate.kind] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        written = [] if seen.method in ("GET", "POST") else numbers_of(seen)
        self.overlaps += any(self._writing[number] for number in written)
        self._writing.update(written)

        def leave() -> None:
            self.in_flight -= 1
            self._writing.subtract(written)

        try:
            if fate.kind in UNSENT:
                await self._fail_to_connect(fate.kind, owners, connecting)
            self.requests += 1
            self.got.update(owners)
            self.got_last.update(dict.fromkeys(owners, loop.time()))
            return await self._answer_to(seen, owners, fate, leave)
        except BaseException:
            leave()
            raise

    def _fate_of(self, seen: Seen) -> Fate:
        if self.healthy:
            return Fate(before=1.0)
        down = self._down
        if down is not None and down.start <= seen.at < down.start + down.seconds:
            return Fate(down.kind)
        refusal = self._bucket.refuses(seen.at) if self._bucket is not None else None
        if refusal is not None:
            return refusal
        return self._fates.pop() if self._fates else Fate()

    async def _fail_to_connect(self, kind: str, owners: list[str], connecting: float) -> None:
        if kind == "closing":
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        if kind == "refused":
            raise aiohttp.ClientConnectorError(Mock(), OSError(111, "Connection refused"))
        try:
            await asyncio.sleep(connecting)
        except asyncio.CancelledError:
            self.interrupted.update(owners)
            raise
        raise aiohttp.ConnectionTimeoutError

    async def _answer_to(self, seen: Seen, owners: list[str], fate: Fate, leave: Callable[[], None]) -> Answer:
        kind = fate.kind
        status, payload = await self._carried_out(seen, owners, fate)
        await asyncio.sleep(fate.after)
        if kind in ("stall", "stall_after"):
            await asyncio.sleep(1e9)
        if kind in ("reset_before", "reset_after"):
            raise aiohttp.ServerDisconnectedError
        if kind == "partial" and "items" in payload:
            del payload["items"][-1]
        data, headers = json.dumps(payload).encode(), {}
        if kind == "garbage":
            data = data[: len(data) // 2] + f"{KEY} {ESCAPED}".encode()
        elif kind == "foreign":
            data = b'["hello"]'
        elif kind == "empty":
            data = b""
        elif kind in ("html_502", "wrong_type"):
            data, headers = f"<html>Bad Gateway {KEY}</html>".encode(), {"Content-Type": "text/html"}
        elif status >= 400:
            data = data.replace(KEY.encode(), ESCAPED.encode())
        if fate.wait is not None and kind in ("429", "busy_503"):
            headers["Retry-After"] = f"{fate.wait:.2f}"
        answer = Answer(status, data, headers, leave)
        if kind == "cut":
            answer.error = aiohttp.ClientPayloadError()
        if "Retry-After" in headers:
            told = float(headers["Retry-After"])
            answer.on_read = lambda: self._close_for(told)
        if 400 <= status < 500 and status != 408:
            self.refusals.update(owners)
        self.statuses[status] += 1
        return answer

    def _close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + seconds)

    async def _carried_out(self, seen: Seen, owners: list[str], fate: Fate) -> tuple[int, Any]:
        loop = asyncio.get_running_loop()
        carried_out: asyncio.Future[tuple[int, Any]] = loop.create_future()

        def carry_out() -> None:
            status, payload = self._refusal_of(fate) or self._change(seen, owners)
            if fate.kind == "status_500_after":
                status, payload = 500, {"message": f"oops {KEY}"}
            if carried_out.done():
                self.late.update(owners)
            else:
                carried_out.set_result((status, payload))

        loop.call_later(fate.before, carry_out)
        return await carried_out

    @staticmethod
    def _refusal_of(fate: Fate) -> tuple[int, Any] | None:
        if fate.kind not in NOT_DONE and fate.kind not in ("429", "403"):
            return None
        digits = "".join(filter(str.isdigit, fate.kind))
        # An API that repeats the key in its errors must not bring it into ours.
        return int(digits or 200), {"success": False, "message": f"{fate.kind} with Bearer {KEY}"}

    def _change(self, seen: Seen, owners: list[str]) -> tuple[int, Any]:
        """Do what the request asks for, all of it or nothing, and return the answer to it."""
        if seen.method == "POST":
            self.done.update(owners)
            return 200, {"success": True}
        numbers = numbers_of(seen)
        if not self.gone.isdisjoint(numbers) or MISSING in numbers:
            return 404, {"message": "There is no such number"}
        if seen.method == "DELETE":
            self.done.update(owners)
            self.gone.update(numbers)
            return 200, {"success": True}
        if seen.method != "GET":
            if UNFIT in numbers:
                return 422, {"message": f"It cannot do that, {KEY}"}
            self.done.update(owners)
            self.values.update(dict.fromkeys(numbers, seen.body["transcription_threshold"]))
        items = [{**NUMBER, "id": each, "transcription_threshold": self.values.get(each, 6)} for each in numbers]
        return 200, items[0] if seen.path != "/v1/numbers" else {"items": items}


def numbers_of(seen: Seen) -> list[int]:
    """Return the ids that a request is about."""
    return seen.body["ids"] if seen.path == "/v1/numbers" else [seen.id]


def client_of(session: StubSession, **options: Any) -> WavixClient:
    """Make a client of the model, or of any other stub."""
    return WavixClient(KEY, base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


def hold_to_its_facts(error: WavixError, *, settled: bool = False) -> None:
    """Fail unless an error is one of ours that carries coherent facts, survives pickling and hides the key.

    Args:
        error: What was raised.
        settled: Whether a bulk run has read back how it ended: then no answer needs to have said it.
    """
    assert isinstance(error, WavixError)
    assert error.outcome in ("not_sent", "rejected", "unknown")
    assert error.elapsed >= 0
    if not error.attempts:
        assert error.outcome == "not_sent"
    if error.outcome == "rejected" and not settled:
        assert error.status is not None
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    told = traceback.TracebackException.from_exception(error, capture_locals=False)
    for text in (str(error), repr(error), repr(vars(error)), str(error.details), *told.format()):
        assert KEY not in text
        assert ESCAPED not in text
