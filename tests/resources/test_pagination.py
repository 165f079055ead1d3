"""Reading lists: one page, all pages, some pages, and lists whose end the server does not announce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import examples as ex
from wavix_async import DecodeError, InputError, Number, NumberPage
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Api
    from wavix_async import WavixClient


def answer(api: Api, *ids: int, **pagination: int) -> None:
    """Answer one page of numbers with these ids; without pagination where none is given."""
    page: dict[str, Any] = {"items": [ex.number(id=one) for one in ids]}
    if pagination:
        page["pagination"] = ex.pagination(**pagination)
    api.answer("GET", "/v1/numbers", page)


def queries(api: Api) -> list[dict[str, str]]:
    return [dict(sent.query) for sent in api.sent]


@pytest.mark.parametrize("ids", [(1, 2, 3), tuple(range(1, 101))])
async def test_a_list_without_pagination_ends_where_it_repeats_itself(
    api: Api, wavix: WavixClient, ids: tuple[int, ...]
) -> None:
    for _ in range(2):
        answer(api, *ids)

    assert [number.id async for number in wavix.numbers.list()] == list(ids)
    assert len(api.sent) == 2


async def test_pages_without_pagination_are_read_to_the_empty_one(api: Api, wavix: WavixClient) -> None:
    answer(api, 1, 2)
    answer(api, 3)
    answer(api)

    assert [number.id async for number in wavix.numbers.list(per_page=2)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("limit", "per_page", "sent"),
    [
        (1, None, [{"page": "1", "per_page": "1"}]),
        (2, None, [{"page": "1", "per_page": "2"}]),
        (3, 2, [{"page": "1", "per_page": "2"}, {"page": "2", "per_page": "2"}]),
    ],
)
async def test_a_limit_reads_no_page_too_many(
    api: Api, wavix: WavixClient, limit: int, per_page: int | None, sent: list[dict[str, str]]
) -> None:
    answer(api, *range(1, int(sent[0]["per_page"]) + 1), total=9, total_pages=9)
    answer(api, 3, 4, current_page=2, total=9, total_pages=9)

    found = await wavix.numbers.list(limit=limit, per_page=per_page).to_list()

    assert [number.id for number in found] == list(range(1, limit + 1))
    assert queries(api) == sent


async def test_one_page_holds_no_more_than_the_limit(api: Api, wavix: WavixClient) -> None:
    answer(api, 1, 2, total=9)

    page = await wavix.numbers.list(limit=2)

    assert len(page) == 2
    assert queries(api) == [{"per_page": "2"}]


async def test_the_first_and_how_many(api: Api, wavix: WavixClient) -> None:
    answer(api, 1, total=412, total_pages=412)
    answer(api, 1, total=412, total_pages=412)
    answer(api, total=0)
    answer(api, 1)
    pages = wavix.numbers.list(label="support")

    first = await pages.first()
    assert first is not None
    assert first.id == 1
    assert await pages.total() == 412
    assert await pages.first() is None
    with pytest.raises(DecodeError, match="does not say how many items"):
        await pages.total()
    assert queries(api) == [{"label": "support", "per_page": "1"}] * 4


def test_a_page_is_a_collection_of_its_items() -> None:
    page = NumberPage(items=[Number(id=1), Number(id=2)])

    assert [number.id for number in page] == [1, 2]
    assert len(page) == 2
    assert not page.has_next
    assert NumberPage(items=[])
    assert list(NumberPage()) == []


async def test_a_page_tells_of_the_next(api: Api, wavix: WavixClient) -> None:
    answer(api, 1, total=2, per_page=1, total_pages=2)
    answer(api, 2, total=2, per_page=1, current_page=2, total_pages=2)

    assert (await wavix.numbers.list(per_page=1)).has_next
    assert not (await wavix.numbers.list(page=2, per_page=1)).has_next


@pytest.mark.parametrize("limit", [0, -1, "5", True, 1.0])
async def test_a_limit_out_of_range(api: Api, wavix: WavixClient, limit: Any) -> None:
    with pytest.raises(InputError, match="limit must be a whole number of 1 or more"):
        wavix.numbers.list(limit=limit)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=250, seed=3) as sandbox:
        yield sandbox


async def test_against_the_sandbox(sandbox: Sandbox) -> None:
    from wavix_async import WavixClient

    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        everything = wavix.numbers.list()
        assert await everything.total() == 250
        assert {number.id for number in await everything.to_list()} == set(sandbox.numbers)
        some = await wavix.numbers.list(limit=120, per_page=50).to_list()
        assert len({number.id for number in some}) == 120
        assert sum(request.path == "/v1/numbers" for request in sandbox.requests) == 1 + 3 + 3


@pytest.mark.parametrize(("limit", "found"), [(8, 8), (200, 10), (None, 10), (3, 3), (4, 4)])
async def test_a_server_that_gives_less_than_it_is_asked_for(
    api: Api, wavix: WavixClient, limit: int | None, found: int
) -> None:
    for page, ids in enumerate(((1, 2, 3), (4, 5, 6), (7, 8, 9), (10,)), 1):
        answer(api, *ids, total=10, total_pages=4, per_page=3, current_page=page)

    assert [number.id async for number in wavix.numbers.list(limit=limit)] == list(range(1, found + 1))


async def test_reading_from_a_later_page_begins_at_the_same_item_with_and_without_a_limit(
    sandbox: Sandbox,
) -> None:
    from wavix_async import WavixClient

    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        everything = [number.id for number in await wavix.numbers.list(page=2).to_list()]
        some = await wavix.numbers.list(page=2, limit=10).to_list()
        first = await wavix.numbers.list(page=2).first()

    assert [number.id for number in some] == everything[:10]
    assert first is not None
    assert first.id == everything[0]


async def test_records_that_look_alike_are_all_read(api: Api, wavix: WavixClient) -> None:
    for sender in ("Acme", "Bcme", "Ccme"):
        api.answer("GET", "/v3/messages/opt-outs", {"items": [{**ex.OPT_OUT, "sender_id": sender}]})
    api.answer("GET", "/v3/messages/opt-outs", {"items": []})

    found = await wavix.messages.opt_outs.list(per_page=1).to_list()

    assert [each.sender_id for each in found] == ["Acme", "Bcme", "Ccme"]


async def test_pages_that_alternate_end(api: Api, wavix: WavixClient) -> None:
    for ids in ((1,), (2,), (1,)):
        answer(api, *ids)

    assert [number.id async for number in wavix.numbers.list()] == [1, 2]


async def test_null_is_an_empty_list_where_nothing_is_counted(api: Api, wavix: WavixClient) -> None:
    for total in (0, 0, 0, 3):
        api.answer("GET", "/v1/numbers", {"items": None, "pagination": ex.pagination(total=total)})

    assert len(await wavix.numbers.list()) == 0
    assert await wavix.numbers.list().to_list() == []
    assert await wavix.numbers.list().first() is None
    with pytest.raises(DecodeError, match="no list of items"):
        await wavix.numbers.list().to_list()


def test_a_pager_says_what_it_reads(wavix: WavixClient) -> None:
    # The pager is thrown away unread.
    with pytest.warns(RuntimeWarning, match="GET /v3/messages/opt-outs was never awaited"):
        assert repr(wavix.messages.opt_outs.list()) == "<Paginator of GET /v3/messages/opt-outs>"
