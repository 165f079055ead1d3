"""Make 20,000 calls with 10 % faults and 5 % cancellations, and check for leaks and for wrong reports.

The client and the raw fault server each have their own process. The client's process is inspected while no call runs:
after a warm-up, after each quarter of the calls, and after `close()`. Its report of each call is compared with what the
server received. Every write has its own number or path, so it is always clear which call did what.

There are two runs: in `unpaced` calls queue for a connection; in `paced` a configured rate makes them queue for a
permit, and most cancellations happen in that queue.

After them a service runs for a minute (or `--seconds`) against the sandbox, which injects faults and refuses requests
above its rate. The service makes single calls, each through its own `with_options` client, bursts, and bulk runs that
are stopped or cancelled; some callers disconnect, and some observers fail. The process of the service is inspected five
times while no call runs.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import random
import statistics
import subprocess
import sys
import threading
import time
import warnings
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.process import rss_mb, start
from benchmarks.report import stderr, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ITEMS, WARM_UP, TASKS, QUARTERS = 20_000, 1000, 64, 4
CONNECTIONS = 48  # fewer than tasks: some calls wait for a connection, and some are cancelled there
CANCELLED = 0.065  # share of the calls that get a cancel(); for a quarter of them it comes too late
ATTEMPT = 1.0  # seconds; the timeout of an attempt, and so the cost of a stalled request
SETTLE = 0.5  # seconds between the last call and an inspection
PROBE = 0.5  # seconds of latency while the usable slots are counted
SERVICE_NUMBERS = 200_000
SERVICE, RESTS = 60.0, 5  # seconds of the service, and the number of inspections
LIMIT, SHARE = 120.0, 0.05  # requests per second that the sandbox accepts, and the share that gets a fault
# The client is killed after this many seconds, plus the time for its calls at this many per second.
PATIENCE, SLOWEST = 60.0, 200.0
RUNS: dict[str, dict[str, Any]] = {"unpaced": {}, "paced": {"rate": 800.0}}
METHODS = {"GET": 30, "PATCH": 30, "PUT": 15, "DELETE": 10, "POST": 15}
FAULTS = {
    "reset_before": 0.010,
    "reset_after": 0.010,
    "close_before": 0.008,
    "close_after": 0.008,
    "half_headers": 0.004,
    "half_body": 0.010,
    "chunked_cut": 0.010,
    "garbage": 0.008,
    "status_500": 0.004,
    "status_500_after": 0.004,
    "html_502": 0.003,
    "status_503": 0.004,
    "stale_keepalive": 0.010,
    "stall": 0.0015,
    "stall_after": 0.0015,
    "slow": 0.004,
}

# How a call ended, as one letter: the benchmark keeps only one byte per call, because more would look like a leak.
DONE, CANCEL, DEAF, FOREIGN, WRONG, LOST = "d", "c", "k", "x", "w", "\0"
OUTCOMES = {"unknown": "u", "rejected": "r", "not_sent": "n"}
ENDS = {
    DONE: "succeeded",
    CANCEL: "cancelled",
    "u": "failed, outcome unknown",
    "r": "failed, rejected",
    "n": "failed, never sent",
    WRONG: "got the response to another call",
    DEAF: "continued after cancel()",
    FOREIGN: "raised an error other than WavixError",
    LOST: "never ended",
}
LOOKS = {
    "sockets": "open sockets",
    "files": "open file descriptors",
    "tasks": "tasks",
    "timers": "pending timers",
    "threads": "threads",
    "in_flight": "in flight, according to the limiter",
    "waiting": "waiting, according to the limiter",
    "ours": "objects of wavix_async",
    "aiohttp": "objects of aiohttp",
    "blocks": "small blocks of memory in use",
    "heap_kb": "large blocks in use, kB",
    "rss_mb": "RSS, MB",
}
CONNECTION = "aiohttp.client_proto.ResponseHandler"

# The allowed difference between two inspections without a leak: the pool may have more or fewer connections, and each
# has about 100 blocks of memory, some objects and a timer. RSS is the least exact figure: it follows the peak use
# between two collections.
BLOCKS_NOISE = 5000
HEAP_NOISE_KB = 200
RSS_NOISE_MB = 5.0
OBJECTS_NOISE = 16
TIMERS_NOISE = 8


# ------------------------------------------------------------------------------------------------------------ measuring


def measure(
    items: int = ITEMS, seed: int = 0, seconds: float = SERVICE, say: Callable[[str], None] = stderr
) -> dict[str, Any]:
    """Do both runs and the service; `complaints` in the result lists every leak and every wrong report."""
    runs = {}
    for name, options in RUNS.items():
        say(f"{name}: {items:,} calls ...")
        runs[name] = _play(items, seed, options)
    say(f"service: {seconds:g} s ...")
    service = _serve(seconds, seed)
    return {
        "items": items,
        "seed": seed,
        "runs": runs,
        "service": service,
        "complaints": [
            f"{name}: {text}" for name, run in {**runs, "service": service}.items() for text in run["complaints"]
        ],
    }


def _serve(seconds: float, seed: int) -> dict[str, Any]:
    """Run the service for some time, and compare its reports with the sandbox."""
    from tests.support.sandbox_process import SandboxProcess

    with SandboxProcess() as sandbox:
        url, key = sandbox.begin(numbers=SERVICE_NUMBERS, rate=LIMIT, burst=20, faults=SHARE, seed=seed, latency=0.01)
        process = start("soak", "--service", json.dumps({"url": url, "key": key, "seconds": seconds, "seed": seed}))
        alarm = threading.Timer(3 * seconds + PATIENCE, process.kill)
        alarm.start()
        try:
            told = _hear(process)
        finally:
            process.communicate()
            alarm.cancel()
        updates = sandbox.updates()
    lies: Counter[str] = Counter()
    for number, end in told.pop("said").items():
        times = updates.get(int(number), 0)
        lies["reported as done, and not carried out"] += end == DONE and not times
        lies["reported as rejected or never sent, and carried out"] += end in "rn" and times > 0
    return {**told, "lies": lies, "complaints": [*_leaks_of_service(told["looks"]), *_lies_of_service(told, lies)]}


def _leaks_of_service(looks: dict[str, dict[str, Any]]) -> Iterator[str]:
    first, *_, last, closed = looks.values()
    for key in ("tasks", "in_flight", "waiting"):
        if last[key] or closed[key]:
            yield f"{LOOKS[key]}: {last[key]} at the end, {closed[key]} after close()"
    for key, noise in {"timers": TIMERS_NOISE, "ours": 4 * OBJECTS_NOISE, "heap_kb": HEAP_NOISE_KB,
                       "blocks": BLOCKS_NOISE, "rss_mb": RSS_NOISE_MB}.items():  # fmt: skip
        if last[key] > first[key] + noise:
            yield f"{LOOKS[key]}: {first[key]} -> {last[key]}"
    for key in ("sockets", "timers"):
        if closed[key]:
            yield f"{closed[key]} {LOOKS[key]} after close()"


def _lies_of_service(told: dict[str, Any], lies: Counter[str]) -> Iterator[str]:
    for text, count in {
        **lies,
        **{f"warning or unhandled error: {text}": count for text, count in told["heard"].items()},
    }.items():
        if count:
            yield f"{text}: {count}"
    for text, count in told["foreign"].items():
        yield f"not a WavixError, {count}x: {text}"


def _play(items: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    from tests.faults.server import FaultServer

    with FaultServer(faults=FAULTS, seed=seed) as server:
        process = start("soak", "--client", json.dumps({"url": server.url, "items": items, "seed": seed, **options}))
        # If a slot were never released, calls that wait for it would wait for ten minutes.
        alarm = threading.Timer(PATIENCE + items / SLOWEST, process.kill)
        alarm.start()
        try:
            told = _hear(process)
            seen = server.counters()
            server.reset(faults={}, latency=PROBE)
            _say(process, "probe")
            told |= _hear(process)
            told["usable"] = server.counters()["peak_in_flight"]
            _say(process, "close")
            told |= _hear(process)
        finally:
            process.communicate()
            alarm.cancel()
    run = {**told, **_compare(told.pop("ends"), told.pop("attempts"), seen, _plan(items, seed))}
    run["complaints"] = [*_leaks(run, items), *_lies(run)]
    return run


def _hear(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the client's process has ended (see above), or it took too long and was killed")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def _plan(items: int, seed: int) -> list[str]:
    """Return the method of each call, the same in both processes."""
    return random.Random(seed).choices(list(METHODS), list(METHODS.values()), k=items)


def _path(method: str, number: int) -> str:
    return f"/v1/soak/{number}" if method == "POST" else f"/v1/numbers/{number}"


def _compare(ends: str, attempts: list[int], seen: dict[str, Any], plan: list[str]) -> dict[str, Any]:
    """Compare the client's report of each call with what the server received."""
    applied, posted, requests = seen["applied"], seen["posted"], seen["requests"]
    lies: Counter[str] = Counter()
    arrived = 0
    for number, (end, method, sent) in enumerate(zip(ends, plan, attempts, strict=True), 1):
        path = _path(method, number)
        times = posted.get(path, 0) if method == "POST" else applied.get(number, 0)
        came = requests.get(f"{method} {path}", 0)
        lies["reported as done, and not carried out"] += end == DONE and method != "GET" and not times
        lies["reported as rejected or never sent, and carried out"] += end in "rn" and times > 0
        lies["reported as never sent, and received by the server"] += end == "n" and came > 0
        lies["failed calls with more requests than attempts"] += end in "urn" and came > sent
        lies["POSTs sent more than once"] += method == "POST" and came > 1
        arrived += end == CANCEL and came > 0
    return {
        "lies": lies,
        "fired": {kind: seen["fired"].get(kind, 0) for kind in FAULTS},
        "seen": seen["total"],
        "connections": seen["connections"],
        "cancelled_seen": arrived,
        "ends": Counter(ends),
    }


