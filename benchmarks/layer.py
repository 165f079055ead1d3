"""Measure the CPU time of the reliability layer, in microseconds per call.

What any client needs is not counted: building the request, sending it, and reading the response.

There are no sockets: the session passed to `WavixClient(session=...)` responds at once with prepared bytes. So only
Python runs, and CPU time is the only cost. Two ways of making the same call alternate:

- *whole*: `await client.numbers.update(1, sms_enabled=True)`;
- *plain*: the same method of the same resource group, on a client whose `call` does only what any client must: build
  the request (`build_request`), await the session and the body, read the response (`read_response`).

**The layer** is the difference of the two, in each round: permits and slots, the limiter, the watchdog for deadlines,
the retry budget, the classification of responses and failures, and the coroutines that connect them. This is the code
of `_http`, `_ratelimit` and `_aio` that a call runs through, without aiohttp. The checks of arguments, the URL, the
JSON, the models and the session are in both ways, so they cancel out. Four more comparisons: the session suspends the
task once, as a socket does; a rate is configured but never reached; an observer gets every event; and one item of a
bulk update, whose checks, workers and records count as part of the layer.

**The parts** are measured in place: the same call runs with one part replaced by a stub that does nothing. Measured
alone in a loop, a part would be up to twice as fast, because nothing else would use the processor's caches.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import time
import types
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.payload import number
from benchmarks.process import start
from benchmarks.report import stderr, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    Way = Callable[[int], Awaitable[None]]

TARGET = 20.0  # microseconds per call
ROUNDS, CALLS = 41, 500
WARM_UP = 1000  # calls; after a few hundred calls without a 429 the limiter uses its fast path
URL = "http://127.0.0.1:1"
NO_SPEEDUPS = "WAVIX_ASYNC_NO_SPEEDUPS"

PAIRS = {
    "one": ("numbers.update", "plain"),
    "turning": ("  the session suspends the task once", "turning, plain"),
    "rated": ("  a rate is configured", "plain"),
    "observed": ("  an observer of all events", "plain"),
    "bulk": ("an item of numbers.bulk_update", "bulk, plain"),
}
"""The measured ways: the title, and the way that does the same without the layer."""
SHARES = {
    "wire": "  of which: building the request and reading the response",
    "session": "  of which: the session",
    "face": "  of which: the method: its keywords, their checks, coroutines",
}
PARTS = {
    "limiter": "the limiter: a permit, taken and closed",
    "slots": "a slot, taken and released",
    "watch": "the watchdog for the deadline",
    "send": "the rest of the transport",
    "headers": "reading rate limits from the headers",
    "budget": "counting the call in the retry budget",
}
REST = "the rest: the call object and its steps"


# ------------------------------------------------------------------------------------------------------------ measuring


def measure(rounds: int = ROUNDS, calls: int = CALLS, say: Callable[[str], None] = stderr) -> dict[str, Any]:
    """Measure in one new process with orjson, if it is installed, and in another without it."""
    results: dict[str, Any] = {"rounds": rounds, "calls": calls, "codecs": {}}
    for without in (False, True):
        environment = {name: value for name, value in os.environ.items() if name != NO_SPEEDUPS}
        if without:
            environment[NO_SPEEDUPS] = "1"
        elif NO_SPEEDUPS in os.environ:
            continue
        say("without speedups ..." if without else "with the installed speedups ...")
        arguments = ("--process", "--rounds", str(rounds), "--calls", str(calls))
        process = start("layer", *arguments, env=environment, stderr=subprocess.PIPE)
        out, err = process.communicate()
        if process.returncode:
            raise RuntimeError((err.strip().splitlines() or [f"ended with code {process.returncode}"])[-1][:300])
        figures = json.loads(out)
        results["codecs"][figures.pop("codec")] = figures
    return results


# ------------------------------------------------------------------------------------------------------------- showing


def render(results: dict[str, Any]) -> str:
    """Return two tables: the layer in all comparisons, and its parts."""
    codecs = results["codecs"]
    first = next(iter(codecs.values()))
    header = ["CPU µs per call", *(f"{what}, {codec}" for codec in codecs for what in ("whole", "plain", "layer"))]
    rows = []
    for pair, (title, _) in PAIRS.items():
        rows.append([title, *(cell for codec in codecs.values() for cell in _cells(codec["pairs"][pair]))])
        if pair == "one":
            for key, share in SHARES.items():
                rows.append(
                    [share, *(cell for codec in codecs.values() for cell in ("", _us(codec["shares"][key]), ""))]
                )
    parts = [[title, *(_us(codec["parts"][part]) for codec in codecs.values())] for part, title in PARTS.items()]
    parts.append([REST, *(_us(_rest(codec)) for codec in codecs.values())])
    worst = max(codec["pairs"]["one"]["layer"] for codec in codecs.values())
    return "\n\n".join(
        [
            f"The reliability layer: medians of {results['rounds']} alternating rounds of {results['calls']:,} calls;"
            " in brackets: the middle half\n\n" + table(header, rows),
            table(["parts of the layer, CPU µs", *codecs], parts),
            f"Target: at most {TARGET:g} µs per call: "
            + (f"met, {worst:.1f} µs" if worst <= TARGET else f"MISSED, {worst:.1f} µs"),
            *(f"Cannot be measured: {text}" for text in first["broken"]),
        ]
    )


def _cells(figures: dict[str, float]) -> tuple[str, str, str]:
    spread = f" ({figures['low']:.1f}-{figures['high']:.1f})"
    return f"{figures['whole']:.1f}", f"{figures['plain']:.1f}", f"{figures['layer']:.1f}{spread}"


def _us(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.1f}"


def _rest(codec: dict[str, Any]) -> float:
    return float(codec["pairs"]["one"]["layer"]) - sum(filter(None, codec["parts"].values()))


# -------------------------------------------------------------------------------------------------------- the process


class Answer:
    """The parts of an aiohttp response that the client uses; it shows a number with the change of all calls here."""

    status = 200

    def __init__(self, number_id: int) -> None:
        from multidict import CIMultiDict

        self.body = json.dumps(number(number_id)).encode()
        self.content_length = len(self.body)
        self.headers = CIMultiDict(
            {
                "Date": "Mon, 01 Jan 2024 00:00:00 GMT",
                "Content-Type": "application/json; charset=utf-8",
                "Content-Length": str(len(self.body)),
                "Connection": "keep-alive",
                "X-Request-Id": "b5a1c2f0-0000-4000-8000-000000000000",
                "Cache-Control": "no-store",
            }
        )

    async def read(self) -> bytes:
        return self.body

    def close(self) -> None:
        pass


class _Answers(dict[str, Answer]):
    """The answer to each path, about the id in it: built when it is first asked for, in the warm-up."""

    def __missing__(self, path: str) -> Answer:
        answer = self[path] = Answer(int(path.rpartition("/")[2]))
        return answer


class Session:
    """The parts of an aiohttp session that the client uses."""

    _retry_connection = True
    connector = None

    def __init__(self) -> None:
        self.answers = _Answers()

    async def request(self, method: str, url: Any, **_: Any) -> Answer:
        return self.answers[url.raw_path]


class TurningSession(Session):
    """Waits like a socket: it suspends the task once, until the next iteration of the event loop."""

    async def request(self, method: str, url: Any, **_: Any) -> Answer:
        await _turn()
        return self.answers[url.raw_path]


@types.coroutine
def _turn() -> Generator[None, None, None]:
    yield


class Plain:
    """A client without the layer: it does only what any client must do, and handles no failures."""

    def __init__(self, session: Session) -> None:
        import aiohttp

        from wavix_async import _http as _wire
        from wavix_async.config import read_base_url

        self.session = session
        self.base_url = read_base_url(URL)
        self.options = {
            "headers": {"Authorization": "Bearer key", "Content-Type": "application/json"},
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(total=None),
        }
        self._build, self._read, self._response = _wire.build_request, _wire.read_response, _wire.Response

    async def call(
        self, operation: Any, *, path: Any = None, query: Any = None, body: Any = None, parts: Any = None
    ) -> Any:
        request = self._build(operation, self.base_url, path, query, body, parts)
        answer = await self.session.request(request.method, request.url, data=request.body, **self.options)
        response = self._response(answer.status, answer.headers, await answer.read(), request)
        value, _ = self._read(operation, response)
        return value

    async def send(self, request: Any, *_: object, **__: object) -> Any:
        """Replace the transport's `send`."""
        answer = await self.session.request(request.method, request.url, data=request.body, **self.options)
        return self._response(answer.status, answer.headers, await answer.read(), request)


