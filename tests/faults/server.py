"""A small Wavix that breaks on purpose, in its own process: what it saw is the truth that results are held against.

    with FaultServer(schedule=["reset_after", "ok"]) as server:
        ...                                     # talk to server.url
        server.assert_fired("reset_after")      # a test whose fault never fired proves nothing
        assert server.counters()["applied"] == {7: 2}

Bytes are written by hand, without an HTTP library: a library would refuse to send most of what is wanted here. The
process is this very module, run with the standard library alone, so that it starts in a tenth of a second and shares
neither event loop nor interpreter lock with the client under test. Commands and answers are JSON lines on its stdin and
stdout; it ends when its stdin does, so a crashed test leaves nothing behind.

| kind | what the client sees | change carried out |
|---|---|---|
| `ok` | the answer | yes |
| `reset_before`, `close_before` | RST, FIN in place of an answer | no |
| `reset_after`, `close_after` | RST, FIN in place of an answer | yes |
| `half_headers`, `half_body`, `chunked_cut` | an answer cut off in the headers, the body, a chunk | yes |
| `garbage`, `empty_200`, `wrong_type` | 200 with broken JSON, without a body, with HTML | yes |
| `no_content` | 204 | yes |
| `success_false` | 200 with `{"success": false}` | no |
| `html_502` | 502 with HTML | no |
| `status_NNN` | that status with the API's error body; `status_429` carries the server's `retry_after`, if any | no |
| `status_NNN_after` | the same | yes |
| `status_NNN_retry_after` | the same, always with Retry-After | no |
| `stall`, `stall_after` | nothing, until the client hangs up | no, yes |
| `slow` | the answer after `delay` (0.3 s) | yes, after it |
| `drip` | the answer with one byte of body every `delay` (0.05 s) | yes |
| `gzip_bomb`, `big_body` | 128 MB of zeros in 128 kB of gzip, 20 MB of JSON | yes |
| `stale_keepalive` | the answer, which promises keep-alive, and a closed connection | yes |
| `redirect` | 307 to another origin, which notes whether the key came along | no |
| `html_NNN`, `html_NNN_after` | that status with a page of a proxy | no, yes |
| a name in `lies.py`, the same with `_after` | a whole answer that is wrong | no, yes |
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import itertools
import json
import os
import random
import re
import socket
import struct
import sys
import threading
import time
import zlib
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.lies import KIND, LATE, LIES, PAGE, REFUSALS, Asked, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KINDS = frozenset(
    {
        "ok",
        "reset_before",
        "reset_after",
        "close_before",
        "close_after",
        "half_headers",
        "half_body",
        "chunked_cut",
        "garbage",
        "empty_200",
        "wrong_type",
        "no_content",
        "success_false",
        "stall",
        "stall_after",
        "slow",
        "drip",
        "gzip_bomb",
        "big_body",
        "stale_keepalive",
        "redirect",
    }
)
STATUS = re.compile(r"status_(?P<code>[1-5]\d\d)(?P<how>_after|_retry_after)?")
PROXY_PAGE = re.compile(r"html_(?P<code>[1-5]\d\d)(?P<after>_after)?")
REASONS = {200: "OK", 204: "No Content", 307: "Temporary Redirect", 404: "Not Found", 429: "Too Many Requests"}
BOMB_MEGABYTES = 128
BIG_BODY_BYTES = 20_000_000
LOG_LENGTH = 200_000
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fault:
    """One thing to do to a request: a kind, and what to change in it."""

    kind: str
    headers: tuple[tuple[str, str], ...] = ()
    """Sent as they are, repeated ones too; a Retry-After or Content-Type here takes the place of the server's own."""
    body: str | None = None
    delay: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not any(form.fullmatch(self.kind) for form in (STATUS, PROXY_PAGE, KIND)):
            known = ", ".join(sorted({*KINDS, *LIES}))
            raise ValueError(f"no such fault: {self.kind!r}; there is status_NNN, html_NNN, {known}")


OK = Fault("ok")