def _leaks(run: dict[str, Any], items: int) -> Iterator[str]:
    """Yield every resource that did not return to its earlier level."""
    before, first, after, closed = (run["looks"][name] for name in ("before", "1/4", "after", "closed"))
    for key in ("tasks", "in_flight", "waiting"):
        if after[key] or closed[key]:
            yield f"{LOOKS[key]}: {after[key]} after the run, {closed[key]} after close()"
    if after["threads"] > before["threads"]:
        yield f"threads: {before['threads']} -> {after['threads']}"
    if after["sockets"] > CONNECTIONS:
        yield f"{after['sockets']} open sockets, but the pool may have only {CONNECTIONS}"
    if closed["sockets"]:
        yield f"{closed['sockets']} sockets open after close()"
    others = before["files"] - before["sockets"]
    if after["files"] - after["sockets"] > others or closed["files"] > others:
        yield f"file descriptors other than sockets: {others} -> {after['files'] - after['sockets']}"
    if after["timers"] > before["timers"] + TIMERS_NOISE:
        yield f"pending timers: {before['timers']} -> {after['timers']}"
    if closed["timers"]:
        yield f"{closed['timers']} timers pending after close()"
    if closed["counts"].get(CONNECTION):
        yield f"{closed['counts'][CONNECTION]} connection objects after close()"
    for look, name in ((after, "after the run"), (closed, "after close()")):
        for kind, count in look["counts"].items():
            grown = count - before["counts"].get(kind, 0)
            if grown > (OBJECTS_NOISE if kind.startswith("wavix_async") else CONNECTIONS):
                yield f"{kind}: {grown} more objects {name}"
    calls = items * (1 - 1 / QUARTERS)
    for key, noise in {"blocks": BLOCKS_NOISE, "heap_kb": HEAP_NOISE_KB, "rss_mb": RSS_NOISE_MB}.items():
        grown = after[key] - first[key]
        if grown > noise:
            yield f"{LOOKS[key]}: {grown:+,.0f} over the last {calls:,.0f} calls, {grown / calls:.3g} per call"
    if run["usable"] < CONNECTIONS:
        yield f"only {run['usable']} of {CONNECTIONS} slots are still usable"
    for text, count in run["heard"].items():
        yield f"warning or unhandled error, {count}x: {text}"


