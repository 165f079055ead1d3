"""Measure the cost of decoding a response: a number, a page of 100 numbers, a number with an unknown key.

python -m benchmarks.decode [--turns 3] [--seconds 0.05]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import timeit
from typing import TYPE_CHECKING, Any

from benchmarks.payload import number, page
from benchmarks.process import ask

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = {
    "number": "one Number, from a dict",
    "number_json": "one Number, from JSON text",
    "drifted": "one Number with an unknown key, from a dict",
    "page": "a page of 100, from a dict",
    "page_json": "a page of 100, from JSON text",
}
READERS = {"ours": "wavix_async", "vendor": "vendor SDK"}
TURNS, SECONDS, REPEATS = 3, 0.05, 5


def measure(turns: int = TURNS, seconds: float = SECONDS) -> dict[str, Any]:
    """Return the CPU microseconds by reader and case: the median of new processes, with the readers in turn.

    Args:
        turns: The number of processes for each reader.
        seconds: The duration of one repeat of a case; there are `REPEATS` repeats.
    """
    heard: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
    errors: dict[str, str] = {}
    for _ in range(turns):
        for reader in READERS.keys() - errors.keys():
            try:
                heard[reader].append(json.loads(ask("decode", "--reader", reader, "--seconds", str(seconds))))
            except RuntimeError as error:
                errors[reader] = str(error)
    return {
        reader: {"title": title, "error": errors[reader]}
        if reader in errors
        else {
            "title": title,
            **{case: statistics.median(turn[case] for turn in heard[reader]) for case in CASES},
        }
        for reader, title in READERS.items()
    }


def _ours() -> dict[str, Callable[[], object]]:
    from wavix_async import Number, from_dict
    from wavix_async._codec import loads
    from wavix_async.models import NumberPage

    one, drifted, many = number(123), {**number(123), "new_key": 1}, page()
    one_text, many_text = json.dumps(one).encode(), json.dumps(many).encode()
    return {
        "number": lambda: from_dict(Number, one),
        "number_json": lambda: from_dict(Number, loads(one_text)),
        "drifted": lambda: from_dict(Number, drifted),
        "page": lambda: from_dict(NumberPage, many),
        "page_json": lambda: from_dict(NumberPage, loads(many_text)),
    }


def _vendor() -> dict[str, Callable[[], object]]:
    from wavix import Number, NumberListResponse
    from wavix.core.pydantic_utilities import parse_obj_as

    one, drifted, many = number(123), {**number(123), "new_key": 1}, page()
    one_text, many_text = json.dumps(one).encode(), json.dumps(many).encode()
    return {
        "number": lambda: parse_obj_as(type_=Number, object_=one),
        "number_json": lambda: parse_obj_as(type_=Number, object_=json.loads(one_text)),
        "drifted": lambda: parse_obj_as(type_=Number, object_=drifted),
        "page": lambda: parse_obj_as(type_=NumberListResponse, object_=many),
        "page_json": lambda: parse_obj_as(type_=NumberListResponse, object_=json.loads(many_text)),
    }


def _time(action: Callable[[], object], seconds: float) -> float:
    # timeit switches the garbage collector off, but real programs do not. CPU time depends less on other processes.
    timer = timeit.Timer(action, "import gc; gc.enable()", timer=time.process_time)
    times = 1
    while (took := timer.timeit(times)) < seconds:
        times = max(times * 2, min(times * 10, int(times * seconds / max(took, 1e-9))))
    return statistics.median(timer.repeat(REPEATS, times)) / times * 1e6


def render(results: dict[str, Any]) -> str:
    """Return a table with one row per case."""
    from benchmarks.report import table

    rows = [
        [title, *(each["error"] if "error" in each else f"{each[case]:.1f}" for each in results.values())]
        for case, title in CASES.items()
    ]
    return table(["CPU µs", *(each["title"] for each in results.values())], rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=TURNS, help="number of processes for each reader")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"how many seconds each of the {REPEATS} repeats of a case takes"
    )
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader is None:
        print(render(measure(options.turns, options.seconds)))
        return
    actions = {"ours": _ours, "vendor": _vendor}[options.reader]()
    print(json.dumps({case: _time(action, options.seconds) for case, action in actions.items()}))


if __name__ == "__main__":
    main()
