"""Run the benchmarks. `speed` is the default.

`speed` compares speed with bare aiohttp and the vendor's SDK. `reliability` shows what happens to 600 items under
limits, faults and outages; `limits` and `faults` run only those scenarios. `rate` shows how the client finds a limit,
and what stray 429s cost. `lanes` shows how long single calls wait beside a bulk run, and `threads` what one client
costs that several threads share. `soak` looks for leaks. `layer` measures the cost of reliability. Example: `python -m
benchmarks reliability --runs 1`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import (
    chart,
    decode,
    imports,
    lanes,
    layer,
    memory,
    rate_control,
    reliability,
    report,
    server,
    soak,
    threads,
    throughput,
)
from benchmarks.contenders import BARE, CONTENDERS

SECTIONS = ("requests", "decode", "memory", "imports")
WHAT = ("speed", "reliability", "limits", "faults", "rate", "lanes", "threads", "soak", "layer")
ROUNDS, REQUESTS = 7, 3000
DRAWN = {"speed": chart.render, "reliability": chart.render_reliability}


def main() -> None:
    options = _arguments()
    if options.no_speedups:
        # Set this before any process starts, because the codec reads it on import.
        os.environ["WAVIX_ASYNC_NO_SPEEDUPS"] = "1"
    results: dict[str, Any] = {"environment": report.environment()}
    match options.what:
        case "speed":
            results |= _speed(options)
            text = report.render(results)
        case "soak":
            results |= soak.measure(
                options.items or soak.ITEMS, seconds=options.seconds or soak.SERVICE, say=report.stderr
            )
            text = soak.render(results)
        case "layer":
            results |= layer.measure(options.rounds or layer.ROUNDS, options.requests or layer.CALLS, report.stderr)
            text = layer.render(results)
        case "lanes":
            results |= lanes.measure(options.only, options.seconds or lanes.SECONDS, options.runs, report.stderr)
            text = lanes.render(results)
        case "threads":
            results |= threads.measure(
                options.rounds or threads.ROUNDS, options.requests or threads.CALLS, report.stderr
            )
            text = threads.render(results)
        case "rate":
            results |= rate_control.measure(options.only, options.runs, report.stderr)
            text = rate_control.render(results)
        case what:
            only = options.only if what == "reliability" else [what]
            results |= reliability.measure(only, options.runs, report.stderr, options.items or reliability.ITEMS)
            text = reliability.render(results)
    print(text if options.what == "speed" else f"{report.about(results['environment'])}\n\n{text}")
    if options.svg:
        options.svg.write_text(DRAWN[options.what](results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    if results.get("complaints"):
        sys.exit(1)


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    contenders = [key for key in CONTENDERS if key in options.only] or list(CONTENDERS)
    if BARE not in contenders:
        contenders.insert(0, BARE)
    sections = [name for name in SECTIONS if name in options.only]
    if not sections:
        sections = ["requests"] if options.only else list(SECTIONS)
    results: dict[str, Any] = {}
    with server.running() as url:
        for section in sections:
            report.stderr(f"{section} ...")
            match section:
                case "requests":
                    rounds, requests = options.rounds or ROUNDS, options.requests or REQUESTS
                    results[section] = {
                        "rounds": rounds,
                        "requests": requests,
                        "contenders": throughput.measure(
                            url, contenders, rounds=rounds, requests=requests, say=report.stderr
                        ),
                    }
                case "decode":
                    results[section] = decode.measure(options.turns or decode.TURNS)
                case "memory":
                    results[section] = memory.measure(url, options.items or memory.ITEMS)
                case "imports":
                    results[section] = imports.measure(options.turns or imports.TURNS)
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="speed", choices=WHAT)
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"number of alternating rounds (speed: {ROUNDS}, layer: {layer.ROUNDS}, threads: {threads.ROUNDS})",
    )
    parser.add_argument(
        "--requests",
        type=int,
        help=f"requests per client, or per thread, and round (speed: {REQUESTS:,}, layer: {layer.CALLS:,},"
        f" threads: {threads.CALLS})",
    )
    parser.add_argument(
        "--turns", type=int, help=f"processes per case (decode: {decode.TURNS}, imports: {imports.TURNS})"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"how many seconds the service of soak runs (default: {soak.SERVICE:g}), or the single calls of lanes"
        f" (default: {lanes.SECONDS:g})",
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of each scenario, each with its own seed if it has one (default: 3)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"run only these: for speed, sections ({', '.join(SECTIONS)}) or contenders ({', '.join(CONTENDERS)});"
        f" for reliability, scenarios ({', '.join(reliability.NAMES)});"
        f" for rate, rows ({', '.join(rate_control.ROWS)}); for lanes, modes ({', '.join(lanes.MODES)})",
    )
    parser.add_argument(
        "--items",
        type=int,
        help=f"items in the bulk run of the memory section ({memory.ITEMS:,}), items in each reliability scenario"
        f" ({reliability.ITEMS}), or calls in each soak run ({soak.ITEMS:,})",
    )
    parser.add_argument("--no-speedups", action="store_true", help="use wavix_async without orjson")
    parser.add_argument("--svg", type=Path, help="write the README's chart of speed or reliability to this file")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    names = {
        "speed": (*SECTIONS, *CONTENDERS),
        "reliability": reliability.NAMES,
        "rate": tuple(rate_control.ROWS),
        "lanes": tuple(lanes.MODES),
    }.get(options.what, ())
    if wrong := [name for name in options.only if name not in names]:
        parser.error(f"--only: {options.what} has no {', '.join(wrong)}; choose from: {', '.join(names) or 'nothing'}")
    if options.svg and options.what not in DRAWN:
        parser.error(f"--svg: {options.what} has no chart; use it with speed or reliability")
    return options


if __name__ == "__main__":
    main()