def _lies(run: dict[str, Any]) -> Iterator[str]:
    """Yield every report that is wrong."""
    for text, count in run["lies"].items():
        if count:
            yield f"{text}: {count}"
    for end in (WRONG, DEAF, LOST):
        if run["ends"].get(end):
            yield f"{run['ends'][end]} calls {ENDS[end]}"
    for text, count in run["foreign"].items():
        yield f"not a WavixError, {count}x: {text}"
    if run["seen"] > run["told"]:
        yield f"{run['seen']} requests received, but the observer got only {run['told']}"


# ------------------------------------------------------------------------------------------------------------- showing


def render(results: dict[str, Any]) -> str:
    """Return a table and the facts of each run, and then the complaints."""
    parts = [
        f"{results['items']:,} calls, {TASKS} at a time over {CONNECTIONS} connections, {sum(FAULTS.values()):.0%}"
        f" faults, a cancel() for {CANCELLED:.1%}, {ATTEMPT:g} s for an attempt, seed {results['seed']}\n"
        f"Inspected while no call ran, after a warm-up of {WARM_UP:,} calls of the same kind"
    ]
    parts += [text for name, run in results["runs"].items() for text in _render_run(name, run)]
    parts += list(_render_service(results["service"]))
    complaints = results["complaints"]
    parts.append("\n".join(["FAILED", *complaints]) if complaints else "OK: no leaks, and no wrong reports")
    return "\n\n".join(parts)


