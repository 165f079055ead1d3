"""The section on bulk jobs in docs/fastapi.md: its code runs, and its tables are complete."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tests.support.jobs import wait_for_state
from tests.support.serving import serve
from wavix_async.fastapi._jobs import JobState
from wavix_async.fleet import Safety
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "fastapi.md").read_text(encoding="utf-8")
TEXT = PAGE.partition("\n## Bulk jobs\n")[2].partition("\n## ")[0]
SERVICE = PAGE.partition("```python\n")[2].partition("```")[0]
(JOBS,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(SAFETY,) = re.findall(r"`(fleet_jobs\(\"jobs\", safety=.*?)`, with `wavix_async.fleet.Safety`", TEXT)
(CURL,) = re.findall(r"^```sh\ncurl (.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def app_of(block: str) -> Any:
    names: dict[str, Any] = {"__name__": "block", "Safety": Safety}
    for each in (SERVICE, block):
        exec(compile(each, "fastapi.md", "exec"), names)
    return names["app"]


async def test_the_service_takes_the_request_of_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with Sandbox(numbers=20) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        body = json.loads(CURL[CURL.index("'{") + 1 : CURL.rindex("}'") + 1])
        headers = {"X-Token": "let me in"}
        async with serve(app_of(JOBS)) as served:
            assert (await served.http.post("/fleet/jobs", json=body)).status_code == 422
            assert (await served.http.get("/fleet/jobs", headers={"X-Token": "x"})).status_code == 403
            served.http.headers.update(headers)
            begun = await served.http.post("/fleet/jobs", json=body)
            path = begun.headers["location"]
            await wait_for_state(served.http, path, "planned")
            await served.http.post(f"{path}/start")
            job = await wait_for_state(served.http, path)
            assert job["state"] == "done"
            assert job["report"]["updated"] >= 2
        assert sandbox.numbers[1002]["sms_enabled"] is True
        assert (tmp_path / "jobs" / f"{job['id']}.sqlite").is_file()

        everything = {"changes": [{"ids": list(range(1001, 1021)), "set": {"transcription_threshold": 20}}]}
        async with serve(app_of(JOBS.replace('fleet_jobs("jobs")', SAFETY))) as served:
            served.http.headers.update(headers)
            path = (await served.http.post("/fleet/jobs", json=everything)).headers["location"]
            assert (await wait_for_state(served.http, path))["report"]["updated"] == 20


def test_the_tables_are_complete() -> None:
    first = re.findall(r"^\| `(.*?)` \|", TEXT, re.MULTILINE)
    schema = app_of(JOBS).openapi()
    operations = {
        f"{method.upper()} {path.removeprefix('/fleet').replace('{job_id}', '{id}')}"
        for path, methods in schema["paths"].items()
        if path.startswith("/fleet/")
        for method in methods
    }
    assert {cell for cell in first if " " in cell} == operations
    assert [cell for cell in first if " " not in cell] == list(get_args(JobState))
