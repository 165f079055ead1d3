"""Requests that the router of bulk jobs rejects: too large, or with values that no answer can repeat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.jobs import application, connect, post_job, wait_for_state
from wavix_async.fastapi._jobs import shorten_problems
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

ON = {"sms_enabled": True}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        yield client


@pytest.mark.parametrize("told", [True, False])
async def test_a_body_that_is_too_large_is_not_read(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, *, told: bool
):
    monkeypatch.setattr("wavix_async.fastapi._jobs.request_body.MAX_BYTES", 5_000)
    body = json.dumps({"changes": [{"ids": [1001], "set": ON}]}).encode()
    taken = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1_000
            yield b" " * 1_000

    headers = {**JSON, "Content-Length": "100000"} if told else JSON
    answer = await client.post("/fleet/jobs", content=parts(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["type"] == "/problems/content-too-large"
    # One more than fits.
    assert taken == (0 if told else 6_000)
    assert (await client.post("/fleet/jobs", content=body, headers=JSON)).status_code == 202


@pytest.mark.parametrize(
    ("body", "first"),
    [
        ({"changes": [{"ids": [1, *["x"] * 30_000], "set": ON}]}, ["changes", 0, "ids", 1]),
        ({"changes": [{"numbers": [1] * 30_000, "set": ON}]}, ["changes", 0, "numbers", 0]),
        ({"changes": [{"ids": [1001], "set": ON}, *[{}] * 30_000]}, ["changes", 1, "set"]),
        ({"changes": [7] * 30_000}, ["changes", 0]),
        ({"changes": [{"ids": [1], "set": {f"x{index}": 1 for index in range(30_000)}}]}, ["changes", 0, "set", "x0"]),
        ({"changes": [{"ids": [1], "set": {"destinations": [{}] * 30_000}}]}, ["changes", 0, "set", "destinations", 0]),
        ({f"x{index}": 1 for index in range(30_000)}, ["changes"]),
        ({"changes": [{"ids": [1001] * 30_000, "set": ON}]}, ["changes", 0, "ids", 1]),
    ],
)
async def test_of_very_much_that_is_wrong_only_the_first_is_found_and_reported(
    client: httpx.AsyncClient, body: Any, first: list[Any], monkeypatch: pytest.MonkeyPatch
):
    found: list[int] = []
    monkeypatch.setattr(
        "wavix_async.fastapi._jobs.route.shorten_problems",
        lambda problems: found.append(len(problems)) or shorten_problems(problems),
    )
    answer = await client.post("/fleet/jobs", json=body)
    assert answer.status_code == 422
    problems = answer.json()["detail"]
    assert problems[0]["loc"][: len(first) + 1] == ["body", *first]
    assert 1 <= len(problems) <= 1_000
    # Those that are not told were not even collected.
    assert found[0] <= 4_000
    assert len(answer.content) < 200_000


async def test_what_is_wrong_is_reported_without_the_text_that_was_there(client: httpx.AsyncClient):
    body = b'{"changes": [{"ids": [NaN, 1e999, "secret"], "numbers": ["\\ud800"], "set": {"\\ud800": 1}}]}'
    answer = await client.post("/fleet/jobs", content=body, headers=JSON)
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert [problem["loc"] for problem in answer.json()["detail"]] == [
        *(["body", "changes", 0, "ids", index] for index in range(3)),
        ["body", "changes", 0, "set"],
    ]
    assert {name for problem in answer.json()["detail"] for name in problem} == {"type", "loc", "msg"}


async def test_a_key_without_end_is_named_by_its_beginning(client: httpx.AsyncClient):
    answer = await client.post("/fleet/jobs", json={"changes": [{"ids": [1], "set": ON}], "x" * 10_000: 1})
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "x" * 100]]


async def test_half_a_character_is_refused_at_its_place(client: httpx.AsyncClient):
    body = (
        b'{"changes": [{"numbers": ["\\ud800"], "set": {"sms_enabled": true}},'
        b'{"ids": [1001], "set": {"destinations": [{"destination": "\\ud800", "priority": 1, "transport": 1}]}}]}'
    )
    answer = await client.post("/fleet/jobs", content=body, headers=JSON)
    assert answer.status_code == 422
    assert [problem["loc"][1:] for problem in answer.json()["detail"]] == [
        ["changes", 0, "numbers", 0],
        ["changes", 1, "set"],
    ]


@pytest.mark.parametrize(
    "url", ["ftp://a.example/", "NULL", "-", "https://a.example/a b", "https://a.example/\\n", "\\ud800"]
)
async def test_a_text_that_is_not_a_url_is_refused_at_its_field(client: httpx.AsyncClient, url: str):
    body = f'{{"changes": [{{"ids": [1001], "set": {{"call_status_url": "{url}"}}}}]}}'
    answer = await client.post("/fleet/jobs", content=body.encode(), headers=JSON)
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"][1:] == ["changes", 0, "set", "call_status_url"]
    assert "NumberUpdate.call_status_url must be a URL" in problem["msg"]


async def test_digits_with_a_decimal_part_are_no_phone_number(client: httpx.AsyncClient):
    body = {"changes": [{"numbers": ["14155550001", "4930123456.0"], "set": ON}]}
    answer = await client.post("/fleet/jobs", json=body)
    assert [problem["loc"][1:] for problem in answer.json()["detail"]] == [["changes", 0, "numbers", 1]]


async def test_no_json_is_refused_as_by_every_other_route(client: httpx.AsyncClient):
    for body, status in ((b"{", 422), (b"", 422), (b"null", 422), (b"[1]", 422), (b"[" * 200_000, 400)):
        answer = await client.post("/fleet/jobs", content=body, headers=JSON)
        assert answer.status_code == status, body[:10]
    assert answer.json()["detail"]


async def test_a_batch_has_the_bound_of_the_api(client: httpx.AsyncClient):
    for batch in (1_001, 10**30):
        body = {"changes": [{"ids": [1001], "set": ON}], "batch": batch}
        answer = await client.post("/fleet/jobs", json=body)
        assert answer.status_code == 422
        assert {problem["loc"][1] for problem in answer.json()["detail"]} == {"batch"}


async def test_a_page_beyond_all_is_empty_or_refused(client: httpx.AsyncClient):
    path = await post_job(client, [1001])
    await wait_for_state(client, path)
    for what in ("changes", "results"):
        page = (await client.get(f"{path}/{what}?offset={2**53}&limit=1000")).json()
        assert (page["items"], page["total"]) == ([], 1)
        assert (await client.get(f"{path}/{what}?offset={2**63}")).status_code == 422