def _render_run(name: str, run: dict[str, Any]) -> Iterator[str]:
    looks = run["looks"]
    rate = RUNS[name].get("rate")
    title = name if rate is None else f"{name}, rate={rate:g}"
    rows = [[label, *(_figure(look[key]) for look in looks.values())] for key, label in LOOKS.items()]
    yield (
        f"{title}: {run['seconds']:.0f} s, {run['per_second']:,.0f} calls/s, {run['cpu_us']:,.0f} µs of CPU per call"
        "\n\n" + table(["", *looks], rows)
    )
    yield "\n".join(
        [
            "ends: " + ", ".join(f"{run['ends'].get(key, 0):,} {words}" for key, words in ENDS.items()),
            f"requests: {run['seen']:,} received, {run['told']:,} reported to the observer,"
            f" {sum(run['fired'].values()):,} faults, {run['connections']:,} connections",
            "faults: " + ", ".join(f"{kind} {count}" for kind, count in run["fired"].items()),
            "errors: " + ", ".join(f"{kind} {count}" for kind, count in sorted(run["errors"].items())),
            f"usable slots: {run['usable']} of {CONNECTIONS}",
            f"cancelled: {run['ends'].get(CANCEL, 0):,}; {run['cancelled_seen']:,} of them reached the server",
        ]
    )
    header = ["from cancel() to the end of the task, ms", "p50", "p99", "max"]
    promptness = {"a call": run["prompt"], "a sleeping task, cancelled at the same time": run["prompt_of_sleep"]}
    rows = [[label, *(f"{value:.1f}" for value in values)] for label, values in promptness.items()]
    yield table(header, rows)


def _render_service(run: dict[str, Any]) -> Iterator[str]:
    looks = run["looks"]
    rows = [[label, *(_figure(look[key]) for look in looks.values())] for key, label in LOOKS.items()]
    yield f"service, {run['seconds']:.0f} s, {LIMIT:g}/s, {SHARE:.0%} faults\n\n" + table(["", *looks], rows)
    yield "\n".join(
        [
            "single calls: " + ", ".join(f"{run['ends'].get(key, 0):,} {words}" for key, words in ENDS.items()),
            f"bulk runs: {run['runs']}, " + ", ".join(f"{count:,} {status}" for status, count in run["bulk"].items()),
            "errors: " + ", ".join(f"{kind} {count}" for kind, count in sorted(run["errors"].items())),
            "waits of single calls, ms: p50 {:,.0f}, p99 {:,.0f}, longest {:,.0f}".format(*run["waits"]),
        ]
    )


