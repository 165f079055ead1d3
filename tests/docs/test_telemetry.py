"""The Python blocks of docs/telemetry.md run, in order and in one namespace, against one sandbox.

In a process of their own, for they set the global providers, which can be done once.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text(encoding="utf-8")
RUN = """
import ast, asyncio, inspect, json, os, sys
from wavix_async.sandbox import Sandbox

async def main():
    names = {"__name__": "telemetry"}
    async with Sandbox(numbers=60) as sandbox:
        os.environ["WAVIX_API_KEY"], os.environ["WAVIX_BASE_URL"] = sandbox.api_key, sandbox.url
        for block in json.load(sys.stdin):
            result = eval(compile(block, "telemetry.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            if inspect.isawaitable(result):
                await result

asyncio.run(main())
"""


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Read one JSON object after the other."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        yield value


def test_python_blocks_run() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN],
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = list(objects(done.stdout))
    spans = [each for each in told if "kind" in each]
    assert Counter(span["name"] for span in spans) == {
        "PATCH /v1/numbers/{id}": 51,
        "bulk PATCH /v1/numbers/{id}": 1,
        "GET /v1/numbers/{id}": 1,
        "order 17": 1,
        "look": 1,
    }
    (metrics,) = [each for each in told if "resource_metrics" in each]
    scopes = metrics["resource_metrics"][0]["scope_metrics"]
    (ours,) = [scope["metrics"] for scope in scopes if scope["scope"]["name"] == "wavix_async"]
    names = {metric["name"] for metric in ours}
    assert names == {"http.client.request.duration", "wavix.client.bulk.items"}
    assert all(f"| `{name}` |" in TEXT for name in names)
    (got,) = [span["context"] for span in spans if span["name"].startswith("GET")]
    ids = f"trace={got['trace_id'].removeprefix('0x')} span={got['span_id'].removeprefix('0x')}"
    assert done.stderr.splitlines() == [f"DEBUG attempt ended {ids}"]


def test_what_is_made_is_described() -> None:
    code = (Path(__file__).parents[2] / "wavix_async" / "otel.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:http|url|server|error|wavix\.client)\.[a-z_.]+)"', code))
    assert len(names) > 10
    for name in names - {"http.request.method_original"}:
        assert f"`{name}`" in TEXT, name