async def _measure(rounds: int, calls: int) -> dict[str, Any]:
    from wavix_async import _codec

    ways = _ways(calls)
    lesser, broken = await _without_parts()
    ways |= lesser
    for way in ways.values():
        await way(WARM_UP)
    # Exclude all existing objects from garbage collection, so that a collection costs only what the calls leave behind.
    gc.collect()
    gc.freeze()
    names = list(ways)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        # Rotate the order, so that a way does not always run after the same other way.
        place = turn % len(names)
        for name in names[place:] + names[:place]:
            times[name].append(await _time(ways[name], calls))
    middle = {name: statistics.median(each) for name, each in times.items()}
    parts = {part: _pair(times["one"], times[part])["layer"] if part in lesser else None for part in PARTS}
    if parts["send"] is not None:
        parts["send"] -= parts["watch"] or 0.0
    return {
        "codec": "orjson" if _codec.loads.__module__ == "orjson" else "json",
        "pairs": {pair: _pair(times[pair], times[plain]) for pair, (_, plain) in PAIRS.items()},
        "shares": {
            "wire": middle["wire"],
            "session": middle["session"],
            "face": middle["plain"] - middle["wire"] - middle["session"],
        },
        "parts": parts,
        "broken": broken,
    }


async def _time(way: Way, calls: int) -> float:
    """Return the CPU microseconds per call."""
    clock = time.process_time()
    await way(calls)
    return (time.process_time() - clock) / calls * 1e6