def _figure(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


# ------------------------------------------------------------------------------------------------- the client's process


class Soak:
    """Makes the calls, and records how each ended."""

    def __init__(self, client: Any, items: int, seed: int) -> None:
        from wavix_async import Number, Operation, Success

        self.client = client
        self.ends = bytearray(items)
        self.attempts = bytearray(items)
        self.errors: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        # Arrays, because a list of floats would look like a leak.
        self.promptness, self.promptness_of_sleep = array("d"), array("d")
        self.durations = array("d")
        self.usual = 0.0
        self.first = 1
        self._random = random.Random(seed + 1)
        self._put = Operation("PUT", "/v1/numbers/{id}", Number)
        self._delete = Operation("DELETE", "/v1/numbers/{id}", Success)
        self._post = Operation("POST", "/v1/soak/{id}", Success)

    async def warm_up(self, plan: list[str]) -> None:
        """Make calls that do not count, without cancellations, and measure how long a call takes."""
        kept = self.ends, self.attempts
        self.ends, self.attempts, self.first = bytearray(len(plan)), bytearray(len(plan)), 10**9
        await self.run(plan, range(len(plan)))
        self.usual = statistics.median(self.durations)
        (self.ends, self.attempts), self.first = kept, 1

    async def run(self, plan: list[str], places: range) -> None:
        """Make the calls with these indexes, 64 at a time."""
        waiting = iter(places)

        async def work() -> None:
            for place in waiting:
                number = self.first + place
                if not self.usual:
                    began = time.perf_counter()
                    await self._record(plan[place], number, place)
                    self.durations.append(time.perf_counter() - began)
                elif self._random.random() < CANCELLED:
                    await self._cancel_on_the_way(plan[place], number, place)
                else:
                    await self._record(plan[place], number, place)

        await asyncio.gather(*(work() for _ in range(TASKS)))

    async def _record(self, method: str, number: int, place: int) -> None:
        """Make one call and record how it ended."""
        from wavix_async import WavixError

        try:
            end = DONE if await self._call(method, number) else WRONG
        except WavixError as error:
            end = OUTCOMES[error.outcome]
            self.attempts[place] = error.attempts
            self.errors[type(error).__name__] += 1
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            end = FOREIGN
            self.foreign[f"{method}: {error!r}"[:200]] += 1
        self.ends[place] = ord(end)

    async def _call(self, method: str, number: int) -> bool:
        """Make one call, and return whether the response belongs to it."""
        client, path = self.client, {"id": number}
        url = f"https://example.com/{number}"
        if method == "GET":
            return (await client.numbers.get(number)).id == number
        if method == "PATCH":
            changed = await client.numbers.update(number, call_status_url=url)
            return (changed.id, changed.call_status_url) == (number, url)
        if method == "PUT":
            changed = await client.call(self._put, path=path, body={"call_status_url": url})
            return (changed.id, changed.call_status_url) == (number, url)
        operation = self._delete if method == "DELETE" else self._post
        return (await client.call(operation, path=path, body={} if method == "POST" else None)).success is True

    async def _cancel_on_the_way(self, method: str, number: int, place: int) -> None:
        ended = asleep_ended = 0.0

        async def call() -> None:
            nonlocal ended
            try:
                await self._record(method, number, place)
            finally:
                ended = time.perf_counter()

        async def sleep() -> None:
            nonlocal asleep_ended
            try:
                await asyncio.sleep(3600)
            finally:
                asleep_ended = time.perf_counter()

        task, asleep = asyncio.ensure_future(call()), asyncio.ensure_future(sleep())
        # Mostly cancel in flight, sometimes in the first iteration of the loop or during a backoff.
        point = self._random.uniform(-0.1, 1.1)
        await asyncio.wait([task], timeout=self.usual * (0.0 if point < 0 else 3.0 if point > 1 else point))
        before, cancelled = time.perf_counter(), not task.done()
        for each in (task, asleep):
            each.cancel()
        await asyncio.wait([task, asleep])
        if task.cancelled():
            self.ends[place] = ord(CANCEL)
            if ended:
                self.promptness.append(ended - before)
                self.promptness_of_sleep.append(asleep_ended - before)
        elif cancelled:
            self.ends[place] = ord(DEAF)


def _look(client: Any) -> dict[str, Any]:
    """Return the resources that this process has now."""
    import psutil

    for _ in range(3):
        gc.collect()
    heap = _heap_kb()
    process, limits = psutil.Process(), client.limits.snapshot()
    loop: Any = asyncio.get_running_loop()
    counts: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        module = kind.__module__
        if isinstance(module, str) and module.startswith(("wavix_async", "aiohttp")):
            counts[f"{module}.{kind.__qualname__}"] += 1
    ours = sum(count for kind, count in counts.items() if kind.startswith("wavix_async"))
    return {
        "sockets": len(process.net_connections("inet")),
        "files": process.num_fds(),
        "tasks": len(asyncio.all_tasks()) - 1,
        "timers": sum(not timer.cancelled() for timer in loop._scheduled),
        "threads": threading.active_count(),
        "in_flight": limits.in_flight,
        "waiting": limits.waiting,
        "ours": ours,
        "aiohttp": counts.total() - ours,
        "blocks": sys.getallocatedblocks(),
        "heap_kb": heap,
        "rss_mb": rss_mb(),
        "counts": counts,
    }


class _Heap(ctypes.Structure):
    """The result of glibc's `mallinfo2`: ten sizes."""

    _fields_ = [("sizes", ctypes.c_size_t * 10)]


def _heap_kb() -> int:
    """Return the C library's memory in use, in kB, including Python's blocks of more than 512 bytes; 0 if unknown.

    First return the library's unused pages to the system, because RSS would count them.
    """
    library = ctypes.CDLL(None)
    try:
        library.malloc_trim(0)
        library.mallinfo2.restype = _Heap
        return int(library.mallinfo2().sizes[7]) // 1024
    except AttributeError:
        return 0


async def _client(url: str, items: int, seed: int, rate: float | None = None) -> None:
    from wavix_async import AttemptEvent, RetryPolicy, Timeouts, WavixClient

    heard: Counter[str] = Counter()
    told = 0

    def complain(text: object) -> None:
        heard[str(text)[:200]] += 1

    def observe(event: object) -> None:
        nonlocal told
        told += isinstance(event, AttemptEvent) and event.outcome != "not_sent"

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complain(f"{context['message']} {context.get('exception')!r}"))
    sys.unraisablehook = lambda problem: complain(repr(problem.exc_value))
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: complain(message)  # type: ignore[assignment]

    client = WavixClient(
        "key",
        base_url=url,
        rate=rate,
        retry=RetryPolicy(backoff=0.1, max_backoff=0.5),
        timeout=Timeouts(attempt=ATTEMPT),
        max_connections=CONNECTIONS,
        observers=(observe,),
    )
    soak, plan = Soak(client, items, seed), _plan(items, seed)
    await soak.warm_up(_plan(min(WARM_UP, items), seed))

    async def at_rest() -> dict[str, Any]:
        await asyncio.sleep(SETTLE)
        return _look(client)

    await at_rest()
    looks = {"before": await at_rest()}
    seconds = cpu = 0.0
    for quarter in range(QUARTERS):
        places = range(items * quarter // QUARTERS, items * (quarter + 1) // QUARTERS)
        clock, used = time.perf_counter(), time.process_time()
        await soak.run(plan, places)
        seconds, cpu = seconds + time.perf_counter() - clock, cpu + time.process_time() - used
        looks["after" if quarter == QUARTERS - 1 else f"{quarter + 1}/{QUARTERS}"] = await at_rest()

    _print(
        {
            "ends": soak.ends.decode(),
            "attempts": list(soak.attempts),
            "errors": soak.errors,
            "foreign": soak.foreign,
            "told": told,
            "seconds": seconds,
            "per_second": items / seconds,
            "cpu_us": cpu / items * 1e6,
            "prompt": _quantiles(soak.promptness),
            "prompt_of_sleep": _quantiles(soak.promptness_of_sleep),
        }
    )
    # This blocks the loop, which is fine because nothing else runs.
    sys.stdin.readline()
    await asyncio.sleep(0.1)
    await asyncio.gather(*(client.numbers.get(10**8 + place) for place in range(CONNECTIONS)))
    _print({"probed": True})
    sys.stdin.readline()
    await client.close()
    looks["closed"] = await at_rest()
    _print({"looks": looks, "heard": heard})


class _Service:
    """Simulates the callers of a web application that share one client."""

    def __init__(self, client: Any, seed: int) -> None:
        self.client = client
        self.ends: Counter[str] = Counter()
        self.said = bytearray(2 * SERVICE_NUMBERS)
        self.errors: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self.bulk: Counter[str] = Counter()
        self.runs = 0
        self.waits = array("d")
        self._random = random.Random(seed)
        self._number = 1000
        self._under_way: set[asyncio.Task[None]] = set()

    async def live(self, seconds: float) -> None:
        """Start callers for some seconds, and wait until all of them have finished."""
        loop = asyncio.get_running_loop()
        began, turn = loop.time(), 0
        while loop.time() < began + seconds:
            turn += 1
            for _ in range(60 if turn % 40 == 0 else 1):
                self._begin(self._single())
            if turn % 100 == 20:
                self._begin(self._bulk())
            await asyncio.sleep(self._random.expovariate(20))
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _begin(self, coming: Any) -> None:
        task = asyncio.ensure_future(coming)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _single(self) -> None:
        from wavix_async import StopSignal, WavixError

        dice = self._random
        self._number += 1
        number = self._number
        client = self.client.with_options(
            deadline=dice.choice([0.5, 10, 60]), stop=StopSignal(), observers=[_fail] if dice.random() < 0.1 else ()
        )
        began = time.perf_counter()
        call = asyncio.ensure_future(client.numbers.update(number, sms_enabled=True))
        try:
            if dice.random() < CANCELLED:
                await asyncio.wait([call], timeout=dice.uniform(0, 0.1))
                call.cancel()
            await call
            end = DONE
        except WavixError as error:
            end = OUTCOMES[error.outcome]
            self.errors[type(error).__name__] += 1
        except asyncio.CancelledError:
            end = CANCEL
        except Exception as error:
            end = FOREIGN
            self.foreign[repr(error)[:200]] += 1
        self.waits.append(time.perf_counter() - began)
        self.ends[end] += 1
        self.said[number] = ord(end)

    async def _bulk(self) -> None:
        from wavix_async import NumberUpdate

        self.runs += 1
        how = self.runs % 3
        ids = range(self._number + 1, self._number + 201)
        self._number += 200
        run = self.client.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(sms_enabled=True)), concurrency=16)

        async def wait() -> None:
            await run

        task = asyncio.ensure_future(wait())
        if how:
            await asyncio.wait([task], timeout=self._random.uniform(0, 2))
            if how == 1:
                run.stop(grace=1)
            else:
                task.cancel()
        await asyncio.wait([task])
        report = run.report
        self.bulk.update(updated=report.updated, failed=report.failed, unknown=report.unknown, not_sent=report.not_sent)
        # A stopped run does not list the items that it never began, so only a complete run tells which items succeeded.
        if not how:
            self.said[ids.start : ids.stop] = DONE.encode() * len(ids)
        for result in report.failures:
            self.said[result.id] = ord({"failed": "r", "unknown": "u", "not_sent": "n"}[result.status])


