"""The vendor's own SDK, unchanged, against the sandbox.

It checks every answer with pydantic models, so this is also an independent opinion on the shapes.
"""

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wavix_async.sandbox import Sandbox

wavix = pytest.importorskip("wavix", reason="the vendor's SDK is not installed: pip install wavix-python-sdk==1.1.1")

# httpx, below the vendor's client, is closed by us; what pydantic or httpx deprecate is not ours to fail on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=120, foreign=0.1, seed=11) as running:
        yield running


@pytest.fixture
async def vendor(sandbox: Sandbox) -> AsyncIterator[Any]:
    import httpx

    async with httpx.AsyncClient() as transport:
        yield wavix.AsyncWavix(token=sandbox.api_key, base_url=sandbox.url, httpx_client=transport)


async def test_default_transport(sandbox: Sandbox) -> None:
    client = wavix.AsyncWavix(token=sandbox.api_key, base_url=sandbox.url)
    try:
        assert (await client.numbers.get(1001)).id == 1001
    finally:
        await client._client_wrapper.httpx_client.httpx_client.aclose()


async def test_list(sandbox: Sandbox, vendor: Any) -> None:
    seen = []
    for page in (1, 2):
        answer = await vendor.numbers.list(page=page, per_page=100)
        seen += answer.items
        assert answer.pagination.total == 120
        assert [kind.name for kind in answer.doc_types] == ["id", "address", "localaddress"]
    assert [number.id for number in seen] == list(sandbox.numbers)
    assert any(number.documents and number.documents[0].doc_type == "address" for number in seen)
    labelled = await vendor.numbers.list(label_present=True, city_id=101)
    assert all(number.label for number in labelled.items)


async def test_get_and_update(sandbox: Sandbox, vendor: Any) -> None:
    home = next(i for i, number in sandbox.numbers.items() if number["country_short_name"] == "US")
    number = await vendor.numbers.get(home)
    assert number.sms_enabled is False
    routes = [wavix.NumberDestination(destination="32882", priority=1, transport=5, trunk_id=3107)]
    number = await vendor.numbers.update(
        home, sms_enabled=True, destinations=routes, call_status_url="https://example.com", transcription_threshold=30
    )
    assert (number.sms_enabled, number.destination[0].trunk_label) == (True, "Main office")
    assert sandbox.numbers[home]["call_status_url"] == "https://example.com"


async def test_bulk_update(sandbox: Sandbox, vendor: Any) -> None:
    answer = await vendor.numbers.bulk_update(ids=[1001, 1002], call_recording_enabled=True)
    assert [number.id for number in answer.items] == [1001, 1002]
    assert all(sandbox.numbers[i]["call_recording_enabled"] for i in (1001, 1002))


async def test_delete(sandbox: Sandbox, vendor: Any) -> None:
    assert (await vendor.numbers.delete(ids=[1001, 1002])).success
    assert (await vendor.numbers.delete(dids=sandbox.numbers[1003]["number"])).success
    assert next(iter(sandbox.numbers)) == 1004


async def test_upload(sandbox: Sandbox, vendor: Any) -> None:
    papers = await vendor.numbers.papers.upload(
        did_ids="1001,1002", doc_id="address", doc_attachment=("bill.pdf", io.BytesIO(b"%PDF-1.7"), "application/pdf")
    )
    assert [(paper.doc_type, paper.status) for paper in papers] == [("address", "pending")] * 2
    assert sandbox.numbers[1002]["documents"][-1]["id"] == papers[1].id


async def test_errors(sandbox: Sandbox, vendor: Any) -> None:
    with pytest.raises(wavix.NotFoundError):
        await vendor.numbers.get(5)
    with pytest.raises(wavix.BadRequestError):
        await vendor.numbers.update(1001, sms_relay_url="nonsense")
    with pytest.raises(wavix.UnprocessableEntityError):
        await vendor.numbers.delete(ids=[1001], dids="1")
    sandbox.fail_next("status_401")
    with pytest.raises(wavix.UnauthorizedError):
        await vendor.numbers.get(1001)
    sandbox.fail_next("status_403")
    with pytest.raises(wavix.ForbiddenError):
        await vendor.numbers.get(1001)
