"""Bulk jobs in docs/fastapi.md and docs/jobs.md: their code runs, and their tables are complete."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

from tests.support.jobs import connect, post_job, wait_for_state
from tests.support.pages import python_blocks, text_of
from tests.support.serving import serve
from wavix_async.fastapi import fleet_jobs
from wavix_async.fastapi._jobs import JobState
from wavix_async.fleet import Safety
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = text_of("fastapi.md")
TEXT = PAGE.partition("\n## Bulk jobs\n")[2].partition("\n## ")[0]
DETAILS = text_of("jobs.md")
SERVICE = python_blocks(PAGE)[0]
(JOBS,) = python_blocks(TEXT)
STORE, STORE_TEST = python_blocks(DETAILS)
(SAFETY,) = re.findall(r"`(fleet_jobs\(\"jobs\", safety=.*?)`, with `wavix_async.fleet.Safety`", TEXT)
(SHELL,) = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CREATE, *OTHERS = re.findall(
    r"^curl (?:-i )?http://127.0.0.1:8000(\S+) -H '(.*?): (.*?)'(?: --json '(.*?)')?$", SHELL, re.MULTILINE | re.DOTALL
)


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
        headers = {CREATE[1]: CREATE[2]}
        async with serve(app_of(JOBS)) as served:
            assert (await served.http.post(CREATE[0], json=json.loads(CREATE[3]))).status_code == 422
            assert (await served.http.get("/fleet/jobs", headers={"X-Token": "x"})).status_code == 403
            served.http.headers.update(headers)
            begun = await served.http.post(CREATE[0], json=json.loads(CREATE[3]))
            path = begun.headers["location"]
            await wait_for_state(served.http, path, "planned")
            seen = []
            for url, _, _, body in OTHERS:
                what = {"json": json.loads(body)} if body else {}
                answer = await served.http.request(
                    "POST" if body else "GET", url.replace("ID", begun.json()["id"]), **what
                )
                assert answer.is_success
                seen.append(url.rpartition("/")[2])
            assert seen == ["changes", "start", "ID"]
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
    first = re.findall(r"^\| `(.*?)` \|", DETAILS, re.MULTILINE)
    schema = app_of(JOBS).openapi()
    operations = {
        f"{method.upper()} {path.removeprefix('/fleet').replace('{job_id}', '{id}')}"
        for path, methods in schema["paths"].items()
        if path.startswith("/fleet/")
        for method in methods
    }
    assert {cell for cell in first if " /" in cell} == operations
    assert [cell for cell in first if " " not in cell and cell in get_args(JobState)] == list(get_args(JobState))
    fields = {
        name for cell in re.findall(r"^\| (`.*?) \|", DETAILS, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert set(schema["components"]["schemas"]["ChangeSet"]["properties"]) - {"changes"} <= fields


def test_the_store_of_the_page_passes_the_test_of_the_page(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(f"{STORE}\n{STORE_TEST}", "jobs.md", "exec"), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test(tmp_path)


async def test_the_router_works_on_the_store_of_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(STORE, "jobs.md", "exec"), names)
    store = names["MemoryJobStore"](tmp_path)
    async with Sandbox(numbers=20) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        app = app_of("")
        app.include_router(fleet_jobs(store=store), prefix="/fleet")
        async with connect(app) as client:
            path = await post_job(client, [1001, 1002], hold=True)
            await wait_for_state(client, path, "planned")
            await client.post(f"{path}/start")
            assert (await wait_for_state(client, path))["report"]["updated"] == 2
            await client.post(f"{path}/roll-back")
            job = await wait_for_state(client, path)
            assert (job["state"], job["report"]["updated"]) == ("done", 2)
            assert (await client.get("/fleet/jobs")).json() == {"items": [job]}
        # The next application goes on with the same store.
        async with connect(app) as client:
            assert (await client.get("/fleet/jobs")).json() == {"items": [job]}