def _pair(whole: list[float], plain: list[float]) -> dict[str, float]:
    low, layer, high = statistics.quantiles([one - other for one, other in zip(whole, plain, strict=True)], n=4)
    return {
        "whole": statistics.median(whole),
        "plain": statistics.median(plain),
        "layer": layer,
        "low": low,
        "high": high,
    }


def _ways(calls: int) -> dict[str, Way]:
    """Return the ways to make calls; each is a coroutine function that makes the given number of calls."""
    from wavix_async import NumberUpdate, WavixClient
    from wavix_async._http import Response, build_request, read_response
    from wavix_async.resources.numbers import UPDATE, Numbers

    session, turning = Session(), TurningSession()

    def client(on: Session = session, **options: Any) -> Numbers:
        given: dict[str, Any] = {"session": on, "base_url": URL, **options}
        return WavixClient("key", **given).numbers

    plain, slow, bulk = Plain(session), Plain(turning), client()
    change = NumberUpdate(sms_enabled=True)
    items = {times: dict.fromkeys(range(1, times + 1), change) for times in (calls, WARM_UP)}

    async def in_bulk(times: int) -> None:
        report = await bulk.bulk_update(items[times])
        report.raise_for_failures()

    async def bulk_plain(times: int) -> None:
        for number_id, update in items[times].items():
            await plain.call(UPDATE, path={"id": number_id}, body=update)

    async def wire(times: int) -> None:
        base_url, answer = plain.base_url, Answer(1)
        for _ in range(times):
            request = build_request(UPDATE, base_url, {"id": 1}, None, NumberUpdate(sms_enabled=True))
            read_response(UPDATE, Response(answer.status, answer.headers, answer.body, request))

    return {
        "one": _updates(client()),
        "plain": _updates(Numbers(plain)),  # type: ignore[arg-type]
        "turning": _updates(client(turning)),
        "turning, plain": _updates(Numbers(slow)),  # type: ignore[arg-type]
        "rated": _updates(client(rate=1e6)),
        "observed": _updates(client(observers=(lambda _: None,))),
        "bulk": in_bulk,
        "bulk, plain": bulk_plain,
        "wire": wire,
        "session": _only_session(plain),
    }


def _updates(numbers: Any) -> Way:
    async def way(times: int) -> None:
        for _ in range(times):
            await numbers.update(1, sms_enabled=True)

    return way


