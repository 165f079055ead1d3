"""`python -m benchmarks` measures speed; with `limits` or `faults`, what becomes of a bulk run under those."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from benchmarks import chart, decode, imports, live, memory, report, server, throughput
from benchmarks.contenders import BARE, CONTENDERS

SECTIONS = ("requests", "decode", "memory", "imports")


def main() -> None:
    options = _arguments()
    if options.no_speedups:
        # Before any process is started: the codec chooses when it is imported.
        os.environ["WAVIX_ASYNC_NO_SPEEDUPS"] = "1"
    if options.what == "speed":
        results = _speed(options)
        print(report.render(results))
        if options.svg:
            options.svg.write_text(chart.render(results))
    else:
        results = {"environment": report.environment(), **live.measure(options.what, options.runs, report.stderr)}
        print(report.about(results["environment"]), live.render(results), sep="\n\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def _speed(options: argparse.Namespace) -> dict[str, Any]:
    contenders = [key for key in CONTENDERS if key in options.only] or list(CONTENDERS)
    if BARE not in contenders:
        contenders.insert(0, BARE)
    sections = [name for name in SECTIONS if name in options.only]
    if not sections:
        sections = ["requests"] if options.only else list(SECTIONS)
    results: dict[str, Any] = {"environment": report.environment()}
    with server.running() as url:
        for section in sections:
            report.stderr(f"{section} ...")
            match section:
                case "requests":
                    results[section] = {
                        "rounds": options.rounds,
                        "requests": options.requests,
                        "contenders": throughput.measure(
                            url, contenders, rounds=options.rounds, requests=options.requests, say=report.stderr
                        ),
                    }
                case "decode":
                    results[section] = decode.measure()
                case "memory":
                    results[section] = memory.measure(url, options.items)
                case "imports":
                    results[section] = imports.measure()
    return results


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="speed", choices=["speed", "limits", "faults"])
    parser.add_argument("--rounds", type=int, default=7, help="alternating rounds")
    parser.add_argument("--requests", type=int, default=3000, help="per contender and round")
    parser.add_argument("--runs", type=int, default=3, help="of limits and faults")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=[*SECTIONS, *CONTENDERS],
        metavar="NAME",
        help=f"sections ({', '.join(SECTIONS)}) or contenders ({', '.join(CONTENDERS)})",
    )
    parser.add_argument("--items", type=int, default=100_000, help="of the bulk whose memory is measured")
    parser.add_argument("--no-speedups", action="store_true", help="wavix_async without orjson")
    parser.add_argument("--svg", type=Path, help="write the chart of the README here")
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
