"""`python -m benchmarks` measures speed; `reliability`, what becomes of 600 items under limits, faults and outages.

`limits` and `faults` are the scenarios of `reliability` by that name alone; `soak` looks for leaks, `layer` at what the
reliability costs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import chart, decode, imports, layer, memory, reliability, report, server, soak, throughput
from benchmarks.contenders import BARE, CONTENDERS

SECTIONS = ("requests", "decode", "memory", "imports")
WHAT = ("speed", "reliability", "limits", "faults", "soak", "layer")
ROUNDS, REQUESTS = 7, 3000
DRAWN = {"speed": chart.render, "reliability": chart.render_reliability}


def main() -> None:
    options = _arguments()
    if options.no_speedups:
        # Before any process is started: the codec chooses when it is imported.
        os.environ["WAVIX_ASYNC_NO_SPEEDUPS"] = "1"
    results: dict[str, Any] = {"environment": report.environment()}
    match options.what:
        case "speed":
            results |= _speed(options)
            text = report.render(results)
        case "soak":
            results |= soak.measure(options.items or soak.ITEMS, seconds=options.seconds, say=report.stderr)
            text = soak.render(results)
        case "layer":
            results |= layer.measure(options.rounds or layer.ROUNDS, options.requests or layer.CALLS, report.stderr)
            text = layer.render(results)
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
    parser.add_argument("--rounds", type=int, help=f"alternating rounds (speed: {ROUNDS}, layer: {layer.ROUNDS})")
    parser.add_argument(
        "--requests", type=int, help=f"of each in a round (speed: {REQUESTS:,}, layer: {layer.CALLS:,})"
    )
    parser.add_argument("--turns", type=int, help=f"processes (decode: {decode.TURNS}, imports: {imports.TURNS})")
    parser.add_argument(
        "--seconds", type=float, default=soak.SERVICE, help="of the service of soak (default: %(default)g)"
    )
    parser.add_argument("--runs", type=int, default=3, help="of the scenarios, each with another seed (3)")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"of speed: sections ({', '.join(SECTIONS)}) or contenders ({', '.join(CONTENDERS)});"
        f" of reliability: scenarios ({', '.join(reliability.NAMES)})",
    )
    parser.add_argument(
        "--items",
        type=int,
        help=f"of the bulk whose memory is measured ({memory.ITEMS:,}), of each scenario of reliability"
        f" ({reliability.ITEMS}), calls of each run of soak ({soak.ITEMS:,})",
    )
    parser.add_argument("--no-speedups", action="store_true", help="wavix_async without orjson")
    parser.add_argument("--svg", type=Path, help="write the chart of the README here, of speed or reliability")
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    names = {"speed": (*SECTIONS, *CONTENDERS), "reliability": reliability.NAMES}.get(options.what, ())
    if wrong := [name for name in options.only if name not in names]:
        parser.error(f"--only: {options.what} has no {', '.join(wrong)}; there is {', '.join(names) or 'nothing'}")
    if options.svg and options.what not in DRAWN:
        parser.error(f"--svg: there is no chart of {options.what}")
    return options


if __name__ == "__main__":
    main()
