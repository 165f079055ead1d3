"""The operations of the sandbox, called with a bare aiohttp session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from aiohttp import ClientSession, FormData

from wavix_async.sandbox import Sandbox

FIELDS = {
    "id": int,
    "number": str,
    "activation_fee": str,
    "monthly_fee": str,
    "per_min": str,
    "city": str,
    "state": (str, type(None)),
    "country": str,
    "country_short_name": str,
    "destination": list,
    "channels": int,
    "require_docs": list,
    "documents": list,
    "domestic_cli": bool,
    "free_min": int,
    "unlimited": bool,
    "label": (str, type(None)),
    "status": str,
    "seconds": str,
    "added": str,
    "paid_until": str,
    "sms_enabled": bool,
    "sms_relay_url": (str, type(None)),
    "cnam": (bool, type(None)),
    "call_recording_enabled": bool,
    "transcription_enabled": bool,
    "transcription_threshold": int,
    "call_status_url": (str, type(None)),
}


@asynccontextmanager
async def account(**settings: Any) -> AsyncIterator[tuple[Sandbox, ClientSession]]:
    async with (
        Sandbox(**settings) as sandbox,
        ClientSession(sandbox.url, headers={"Authorization": f"Bearer {sandbox.api_key}"}) as session,
    ):
        yield sandbox, session


async def ask(session: ClientSession, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with session.request(method, path, **options) as response:
        return response.status, await response.json()


def form(
    name: str = "id.png", content: bytes = b"image", did_ids: str = "1001,1002", doc_id: str = "address"
) -> FormData:
    data = FormData()
    data.add_field("did_ids", did_ids)
    data.add_field("doc_id", doc_id)
    data.add_field("doc_attachment", BytesIO(content), filename=name)
    return data


async def test_every_number_has_every_field_of_the_schema() -> None:
    async with account(numbers=300, foreign=0.2) as (sandbox, session):
        for page in (1, 2, 3):
            _, answer = await ask(session, "GET", "/v1/numbers", params={"page": page, "per_page": 100})
            for number in answer["items"]:
                assert number.keys() == FIELDS.keys()
                for name, kind in FIELDS.items():
                    assert isinstance(number[name], kind), name
                assert number == sandbox.numbers[number["id"]]


async def test_generated_data_is_varied_and_unique() -> None:
    numbers = list(Sandbox(numbers=2000).numbers.values())
    assert len({number["number"] for number in numbers}) == 2000
    assert {number["country_short_name"] for number in numbers} == {"US", "CA"}
    assert {len(number["destination"]) for number in numbers} == {1, 2}
    assert {route["transport"] for number in numbers for route in number["destination"]} == {1, 4, 5}
    assert {"support", "sales", None} <= {number["label"] for number in numbers}
    assert not any(number["sms_enabled"] for number in numbers)
    papers = [paper for number in numbers for paper in number["documents"]]
    shapes = {("doc_type" in paper, "doc_type_id" in paper) for paper in papers}
    assert shapes == {(True, True), (True, False), (False, True)}
    assert len({route["id"] for number in numbers for route in number["destination"]}) > 2000


async def test_list_pages() -> None:
    async with account(numbers=101) as (_, session):
        _, first = await ask(session, "GET", "/v1/numbers")
        assert [number["id"] for number in first["items"]] == list(range(1001, 1026))
        assert first["pagination"] == {"current_page": 1, "per_page": 25, "total": 101, "total_pages": 5}
        assert {kind["name"] for kind in first["doc_types"]} == {"id", "address", "localaddress"}
        _, last = await ask(session, "GET", "/v1/numbers?page=5")
        assert [number["id"] for number in last["items"]] == [1101]
        _, beyond = await ask(session, "GET", "/v1/numbers?page=6")
        assert beyond["items"] == []
        assert beyond["pagination"]["total"] == 101
        _, clamped = await ask(session, "GET", "/v1/numbers?per_page=500")
        assert clamped["pagination"]["per_page"] == len(clamped["items"]) == 100


async def test_empty_account_has_one_page() -> None:
    async with account(numbers=0) as (_, session):
        _, answer = await ask(session, "GET", "/v1/numbers?per_page=50")
        assert answer["items"] == []
        assert answer["pagination"] == {"current_page": 1, "per_page": 50, "total": 0, "total_pages": 1}


async def test_list_filters() -> None:
    async with account(numbers=400) as (sandbox, session):
        every = list(sandbox.numbers.values())

        async def ids(**params: Any) -> list[int]:
            _, answer = await ask(session, "GET", "/v1/numbers", params={"per_page": 100, **params})
            found = [number["id"] for number in answer["items"]]
            assert answer["pagination"]["total"] >= len(found)
            return found

        def expected(condition: Any) -> list[int]:
            return [number["id"] for number in every if condition(number)][:100]

        assert await ids(label="support") == expected(lambda n: n["label"] == "support") != []
        assert await ids(label="suppor") == []
        assert await ids(label_present="true") == expected(lambda n: n["label"])
        assert await ids(label_present="false") == expected(lambda n: not n["label"])
        assert await ids(label_present="true", label="support") == await ids(label_present="true")
        assert await ids(search="313") == expected(lambda n: "313" in n["number"]) != []
        assert await ids(search=f"+{every[7]['number']}") == [1008]
        detroit = next(city_id for city_id, name in sandbox.cities.items() if name == "DETROIT, MI")
        assert await ids(city_id=detroit) == expected(lambda n: n["city"] == "DETROIT, MI") != []
        assert await ids(city_id=detroit, label="sales") == expected(
            lambda n: n["city"] == "DETROIT, MI" and n["label"] == "sales"
        )
        assert await ids(city_id=99999) == []


async def test_update_changes_only_what_is_given() -> None:
    async with account() as (sandbox, session):
        before = sandbox.numbers[1001]
        status, after = await ask(session, "PATCH", "/v1/numbers/1001", json={"sms_enabled": True})
        assert status == 200
        assert after == {**before, "sms_enabled": True} == sandbox.numbers[1001]
        _, after = await ask(session, "PATCH", "/v1/numbers/1001", json={"transcription_threshold": 12})
        assert (after["sms_enabled"], after["transcription_threshold"]) == (True, 12)
        _, read = await ask(session, "GET", "/v1/numbers/1001")
        assert read == after
        assert sandbox.stats.updates == {1001: 2}
        assert sandbox.numbers[1002]["sms_enabled"] is False


async def test_null_clears_urls() -> None:
    async with account() as (_, session):
        urls = {"sms_relay_url": "https://example.com/sms", "call_status_url": "http://example.com/calls"}
        _, number = await ask(session, "PATCH", "/v1/numbers/1001", json=urls)
        assert urls.items() <= number.items()
        _, number = await ask(session, "PATCH", "/v1/numbers/1001", json=dict.fromkeys(urls))
        assert (number["sms_relay_url"], number["call_status_url"]) == (None, None)


async def test_empty_update_changes_nothing() -> None:
    async with account() as (sandbox, session):
        before = sandbox.numbers[1001]
        assert await ask(session, "PATCH", "/v1/numbers/1001", json={}) == (200, before)
        assert await ask(session, "PATCH", "/v1/numbers/1001") == (200, before)
        assert not sandbox.stats.updates


async def test_destinations_replace_the_list() -> None:
    routes = [
        {"destination": "32882", "priority": 1, "transport": 5, "trunk_id": 3107},
        {"destination": "[did]@example.com", "priority": 2, "transport": 1, "trunk_id": None},
    ]
    async with account() as (_, session):
        _, number = await ask(session, "PATCH", "/v1/numbers/1001", json={"destinations": routes})
        assert "destinations" not in number
        trunk, uri = number["destination"]
        assert {**routes[0], "srtp": False, "trunk_label": "Main office"}.items() <= trunk.items()
        assert {**routes[1], "srtp": False, "trunk_label": None}.items() <= uri.items()
        assert trunk["id"] != uri["id"]
        _, number = await ask(session, "PATCH", "/v1/numbers/1001", json={"destinations": routes[1:]})
        assert [route["destination"] for route in number["destination"]] == ["[did]@example.com"]


async def test_batch_changes_all_or_nothing() -> None:
    async with account() as (sandbox, session):
        change = {
            "call_recording_enabled": True,
            "destinations": [{"destination": "x@y", "priority": 1, "transport": 1}],
        }
        status, answer = await ask(session, "PATCH", "/v1/numbers", json={"ids": [1003, 1001, 1003], **change})
        assert status == 200
        assert [number["id"] for number in answer["items"]] == [1003, 1001]
        assert all(number["call_recording_enabled"] for number in answer["items"])
        assert len({number["destination"][0]["id"] for number in answer["items"]}) == 2
        assert sandbox.stats.updates == {1001: 1, 1003: 1}
        status, answer = await ask(session, "PATCH", "/v1/numbers", json={"ids": [1001, 7, 8], "sms_enabled": True})
        assert (status, answer) == (404, {"success": False, "message": "Record not found: 7, 8"})
        assert sandbox.numbers[1001]["sms_enabled"] is False


async def test_batch_limit() -> None:
    async with account(batch_limit=2) as (_, session):
        status, _ = await ask(session, "PATCH", "/v1/numbers", json={"ids": [1001, 1002], "sms_enabled": True})
        assert status == 200
        status, answer = await ask(session, "PATCH", "/v1/numbers", json={"ids": [1001, 1002, 1003]})
        assert status == 422
        assert "at most 2" in answer["message"]


@pytest.mark.parametrize(
    "query",
    [
        "ids=1001&ids=1002",
        "ids[]=1001&ids[]=1002",
        "ids%5B%5D=1001&ids%5B%5D=1002",
        "ids[0]=1001&ids[1]=1002",
        "ids=1001,1002",
    ],
)
async def test_release_by_ids(query: str) -> None:
    async with account(numbers=10) as (sandbox, session):
        assert await ask(session, "DELETE", f"/v1/numbers?{query}") == (200, {"success": True})
        assert list(sandbox.numbers) == list(range(1003, 1011))
        assert 1001 not in sandbox.numbers
        status, _ = await ask(session, "GET", "/v1/numbers/1001")
        assert status == 404
        _, answer = await ask(session, "GET", "/v1/numbers?per_page=3&page=2")
        assert [number["id"] for number in answer["items"]] == [1006, 1007, 1008]
        status, _ = await ask(session, "DELETE", "/v1/numbers?ids=1003&ids=1001")
        assert status == 404
        assert 1003 in sandbox.numbers
        await ask(session, "DELETE", "/v1/numbers?ids=1005")
        assert list(sandbox.numbers) == [1003, 1004, *range(1006, 1011)]


async def test_release_by_phone_numbers() -> None:
    async with account(numbers=10, seed=5) as (sandbox, session):
        first, second = sandbox.numbers[1004]["number"], sandbox.numbers[1009]["number"]
        status, answer = await ask(session, "DELETE", f"/v1/numbers?dids={first},19995550000")
        assert (status, answer["message"]) == (404, "Record not found: 19995550000")
        status, _ = await ask(session, "DELETE", f"/v1/numbers?dids={first},%2B{second}")
        assert status == 200
        assert sandbox.numbers.keys() == set(range(1001, 1011)) - {1004, 1009}


async def test_released_numbers_leave_filtered_lists() -> None:
    async with account(numbers=100) as (_, session):
        _, before = await ask(session, "GET", "/v1/numbers?label=support")
        await ask(session, "DELETE", f"/v1/numbers?ids={before['items'][0]['id']}")
        _, after = await ask(session, "GET", "/v1/numbers?label=support")
        assert after["items"][0] == before["items"][1]
        assert after["pagination"]["total"] == before["pagination"]["total"] - 1


@pytest.mark.parametrize(
    ("given", "kind", "name"), [("address", 2, "address"), ("1", 1, "id"), ("localaddress", 3, "localaddress")]
)
async def test_upload_and_download(given: str, kind: int, name: str) -> None:
    async with account() as (sandbox, session):
        before = sandbox.numbers[1001]["documents"]
        status, papers = await ask(session, "POST", "/v1/numbers/papers", data=form(doc_id=given))
        assert status == 200
        assert [paper["did_number"] for paper in papers] == [sandbox.numbers[i]["number"] for i in (1001, 1002)]
        first = papers[0]
        assert first == {
            "id": first["id"],
            "allow_replace": False,
            "did_number": first["did_number"],
            "doc_content_type": "image/png",
            "doc_file_name": "id.png",
            "doc_type_id": kind,
            "doc_type": name,
            "status": "pending",
            "url": f"{sandbox.url}/v1/numbers/1001/papers/{first['id']}",
        }
        assert sandbox.numbers[1001]["documents"] == [*before, first]
        async with session.get(first["url"]) as response:
            assert (response.content_type, await response.read()) == ("image/png", b"image")
        status, _ = await ask(session, "GET", f"/v1/numbers/1003/papers/{first['id']}")
        assert status == 404


async def test_upload_of_several_megabytes() -> None:
    async with account() as (_, session):
        content = bytes(range(256)) * 4096 * 9
        _, papers = await ask(session, "POST", "/v1/numbers/papers", data=form("scan.PDF", content, "1001"))
        assert papers[0]["doc_content_type"] == "application/pdf"
        async with session.get(papers[0]["url"]) as response:
            assert await response.read() == content


async def test_generated_document_can_be_read() -> None:
    async with account() as (sandbox, session):
        paper = next(number["documents"][0] for number in sandbox.numbers.values() if number["documents"])
        async with session.get(paper["url"]) as response:
            assert (await response.read()).startswith(b"\x89PNG")


@pytest.mark.parametrize("advance", [True, False])
async def test_apply_delay_shows_routing_late(advance: bool) -> None:
    change = {
        "call_status_url": "https://example.com/calls",
        "sms_relay_url": "https://example.com/sms",
        "destinations": [{"destination": "x@y", "priority": 1, "transport": 1}],
    }
    async with account(apply_delay=30 if advance else 0.1) as (sandbox, session):
        before = sandbox.numbers[1001]
        _, answer = await ask(session, "PATCH", "/v1/numbers/1001", json=change)
        assert answer["call_status_url"] == "https://example.com/calls"
        assert answer["destination"] == before["destination"]
        assert answer["sms_relay_url"] == before["sms_relay_url"]
        if advance:
            sandbox.advance(29)
            assert sandbox.numbers[1001]["sms_relay_url"] == before["sms_relay_url"]
            sandbox.advance(1)
        else:
            await asyncio.sleep(0.12)
        _, after = await ask(session, "GET", "/v1/numbers/1001")
        assert after["sms_relay_url"] == "https://example.com/sms"
        assert after["destination"][0]["destination"] == "x@y"


async def test_late_changes_keep_their_order() -> None:
    async with account(apply_delay=10) as (sandbox, session):
        await ask(session, "PATCH", "/v1/numbers/1001", json={"sms_relay_url": "https://example.com/1"})
        sandbox.advance(5)
        await ask(session, "PATCH", "/v1/numbers/1001", json={"sms_relay_url": None})
        sandbox.advance(5)
        assert sandbox.numbers[1001]["sms_relay_url"] == "https://example.com/1"
        sandbox.advance(5)
        assert sandbox.numbers[1001]["sms_relay_url"] is None


async def test_change_behind_the_back() -> None:
    async with account() as (sandbox, session):
        sandbox.change(1001, label="brand new", channels="many", colour={"deep": [1]})
        _, answer = await ask(session, "GET", "/v1/numbers?label=brand new")
        (number,) = answer["items"]
        assert (number["id"], number["channels"], number["colour"]) == (1001, "many", {"deep": [1]})
        assert not sandbox.stats.updates
        with pytest.raises(KeyError):
            sandbox.change(1, label="x")


async def test_looking_at_the_state_cannot_change_it() -> None:
    async with account() as (sandbox, session):
        routes = [{"destination": "x@y", "priority": 1, "transport": 1}]
        await ask(session, "PATCH", "/v1/numbers/1001", json={"destinations": routes})
        copy = sandbox.numbers[1001]
        copy["label"] = "mine"
        copy["destination"][0]["destination"] = "mine"
        assert sandbox.numbers[1001]["label"] != "mine"
        assert sandbox.numbers[1001]["destination"][0]["destination"] == "x@y"


async def test_half_a_character_is_sent_as_an_escape() -> None:
    async with Sandbox(2) as sandbox, ClientSession(headers={"Authorization": f"Bearer {sandbox.api_key}"}) as session:
        sandbox.change(1001, label="cut \ud83d")
        for path in ("/v1/numbers/1001", "/v1/numbers"):
            async with session.get(sandbox.url + path) as answer:
                assert answer.status == 200
                assert b'"cut \\ud83d"' in await answer.read()
