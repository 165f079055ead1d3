"""One call over all its attempts: its counts, the drift of its answer, and `strict`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import BASE
from tests.support import examples as ex
from tests.support.clients import client
from wavix_async import (
    DecodeError,
    DriftEvent,
    Number,
    RetryPolicy,
    to_dict,
)

if TYPE_CHECKING:
    from tests.conftest import Api


@pytest.mark.req_05
@pytest.mark.req_25
async def test_repeats_are_counted(api: Api) -> None:
    for status in (500, 502):
        api.answer("GET", "/v1/numbers/1", {}, status=status)
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
    seen: list[Any] = []
    async with client(retry=RetryPolicy(backoff=0), observers=[seen.append]) as wavix:
        await wavix.numbers.get(1)

    assert [(type(event).__name__, event.attempt, event.status) for event in seen] == [
        ("AttemptEvent", 1, 500),
        ("RetryEvent", 1, 500),
        ("AttemptEvent", 2, 502),
        ("RetryEvent", 2, 502),
        ("AttemptEvent", 3, 200),
    ]


@pytest.mark.req_23
async def test_a_release_that_is_gone_after_an_unknown_outcome_has_worked(api: Api) -> None:
    api.mock.delete(f"{BASE}/v1/numbers?ids=1", exception=aiohttp.ServerDisconnectedError())
    api.answer("DELETE", "/v1/numbers", {"message": "Not found"}, status=404)
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        answer = await wavix.numbers.release(ids=[1])

    assert (answer.success, answer.already_gone) == (True, True)


# --- strict ---


async def test_strict_raises_with_paths(api: Api) -> None:
    payload = ex.number(id="501", brand_new=1, destination=[ex.destination(priority="first")])
    api.answer("GET", "/v1/numbers/501", payload)
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError, match="not as documented") as caught:
            await wavix.numbers.get(501)

    assert set(caught.value.paths) == {
        "$.id: expected int, found str",
        "$.destination[0].priority: expected int, found str",
        "$.brand_new: expected no such key, found int",
    }
    assert caught.value.attempts == 1
    assert len(api.sent) == 1, "asking again would not help"


async def test_strict_names_the_item_of_a_page(api: Api) -> None:
    api.answer("GET", "/v1/numbers", ex.number_page(ex.number(), ex.number(documents=[ex.document(id=None)])))
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as caught:
            await wavix.numbers.list()

    assert caught.value.paths == ("$.items[1].documents[0].id: expected int, found null",)


async def test_strict_takes_what_is_documented(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, status="brand-new", label=None))
    api.answer("GET", "/v1/numbers", ex.number_page())
    async with client(strict=True) as wavix:
        assert (await wavix.numbers.get(1)).status == "brand-new"
        assert len((await wavix.numbers.list()).items) == 2


async def test_strict_goes_on_with_options(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, channels=None))
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError):
            await wavix.with_options(deadline=5).numbers.get(1)


@pytest.mark.req_24
async def test_strict_keeps_the_facts_of_the_answer(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, channels=None), headers={"X-Request-Id": "req-7"})
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as caught:
            await wavix.numbers.get(1)

    assert (caught.value.status, caught.value.request_id) == (200, "req-7")


async def test_strict_raises_the_same_error_for_an_upload(api: Api) -> None:
    api.answer("POST", "/v1/numbers/papers", [ex.document(id="901")], status=201)
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as caught:
            await wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=b"x", filename="a.pdf")

    assert caught.value.paths == ("$[0].id: expected int, found str",)


# --- drift ---


@pytest.mark.req_25
async def test_drift_is_reported_once_for_each_kind(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    drifting = ex.number(id="1", label=7, brand_new=1, destination=[ex.destination(id=None), ex.destination(id=None)])
    api.answer("GET", "/v1/numbers/1", drifting, repeat=True)
    api.answer("PATCH", "/v1/numbers/1", {**drifting, "number": None}, repeat=True)
    events: list[Any] = []
    async with client(observers=[events.append]) as wavix:
        for _ in range(3):
            await wavix.numbers.get(1)
        await wavix.with_options(deadline=9).numbers.update(1, sms_enabled=True)

    told = [event for event in events if isinstance(event, DriftEvent)]
    assert {
        (event.operation, event.drift.model, event.drift.field, event.drift.kind, event.drift.path) for event in told
    } == {
        ("GET /v1/numbers/{id}", "Number", "id", "type", "$.id"),
        ("GET /v1/numbers/{id}", "Number", "label", "type", "$.label"),
        ("GET /v1/numbers/{id}", "Number", "brand_new", "unknown", "$.brand_new"),
        ("GET /v1/numbers/{id}", "InboundCallDestination", "id", "null", "$.destination[0].id"),
        ("PATCH /v1/numbers/{id}", "Number", "number", "null", "$.number"),
    }
    assert len(told) == 5
    records = [record for record in caplog.records if record.name == "wavix_async.drift"]
    assert len(records) == 5
    assert {record.levelname for record in records} == {"WARNING"}
    assert {getattr(record, "drift", None) for record in records} == {str(event.drift) for event in told}


async def test_each_client_reports_it_again(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id="1"), repeat=True)
    for _ in range(2):
        async with client() as wavix:
            await wavix.numbers.get(1)

    assert len(caplog.records) == 2


async def test_no_drift_is_reported_where_there_is_none(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, status="new", label=None))
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert caplog.records == []


async def test_a_drift_report_holds_types_and_no_values(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, channels="a private thing", new={"a": "a private thing"}))
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert [record.getMessage() for record in caplog.records] == [*["answer not as documented"] * 2, "attempt ended"]
    assert "a private thing" not in "".join(f"{record.__dict__}" for record in caplog.records)


async def test_the_record_in_the_log_says_what_drifted(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id="1"))
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert getattr(caplog.records[0], "drift", None) == "$.id: expected int, found str"


async def test_a_server_that_sends_ever_new_keys_does_not_fill_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, **{f"key{i}": 1 for i in range(3000)}))
    async with client() as wavix:
        number = await wavix.numbers.get(1)

    assert len(number.extra) == 3000
    assert len(caplog.records) <= 1000


@given(
    st.dictionaries(
        st.sampled_from([name for name in ex.NUMBER_FIELDS if name != "id"]),
        st.none() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_drift_goes_through_the_client(api: Api, changes: dict[str, Any]) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1, **changes))
    async with client() as wavix:
        number = await wavix.numbers.get(1)

    assert type(number) is Number
    assert ex.same(to_dict(number), ex.number(id=1, **changes))
