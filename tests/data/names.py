"""Collect the names that the package writes: into Redis, journals, logs, telemetry, problems and files.

    git worktree add /tmp/before 63b61a9
    PYTHONPATH=/tmp/before python tests/data/names.py > tests/data/names_63b61a9.json

They may not change, whatever the code calls things (DESIGN: "words change, names on the wire and on disk do not"):
other processes, files and dashboards know them. Where it can, the script watches what is written and does not read the
code; so it runs with any version.
"""

from __future__ import annotations

import ast
import asyncio
import csv
import importlib
import json
import logging
import os
import pkgutil
import re
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import attrs

URL, KEY = "http://localhost:8400", "a-key-of-the-test"

TEXTS = (
    # log records
    "attempt ended",
    "attempt will be repeated",
    "calls pause",
    "rate learned",
    "bulk run ended",
    "answer not as documented",
    "shared limit out of reach",
    "shared limit back",
    "bulk job failed: %s",
    "bulk job cannot use a file: %s",
    "bulk job ended early: %s",
    "It could not be written down how a bulk job ended",
    "A bulk job could not be written down",
    # states and reasons in a journal
    "sent",
    "again",
    "not_sent",
    "updated",
    "verified",
    "pending",
    "failed",
    "unknown",
    "unchanged",
    "read back",
    "the account has this number no more",
    "somebody else has made this change",
    "changed since the plan was made: ",
    "changed by somebody else since: ",
    "changed by somebody else meanwhile: ",
    " and was left so: somebody else has changed it since",
    "not in effect yet: ",
    # the ends of the files of a job, and what is in them
    ".json",
    ".request",
    ".changes",
    ".sqlite",
    "planning",
    "planned",
    "running",
    "stopping",
    "done",
    "stopped",
    "interrupted",
    "apply",
    "roll-back",
    "roll_back",
    # problems of jobs: the last part of their type, and their title
    "stale-plan",
    "refused-for-safety",
    "storage",
    "stopped-for-safety",
    "run-ended-early",
    "unknown-job",
    "wrong-state",
    "content-too-large",
    "Numbers have changed since the plan was made",
    "It would change too much",
    "A file of the job cannot be used",
    "Too many changes were refused",
    "The run has ended early",
    "There is no such job",
    "The state of the job does not allow it",
    "The content is too large",
)
"""Constants that are written only when something fails, or late: the script lists those that the package has."""


def modules() -> list[Any]:
    """Import every module of the package."""
    import wavix_async

    found = [wavix_async]
    for each in pkgutil.walk_packages(wavix_async.__path__, "wavix_async."):
        if not each.name.endswith("__main__"):
            found.append(importlib.import_module(each.name))
    return found


def constants(tree: ast.AST) -> Iterator[str]:
    """Yield the strings of a module, the constant parts of f-strings among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


# --- Redis ---


class FakeRedis:
    """Notes what it is asked, does not know the script until it has seen it, and lets everything through."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int, tuple[Any, ...]]] = []

    async def evalsha(self, script: str, keys: int, key: str, *values: Any) -> list[int]:
        """Know no script."""
        from redis.exceptions import NoScriptError

        self.asked.append((script, key, keys, values))
        raise NoScriptError

    async def eval(self, script: str, keys: int, key: str, *values: Any) -> list[int]:
        """Grant every slot that is asked for, at once."""
        return [0, 0, values[1], 0, 1, 1, 0]


async def redis_names() -> dict[str, Any]:
    """Return the keys and the script, as they are sent for two groups of operations, with and without a scope."""
    from wavix_async import Operation, RetryPolicy, WavixClient, WavixError
    from wavix_async.redis import RedisRateLimit

    redis = FakeRedis()
    for scope in (None, "production"):
        limit = RedisRateLimit(redis, rate=100, scope=scope)  # type: ignore[arg-type]
        for group in ("default", "messages"):
            operation = Operation("GET", "/v1/numbers/{id}", dict, limit_group=group)
            async with WavixClient(KEY, base_url=URL, rate=limit, retry=RetryPolicy(attempts=1)) as wavix:
                try:
                    await wavix.call(operation, path={"id": 1})
                except WavixError:
                    pass  # nothing listens there
    return {
        "keys": sorted({key for _, key, _, _ in redis.asked}),
        "scripts": sorted({script for script, _, _, _ in redis.asked}),
        "number of keys and values": sorted({(keys, len(values)) for _, _, keys, values in redis.asked}),
    }


# --- files ---


