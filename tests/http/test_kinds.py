"""Kinds of requests and answers that other groups of the API need, each through an operation of its own."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

from tests.conftest import BASE
from tests.support.clients import client
from wavix_async import (
    APIError,
    BadRequestError,
    InputError,
    Operation,
    OutcomeUnknownError,
    Page,
    RetryPolicy,
    Success,
    from_dict,
    to_dict,
)
from wavix_async.models import Body, CaseBlindStrEnum, Model, PageBody
from wavix_async.resources._base import Resource

if TYPE_CHECKING:
    from tests.conftest import Api
    from wavix_async import Paginator, WavixClient


class Disposition(CaseBlindStrEnum):
    ANSWERED = "answered"
    NO_ANSWER = "noanswer"


@attrs.frozen(kw_only=True)
class Record(Model):
    """A model of every odd kind."""

    id: str = attrs.field(default=None)
    disposition: Disposition | None = None
    charge: Decimal | None = None
    at: datetime | None = None
    day: date | None = None
    password: str | None = attrs.field(default=None, repr=False)
    pending: bool = attrs.field(default=False, metadata={"wire": False})


@attrs.frozen(kw_only=True)
class RecordPage(Page[Record]):
    items: list[Record] = attrs.field(default=None)


@attrs.frozen(kw_only=True)
class Search(PageBody):
    text: str
    password: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Change(Body):
    password: str = attrs.field(repr=False)


GET = Operation("GET", "/v1/records/{id}", Record, pending_202=True)
SEARCH = Operation("POST", "/v1/records", RecordPage, idempotent=True)
DELETE = Operation("DELETE", "/v1/records/{id}", Success, gone_key="deleted_at")
REMOVE = Operation("DELETE", "/v1/cart", Success)
CHANGE = Operation("PUT", "/v1/records/{id}", Record)


# --- 202: not yet ---


@pytest.mark.parametrize("body", [b"", b"{}", b'{"status": "processing"}', b'{"id": "a", "extra": 1}'])
async def test_a_202_is_a_result_that_is_pending(api: Api, wavix: WavixClient, body: bytes) -> None:
    api.answer("GET", "/v1/records/a", status=202, body=body)
    record = await wavix.call(GET, path={"id": "a"})

    assert (record.pending, record.charge) == (True, None)
    assert "pending" not in to_dict(record)


async def test_a_202_counts_only_where_it_is_declared(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/records/a", {"id": "a"})
    api.answer("GET", "/v1/records/a", {"success": False, "message": "No"}, status=202)
    assert (await wavix.call(GET, path={"id": "a"})).pending is False
    with pytest.raises(APIError, match="No"):
        await wavix.call(GET, path={"id": "a"})
    with pytest.raises(InputError, match="needs pending"):
        Operation("GET", "/v1/x", Success, pending_202=True)


# --- paging in a body, DELETE with a body ---


class Records(Resource):
    def search(self, body: Search) -> Paginator[RecordPage, Record]:
        return self._search(SEARCH, body=body)


async def test_a_search_pages_in_its_body(api: Api, wavix: WavixClient) -> None:
    for page in (1, 2, 3):
        items = [{"id": f"{page}{each}"} for each in range(2)]
        place = {"current_page": page, "per_page": 2, "total": 6, "total_pages": 3}
        api.answer("POST", "/v1/records", {"items": items, "pagination": place})
    found = await Records(wavix).search(Search(text="x", per_page=2)).to_list()

    assert [record.id for record in found] == ["10", "11", "20", "21", "30", "31"]
    assert sorted((sent.json for sent in api.sent), key=lambda body: body["page"]) == [
        {"text": "x", "per_page": 2, "page": page} for page in (1, 2, 3)
    ]
    api.answer("POST", "/v1/records", {"items": []})
    await Records(wavix).search(Search(text="x", page=4, limit=10))
    assert api.last.json == {"text": "x", "page": 4, "per_page": 100}
    for wrong in ({"page": 0}, {"per_page": 101}, {"limit": None}):
        with pytest.raises(InputError):
            Search(text="x", **wrong)


async def test_a_delete_may_have_a_body(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v1/cart", {"success": True})
    assert await wavix.call(REMOVE, body={"ids": [1, 2]}) == Success(success=True)
    assert api.last.json == {"ids": [1, 2]}


# --- deleted already ---


async def test_a_400_with_deleted_at_after_an_unknown_attempt_means_that_it_worked(api: Api) -> None:
    api.mock.delete(f"{BASE}/v1/records/a", exception=aiohttp.ServerDisconnectedError())
    api.answer("DELETE", "/v1/records/a", {"deleted_at": "2026-01-01T00:00:00Z"}, status=400)
    api.answer("DELETE", "/v1/records/a", {"deleted_at": "2026-01-01T00:00:00Z"}, status=400)
    api.mock.delete(f"{BASE}/v1/records/a", exception=aiohttp.ServerDisconnectedError())
    api.answer("DELETE", "/v1/records/a", {"message": "Wrong"}, status=400)
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        answer = await wavix.call(DELETE, path={"id": "a"})
        assert (answer.success, answer.already_gone) == (True, True)
        with pytest.raises(BadRequestError):
            await wavix.call(DELETE, path={"id": "a"})
        with pytest.raises(BadRequestError, match="Wrong"):
            await wavix.call(DELETE, path={"id": "a"})


# --- values ---


def test_an_enum_without_case_keeps_the_text() -> None:
    record = from_dict(Record, {"id": "a", "disposition": "ANSWERED"}, strict=True)

    assert record.disposition == Disposition.ANSWERED == "Answered" != Disposition.NO_ANSWER
    assert record.disposition != "busy"
    assert hash(record.disposition) == hash(Disposition.ANSWERED)
    assert to_dict(record) == {"id": "a", "disposition": "ANSWERED"}
    assert str(record.disposition) == "ANSWERED"
    for again in (pickle.loads(pickle.dumps(record)), copy.deepcopy(record)):
        assert again == record
        assert to_dict(again) == to_dict(record)
    unknown = from_dict(Record, {"id": "a", "disposition": "New"}).disposition
    assert unknown == "NEW"
    assert unknown not in list(Disposition)
    match record.disposition:
        case Disposition.ANSWERED:
            pass
        case _:
            pytest.fail("a member of another case does not match")


@pytest.mark.parametrize(
    ("text", "value"), [('"0.10"', "0.10"), ("0.1", "0.1"), ("12", "12"), ("1e-7", "1E-7"), ("-0.25", "-0.25")]
)
def test_money_is_a_decimal_whatever_it_came_as(text: str, value: str) -> None:
    payload = json.loads(f'{{"id": "a", "charge": {text}}}')
    record = from_dict(Record, payload, strict=True)

    assert type(record.charge) is Decimal
    assert record.charge == Decimal(value)
    assert json.dumps(to_dict(record)) == json.dumps(payload)
    assert type(from_dict(Record, {"id": "a", "charge": True}).charge) is bool


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-07-19 18:23:42.120Z", datetime(2023, 7, 19, 18, 23, 42, 120_000, UTC)),
        ("2023-07-19T18:23:42", datetime(2023, 7, 19, 18, 23, 42, tzinfo=UTC)),
        ("2023-07-19 18:23:42", datetime(2023, 7, 19, 18, 23, 42, tzinfo=UTC)),
        ("2023-07-19T20:23:42+02:00", datetime(2023, 7, 19, 18, 23, 42, tzinfo=UTC)),
    ],
)
def test_odd_times_are_read_and_come_back_as_they_were(text: str, moment: datetime) -> None:
    record = from_dict(Record, {"id": "a", "at": text}, strict=True)

    assert record.at == moment
    assert to_dict(record) == {"id": "a", "at": text}


# --- secrets ---

HIDDEN = "hunter2-0123456789"


def test_a_secret_shows_in_no_repr_and_no_error() -> None:
    newer = {"access_token": HIDDEN, "nested": [{"api_key": HIDDEN, "url": HIDDEN, "name": "shown"}]}
    record = from_dict(Record, {"id": "a", "password": HIDDEN, **newer})
    assert record.password == HIDDEN
    assert record.extra == newer
    assert HIDDEN not in repr(record)
    assert "shown" in repr(record)
    assert HIDDEN not in repr(Search(text="x", password=HIDDEN))
    for make in (
        lambda: Search(text="x", password=[HIDDEN]),  # type: ignore[arg-type]
        lambda: Search(text=1, password=HIDDEN),  # type: ignore[arg-type]
        lambda: Change(password={HIDDEN: HIDDEN}),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError) as caught:
            make()
        assert HIDDEN not in str(caught.value)


async def test_a_secret_shows_in_no_event_and_no_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wavix_async")
    api.answer("PUT", "/v1/records/a", {"id": "a", "password": f"{HIDDEN}x", "token": HIDDEN})
    seen: list[Any] = []
    async with client(observers=[seen.append]) as wavix:
        with pytest.raises(OutcomeUnknownError, match="password") as caught:
            await wavix.call(CHANGE, path={"id": "a"}, body=Change(password=HIDDEN))
    assert HIDDEN not in caplog.text + repr(seen) + str(caught.value) + repr(caught.value) + repr(vars(caught.value))