def _only_session(plain: Plain) -> Way:
    async def way(times: int) -> None:
        session, url, options = plain.session, plain.base_url / "v1/numbers/1", plain.options
        for _ in range(times):
            answer = await session.request("PATCH", url, data=b"", **options)
            await answer.read()

    return way


# ------------------------------------------------------------------------------------------------------------ the parts


async def _without_parts() -> tuple[dict[str, Way], list[str]]:
    """Return the calls with one part replaced, and the parts that could not be found or replaced."""
    from wavix_async import WavixClient

    session: Any = Session()
    nothing, plain = _Nothing(), Plain(session)
    ways, broken = {}, []
    for part, title in PARTS.items():
        client: Any = WavixClient("key", base_url=URL, session=session)
        # The first call creates some of the parts.
        await client.numbers.get(1)
        try:
            places = _places(part, client, nothing, plain)
            ways[part] = _replacing(places, _updates(client.numbers))
            await ways[part](1)
        except (AttributeError, LookupError, TypeError) as error:
            ways.pop(part, None)
            broken.append(f"{title}: {error}")
    return ways, broken


def _places(part: str, client: Any, nothing: Any, plain: Plain) -> list[tuple[Any, str, Any]]:
    """Return the replacements that remove a part: the object, the name of its attribute, and the new value."""
    match part:
        case "limiter":
            # The state of the loop has the transport, and the limiter of each group.
            return [(_find(client, "Transport")[0], "limits", {"default": (nothing, nothing)})]
        case "slots":
            return [(_find(client, "Transport")[2], "slots", lambda: nothing)]
        case "watch":
            return [(*_find(client, "Watchdog")[:2], nothing)]
        case "send":
            return [(_find(client, "Transport")[2], "send", plain.send)]
        case "headers":
            return [(module, "rate_hint", lambda *_: None) for module in _users_of("rate_hint")]
        case "budget":
            return [(*_find(client, "RetryBudget")[:2], nothing)]
    raise LookupError(f"there is no part {part}")


def _find(root: object, kind: str) -> tuple[object, str, Any]:
    """Find the instance of a class below an object; return its owner, the name of the attribute, and the instance."""
    waiting, seen = [root], set[int]()
    while waiting:
        owner = waiting.pop(0)
        slots = [name for each in type(owner).__mro__ for name in vars(each).get("__slots__", ())]
        for name in (*getattr(owner, "__dict__", ()), *slots):
            value = getattr(owner, name, None)
            if type(value).__name__ == kind:
                return owner, name, value
            # What belongs to an event loop is the value of a dictionary.
            for each in value.values() if isinstance(value, dict) else [value]:
                if type(each).__module__.startswith("wavix_async") and id(each) not in seen:
                    seen.add(id(each))
                    waiting.append(each)
    raise LookupError(f"there is no {kind}")


def _users_of(function: str) -> list[types.ModuleType]:
    """Return the modules of `_http` that have a function under this name."""
    found = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("wavix_async._http.") and hasattr(module, function)
    ]
    if not found:
        raise LookupError(f"no module of _http has {function}")
    return found


def _replacing(places: list[tuple[Any, str, Any]], way: Way) -> Way:
    async def replaced(times: int) -> None:
        with contextlib.ExitStack() as stack:
            for target, name, replacement in places:
                stack.enter_context(mock.patch.object(target, name, replacement))
            await way(times)

    return replaced


class _Zero(float):
    """What every method of `_Nothing` returns; awaiting it returns it again."""

    def __await__(self) -> Generator[None, None, _Zero]:
        return self
        yield


class _Nothing:
    """Replaces a limiter, a semaphore, a watchdog and a budget: every method does nothing."""

    def __getattr__(self, name: str) -> Callable[..., _Zero]:
        zero = _Zero(0.0)
        # Cache the function, so that the next call costs no more than a method call.
        setattr(self, name, nothing := lambda *_, **__: zero)
        return nothing


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layer", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS, help="how many calls to make per variant in each round")
    parser.add_argument("--process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        print(json.dumps(asyncio.run(_measure(options.rounds, options.calls))))
    else:
        print(render(measure(options.rounds, options.calls)))


if __name__ == "__main__":
    main()