@dataclass
class Settings:
    faults: dict[str, float] = field(default_factory=dict)
    schedule: list[Fault] = field(default_factory=list)
    seed: int = 0
    methods: tuple[str, ...] = ()
    rate: float | None = None
    burst: int = 1
    retry_after: float | None = None
    latency: float = 0.0
    numbers: int = 0
    lies: dict[str, str] = field(default_factory=dict)
    lie_share: float = 0.0


# --------------------------------------------------------------------------------------------------------- in the test


class FaultServer:
    """The server, seen from the test.

    Args:
        faults: Probability by kind; one seeded draw per request decides.
        schedule: What to do to the first requests, one each; `faults` rules when it is used up.
        seed: Of the draws.
        methods: Where faults may strike; empty means everywhere. Other requests use up no schedule.
        rate: Requests per second of a token bucket of `burst`; whatever is above gets a 429, before any fault.
        burst: See `rate`.
        retry_after: Seconds that every 429 and `status_NNN_retry_after` says; None leaves the header out.
        latency: Added to every answer.
        numbers: How many phone numbers `GET /v1/numbers` lists. Any positive id can be read and changed, listed or not.
        lies: Kinds, and the requests that may get them (letters, see `lies.py`). The server deals them like cards: each
            kind once, in seeded order, before any comes again.
        lie_share: Of the requests that neither the schedule nor `faults` rules, how many get a card.
        tls: Serve HTTPS without a certificate; `tls_without_certificates` is the client's side of it.
    """

    def __init__(
        self,
        *,
        faults: Mapping[str, float] | None = None,
        schedule: Iterable[str | Fault] = (),
        seed: int = 0,
        methods: Iterable[str] = (),
        rate: float | None = None,
        burst: int = 1,
        retry_after: float | None = None,
        latency: float = 0.0,
        numbers: int = 0,
        lies: Mapping[str, str] | None = None,
        lie_share: float = 0.0,
        tls: bool = False,
    ) -> None:
        self._tls = tls
        self._given: dict[str, Any] = {
            "faults": faults or {},
            "schedule": schedule,
            "seed": seed,
            "methods": methods,
            "rate": rate,
            "burst": burst,
            "retry_after": retry_after,
            "latency": latency,
            "numbers": numbers,
            "lies": lies or {},
            "lie_share": lie_share,
        }
        self._given = _checked(self._given)
        self._lock = threading.Lock()
        self.url = ""
        self.other_origin = ""

    def __enter__(self) -> FaultServer:
        # Not needed by the process that runs this file, which has to start fast.
        import subprocess

        self._process = subprocess.Popen(
            [sys.executable, "-E", "-s", "-S", "-m", "tests.faults.server", *(["tls"] if self._tls else [])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        try:
            ports = json.loads(self._stdout.readline())
            self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{ports['port']}"
            self.other_origin = f"http://127.0.0.1:{ports['other_port']}"
            self._ask("reset", **self._given)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(timeout=2)
        except Exception:
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    def reset(self, **changed: Any) -> None:
        """Forget all that happened, drop every connection, and go back to the first settings, save those `changed`."""
        self._ask("reset", **{**self._given, **_checked(changed)})

    def set_schedule(self, schedule: Iterable[str | Fault], *, path: str | None = None) -> None:
        """Say what happens to the next requests, one each; with `path`, to the next ones of that path only."""
        self._ask("schedule", schedule=_checked({"schedule": schedule})["schedule"], path=path)

    def counters(self) -> dict[str, Any]:
        """What the server saw.

        `requests` by method and path, `total`, `applied` (id -> how many times a change was carried out), `posted`
        (path -> the same for POSTs), `fired` by kind, `limited` (429s of the rate), `connections` ever and `open` now,
        `peak_in_flight`, `overlapping_writes` (writes that came while another of the same number was under way), `late`
        (answers sent after an answer), `redirected` (requests that reached the other origin) and `redirected_with_key`.
        """
        counters: dict[str, Any] = self._ask("counters")
        counters["applied"] = {int(number): times for number, times in counters["applied"].items()}
        return counters

    def numbers(self) -> dict[int, dict[str, Any]]:
        """Every number that was changed or read, as it is now."""
        return {int(number): state for number, state in self._ask("numbers").items()}

    def log(self) -> list[dict[str, Any]]:
        """Every request in order.

        Each has at (time.monotonic), connection, method, path, fault, headers (lower case), body, and carried_out.
        """
        log: list[dict[str, Any]] = self._ask("log")
        return log

    def assert_fired(self, *kinds: str, times: int | None = None) -> None:
        """Fail unless each fault has fired (exactly `times`, if given)."""
        fired = self.counters()["fired"]
        for kind in kinds:
            count = fired.get(kind, 0)
            if count == 0 or (times is not None and count != times):
                wanted = "at least once" if times is None else f"{times} times"
                raise AssertionError(f"{kind} should have fired {wanted}, it fired {count} times; fired: {fired}")

    def _ask(self, command: str, **arguments: Any) -> Any:
        with self._lock:
            try:
                self._stdin.write(json.dumps([command, arguments]).encode() + b"\n")
                self._stdin.flush()
                line = self._stdout.readline()
            except (OSError, ValueError):  # ValueError: closed by us
                line = b""
        if not line:
            raise RuntimeError(f"the fault server has ended, exit code {self._process.poll()}")
        return json.loads(line)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(options)
    if "schedule" in options:
        faults: Sequence[Fault] = [Fault(x) if isinstance(x, str) else x for x in options["schedule"]]
        options["schedule"] = [asdict(fault) for fault in faults]
    if "methods" in options:
        options["methods"] = tuple(options["methods"])
    for kind in (*options.get("faults", {}), *options.get("lies", {})):
        Fault(kind)
    Settings(**options)
    return options


# ------------------------------------------------------------------------------------------------------ in the process


class HangUp(Exception):
    """The connection is not to be used again."""


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    entry: dict[str, Any] = field(default_factory=dict)
    """Of the log."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(pair.partition("=")[::2] for pair in self.target.partition("?")[2].split("&"))

    @property
    def number(self) -> int | None:
        found = re.fullmatch(r"/v1/numbers/(\d+)", self.path)
        if self.method == "DELETE" and self.path == "/v1/numbers" and self.query.get("ids", "").isdigit():
            return int(self.query["ids"])
        return int(found[1]) if found else None

    @property
    def ids(self) -> list[int]:
        """The numbers that it reads or changes."""
        if self.number is not None:
            return [self.number]
        return list(json.loads(self.body)["ids"]) if self.letter == "B" else []

    @property
    def letter(self) -> str:
        """The kind of request in `lies.py`; empty for a list."""
        if self.number is not None:
            return {"GET": "G", "PATCH": "P", "PUT": "P", "DELETE": "D"}.get(self.method, "")
        if self.method == "PATCH" and self.path == "/v1/numbers":
            return "B"
        return "S" if self.method == "POST" else ""


class Connection:
    def __init__(self, serial: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serial = serial
        self.forgotten = False
        self.reader = reader
        self.writer = writer

    async def request(self) -> Request | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _version = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "chunked" in headers.get("transfer-encoding", ""):
            body = b"".join([chunk async for chunk in self._chunks()])
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, target, headers, body)

    async def _chunks(self) -> Any:
        while size := int((await self.reader.readline()).partition(b";")[0], 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        while await self.reader.readline() not in (b"\r\n", b""):
            pass

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.forgotten:
            raise HangUp

    async def until_hung_up(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        # Closing with a linger time of zero is what makes the kernel send RST in place of FIN.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    def __init__(self) -> None:
        self.open: dict[int, Connection] = {}
        self.serials = itertools.count(1)
        self.other_origin = ""
        self.reset()

    # -- commands -------------------------------------------------------------------------------------------------

    def reset(self, **options: Any) -> None:
        options["schedule"] = [_fault(x) for x in options.get("schedule", ())]
        self.settings = Settings(**options)
        self.random = random.Random(self.settings.seed)
        self.deck = list(self.settings.lies)
        self.random.shuffle(self.deck)
        self.late = 0
        self.by_path: dict[str, deque[Fault]] = {}
        self.scheduled = deque(self.settings.schedule)
        self.tokens, self.filled_at = float(self.settings.burst), time.monotonic()
        for connection in self.open.values():
            # A request that is still being answered slowly must not be carried out, nor counted, after the reset.
            connection.forgotten = True
            connection.writer.transport.abort()
        self.state: dict[int, dict[str, Any]] = {}
        self.deleted: set[int] = set()
        self.requests: Counter[str] = Counter()
        self.applied: Counter[int] = Counter()
        self.posted: Counter[str] = Counter()
        self.fired: Counter[str] = Counter()
        self.writing: Counter[int] = Counter()
        self.history: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self.connections = self.in_flight = self.peak_in_flight = self.limited = 0
        self.overlapping_writes = self.redirected = self.redirected_with_key = 0

    def schedule(self, schedule: list[dict[str, Any]], path: str | None) -> None:
        queue = deque(_fault(x) for x in schedule)
        if path is None:
            self.scheduled = queue
        else:
            self.by_path[path] = queue

    def counters(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "total": self.requests.total(),
            "applied": self.applied,
            "posted": self.posted,
            "fired": self.fired,
            "limited": self.limited,
            "connections": self.connections,
            "open": len(self.open),
            "peak_in_flight": self.peak_in_flight,
            "overlapping_writes": self.overlapping_writes,
            "late": self.late,
            "redirected": self.redirected,
            "redirected_with_key": self.redirected_with_key,
        }

    def numbers(self) -> dict[int, dict[str, Any]]:
        return self.state

    def log(self) -> list[dict[str, Any]]:
        return list(self.history)

    # -- connections ----------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(next(self.serials), reader, writer)
        self.open[connection.serial] = connection
        self.connections += 1
        try:
            while request := await connection.request():
                await self._handle(connection, request)
        except (HangUp, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self.open[connection.serial]
            writer.close()

    async def serve_other_origin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(0, reader, writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await connection.request():
                self.redirected += 1
                self.redirected_with_key += "authorization" in request.headers
                await connection.send(_answer(200, json.dumps(_number(request.number or 1))))
        writer.close()

    async def _handle(self, connection: Connection, request: Request) -> None:
        limited = self._over_rate()
        fault = OK if limited else self._choose(request)
        self.requests[f"{request.method} {request.path}"] += 1
        request.entry = {
            "at": time.monotonic(),
            "connection": connection.serial,
            "method": request.method,
            "path": request.target,
            "fault": "limited" if limited else fault.kind,
            "headers": request.headers,
            "body": request.body.decode("utf-8", "replace"),
            "carried_out": False,
        }
        self.history.append(request.entry)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        written = request.number if request.method != "GET" else None
        if written is not None:
            self.overlapping_writes += self.writing[written] > 0
            self.writing[written] += 1
        try:
            if self.settings.latency:
                await connection.pause(self.settings.latency)
            if limited:
                self.limited += 1
                await self._refuse(connection, 429, ())
            else:
                self.fired[fault.kind] += 1
                await self._do(fault, connection, request)
        finally:
            if not connection.forgotten:
                self.in_flight -= 1
                if written is not None:
                    self.writing[written] -= 1

    def _over_rate(self) -> bool:
        if self.settings.rate is None:
            return False
        now = time.monotonic()
        self.tokens = min(self.settings.burst, self.tokens + (now - self.filled_at) * self.settings.rate)
        self.filled_at = now
        if self.tokens < 1:
            return True
        self.tokens -= 1
        return False

    def _choose(self, request: Request) -> Fault:
        if self.settings.methods and request.method not in self.settings.methods:
            return OK
        if self.by_path.get(request.path):
            return self.by_path[request.path].popleft()
        if self.scheduled:
            return self.scheduled.popleft()
        point = self.random.random()
        for kind, share in self.settings.faults.items():
            point -= share
            if point < 0:
                return Fault(kind)
        if self.settings.lies and self.random.random() < self.settings.lie_share:
            return self._deal(request)
        return OK

    def _deal(self, request: Request) -> Fault:
        """Take the next card that fits this request; a card that does not fit waits for another request."""
        letter = request.letter
        if not letter or not self.deleted.isdisjoint(request.ids):
            return OK
        changed = any(self.applied[number] for number in request.ids)
        for renewed in (False, True):
            if renewed:
                cards = [kind for kind, letters in self.settings.lies.items() if letter in letters]
                self.random.shuffle(cards)
                self.deck += cards
            fitting = [kind for kind in self.deck if letter in self.settings.lies[kind]]
            if fitting := [kind for kind in fitting if not (changed and kind in REFUSALS)]:
                # The pickiest first: fewer requests will come that it fits.
                kind = min(fitting, key=lambda kind: len(self.settings.lies[kind]))
                self.deck.remove(kind)
                return Fault(kind)
        return OK

    # -- what can happen to a request -----------------------------------------------------------------------------

    async def _do(self, fault: Fault, connection: Connection, request: Request) -> None:
        kind, extra = fault.kind, fault.headers
        if found := STATUS.fullmatch(kind):
            if found["how"] == "_after":
                self._apply(request)
            if found["how"] == "_retry_after" and self.settings.retry_after is None:
                extra = (*extra, ("Retry-After", "1"))
            return await self._refuse(connection, int(found["code"]), extra, fault.body)
        if found := PROXY_PAGE.fullmatch(kind):
            if found["after"]:
                self._apply(request)
            return await connection.send(_answer(int(found["code"]), PAGE, extra, content_type="text/html"))
        if found := KIND.fullmatch(kind):
            return await self._lie(found["name"], bool(found["after"]), connection, request)
        match kind:
            case "reset_before":
                connection.reset()
                raise HangUp
            case "close_before":
                raise HangUp
            case "stall":
                await connection.until_hung_up()
                raise HangUp
            case "success_false":
                refusal = fault.body or json.dumps({"success": False, "message": "The number cannot be changed"})
                return await connection.send(_answer(200, refusal, extra))
            case "redirect":
                there = ("Location", self.other_origin + request.target)
                return await connection.send(_answer(307, "", (there, *extra)))
            case "slow":
                await connection.pause(0.3 if fault.delay is None else fault.delay)
        status, payload = self._apply(request)
        body = fault.body if fault.body is not None else json.dumps(payload)
        await self._answer_applied(fault, connection, status, body)
        return None

    async def _lie(self, name: str, after: bool, connection: Connection, request: Request) -> None:
        lie = LIES[name]
        before = self._answer_to_read(request)
        changed = request
        if lie.store and request.body:
            changed = replace(request, body=json.dumps(lie.store(json.loads(request.body))).encode())
        status, honest = self._apply(changed)
        asked = Asked(request.letter, copy.deepcopy(honest), before, json.loads(request.body or b"{}"))
        if status != 200:
            return await connection.send(_answer(status, json.dumps(honest)))
        request.entry["carried_out"] = after
        if not after:
            self._take_back(request, {"items": before["items"][:1]} if lie.only_first else before)
        told = lie.tell(asked)
        answer = told.before + (
            _answer(told.status, told.body, told.headers, told.content_type, told.missing)
            if told.raw is None
            else told.raw + told.body
        )
        await connection.send(answer * 2 if told.then == "twice" else answer)
        return await self._follow(told, answer, connection)

    async def _follow(self, told: Told, answer: bytes, connection: Connection) -> None:
        """Send what comes after an answer."""
        match told.then:
            case "late":
                asyncio.get_running_loop().call_later(LATE, self._send_late, connection, answer)
            case "late_deaf":
                await connection.pause(LATE)
                self._send_late(connection, answer)
                await connection.until_hung_up()
                raise HangUp
            case "408":
                await connection.pause(LATE)
                self._send_late(connection, _answer(408, "", (("Connection", "close"),)))
                raise HangUp
        if told.raw is not None:
            raise HangUp

    def _send_late(self, connection: Connection, answer: bytes) -> None:
        if not connection.forgotten and not connection.writer.transport.is_closing():
            connection.writer.write(answer)
            self.late += 1

    async def _answer_applied(self, fault: Fault, connection: Connection, status: int, body: str) -> None:
        extra = fault.headers
        match fault.kind:
            case "reset_after":
                connection.reset()
                raise HangUp
            case "close_after":
                raise HangUp
            case "stall_after":
                await connection.until_hung_up()
                raise HangUp
            case "half_headers":
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: applica")
                raise HangUp
            case "half_body":
                whole = _answer(status, body, extra)
                await connection.send(whole[: len(whole) - len(body) // 2])
                raise HangUp
            case "chunked_cut":
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                first, rest = body[:40].encode(), body[40:].encode()
                cut = b"%x\r\n%b\r\n%x\r\n%b" % (len(first), first, len(rest), rest[: len(rest) // 2])
                await connection.send(head + cut)
                raise HangUp
            case "garbage":
                await connection.send(_answer(status, body[: len(body) // 2], extra))
            case "empty_200":
                await connection.send(_answer(200, "", extra))
            case "no_content":
                await connection.send(_answer(204, "", extra))
            case "wrong_type":
                page = "<html><body>Down for maintenance</body></html>"
                await connection.send(_answer(200, page, extra, content_type="text/html; charset=utf-8"))
            case "drip":
                whole = _answer(status, body, extra)
                await connection.send(whole[: len(whole) - len(body)])
                for byte in body.encode():
                    await connection.send(bytes([byte]))
                    await asyncio.sleep(0.05 if fault.delay is None else fault.delay)
            case "gzip_bomb":
                # In a thread: half a second of zlib must not hold up the other connections.
                bomb = await asyncio.to_thread(_bomb)
                await connection.send(_answer(200, bomb, (*extra, ("Content-Encoding", "gzip"))))
            case "big_body":
                await connection.send(_answer(200, body[:-1] + ', "padding": "' + "x" * BIG_BODY_BYTES + '"}', extra))
            case "stale_keepalive":
                await connection.send(_answer(status, body, (*extra, ("Keep-Alive", "timeout=60"))))
                raise HangUp
            case _:
                await connection.send(_answer(status, body, extra))

    async def _refuse(
        self, connection: Connection, status: int, extra: Sequence[Sequence[str]], body: str | None = None
    ) -> None:
        own = self.settings.retry_after
        if status == 429 and own is not None and not any(name.lower() == "retry-after" for name, _ in extra):
            extra = (*extra, ("Retry-After", f"{own:g}"))
        message = json.dumps({"success": False, "message": f"Refused with {status} on purpose"})
        await connection.send(_answer(status, message if body is None else body, extra))

    # -- the API ---------------------------------------------------------------------------------------------------

    def _apply(self, request: Request) -> tuple[int, Any]:
        status, payload = self._result(request)
        request.entry["carried_out"] = status == 200 and request.method != "GET"
        return status, payload

    def _result(self, request: Request) -> tuple[int, Any]:
        number = request.number
        if number is not None:
            if number in self.deleted or number < 1:
                return 404, {"success": False, "message": "Number not found"}
            return 200, self._one(number, request)
        if request.path == "/v1/numbers" and request.method == "GET":
            return 200, self._page(request.query)
        if request.path == "/v1/numbers" and request.method == "PATCH":
            changes = json.loads(request.body)
            ids = changes.pop("ids")
            if not self.deleted.isdisjoint(ids):
                return 404, {"success": False, "message": "Number not found"}
            return 200, {"items": [self._change(number, changes) for number in ids]}
        if request.method == "POST":
            self.posted[request.path] += 1
            named = request.path.rpartition("/")[2]
            made = int(named) if named.isdigit() else self.posted.total()
            return 200, {"success": True, "id": made} | ({"message_id": str(made)} if named == "messages" else {})
        return 200, {"success": True}

    def _answer_to_read(self, request: Request) -> Any:
        """Return what a read shows of the numbers of a request, in the form of its answer."""
        records = [copy.deepcopy(self._read(number)) for number in request.ids if number not in self.deleted]
        return {"items": records} if request.letter == "B" or not records else records[0]

    def _take_back(self, request: Request, before: Any) -> None:
        """Undo what a request did, counters too."""
        if request.letter == "S":
            self.posted[request.path] -= 1
            if not self.posted[request.path]:
                del self.posted[request.path]
        if request.letter not in ("P", "B", "D"):
            return
        for record in before.get("items", [before]):
            self.state[record["id"]] = record
            self.deleted.discard(record["id"])
            self.applied[record["id"]] -= 1
            if not self.applied[record["id"]]:
                del self.applied[record["id"]]

    def _one(self, number: int, request: Request) -> Any:
        if request.method == "DELETE":
            self.deleted.add(number)
            self.state.pop(number, None)
            self.applied[number] += 1
            return {"success": True}
        if request.method in ("PATCH", "PUT"):
            return self._change(number, json.loads(request.body or b"{}"))
        return self._read(number)

    def _read(self, number: int) -> dict[str, Any]:
        return self.state.setdefault(number, _number(number))

    def _change(self, number: int, changes: dict[str, Any]) -> dict[str, Any]:
        state = self._read(number)
        for name, value in changes.items():
            if name == "destinations":
                state["destination"] = [{"id": place, **item} for place, item in enumerate(value, 1)]
            elif name != "ids":
                state[name] = value
        self.applied[number] += 1
        return state

    def _page(self, query: Mapping[str, str]) -> dict[str, Any]:
        page, per_page = int(query.get("page", 1)), min(int(query.get("per_page", 25)), 100)
        ids = range(1, self.settings.numbers + 1)[(page - 1) * per_page : page * per_page]
        return {
            "items": [self._read(number) for number in ids if number not in self.deleted],
            "doc_types": [],
            "pagination": {
                "current_page": page,
                "per_page": per_page,
                "total": self.settings.numbers,
                "total_pages": max(1, -(-self.settings.numbers // per_page)),
            },
        }


def _fault(raw: Mapping[str, Any]) -> Fault:
    return Fault(raw["kind"], tuple((name, value) for name, value in raw["headers"]), raw["body"], raw["delay"])


def _number(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "number": f"1256{number:07d}",
        "monthly_fee": "0.99",
        "city": "DETROIT, MI",
        "country_short_name": "US",
        "destination": [],
        "label": None,
        "status": "active",
        "sms_enabled": False,
        "sms_relay_url": None,
        "call_recording_enabled": False,
        "transcription_enabled": False,
        "transcription_threshold": 6,
        "call_status_url": None,
    }


_request_ids = itertools.count(1)


def _answer(
    status: int,
    body: str | bytes,
    headers: Sequence[Sequence[str]] = (),
    content_type: str = "application/json; charset=utf-8",
    missing: int = 0,
) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Whatever')}", f"X-Request-Id: fault-{next(_request_ids)}"]
    has_body = status >= 200 and status not in (204, 304)
    if has_body:
        own = any(name.lower() == "content-type" for name, _ in headers)
        lines += [*([] if own else [f"Content-Type: {content_type}"]), f"Content-Length: {len(data) - missing}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "Connection: keep-alive", "", ""]).encode() + (data if has_body else b"")


@functools.cache
def _bomb() -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return b"".join([*(deflate.compress(bytes(1_000_000)) for _ in range(BOMB_MEGABYTES)), deflate.flush()])


def tls_without_certificates(*, client: bool) -> Any:
    """Return one side of TLS without certificates: what tests need of it is how connections behave."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER)
    if client:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


async def _main(tls: bool) -> None:
    server = Server()
    context = tls_without_certificates(client=False) if tls else None
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024, ssl=context)
    other = await asyncio.start_server(server.serve_other_origin, "127.0.0.1", 0)
    other_port = other.sockets[0].getsockname()[1]
    server.other_origin = f"http://127.0.0.1:{other_port}"
    _say({"port": listening.sockets[0].getsockname()[1], "other_port": other_port})
    loop = asyncio.get_running_loop()

    async def obey(command: str, arguments: dict[str, Any]) -> str:
        # Made into text here, not in the thread: a dict must not grow while it is being written out.
        return json.dumps(getattr(server, command)(**arguments))

    def listen() -> None:
        for line in sys.stdin:
            command, arguments = json.loads(line)
            sys.stdout.write(asyncio.run_coroutine_threadsafe(obey(command, arguments), loop).result() + "\n")
            sys.stdout.flush()
        # Stalled connections would hold up an orderly end for ever.
        os._exit(0)

    def listen_or_die() -> None:
        try:
            listen()
        finally:
            os._exit(1)

    threading.Thread(target=listen_or_die, daemon=True).start()
    await asyncio.Event().wait()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main("tls" in sys.argv[1:]))
