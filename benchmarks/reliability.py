"""Run 600 items against a server with limits, faults and outages, and compare each client's report with the server.

The server (`tests/faults/server.py`) and every client have their own process. Only the server's state counts: an item
is done if the server has carried it out, whatever a client reports. The seed of a run decides the server's faults and
the clients' jitter; which request gets which fault also depends on the order of the requests.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import threading
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.live import CHANGE, SEND_PATH, WORKERS, item_of
from benchmarks.payload import number
from benchmarks.process import ask
from benchmarks.report import table
from tests.faults.lies import CONVINCING, shown
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ITEMS = 600
RATE, BURST = 100, 10

LIMIT = {"rate": RATE, "burst": BURST}
FAULTS = {
    "reset_before": 0.02,
    "reset_after": 0.02,
    "half_body": 0.02,
    "garbage": 0.01,
    "status_500": 0.024,
    "status_502": 0.023,
    "status_503": 0.023,
}
SOME_FAULTS = {kind: share * 0.05 / sum(FAULTS.values()) for kind, share in FAULTS.items()}
LOST_ANSWERS = dict.fromkeys(("reset_after", "close_after", "half_body", "status_504_after"), 0.0125)
LIE_SHARE = 0.25


def _lies(letter: str) -> dict[str, str]:
    """Return the lies that a client can see through, without plain refusals: those convince after a change."""
    # The change here is one that the API stores as it is. Clients wait minutes for a connection that went deaf.
    left_out = ("normalised", "half_done", "late_answer_deaf", "status_101")
    return {
        kind: where
        for kind, where in shown(letter).items()
        if f"{kind}_after" not in CONVINCING and kind.removesuffix("_after") not in left_out
    }


@dataclass(frozen=True)
class Outage:
    """From this request on, and for so many seconds, requests get the given faults in turn."""

    from_request: int
    seconds: float
    kinds: tuple[str, ...] = ("status_503", "reset_before")


@dataclass(frozen=True)
class Client:
    title: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)


OURS = Client("wavix_async", "ours")
VENDOR = Client("vendor SDK, aiohttp", "vendor")
VENDOR_HTTPX = Client("vendor SDK, httpx", "vendor", {"transport": "httpx"})
BY_HAND = Client("aiohttp, 3 retries", "by_hand")
NAIVE = Client("aiohttp, no retries", "by_hand", {"retries": 0})
THREE = (OURS, VENDOR, BY_HAND)


@dataclass(frozen=True)
class Scenario:
    label: tuple[str, str]
    """The label in the chart, as two short lines."""
    title: str
    server: dict[str, Any]
    clients: Sequence[Client] = (*THREE, NAIVE)
    post: bool = False
    outage: Outage | None = None

    def ideal(self, items: int) -> float | None:
        """Return the seconds that a client with the right rate needs, with retries; None if there is no limit."""
        if "rate" not in self.server:
            return None
        requests = items / (1 - sum(self.server.get("faults", {}).values()))
        return (requests - self.server["burst"]) / float(self.server["rate"])


POSTS = ("Messages", "5 % lose their answer")
SCENARIOS = {
    "limit": Scenario(
        (f"Limit of {RATE}/s", "Retry-After: 1"),
        f"a limit of {RATE}/s, burst {BURST}, Retry-After: 1",
        {**LIMIT, "retry_after": 1.0},
        (OURS, Client("wavix_async, rate=95", "ours", {"rate": 95}), VENDOR, BY_HAND, NAIVE),
    ),
    "silent-limit": Scenario(
        (f"Limit of {RATE}/s", "no header"), f"a limit of {RATE}/s, burst {BURST}, no Retry-After", LIMIT, THREE
    ),
    "faults": Scenario(
        ("14 % faults", "resets, cut answers, 5xx"),
        "14 % faults: resets, cut and garbled answers, 5xx",
        {"faults": FAULTS},
    ),
    "limit-faults": Scenario(
        ("Limit and 5 % faults", "Retry-After: 1"),
        f"a limit of {RATE}/s, burst {BURST}, Retry-After: 1, and 5 % of the same faults",
        {**LIMIT, "retry_after": 1.0, "faults": SOME_FAULTS},
        THREE,
    ),
    "stray-429s": Scenario(
        ("1 % stray 429s", "Retry-After: 1"),
        "no limit, but 1 % of the requests get a 429 with Retry-After: 1; responses take 0.08 s",
        {"retry_after": 1.0, "latency": 0.08, "faults": {"status_429": 0.01}},
        THREE,
    ),
    "outage": Scenario(
        ("Outage of 5 s", "503s and resets"),
        "an outage of 5 s (503s and resets) after 160 requests; responses take 0.25 s",
        {"latency": 0.25},
        outage=Outage(160, 5.0),
    ),
    "posts": Scenario(
        POSTS,
        "POSTs that send a message; 5 % are carried out but lose their response: reset, closed, cut, 504",
        {"faults": LOST_ANSWERS, "methods": ("POST",)},
        (OURS, VENDOR, VENDOR_HTTPX, BY_HAND, NAIVE),
        post=True,
    ),
    "stale": Scenario(
        ("Stale connections", "closed after each answer"),
        "every response promises to keep the connection open, but the server closes it right after",
        {"faults": {"stale_keepalive": 1.0}},
    ),
    "lies": Scenario(
        ("Lies", "a quarter of the answers"),
        "a quarter of the answers to a change are wrong: another id, the old value, an error under a 200, a proxy page",
        {"lies": _lies("P"), "lie_share": LIE_SHARE, "methods": ("PATCH",)},
        THREE,
    ),
    "lying-posts": Scenario(
        ("Messages and lies", "a quarter of the answers"),
        "POSTs that send a message; a quarter of the answers are wrong",
        {"lies": _lies("S"), "lie_share": LIE_SHARE, "methods": ("POST",)},
        (OURS, VENDOR, VENDOR_HTTPX, BY_HAND),
        post=True,
    ),
}
GROUPS = {"limits": ("limit", "silent-limit")}
NAMES = (*SCENARIOS, *GROUPS)


# ------------------------------------------------------------------------------------------------------------ measuring


def measure(only: Iterable[str], runs: int, say: Callable[[str], None], items: int = ITEMS) -> dict[str, Any]:
    """Run the named scenarios (default: all) `runs` times, each run with its own seed and the clients in turn."""
    named = {name for given in only for name in GROUPS.get(given, (given,))}
    names = [name for name in SCENARIOS if not named or name in named]
    heard: dict[str, Any] = {
        name: {
            "label": SCENARIOS[name].label,
            "title": SCENARIOS[name].title,
            "post": SCENARIOS[name].post,
            "ideal": SCENARIOS[name].ideal(items),
            "clients": {client.title: [] for client in SCENARIOS[name].clients},
        }
        for name in names
    }
    for run in range(runs):
        for name in names:
            for client in SCENARIOS[name].clients:
                say(f"run {run + 1} of {runs}: {name}, {client.title}")
                heard[name]["clients"][client.title].append(_play(SCENARIOS[name], client, run, items))
    return {"items": items, "runs": runs, "scenarios": heard}


def _play(scenario: Scenario, client: Client, seed: int, items: int) -> dict[str, Any]:
    ids = list(range(1, items + 1))
    with FaultServer(seed=seed, **scenario.server) as server:
        if not scenario.post:
            _fill(server, ids)
        task = {"client": client.name, "url": server.url, "ids": ids, "post": scenario.post}
        with _happening(scenario.outage, server):
            try:
                said = json.loads(ask("live", json.dumps({**task, "seed": seed, **client.options})))
            except RuntimeError as error:
                return {"error": str(error)}
        counters = server.counters()
        times = _messages(server) if scenario.post else _changes(counters["applied"])
    if scenario.post and sum(times.values()) != counters["posted"][SEND_PATH]:
        raise RuntimeError(
            "the log has a message that was not carried out, so it cannot be used to count this scenario"
        )
    expected = [
        *scenario.server.get("faults", {}),
        *scenario.server.get("lies", {}),
        *(scenario.outage.kinds if scenario.outage else ()),
    ]
    # With few items, some kinds of faults may not occur.
    if items >= ITEMS and (missed := [kind for kind in expected if not counters["fired"].get(kind)]):
        raise RuntimeError(f"these faults never occurred: {', '.join(missed)}")
    return _judge(said, times, ids, once=scenario.post) | {
        "requests": counters["total"] - (not scenario.post),
        "refused": counters["limited"],
        "fired": counters["fired"],
        "seconds": said["seconds"],
        "errors": said["errors"],
    }


def _judge(said: dict[str, Any], times: dict[int, int], ids: list[int], *, once: bool) -> dict[str, int]:
    """Compare a report with how often each item was carried out; `once` means that more than once is wrong."""
    done = set(times)
    reported, failed, unknown = (set(said[what]) for what in ("done", "failed", "unknown"))
    if reported | failed | unknown != set(ids) or sum(map(len, (reported, failed, unknown))) != len(ids):
        raise RuntimeError("the client did not report every item exactly once")
    return {
        "right": sum(not once or times[item] == 1 for item in reported & done),
        "done": len(done),
        "reported": len(reported),
        "false_successes": len(reported - done),
        "false_failures": len(failed & done),
        "unknown": len(unknown),
        "unknown_done": len(unknown & done),
        "lost": len(ids) - len(done),
        "twice": sum(times.values()) - len(done),
    }


def _fill(server: FaultServer, ids: list[int]) -> None:
    """Give every number all documented fields, because some clients reject a response without one of them."""
    fields = {name: value for name, value in number(0).items() if name not in ("id", "number")}
    body = json.dumps({**fields, **dict.fromkeys(CHANGE, False), "ids": ids}).encode()
    server.set_schedule(["ok"])
    request = urllib.request.Request(f"{server.url}/v1/numbers", body, method="PATCH")
    with urllib.request.urlopen(request) as response:
        response.read()


def _changes(applied: dict[int, int]) -> Counter[int]:
    # `_fill` made the first change of each number, so do not count it, and leave out numbers without another change.
    return Counter({item: times - 1 for item, times in applied.items() if times > 1})


def _messages(server: FaultServer) -> Counter[int]:
    posts = (entry for entry in server.log() if entry["method"] == "POST" and entry["carried_out"])
    return Counter(item_of(json.loads(entry["body"])["to"]) for entry in posts)


@contextlib.contextmanager
def _happening(outage: Outage | None, server: FaultServer) -> Iterator[None]:
    if outage is None:
        yield
        return
    over = threading.Event()

    def happen() -> None:
        while server.counters()["total"] < outage.from_request:
            if over.wait(0.02):
                return
        # Schedule more faults than the clients can use up, and remove the rest afterwards.
        server.set_schedule(outage.kinds * 5000)
        over.wait(outage.seconds)
        server.set_schedule([])

    thread = threading.Thread(target=happen)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# ------------------------------------------------------------------------------------------------------------- showing

LEGEND = """\
right    done and reported as done (a POST: done once)    done    carried out, according to the server
said     reported as done                                 lost    not done
false+   reported as done but not done                    twice   repeated executions: harmless for a PATCH
false-   reported as failed but done                      reqs    requests per item
unknown  reported as unknown (in brackets: done)          429s    share of the requests that got a 429"""


def render(results: dict[str, Any]) -> str:
    """Return a table for each scenario, with medians and, for the important figures, the worst run."""
    runs = results["runs"]
    how = f"medians of {runs} runs, seeds 0 to {runs - 1}" if runs > 1 else "one run, seed 0"
    worst = "; false+, false-, lost and `worst` are from the worst run" if runs > 1 else ""
    parts = [f"{results['items']} items, {WORKERS} at a time, each client and each server in its own process"]
    parts += [f"{how}{worst}\n\n{LEGEND}"]
    return "\n\n".join(
        [*parts, *(_scenario(name, heard, results["items"]) for name, heard in results["scenarios"].items())]
    )


def _scenario(name: str, heard: dict[str, Any], items: int) -> str:
    ideal = heard["ideal"]
    header = ["", "right", "done", "said", "false+", "false-", "unknown", "lost", "twice", "reqs", "secs"]
    if ideal:
        header += ["ideal", "worst", "429s", "worst"]
    rows, notes = [], []
    for title, runs in heard["clients"].items():
        if failed := next((run["error"] for run in runs if "error" in run), None):
            rows.append([title, f"FAILED: {failed}"])
            continue
        rows.append([title, *_cells(runs, items), *(_limit_cells(runs, ideal, items) if ideal else ())])
        if errors := runs[-1]["errors"]:
            notes.append(f"  {title}: " + ", ".join(f"{times}x {error}" for error, times in errors.items()))
    text = f"{name}: {heard['title']}{f' (ideal: {ideal:.1f} s)' if ideal else ''}\n\n{table(header, rows)}"
    return text + ("\n\n  errors that the clients report (last run):\n" + "\n".join(notes) if notes else "")


def _cells(runs: list[dict[str, Any]], items: int) -> list[str]:
    unknown, of_them = median(runs, "unknown"), median(runs, "unknown_done")
    return [
        *(f"{median(runs, key):g}" for key in ("right", "done", "reported")),
        *(f"{max(run[key] for run in runs)}" for key in ("false_successes", "false_failures")),
        f"{unknown:g} ({of_them:g})" if unknown else "0",
        f"{max(run['lost'] for run in runs)}",
        f"{median(runs, 'twice'):g}",
        f"{median(runs, 'requests') / items:.2f}",
        f"{median(runs, 'seconds'):.2f}",
    ]


def _limit_cells(runs: list[dict[str, Any]], ideal: float, items: int) -> list[str]:
    times = [run["seconds"] / ideal for run in runs]
    shares = [run["refused"] / run["requests"] for run in runs]
    # The time of a run that gave up is meaningless.
    complete = all(run["done"] == items for run in runs)
    return [
        *(f"{time:.2f}x" if complete else "-" for time in (statistics.median(times), max(times))),
        *(f"{share:.1%}" for share in (statistics.median(shares), max(shares))),
    ]


def median(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)
