"""The router of bulk jobs: from a change set to a report, and the requests that it rejects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException

from tests.support.job_stores import MemoryJobStore
from tests.support.jobs import application, connect, post_job, wait_for_state
from tests.support.serving import StartFailedError
from wavix_async import ConfigurationError, WavixClient, fleet
from wavix_async.fastapi import fleet_jobs, wavix_lifespan
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

PROBLEM = "application/problem+json"


async def test_a_change_set_is_carried_out_and_reported(tmp_path: Path):
    async with Sandbox(numbers=300) as sandbox, connect(application(sandbox, tmp_path)) as client:
        number = sandbox.numbers[1060]["number"]
        asked = {
            "changes": [
                {"ids": list(range(1001, 1041)), "set": {"sms_enabled": True, "call_status_url": "https://a.example"}},
                {"ids": [1050, 99], "numbers": [f"+{number}"], "set": {"call_status_url": None}},
                {"ids": [1070], "set": {"sms_enabled": sandbox.numbers[1070]["sms_enabled"]}},
            ]
        }
        cleared = [each for each in (1050, 1060) if sandbox.numbers[each]["call_status_url"]]
        answer = await client.post("/fleet/jobs", json=asked)
        assert answer.status_code == 202
        path = answer.headers["location"]
        assert path == f"/fleet/jobs/{answer.json()['id']}"
        assert answer.json()["state"] == "planning"

        job = await wait_for_state(client, path)
        assert job["state"] == "done"
        assert job["plan"] == {
            "changes": 40 + len(cleared),
            "unchanged": 3 - len(cleared),
            "missing": ["changes[1].ids[1]: the account has no number with the id 99."],
            "missing_count": 1,
            "digest": job["plan"]["digest"],
        }
        report = job["report"]
        assert (report["updated"], report["skipped"], report["unchanged"]) == (40 + len(cleared), 1, 3 - len(cleared))
        # Equal changes go out together; planning is not a part of the run.
        assert 3 <= report["requests"] < sandbox.stats.requests < 15
        assert (job["error"], job["resumable"], job["progress"]["phase"]) == (None, False, "sending")
        for each in range(1001, 1041):
            assert sandbox.numbers[each]["sms_enabled"] is True
            assert sandbox.numbers[each]["call_status_url"] == "https://a.example"
        assert not sandbox.numbers[1060]["call_status_url"]

        page = (await client.get(f"{path}/changes?offset=39&limit=1")).json()
        assert page["total"] == 40 + len(cleared)
        (change,) = page["items"]
        assert (change["id"], change["number"]) == (1040, sandbox.numbers[1040]["number"])
        assert {"field": "sms_enabled", "before": False, "after": True} in change["fields"]

        skipped = (await client.get(f"{path}/results?status=skipped")).json()
        assert skipped["total"] == 1
        assert skipped["items"][0] == {
            "id": 99,
            "number": None,
            "status": "skipped",
            "fields": [],
            "attempts": 0,
            "reason": "the account has no number with the id 99.",
        }
        both = (await client.get(f"{path}/results?status=skipped&status=updated&limit=1000")).json()
        assert both["total"] == len(both["items"]) == 41 + len(cleared)
        everything = (await client.get(f"{path}/results?limit=1000")).json()
        assert everything["total"] == len(everything["items"]) == 41 + len(cleared)
        assert (await client.get("/fleet/jobs")).json() == {"items": [job]}
        # What was asked for is in the journal now, and nowhere else.
        assert not list(tmp_path.glob("*.request"))


async def test_a_job_on_hold_waits_and_shows_its_plan():
    async with Sandbox(numbers=100) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1006), hold=True)
        job = await wait_for_state(client, path, "planned")
        assert (job["plan"]["changes"], len(job["plan"]["digest"])) == (5, 64)
        # How the account was read is over, and says nothing of the changes.
        assert (job["progress"], job["report"], job["error"], job["resumable"]) == (None, None, None, False)
        assert not sandbox.stats.updates
        page = (await client.get(f"{path}/changes?offset=3")).json()
        assert [change["id"] for change in page["items"]] == [1004, 1005]
        assert page["total"] == 5
        assert (await client.get(f"{path}/results")).json() == {"items": [], "total": 0}
        refused = await client.post(f"{path}/resume")
        assert (refused.status_code, refused.json()["detail"]) == (409, "The job is planned: start or cancel it.")

        started = await client.post(f"{path}/start")
        assert (started.status_code, started.json()["state"]) == (202, "running")
        assert (await wait_for_state(client, path))["report"]["updated"] == 5
        assert sum(sandbox.stats.updates.values()) == 5
        again = await client.post(f"{path}/start")
        assert (again.status_code, again.headers["content-type"]) == (409, PROBLEM)
        assert again.json()["type"] == "/problems/wrong-state"


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ([], ["changes"]),
        ([{"ids": [1, 2, 1], "set": {"sms_enabled": True}}], ["changes.0.ids.2"]),
        (
            [
                {"numbers": ["12025550123"], "set": {"sms_enabled": True}},
                {"numbers": ["x", "+1 (202) 555-0123"], "set": {"sms_enabled": False}},
            ],
            ["changes.1.numbers.0", "changes.1.numbers.1"],
        ),
        ([{"ids": [1], "set": {}}, {"set": {"sms_enabled": True}}], ["changes.0.set", "changes.1"]),
        ([{"ids": [1], "set": {"sms_enable": True}}], ["changes.0.set.sms_enable"]),
        ([{"ids": [1], "set": {"sms_enabled": None}}], ["changes.0.set.sms_enabled"]),
        ([{"ids": [True, 0, "3"], "set": {"sms_enabled": True}}], [f"changes.0.ids.{index}" for index in range(3)]),
        ([{"ids": [1], "sets": {}, "set": {"sms_enabled": True}}], ["changes.0.sets"]),
    ],
)
async def test_what_is_wrong_is_reported_with_its_place(changes: Any, places: list[str]):
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        answer = await client.post("/fleet/jobs", json={"changes": changes})
        assert answer.status_code == 422
        assert [".".join(map(str, each["loc"])) for each in answer.json()["detail"]] == [f"body.{at}" for at in places]
        assert (await client.get("/fleet/jobs")).json() == {"items": []}
    assert sandbox.stats.requests == 0


@pytest.mark.parametrize(
    "job_id", ["0" * 36, "..%2F..%2Fsecret", "%2E%2E", "secret", "A" * 36, "0" * 35, "0" * 36 + "%0A", "%00", "é" * 36]
)
async def test_an_id_that_no_job_has_is_a_problem_and_touches_no_file(job_id: str, tmp_path: Path):
    (tmp_path / "secret.json").write_text("{}")
    async with Sandbox(numbers=1) as sandbox, connect(application(sandbox, tmp_path / "jobs")) as client:
        for method, end in (("GET", ""), ("GET", "/changes"), ("GET", "/results"), ("GET", "/events")):
            answer = await client.request(method, f"/fleet/jobs/{job_id}{end}")
            assert answer.status_code == 404
        for end in ("/start", "/cancel", "/resume"):
            answer = await client.post(f"/fleet/jobs/{job_id}{end}")
            assert answer.status_code == 404
            if "%2F" not in job_id:
                assert answer.headers["content-type"] == PROBLEM
                assert answer.json()["status"] == 404
        assert list((tmp_path / "jobs").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "secret.json"]


async def test_a_key_that_is_refused_fails_the_job_and_is_in_no_answer(tmp_path: Path):
    async with Sandbox(numbers=10) as sandbox:
        async with connect(application(sandbox, tmp_path, api_key="wrong-key-12345")) as client:
            path = await post_job(client, [1001])
            job = await wait_for_state(client, path)
            assert job["state"] == "failed"
            assert job["error"]["status"] == 502
            assert "401" in job["error"]["detail"]
            assert "wrong-key" not in (await client.get(path)).text
            assert job["resumable"]
        for file in tmp_path.iterdir():
            assert b"wrong-key" not in file.read_bytes()
        # With the right key it can be done after all, from what was asked for.
        async with connect(application(sandbox, tmp_path)) as client:
            resumed = await client.post(f"{path}/resume")
            assert (resumed.status_code, resumed.json()["error"]) == (202, None)
            assert (await wait_for_state(client, path))["report"]["updated"] == 1


async def test_safety_is_the_operators():
    async with Sandbox(numbers=20) as sandbox:
        async with connect(application(sandbox)) as client:
            job = await wait_for_state(client, await post_job(client, range(1001, 1016)))
            assert (job["state"], job["error"]["type"]) == ("failed", "/problems/refused-for-safety")
            assert "max_fraction=0.3" in job["error"]["detail"]
        assert not sandbox.stats.updates
        async with connect(application(sandbox, safety=fleet.Safety(max_fraction=None))) as client:
            assert (await wait_for_state(client, await post_job(client, range(1001, 1016))))["report"]["updated"] == 15


async def test_a_run_that_ends_itself_is_a_failed_job_with_a_report():
    async with Sandbox(numbers=200, foreign=1.0) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1041), concurrency=1)
        job = await wait_for_state(client, path)
        assert (job["state"], job["error"]["type"]) == ("failed", "/problems/stopped-for-safety")
        assert job["error"]["detail"] == job["report"]["stopped_by"]
        assert "20 changes in a row were refused" in job["report"]["stopped_by"]
        assert 20 <= job["report"]["failed"] < 40
        assert job["report"]["failed"] + job["report"]["not_sent"] == 40
        assert job["resumable"]
        failed = (await client.get(f"{path}/results?status=failed&limit=1")).json()
        assert failed["total"] == job["report"]["failed"]
        assert "422" in failed["items"][0]["reason"]


@pytest.mark.parametrize("missing", ["refuse", "skip"])
async def test_numbers_that_the_account_lacks(missing: str):
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, [1001, 1, 2], missing=missing, hold=missing == "refuse")
        job = await wait_for_state(client, path)
        assert job["plan"]["missing_count"] == 2
        if missing == "refuse":
            assert (job["state"], job["resumable"], sandbox.stats.updates) == ("failed", False, {})
            assert "changes[0].ids[2]" in job["error"]["detail"]
        else:
            assert (job["state"], job["report"]["skipped"], job["report"]["updated"]) == ("done", 2, 1)


async def test_a_number_named_by_its_id_and_by_its_phone_number_is_named_with_both_places():
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        number = sandbox.numbers[1002]["number"]
        changes = [{"ids": [1001, 1002], "numbers": [number], "set": {"sms_enabled": True}}]
        path = (await client.post("/fleet/jobs", json={"changes": changes})).headers["location"]
        job = await wait_for_state(client, path)
        assert (job["state"], job["error"]["status"], job["resumable"]) == ("failed", 422, False)
        assert "changes[0].numbers[0]" in job["error"]["detail"]
        assert "changes[0].ids[1]" in job["error"]["detail"]
        assert "<iterable>" not in job["error"]["detail"]


async def test_a_cancelled_job_ends_in_order_and_can_be_resumed():
    async with Sandbox(numbers=1000, latency=0.02) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1201), concurrency=4)
        await wait_for_state(client, path, "running")
        while not (page := (await client.get(f"{path}/results?status=updated&limit=5")).json())["items"]:
            await asyncio.sleep(0.01)
        # The journal is read while it is written.
        assert 0 < page["total"] < 200
        assert page["items"][0]["id"] == 1001
        cancelled = await client.post(f"{path}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "stopping")
        job = await wait_for_state(client, path)
        report = job["report"]
        assert (job["state"], job["resumable"], job["error"]) == ("stopped", True, None)
        assert 0 < report["updated"] == len(sandbox.stats.updates) < 200
        assert report["updated"] + report["not_sent"] == 200
        assert (await client.post(f"{path}/cancel")).status_code == 409

        resumed = await client.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["state"]) == (202, "running")
        job = await wait_for_state(client, path)
        assert (job["state"], job["report"]["updated"], job["resumable"]) == ("done", 200, False)
        assert set(sandbox.stats.updates.values()) == {1}


@pytest.mark.req_18
async def test_a_job_is_rolled_back_where_numbers_still_have_what_it_has_written():
    async with Sandbox(numbers=100) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1011), hold=True)
        await wait_for_state(client, path, "planned")
        assert (await client.post(f"{path}/roll-back")).status_code == 409
        await client.post(f"{path}/start")
        assert (await wait_for_state(client, path))["kind"] == "apply"
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            await wavix.numbers.update(1003, sms_enabled=False)

        answer = await client.post(f"{path}/roll-back")
        assert (answer.status_code, answer.json()["state"], answer.json()["kind"]) == (202, "running", "roll-back")
        job = await wait_for_state(client, path)
        assert (job["state"], job["kind"], job["resumable"]) == ("done", "roll-back", False)
        assert (job["report"]["updated"], job["report"]["unchanged"]) == (9, 1)
        assert not any(number["sms_enabled"] for number in sandbox.numbers.values())
        results = (await client.get(f"{path}/results")).json()
        assert results["total"] == len(results["items"]) == 10
        changes = (await client.get(f"{path}/changes?limit=2&offset=8")).json()
        assert (changes["total"], [change["id"] for change in changes["items"]]) == (9, [1010])
        assert changes["items"][0]["fields"] == [{"field": "sms_enabled", "before": True, "after": False}]


@pytest.mark.parametrize("hold", [True, False])
async def test_a_job_is_cancelled_while_it_is_planned_and_planned_again(*, hold: bool):
    async with Sandbox(numbers=1000, latency=0.02) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1101), hold=hold)
        if hold:
            await wait_for_state(client, path, "planned")
        await client.post(f"{path}/cancel")
        job = await wait_for_state(client, path)
        assert (job["state"], job["resumable"], job["report"]) == ("stopped", True, None)
        resumed = await client.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["state"]) == (202, "planning")
        assert not sandbox.stats.updates
        if hold:
            await wait_for_state(client, path, "planned")
            await client.post(f"{path}/start")
        assert (await wait_for_state(client, path))["report"]["updated"] == 100


async def test_only_the_latest_are_kept_where_there_is_no_directory(tmp_path: Path):
    for directory in (None, tmp_path):
        async with Sandbox(numbers=10) as sandbox, connect(application(sandbox, directory)) as client:
            paths = []
            for number_id in range(1001, 1006):
                paths.append(await post_job(client, [number_id]))
                await wait_for_state(client, paths[-1])
            listed = (await client.get("/fleet/jobs")).json()["items"]
            assert [f"/fleet/jobs/{job['id']}" for job in listed] == paths[:1:-1]
            first = await client.get(paths[0])
            assert first.status_code == (404 if directory is None else 200)
            assert (await client.get(f"{paths[0]}/results")).status_code == first.status_code


async def test_rights_are_those_of_the_router():
    def no_one() -> None:
        raise HTTPException(403)

    async with Sandbox(numbers=1) as sandbox:
        app = FastAPI(lifespan=wavix_lifespan(api_key=sandbox.api_key, base_url=sandbox.url))
        app.include_router(fleet_jobs(), prefix="/fleet", dependencies=[Depends(no_one)])
        async with connect(app) as client:
            assert (await client.get("/fleet/jobs")).status_code == 403
            assert (await client.get(f"/fleet/jobs/{'0' * 36}/events")).status_code == 403
            answer = await client.post("/fleet/jobs", json={"changes": [{"ids": [1], "set": {"sms_enabled": True}}]})
            assert answer.status_code == 403


def test_wrong_arguments_are_refused(tmp_path: Path):
    odd_paths = ("", " ", "jobs\0", ":memory:", b"jobs", 3)
    for wrong in (
        *({"kept": 0}, {"kept": True}, {"limit": 0}, {"limit": 1.5}, {"grace": -1.0}, {"safety": 0.3}),
        *({"directory": path} for path in odd_paths),
        {"directory": "jobs", "store": MemoryJobStore(tmp_path)},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            fleet_jobs(**wrong)


@pytest.mark.parametrize("what", ["loop", "below a file"])
def test_a_directory_that_no_path_can_be_is_refused(what: str, tmp_path: Path):
    path = tmp_path / "jobs"
    if what == "loop":
        path.symlink_to(path)
    else:
        path.write_text("")
        path /= "jobs"
    with pytest.raises(ConfigurationError, match="directory"):
        fleet_jobs(path)


async def test_a_file_in_place_of_the_directory_stops_the_start(tmp_path: Path):
    (tmp_path / "jobs").write_text("")
    app = FastAPI()
    app.include_router(fleet_jobs(tmp_path / "jobs"))
    with pytest.raises(StartFailedError, match="directory for jobs"):
        async with connect(app):
            pass


def test_the_schema_tells_everything():
    app = FastAPI()
    app.include_router(fleet_jobs(), prefix="/fleet")
    schema = app.openapi()
    operations = {
        (method, path): operation for path, methods in schema["paths"].items() for method, operation in methods.items()
    }
    assert set(operations) == {
        ("post", "/fleet/jobs"),
        ("get", "/fleet/jobs"),
        *(("get", f"/fleet/jobs/{{job_id}}{end}") for end in ("", "/changes", "/results", "/events")),
        *(("post", f"/fleet/jobs/{{job_id}}/{end}") for end in ("start", "cancel", "resume", "roll-back")),
    }
    for (method, path), operation in operations.items():
        assert operation["summary"]
        assert operation["description"]
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], parameter
        answers = operation["responses"]
        if "{job_id}" in path:
            assert set(answers["404"]["content"]) == {PROBLEM}
            assert ("409" in answers) == (method == "post")
            assert ("415" in answers) == (method == "post")
        if method == "post":
            assert set(operation["requestBody"]["content"]) == {"application/json"}
            # Cancelling needs no place.
            assert ("429" in answers) == (not path.endswith("/cancel"))
        good = answers["202" if method == "post" else "200"]
        assert set(good["content"]) == {"text/event-stream" if path.endswith("/events") else "application/json"}
        for content in good["content"].values():
            assert content["schema"]
    assert "Location" in operations["post", "/fleet/jobs"]["responses"]["202"]["headers"]
    components = schema["components"]["schemas"]
    assert set(components["JobProgress"]["properties"]) == {field.name for field in fleet.FleetProgress.__attrs_attrs__}
    assert set(components["Job"]["required"]) >= {"id", "state", "created_at"}
    assert "sms_enabled" in str(components["NumberUpdate"])


async def test_the_router_needs_a_client_and_says_so():
    app = FastAPI()
    app.include_router(fleet_jobs(), prefix="/fleet")
    async with connect(app) as client:
        with pytest.raises(ConfigurationError, match="wavix_lifespan"):
            await client.post("/fleet/jobs", json={"changes": [{"ids": [1], "set": {"sms_enabled": True}}]})
        assert (await client.get("/fleet/jobs")).json() == {"items": []}


async def test_the_router_of_an_application_that_is_mounted_says_why_it_cannot_work():
    mounted = FastAPI()
    mounted.include_router(fleet_jobs())
    app = FastAPI()
    app.mount("/fleet", mounted)
    async with connect(app) as client:
        with pytest.raises(ConfigurationError, match="mounted"):
            await client.get("/fleet/jobs")


async def test_the_same_router_serves_one_lifespan_after_another():
    async with Sandbox(numbers=10) as sandbox:
        app = application(sandbox)
        for number_id in (1001, 1002):
            async with connect(app) as client:
                assert (await wait_for_state(client, await post_job(client, [number_id])))["state"] == "done"
                assert len((await client.get("/fleet/jobs")).json()["items"]) == 1


@pytest.mark.req_29
async def test_half_a_character_in_a_value_before_is_replaced(tmp_path: Path):
    async with Sandbox(numbers=20) as sandbox, connect(application(sandbox, tmp_path)) as client:
        sandbox.change(1001, call_status_url="https://a.example/\ud83d")
        asked = {"changes": [{"ids": [1001], "set": {"call_status_url": "https://a.example/b"}}]}
        path = (await client.post("/fleet/jobs", json=asked)).headers["location"]
        assert (await wait_for_state(client, path))["state"] == "done"

        for kind in ("changes", "results"):
            (change,) = (await client.get(f"{path}/{kind}")).json()["items"]
            (field,) = change["fields"]
            assert (field["before"], field["after"]) == ("https://a.example/?", "https://a.example/b")