async def file_names() -> dict[str, Any]:
    """Return the schema of a journal, and the columns of an export and of the results of a bulk run."""
    from wavix_async import WavixClient, fleet
    from wavix_async.cli import main
    from wavix_async.sandbox import Sandbox

    with tempfile.TemporaryDirectory() as text, Sandbox(numbers=10) as sandbox:
        place = Path(text)
        (place / "fleet.csv").write_text("id,sms_enabled\n1001,true\n1003,true\n", encoding="utf-8")
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            plan = await fleet.plan(wavix, place / "fleet.csv")
            await fleet.apply(wavix, plan, journal=place / "run.sqlite", verify=True)
            await fleet.export(wavix, place / "export.csv")
        with closing(sqlite3.connect(place / "run.sqlite")) as connection:
            tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name")
            schema = {name: " ".join(sql.split()) for name, sql in tables}
            meta = dict(connection.execute("SELECT key, value FROM meta"))
            (options,) = connection.execute("SELECT options FROM run").fetchone()
            item = connection.execute("SELECT id, number, before, after, forced FROM item WHERE id = 1001").fetchone()
            outcome = connection.execute("SELECT * FROM outcome WHERE id = 1001").fetchone()
        columns = {}
        account = {"WAVIX_API_KEY": sandbox.api_key, "WAVIX_BASE_URL": sandbox.url}
        with mock.patch.dict(os.environ, account), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            command = ["numbers", "bulk-update", str(place / "fleet.csv"), "--yes", "--output"]
            await asyncio.to_thread(main, [*command, str(place / "results.csv")])
        for name in ("export.csv", "results.csv"):
            with (place / name).open(encoding="utf-8", newline="") as stream:
                columns[name] = next(csv.reader(stream))
    meta["base_url"] = "..."
    return {
        "journal": {"schema": schema, "meta": meta, "options": sorted(json.loads(options)), "item": item,
                    "outcome": outcome},
        "columns": columns,
    }  # fmt: skip


# --- telemetry ---


async def spans_and_metrics() -> dict[str, Any]:
    """Return the names in the telemetry of a call that is refused once, and of a bulk run."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from wavix_async import NumberUpdate, RetryPolicy, WavixClient
    from wavix_async.otel import OpenTelemetry
    from wavix_async.sandbox import Sandbox

    exporter, reader, spans = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = OpenTelemetry(tracer_provider=spans, meter_provider=MeterProvider([reader]))
    retry = RetryPolicy(backoff=0.01)
    async with (
        Sandbox(numbers=10) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url, observers=[telemetry], retry=retry) as wavix,
    ):
        sandbox.fail_next(503)
        await wavix.numbers.get(1001)
        await wavix.numbers.bulk_update({1001: NumberUpdate(sms_enabled=True)})
    attributes: dict[str, set[str]] = {}
    for span in exporter.get_finished_spans():
        attributes.setdefault(span.name, set()).update(span.attributes or ())
    data = json.loads(reader.get_metrics_data().to_json())
    metrics = [each for scope in data["resource_metrics"][0]["scope_metrics"] for each in scope["metrics"]]
    return {
        "spans": {name: sorted(names) for name, names in sorted(attributes.items())},
        "metrics": {
            each["name"]: {"unit": each["unit"], "attributes": sorted({
                name for point in each["data"]["data_points"] for name in point["attributes"]})}
            for each in sorted(metrics, key=lambda each: str(each["name"]))
        },
    }  # fmt: skip


# --- the rest ---


def problems() -> dict[str, Any]:
    """Return the problem of each error that the client raises."""
    import wavix_async
    from wavix_async import errors
    from wavix_async.fastapi import problem_response
    from wavix_async.testing import make_error

    found = {}
    for name in sorted(wavix_async.__all__):
        kind = getattr(wavix_async, name)
        if not isinstance(kind, type) or not issubclass(kind, errors.WavixError):
            continue
        try:
            error = make_error(kind)
        except TypeError:
            continue
        body = json.loads(problem_response(error).body)
        found[name] = {key: body.get(key) for key in ("type", "title", "status")} | {"keys": sorted(body)}
    return found


def subclasses(kind: type) -> Iterator[type]:
    """Yield all classes below one."""
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def collect() -> dict[str, Any]:
    """Return all names."""
    import wavix_async
    from wavix_async.config import account_of, read_base_url
    from wavix_async.errors import WavixError

    loaded = modules()
    package = Path(wavix_async.__file__).parent
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")}
    strings = {text for tree in trees.values() for text in constants(tree)}
    parts = {part for text in strings for part in (text, text.rpartition("/")[2])}
    exit_codes = next(module.ExitCode for module in loaded if hasattr(module, "ExitCode"))
    events = [
        getattr(wavix_async, name)
        for name in sorted(wavix_async.__all__)
        if name.endswith(("Event", "Start")) and attrs.has(getattr(wavix_async, name))
    ]
    return {
        "redis": asyncio.run(redis_names()),
        "account": account_of(KEY, read_base_url(URL)),
        "loggers": sorted(name for name in logging.root.manager.loggerDict if name.startswith("wavix_async")),
        "texts": [text for text in TEXTS if text in parts],
        "events": {event.__name__: [field.name for field in attrs.fields(event)] for event in events},
        "errors": sorted({kind.__name__ for kind in (WavixError, *subclasses(WavixError))}),
        "telemetry": sorted(
            {
                text
                for text in constants(trees[package / "otel.py"])
                if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+|\{\w+\}(/s)?", text) and not text.startswith("wavix_async")
            }
        ),
        "spans and metrics": asyncio.run(spans_and_metrics()),
        "problems": problems(),
        "exit codes": {code.name: int(code) for code in exit_codes},
        **asyncio.run(file_names()),
    }


if __name__ == "__main__":
    json.dump(collect(), sys.stdout, indent=1)
    print()
