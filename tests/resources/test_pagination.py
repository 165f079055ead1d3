"""Reading lists: one page, all pages, some pages, and lists whose end the server does not announce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.support import examples as ex
from wavix_async import DecodeError, InputError, Number, NumberPage, Page, Paginator, from_dict
from wavix_async.models import Model
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from typing import TypeAlias

    from tests.conftest import Api
    from wavix_async import WavixClient

    Lie: TypeAlias = Callable[[int], dict[str, Any]]


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


# --- lists that are not whole ---


@pytest.fixture
def lying() -> Callable[..., Reading]:
    """A list whose server answers as a function of the page says."""

    def read(answer: Callable[[int], dict[str, Any]], **query: Any) -> Reading:
        asked: list[int] = []

        async def fetch(page: int | None, _: int | None) -> NumberPage:
            asked.append(page or 1)
            assert len(asked) < 200, "the list never ends"
            return from_dict(NumberPage, answer(page or 1))

        pager = Paginator[NumberPage, Number](fetch, query.get("page"), query.get("per_page"), query.get("limit"), "it")
        return Reading(pager, asked)

    return read


class Reading:
    """What came of reading a list to its end, or to its error."""

    def __init__(self, pager: Paginator[NumberPage, Number], asked: list[int]) -> None:
        self._pager = pager
        self.asked = asked
        self.ids: list[Any] = []

    async def to_the_end(self) -> list[Any]:
        async for number in self._pager:
            self.ids.append(number.id)
        return self.ids

    async def fails(self, why: str) -> list[Any]:
        with pytest.raises(DecodeError, match=why) as caught:
            await self.to_the_end()
        assert caught.value.retryable
        return self.ids


def listed(ids: Iterable[int], **pagination: Any) -> dict[str, Any]:
    counts = {"current_page": 1, "per_page": 100, "total": 250, "total_pages": 3, **pagination}
    return {"items": [ex.number(id=one) for one in ids], "doc_types": [], "pagination": counts}


def span(page: int, size: int = 100, total: int = 250) -> range:
    return range((page - 1) * size + 1, min(page * size, total) + 1)


def honest(page: int, **lies: Any) -> dict[str, Any]:
    return listed(span(page), **{"current_page": page, **lies})


LIES: dict[str, tuple[Lie, str, int]] = {
    "the first page for ever": (
        lambda page: listed(span(1), current_page=page, total_pages=10**9, total=10**11),
        "page 2 repeats an earlier page",
        100,
    ),
    "the first page, and it says so": (
        lambda page: listed(span(1), total_pages=10**9, total=10**11),
        "page 2 was requested, and page 1 came",
        100,
    ),
    "the same page in another order": (
        lambda page: listed([*span(1)][page:] + [*span(1)][:page], current_page=page, total_pages=9, total=900),
        "page 2 repeats",
        100,
    ),
    "two pages in turn": (
        lambda page: listed(span(2 - page % 2, 100, 900), current_page=page, total_pages=9, total=900),
        "page 3 repeats",
        200,
    ),
    "two pages in turn, and no counts": (
        lambda page: {"items": listed(span(1 if page == 1 else 3 - page % 2, 2, 90))["items"]},
        "page 4 repeats",
        6,
    ),
    "the last page again": (
        lambda page: listed(span(min(page, 2), 100, 900), current_page=page, total_pages=9, total=900),
        "page 3 repeats",
        200,
    ),
    "one page of many": (
        lambda page: listed(span(page, 100, 100), current_page=page, total=1000, total_pages=1),
        "it ended after 100 of 1,000 records",
        100,
    ),
    "one page of many, again and again": (
        lambda page: listed(span(1), current_page=page, total=1000, total_pages=1),
        "it ended after 100 of 1,000 records",
        100,
    ),
    "an empty page in the middle": (
        lambda page: listed(span(page) if page != 2 else (), current_page=page),
        "it ended after 100 of 250",
        100,
    ),
    "an empty page in the middle, without a total": (
        lambda page: listed(span(page) if page != 2 else (), current_page=page, total=None),
        "page 2 of 3 is empty",
        100,
    ),
    "nothing of many": (lambda page: listed((), current_page=page), "it ended after 0 of 250", 0),
    "a last page that lacks some": (
        lambda page: listed([*span(page)][: 100 if page < 3 else 20], current_page=page),
        "it ended after 220 of 250",
        220,
    ),
    "pages in the wrong order": (lambda page: listed(span(4 - page), current_page=4 - page), "page 3 came", 0),
    "another page once": (
        lambda page: honest(page, current_page=page + (page == 2)),
        "page 2 was requested, and page 3",
        100,
    ),
    "new records without an end": (
        lambda page: listed(span(page, 100, 10**9), current_page=page, total_pages=10**9),
        "it has 250 records, and 400 came without an end",
        300,
    ),
    "one record for ever": (
        lambda page: listed([7], current_page=page, total_pages=10**9, total=10**9, per_page=1),
        "repeats an earlier page",
        4,
    ),
}


@pytest.mark.req_29
@pytest.mark.parametrize("name", LIES)
async def test_a_list_that_is_not_whole_is_an_error(lying: Callable[..., Reading], name: str) -> None:
    lie, why, came = LIES[name]
    reading = lying(lie)

    assert len(await reading.fails(why)) == came
    assert len(reading.asked) < 12


TRUE: dict[str, tuple[Lie, int]] = {
    "three pages": (honest, 250),
    "no counts": (lambda page: {"items": honest(page)["items"]}, 250),
    "no count of pages": (lambda page: honest(page, total_pages=None), 250),
    "no count of records": (lambda page: honest(page, total=None), 250),
    "a count below zero": (lambda page: honest(page, total=-1), 250),
    "a text for a count": (lambda page: honest(page, total="250", total_pages="3"), 250),
    "a count of the page alone": (lambda page: honest(page, total=1), 250),
    "zero for a count": (lambda page: honest(page, total=0), 250),
    "zero pages": (lambda page: honest(page, total_pages=0), 250),
    "a page number of zero": (lambda page: honest(page, current_page=0), 250),
    "no page number": (lambda page: honest(page, current_page=None), 250),
    "too few pages": (lambda page: honest(page, total_pages=1), 250),
    "too many pages": (lambda page: honest(page, total_pages=10**9), 250),
    "a smaller page than requested": (
        lambda page: listed(span(page, 50), current_page=page, per_page=50, total_pages=5),
        250,
    ),
    "a smaller page than counted": (lambda page: listed(span(page, 50), current_page=page), 250),
    "a size of zero": (lambda page: honest(page, per_page=0), 250),
    "a list that grows": (
        lambda page: listed(span(page, 100, 230 + 10 * page), current_page=page, total=230 + 10 * page),
        260,
    ),
    "a list that grows by a page": (
        lambda page: listed(
            span(page, 100, 290 + 5 * page), current_page=page, total=290 + 5 * page, total_pages=3 if page < 3 else 4
        ),
        310,
    ),
    "a list that shrinks": (
        lambda page: listed(span(page, 100, 280 - 10 * page), current_page=page, total=280 - 10 * page),
        250,
    ),
    "a list that shrinks by a page": (
        lambda page: listed(
            span(page, 100, 210 - 5 * page), current_page=page, total=210 - 5 * page, total_pages=3 if page < 2 else 2
        ),
        200,
    ),
    "an empty list": (lambda _: listed((), total=0, total_pages=1), 0),
    "an empty list without a total": (lambda _: listed((), total=None, total_pages=1), 0),
    "records without ids": (
        lambda page: {**honest(page), "items": [{**ex.number(number=f"{n}"), "id": None} for n in span(page)]},
        250,
    ),
}


@pytest.mark.req_29
@pytest.mark.parametrize("name", TRUE)
async def test_a_list_with_odd_counts_is_read_to_its_end(lying: Callable[..., Reading], name: str) -> None:
    answers, count = TRUE[name]

    assert len(await lying(answers).to_the_end()) == count


@pytest.mark.req_29
@pytest.mark.parametrize(("page", "count"), [(2, 150), (3, 50), (4, 0), (9, 0)])
async def test_a_list_that_is_read_from_a_later_page_counts_those_before(
    lying: Callable[..., Reading], page: int, count: int
) -> None:
    assert len(await lying(honest, page=page).to_the_end()) == count


@pytest.mark.req_29
async def test_a_limit_is_reached_before_the_lie(lying: Callable[..., Reading]) -> None:
    lie = LIES["one page of many"][0]

    assert len(await lying(lie, limit=100).to_the_end()) == 100
    assert len(await lying(lie, limit=101).fails("it ended after 100 of 1,000")) == 100


@pytest.mark.req_29
@pytest.mark.parametrize("item", [None, 5, "text", [], True])
async def test_an_item_that_is_no_record_is_an_error(api: Api, wavix: WavixClient, item: Any) -> None:
    page = {"items": [ex.number(id=1), item], "pagination": ex.pagination(total=2)}
    for _ in range(3):
        api.answer("GET", "/v1/numbers", page)

    with pytest.raises(DecodeError, match=r"not a list of records: expected Number, found .* at 1") as caught:
        await wavix.numbers.list().to_list()
    assert caught.value.paths[0].startswith("$.items[1]: expected Number, found ")
    with pytest.raises(DecodeError, match="not a list of records"):
        await wavix.numbers.list().first()
    # A page alone is as it came.
    assert (await wavix.numbers.list()).items[1] == item


@attrs.frozen(kw_only=True)
class Other(Model):
    other: int


@attrs.frozen(kw_only=True)
class MixedPage(Page):
    items: list[Number | Other]


async def test_a_page_may_hold_records_of_several_classes() -> None:
    async def fetch(page: int | None, _: int | None) -> MixedPage:
        counts = ex.pagination(total=2, current_page=page or 1)
        return from_dict(MixedPage, {"items": [ex.number(id=1), {"other": 5}], "pagination": counts})

    found = await Paginator[MixedPage, Any](fetch, None, None, None, "it").to_list()
    assert [type(each) for each in found] == [Number, Other]


@pytest.mark.req_29
@pytest.mark.parametrize(
    ("counts", "more"),
    [
        ({"total": 1000, "total_pages": 1}, True),
        ({"total": 100, "total_pages": 1}, False),
        ({"total": 100, "total_pages": 2}, True),
        ({"total": 250, "total_pages": None}, True),
        ({"total": None, "total_pages": None}, False),
        ({"total": -5, "total_pages": "3"}, False),
        ({"total": 250, "per_page": 0, "total_pages": 1}, False),
        ({"total": 250, "current_page": None, "total_pages": 3}, False),
    ],
)
def test_a_page_believes_no_count_alone(counts: dict[str, Any], more: bool) -> None:
    assert from_dict(NumberPage, listed(span(1), **counts)).has_next is more
    assert not from_dict(NumberPage, listed((), total=1000, total_pages=1)).has_next