def _fail(_: object) -> None:
    raise ValueError("the application's observer failed")


async def _service(url: str, key: str, seconds: float, seed: int) -> None:
    import logging

    from wavix_async import WavixClient

    heard: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: heard.update([f"{context['message']} {context.get('exception')!r}"[:200]])
    )
    sys.unraisablehook = lambda problem: heard.update([repr(problem.exc_value)[:200]])
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: heard.update([str(message)[:200]])  # type: ignore[assignment]
    logging.getLogger("wavix_async").disabled = True

    client = WavixClient(key, base_url=url, max_connections=CONNECTIONS)
    service = _Service(client, seed)
    looks: dict[str, Any] = {}
    await service.live(min(10.0, seconds))
    for rest in range(RESTS):
        await service.live(seconds / RESTS)
        await asyncio.sleep(SETTLE)
        _look(client)
        looks[f"{rest + 1}/{RESTS}"] = _look(client)
        del looks[f"{rest + 1}/{RESTS}"]["counts"]
    await client.close(grace=1)
    await asyncio.sleep(SETTLE)
    looks["closed"] = {name: value for name, value in _look(client).items() if name != "counts"}
    _print(
        {
            "seconds": seconds,
            "ends": service.ends,
            "said": {number: chr(end) for number, end in enumerate(service.said) if end},
            "errors": service.errors,
            "foreign": service.foreign,
            "bulk": service.bulk,
            "runs": service.runs,
            "waits": _quantiles(service.waits),
            "looks": looks,
            "heard": heard,
        }
    )


def _print(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


def _quantiles(seconds: array[float]) -> list[float]:
    if len(seconds) < 2:
        return []
    cuts = statistics.quantiles(seconds, n=100)
    return [1e3 * value for value in (cuts[49], cuts[98], max(seconds))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=SERVICE, help="how many seconds the service runs")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--service", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.service:
        asyncio.run(_service(**json.loads(options.service)))
        return
    if options.client:
        asyncio.run(_client(**json.loads(options.client)))
        return
    results = measure(options.items, options.seed, options.seconds)
    print(render(results))
    sys.exit(1 if results["complaints"] else 0)


if __name__ == "__main__":
    main()
