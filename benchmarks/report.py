"""Format the figures as tables."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import RAW, VENDOR
from benchmarks.decode import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

QUIET = 0.9
"""The share of a core that a client uses on a quiet machine. With less, other processes disturb the measurement."""


def environment() -> dict[str, Any]:
    """Return the machine, the Python version and the library versions."""
    versions = {}
    for package in ("aiohttp", "attrs", "cattrs", "tenacity", "orjson", "httpx", "pydantic", "wavix-python-sdk"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": versions,
        "speedups": bool(versions["orjson"]) and not os.environ.get("WAVIX_ASYNC_NO_SPEEDUPS"),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: the first column aligned left, the others right; rows with fewer cells may be wider."""
    whole = [row for row in [header, *rows] if len(row) == len(header)]
    widths = [max(len(row[place]) for row in whole) for place in range(len(header))]
    widths[0] = max(len(row[0]) for row in [header, *rows])
    lines = []
    for row in [header, ["-" * width for width in widths], *rows]:
        if len(row) < len(header):
            lines.append(f"{row[0]:<{widths[0]}}  {'  '.join(row[1:])}")
        else:
            cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([f"{row[0]:<{widths[0]}}", *cells]))
    return "\n".join(line.rstrip() for line in lines)


def render(results: dict[str, Any]) -> str:
    """Return the text of all measured sections."""
    parts = [about(results["environment"])]
    sections = {"requests": _requests, "decode": _decode, "memory": render_memory, "imports": _imports}
    parts += [text for name, render_one in sections.items() if name in results for text in render_one(results[name])]
    return "\n\n".join(parts)


def about(environment: dict[str, Any]) -> str:
    """Describe the environment in three lines."""
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in environment["versions"].items())
    codec = "orjson" if environment["speedups"] else "the standard library's json"
    return (
        f"{environment['implementation']} {environment['python']}, {environment['system']},"
        f" {environment['cores']} cores, asyncio's own loop\n"
        f"{versions}\nwavix_async reads and writes JSON with {codec}; the others with the standard library's json"
    )


def _requests(section: dict[str, Any]) -> Iterator[str]:
    rows = []
    for figures in section["contenders"].values():
        if "error" in figures:
            rows.append([figures["title"], f"FAILED: {figures['error']}"])
            continue
        rows.append(
            [
                figures["title"],
                f"{figures['per_second']:,.0f}",
                f"{figures['lowest']:,.0f}-{figures['highest']:,.0f}",
                f"{figures['ratio']:.2f}" if "ratio" in figures else "-",
                f"{figures['cpu_us']:,.0f}",
                f"{figures['cpu_ratio']:.2f}" if "cpu_ratio" in figures else "-",
                f"{figures['peak_rss_mb']:.0f}",
                f"{figures['client_busy']:.0%}",
                f"{figures['server_busy']:.0%}",
            ]
        )
    header = [
        "one PATCH, 64 at a time",
        "req/s",
        "range",
        "of bare",
        "CPU µs",
        "of bare",
        "peak MB",
        "client",
        "server",
    ]
    yield (
        f"Changing numbers: {section['rounds']} alternating rounds of {section['requests']:,} requests\n"
        "one process each, medians, ratios by round; client and server: their share of one core\n\n"
        + table(header, rows)
    )
    contenders = section["contenders"]
    shares = [figures.get("client_busy", 1) for key, figures in contenders.items() if key != RAW]
    if shares and min(shares) < QUIET:
        yield "Other processes kept the machine busy: trust the ratios of CPU time more than those of req/s"
    for figures in contenders.values():
        if "over_vendor" in figures:
            yield f"{figures['title']}: {figures['over_vendor']:.1f}x {contenders[VENDOR]['title']}"


def _decode(section: dict[str, Any]) -> Iterator[str]:
    readers = list(section.values())
    rows = []
    for case, title in CASES.items():
        cells = ["failed" if "error" in reader else f"{reader[case]:,.1f}" for reader in readers]
        both = not any("error" in reader for reader in readers)
        rows.append([title, *cells, f"{readers[1][case] / readers[0][case]:.1f}x" if both else "-"])
    yield "Decoding, µs of CPU\n\n" + table(["", *(reader["title"] for reader in readers), "faster"], rows)
    yield from (f"{reader['title']} FAILED: {reader['error']}" for reader in readers if "error" in reader)


def render_memory(section: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the memory that was used above that of the idle process, one line for each case."""
    for case in section:
        title = f"bulk_update of {case['items']:,} items from an async generator, {case['title']}"
        if "error" in case:
            yield f"{title} FAILED: {case['error']}"
            continue
        yield (
            f"{title}: {case['above_idle_mb']:.1f} MB above the idle process"
            f" ({case['idle_mb']:.0f} -> {case['peak_mb']:.0f} MB), {case['seconds']:.0f} s,"
            f" {case['per_second']:,.0f} items/s"
        )


def _imports(section: dict[str, Any]) -> Iterator[str]:
    rows = [
        [figures["title"], "failed" if "error" in figures else f"{figures['ms']:.0f}"] for figures in section.values()
    ]
    yield "Importing, ms of CPU above the interpreter's own start\n\n" + table(["", "ms"], rows)
    yield from (f"{figures['title']} FAILED: {figures['error']}" for figures in section.values() if "error" in figures)


def stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
