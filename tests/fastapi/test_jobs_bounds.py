"""How many jobs run at once, which requests a browser may send, and that a job stays with its account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from tests.data.made_by_63b61a9.make import application as application_of
from tests.data.made_by_63b61a9.make import client_of
from tests.support import examples as example
from tests.support.fleets import FAST
from tests.support.jobs import JSON, application, connect, post_job, wait_for_state
from tests.support.serving import serve
from tests.support.stub import Reply, Seen, StubSession
from wavix_async import WavixClient
from wavix_async.fastapi import fleet_jobs, wavix_lifespan
from wavix_async.fleet import Safety
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

PROBLEM = "application/problem+json"
CHANGES = [{"ids": [1001], "set": {"sms_enabled": True}}]


# --- the limit ---


async def test_more_jobs_than_the_limit_are_refused_until_one_has_ended(tmp_path: Path):
    async with Sandbox(numbers=100) as sandbox, connect(application(sandbox, tmp_path, jobs={"limit": 2})) as client:
        ended = await post_job(client, [1010])
        await wait_for_state(client, ended)
        held = await post_job(client, [1011], hold=True)
        await wait_for_state(client, held, "planned")
        sandbox.fail_next("stall", 2, "PATCH")
        running = [await post_job(client, [number]) for number in (1001, 1002)]
        while sandbox.stats.in_flight < 2:
            await asyncio.sleep(0.01)
        jobs = sorted(tmp_path.glob("*.json")) + sorted(tmp_path.glob("*.request"))

        for path, body in (
            ("/fleet/jobs", {"changes": CHANGES}),
            (f"{held}/start", {}),
            (f"{ended}/roll-back", {}),
            (f"{ended}/resume", {}),
        ):
            answer = await client.post(path, json=body)
            assert (answer.status_code, answer.headers["content-type"]) == (429, PROBLEM)
            assert int(answer.headers["retry-after"]) > 0
            assert (answer.json()["type"], answer.json()["retryable"]) == ("/problems/too-many-jobs", True)
        # Nothing is left of what was refused, and what needs no place goes on.
        assert sorted(tmp_path.glob("*.json")) + sorted(tmp_path.glob("*.request")) == jobs
        assert (await client.get(held)).json()["state"] == "planned"
        assert (await client.post(f"{held}/cancel")).json()["state"] == "stopped"
        assert [(await client.get(path)).json()["state"] for path in running] == ["running"] * 2


async def test_jobs_that_come_at_once_are_counted_before_they_begin():
    async with Sandbox(numbers=100) as sandbox, serve(application(sandbox, jobs={"limit": 3})) as served:
        served.http.headers.update(JSON)
        bodies = [{"changes": [{"ids": [number], "set": {"sms_enabled": True}}]} for number in range(1001, 1011)]
        sandbox.fail_next("stall", 10, "GET")
        answers = await asyncio.gather(*(served.http.post("/fleet/jobs", json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 7


async def test_a_job_that_could_not_begin_gives_its_place_back(tmp_path: Path):
    async with Sandbox(numbers=100) as sandbox, connect(application(sandbox, tmp_path, jobs={"limit": 1})) as client:
        for _ in range(3):
            assert (await client.post(f"/fleet/jobs/{'0' * 36}/resume")).status_code == 404
        for number in (1001, 1002):
            assert (await wait_for_state(client, await post_job(client, [number])))["state"] == "done"


# --- browsers ---

COMMANDS = ("/fleet/jobs", *(f"/fleet/jobs/{{}}/{verb}" for verb in ("start", "cancel", "resume", "roll-back")))
SIMPLE = (None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
"""What the page of another site can send without asking."""


async def test_a_post_that_another_site_can_send_is_refused():
    async with Sandbox(numbers=10) as sandbox, serve(application(sandbox)) as served:
        path = await post_job(served.http, [1001], hold=True)
        await wait_for_state(served.http, path, "planned")
        for media_type in (*SIMPLE, "text/plain; application/json", "application/jsonp", "json"):
            headers = {} if media_type is None else {"Content-Type": media_type}
            for command in COMMANDS:
                answer = await served.http.post(
                    command.format(path.rpartition("/")[2]),
                    content=b'{"changes": [{"ids": [1002], "set": {"sms_enabled": true}}]}',
                    headers={**headers, "Origin": "https://evil.example"},
                )
                assert (answer.status_code, answer.headers["content-type"]) == (415, PROBLEM), (media_type, command)
                assert answer.json()["type"] == "/problems/not-json"
                assert "Content-Type: application/json" in answer.json()["detail"]
        assert [job["state"] for job in (await served.http.get("/fleet/jobs")).json()["items"]] == ["planned"]
    assert not sandbox.stats.updates


async def test_json_is_taken_with_a_body_and_without_one():
    async with Sandbox(numbers=10) as sandbox, serve(application(sandbox)) as served:
        for number, media_type, body in (
            (1001, "application/json", b""),
            (1002, "Application/JSON; charset=utf-8", b"{}"),
        ):
            path = await post_job(served.http, [number], hold=True)
            await wait_for_state(served.http, path, "planned")
            answer = await served.http.post(f"{path}/start", content=body, headers={"Content-Type": media_type})
            assert answer.status_code == 202
            await wait_for_state(served.http, path)


async def test_a_browser_asks_before_another_site_sends_json_and_the_application_decides():
    asking = {
        "Origin": "https://other.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with Sandbox(numbers=10) as sandbox:
        for allowed in (False, True):
            app = application(sandbox)
            if allowed:
                app.add_middleware(
                    CORSMiddleware, allow_origins=[asking["Origin"]], allow_methods=["*"], allow_headers=["*"]
                )
            async with serve(app) as served:
                answer = await served.http.options("/fleet/jobs", headers=asking)
                assert ("access-control-allow-origin" in answer.headers) is allowed


async def test_the_middleware_that_the_docs_name_refuses_another_host(tmp_path: Path):
    """A site whose name points to this machine is the same site for a browser; only its Host tells."""
    async with Sandbox(numbers=10) as sandbox:
        app = application(sandbox, tmp_path)
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["service.test"])
        async with connect(app) as client:
            assert (await client.get("/fleet/jobs")).status_code == 200
            answer = await client.post("/fleet/jobs", json={"changes": CHANGES}, headers={"Host": "evil.example"})
            assert answer.status_code == 400
    assert sandbox.stats.requests == 0


# --- the account ---


@pytest.mark.parametrize("verb", ["resume", "roll-back"])
async def test_a_run_is_not_continued_in_another_account_and_stays_resumable(verb: str, tmp_path: Path):
    """The account of another API stands for any that is not the one of the journal."""
    async with Sandbox(numbers=400, latency=0.02) as sandbox, Sandbox(numbers=400, seed=2) as foreign:
        async with connect(application(sandbox, tmp_path)) as client:
            path = await post_job(client, range(1001, 1101), concurrency=4)
            while len(sandbox.stats.updates) < 10:
                await asyncio.sleep(0.005)
            await client.post(f"{path}/cancel")
            report = (await wait_for_state(client, path))["report"]
            assert 10 <= report["updated"] < 100

        async with connect(application(foreign, tmp_path)) as client:
            assert (await client.post(f"{path}/{verb}")).status_code == 202
            job = await wait_for_state(client, path)
            assert (job["state"], job["error"]["status"]) == ("failed", 409)
            assert (job["error"]["type"], job["resumable"]) == ("/problems/run-refused", True)
            assert job["error"]["detail"].startswith("The journal is the journal of")
            assert str(tmp_path) not in str(job)
            if verb == "resume":
                assert job["report"] == {**report, "stopped_by": job["report"]["stopped_by"]}
            assert not foreign.stats.updates

        async with connect(application(sandbox, tmp_path)) as client:
            assert (await client.post(f"{path}/resume")).status_code == 202
            job = await wait_for_state(client, path)
            assert (job["state"], job["report"]["updated"]) == ("done", 100 if verb == "resume" else report["updated"])


@pytest.mark.parametrize("verb", ["resume", "roll-back"])
async def test_the_key_of_another_account_of_the_same_api_ends_nothing(verb: str, tmp_path: Path):
    """The other account has none of the numbers: each of them would be "no more in the account"."""
    async with Sandbox(numbers=200, latency=0.02) as sandbox, Sandbox(numbers=20, api_key="other", seed=2) as foreign:
        for number in range(1001, 1021):
            foreign.change(number, number=f"4930123{number}")
        async with (
            client_of(sandbox.url, sandbox.api_key) as wavix,
            connect(application_of(lambda: wavix, tmp_path)) as client,
        ):
            path = await post_job(client, range(1011, 1051), concurrency=4)
            while len(sandbox.stats.updates) < 5:
                await asyncio.sleep(0.005)
            await client.post(f"{path}/cancel")
            done = (await wait_for_state(client, path))["report"]["updated"]
        async with (
            client_of(foreign.url, foreign.api_key) as wavix,
            connect(application_of(lambda: wavix, tmp_path)) as client,
        ):
            assert (await client.post(f"{path}/{verb}")).status_code == 202
            job = await wait_for_state(client, path)
            assert (job["state"], job["error"]["type"], job["error"]["status"], job["resumable"]) == (
                "failed", "/problems/run-refused", 409, True,
            )  # fmt: skip
            assert "another account" in job["error"]["detail"]
            assert not foreign.stats.updates
        async with (
            client_of(sandbox.url, sandbox.api_key) as wavix,
            connect(application_of(lambda: wavix, tmp_path)) as client,
        ):
            assert (await client.post(f"{path}/resume")).status_code == 202
            job = await wait_for_state(client, path)
            assert (job["state"], job["report"]["failed"]) == ("done", 0)
            assert job["report"]["updated"] == (40 if verb == "resume" else done)


async def test_a_job_that_has_not_begun_is_not_ended_by_an_account_without_its_numbers(tmp_path: Path):
    async with Sandbox(numbers=100) as sandbox, Sandbox(numbers=0) as foreign:
        async with connect(application(sandbox, tmp_path)) as client:
            path = await post_job(client, [1001, 1002], hold=True)
            await wait_for_state(client, path, "planned")
            await client.post(f"{path}/cancel")
        async with connect(application(foreign, tmp_path)) as client:
            await client.post(f"{path}/resume")
            job = await wait_for_state(client, path)
            assert (job["state"], job["error"]["status"], job["resumable"]) == ("failed", 409, True)
            assert "API key of the account" in job["error"]["detail"]
        async with connect(application(sandbox, tmp_path)) as client:
            await client.post(f"{path}/resume")
            await wait_for_state(client, path, "planned")
            await client.post(f"{path}/start")
            assert (await wait_for_state(client, path))["report"]["updated"] == 2


# --- the truth ---


async def test_a_change_that_the_answer_contradicts_is_not_updated(tmp_path: Path):
    """The API answers 200 for the second number, and its body shows that nothing has changed."""
    account = {each: example.number(id=each, number=f"1202555000{each}", sms_enabled=False) for each in (1, 2, 3)}

    def answer(seen: Seen) -> Reply:
        if seen.path == "/v1/numbers":
            page = {"current_page": 1, "per_page": 100, "total": 3, "total_pages": 1}
            return Reply(body={"items": list(account.values()), "pagination": page})
        if seen.method == "PATCH" and seen.id != 2:
            account[seen.id] |= seen.body
        return Reply(body=account[seen.id])

    def make() -> WavixClient:
        return WavixClient("a-key-of-tests", session=cast("Any", StubSession(answer)), retry=FAST)

    app = FastAPI(lifespan=wavix_lifespan(client=make))
    app.include_router(fleet_jobs(tmp_path, safety=Safety(max_fraction=None)), prefix="/fleet")
    async with connect(app) as client:
        path = await post_job(client, [1, 2, 3])
        job = await wait_for_state(client, path)
        assert (job["report"]["updated"], job["report"]["failed"] + job["report"]["unknown"]) == (2, 1)
        (result,) = [each for each in (await client.get(f"{path}/results")).json()["items"] if each["id"] == 2]
        assert result["status"] in ("failed", "unknown")
        assert result["reason"]
