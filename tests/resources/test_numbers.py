"""The requests that each operation on numbers sends, and the results it makes of the answers."""

from __future__ import annotations

import io
import tempfile
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.support import examples as ex
from tests.support.stub import shown
from wavix_async import (
    DocumentTypeName,
    InboundCallTransport,
    InputError,
    NotFoundError,
    Number,
    NumberDestination,
    NumberDocument,
    NumberPage,
    NumberUpdate,
    Success,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
    to_dict,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from email.message import Message
    from pathlib import Path

    from tests.conftest import Api, Sent

BAD_IDS = [0, -1, True, 1.0, "1", "abc", None, [1]]


def headers_of(sent: Sent) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in sent.headers.items()}


# --- every request ---


async def test_the_headers_of_a_request_without_a_body(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/501", ex.number())
    await wavix.numbers.get(501)
    headers = headers_of(api.last)

    assert headers.pop("user-agent").startswith("wavix-async/")
    assert headers == {"authorization": f"Bearer {KEY}", "accept": "application/json"}
    assert api.last.data is None
    assert api.last.options["allow_redirects"] is False


async def test_the_headers_of_a_request_with_a_body(api: Api, wavix: WavixClient) -> None:
    api.answer("PATCH", "/v1/numbers/501", ex.number())
    await wavix.numbers.update(501, sms_enabled=True)
    headers = headers_of(api.last)

    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.req_24
async def test_the_key_is_nowhere_else_in_a_request(api: Api, wavix: WavixClient) -> None:
    api.answer("PATCH", "/v1/numbers/501", ex.number())
    await wavix.numbers.update(501, sms_enabled=True)

    assert KEY not in str(api.last.url)
    assert KEY not in str(api.last.data)
    assert [name for name, value in api.last.headers.items() if KEY in value] == ["Authorization"]


# --- get ---


async def test_get(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/501", ex.number())
    number = await wavix.numbers.get(501)

    assert type(number) is Number
    assert ex.same(to_dict(number), ex.number())
    assert (api.last.method, api.last.path, api.last.query) == ("GET", "/v1/numbers/501", [])


async def test_get_takes_an_id_of_any_size(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", f"/v1/numbers/{2**70}", ex.number(id=2**70))
    await wavix.numbers.get(2**70)

    assert api.last.path == f"/v1/numbers/{2**70}"


@pytest.mark.parametrize("number_id", BAD_IDS)
@pytest.mark.parametrize(
    "call",
    [
        lambda numbers, number_id: numbers.get(number_id),
        lambda numbers, number_id: numbers.update(number_id, sms_enabled=True),
    ],
    ids=["get", "update"],
)
async def test_an_id_is_a_positive_integer(api: Api, wavix: WavixClient, call: Any, number_id: Any) -> None:
    with pytest.raises(InputError, match=r"number_id must be a positive integer, got .*: pass Number\.id"):
        await call(wavix.numbers, number_id)

    assert api.sent == []


async def test_a_number_that_is_not_there(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/9", {"success": False, "message": "Not found"}, status=404)

    with pytest.raises(NotFoundError, match=r"HTTP 404 for GET /v1/numbers/9: Not found\.") as caught:
        await wavix.numbers.get(9)
    assert (caught.value.attempts, caught.value.outcome) == (1, "rejected")


# --- update ---


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"sms_enabled": True}, {"sms_enabled": True}),
        ({"sms_enabled": False}, {"sms_enabled": False}),
        ({"sms_relay_url": None}, {"sms_relay_url": None}),
        ({"call_status_url": None}, {"call_status_url": None}),
        ({"sms_relay_url": "https://hooks.example.net/ü"}, {"sms_relay_url": "https://hooks.example.net/ü"}),
        ({"call_recording_enabled": True}, {"call_recording_enabled": True}),
        ({"transcription_enabled": False}, {"transcription_enabled": False}),
        ({"transcription_threshold": 0}, {"transcription_threshold": 0}),
        ({"destinations": []}, {"destinations": []}),
        (
            {"destinations": [NumberDestination(destination="t", priority=2, transport=5, trunk_id=8)]},
            {"destinations": [{"destination": "t", "priority": 2, "transport": 5, "trunk_id": 8}]},
        ),
        (
            {"destinations": [NumberDestination(destination="1", priority=1, transport=InboundCallTransport.PSTN)]},
            {"destinations": [{"destination": "1", "priority": 1, "transport": 4}]},
        ),
        (
            {"sms_enabled": True, "call_status_url": None, "transcription_threshold": 12},
            {"sms_enabled": True, "call_status_url": None, "transcription_threshold": 12},
        ),
    ],
)
async def test_update_sends_what_is_given_and_no_more(
    api: Api, wavix: WavixClient, changes: dict[str, Any], body: dict[str, Any]
) -> None:
    api.answer("PATCH", "/v1/numbers/501", ex.number(label="after", **shown(body)))
    number = await wavix.numbers.update(501, **changes)

    assert number.label == "after"
    assert (api.last.method, api.last.path, api.last.query) == ("PATCH", "/v1/numbers/501", [])
    assert ex.same(api.last.json, body)


async def test_an_update_of_nothing_is_refused(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(
        InputError, match="NumberUpdate is empty and would change nothing: set at least one of sms_enabled"
    ):
        await wavix.numbers.update(501)

    assert api.sent == []


async def test_a_misspelt_field_is_named(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match=r"update\(\) does not take sms_enable; it takes sms_enabled, "):
        await wavix.numbers.update(501, sms_enable=True)  # type: ignore[call-arg]
    with pytest.raises(InputError, match=r"NumberUpdate\.sms_enabled must be true or false"):
        await wavix.numbers.update(501, sms_enabled="true")  # type: ignore[arg-type]

    assert api.sent == []


async def test_an_update_that_the_number_cannot_take(api: Api, wavix: WavixClient) -> None:
    api.answer("PATCH", "/v1/numbers/501", {"success": False, "message": "No SMS here"}, status=422)

    with pytest.raises(UnprocessableEntityError, match="No SMS here"):
        await wavix.numbers.update(501, sms_enabled=True)


UNWRITABLE = NumberUpdate(destinations=[NumberDestination(destination="\udc80", priority=1, transport=1)])


@pytest.mark.req_24
async def test_a_text_that_no_json_can_hold_is_an_input_error(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        await wavix.numbers.update(501, **UNWRITABLE)

    assert api.sent == []


@pytest.mark.req_17
async def test_a_text_that_no_json_can_hold_fails_its_number_only(api: Api, wavix: WavixClient) -> None:
    api.answer("PATCH", "/v1/numbers/3", ex.number(id=3))
    updates = ((number_id, NumberUpdate(sms_enabled=True) if number_id == 3 else UNWRITABLE) for number_id in (1, 2, 3))
    report = await wavix.numbers.bulk_update(updates, concurrency=2)

    assert (report.total, report.updated) == (3, 1)
    assert {result.id: type(result.error) for result in report.failures} == {1: InputError, 2: InputError}


@pytest.mark.req_17
async def test_a_text_that_no_json_can_hold_counts_as_failed(api: Api, wavix: WavixClient) -> None:
    report = await wavix.numbers.bulk_update((number_id, UNWRITABLE) for number_id in (1, 2))

    assert (report.failed, report.not_sent) == (2, 0)


@pytest.mark.req_04
@pytest.mark.parametrize(
    "payload", [{}, {"error": "Not Found"}, {"message": "Down for maintenance"}, {"success": True}]
)
async def test_an_answer_that_is_no_number_does_not_confirm_an_update(
    api: Api, wavix: WavixClient, payload: dict[str, Any]
) -> None:
    api.answer("PATCH", "/v1/numbers/501", payload)

    with pytest.raises(WavixError):
        await wavix.numbers.update(501, sms_enabled=True)


# --- list ---


@pytest.mark.parametrize(
    ("filters", "query"),
    [
        ({}, []),
        ({"search": "4155"}, [("search", "4155")]),
        ({"search": "+1 415&x=1"}, [("search", "+1 415&x=1")]),
        ({"label": "night shift"}, [("label", "night shift")]),
        ({"label": "ünï/cödé?#%"}, [("label", "ünï/cödé?#%")]),
        ({"label": ""}, [("label", "")]),
        ({"label_present": True}, [("label_present", "true")]),
        ({"label_present": False}, [("label_present", "false")]),
        ({"city_id": 44}, [("city_id", "44")]),
        ({"page": 3}, [("page", "3")]),
        ({"per_page": 100}, [("per_page", "100")]),
        ({"search": None, "label": None, "page": None}, []),
        (
            {"search": "4", "label": "a", "label_present": True, "city_id": 1, "page": 2, "per_page": 50},
            [
                ("city_id", "1"),
                ("label", "a"),
                ("label_present", "true"),
                ("page", "2"),
                ("per_page", "50"),
                ("search", "4"),
            ],
        ),
    ],
)
async def test_list_awaited_is_one_page(
    api: Api, wavix: WavixClient, filters: dict[str, Any], query: list[tuple[str, str]]
) -> None:
    api.answer("GET", "/v1/numbers", ex.number_page())
    page = await wavix.numbers.list(**filters)

    assert type(page) is NumberPage
    assert ex.same(to_dict(page), ex.number_page())
    assert [(sent.method, sent.path, sent.query) for sent in api.sent] == [("GET", "/v1/numbers", query)]


def pages(api: Api, total_pages: int, **changes: Any) -> None:
    for page in range(1, total_pages + 1):
        numbers = [ex.number(id=10 * page + i) for i in range(2)]
        pagination = ex.pagination(current_page=page, total_pages=total_pages, **changes)
        api.answer("GET", "/v1/numbers", ex.number_page(*numbers, pagination=pagination))


async def test_list_iterated_is_every_number_in_order(api: Api, wavix: WavixClient) -> None:
    pages(api, 3)

    assert [number.id async for number in wavix.numbers.list(label="x")] == [10, 11, 20, 21, 30, 31]
    assert [dict(sent.query) for sent in api.sent] == [
        {"label": "x", "page": str(page), "per_page": "100"} for page in (1, 2, 3)
    ]


async def test_iteration_begins_at_the_page_that_is_given(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers", ex.number_page(pagination=ex.pagination(current_page=4, total_pages=5)))
    more = [ex.number(id=503), ex.number(id=504)]
    api.answer("GET", "/v1/numbers", ex.number_page(*more, pagination=ex.pagination(current_page=5, total_pages=5)))

    assert len([number async for number in wavix.numbers.list(page=4, per_page=2)]) == 4
    assert [dict(sent.query) for sent in api.sent] == [{"page": "4", "per_page": "2"}, {"page": "5", "per_page": "2"}]


async def test_iteration_stops_at_an_empty_page(api: Api, wavix: WavixClient) -> None:
    api.answer(
        "GET", "/v1/numbers", {"items": [], "doc_types": [], "pagination": ex.pagination(total=0, total_pages=0)}
    )

    assert [number async for number in wavix.numbers.list()] == []
    assert len(api.sent) == 1


async def test_iteration_copes_without_a_count_of_pages(api: Api, wavix: WavixClient) -> None:
    for page in (1, 2):
        api.answer("GET", "/v1/numbers", {"items": [ex.number(id=page)]})
    api.answer("GET", "/v1/numbers", {"items": []})

    assert [number.id async for number in wavix.numbers.list()] == [1, 2]


@pytest.mark.parametrize("filters", [{"page": 0}, {"page": -1}, {"page": "2"}, {"page": True}, {"page": 1.0}])
async def test_a_page_out_of_range(api: Api, wavix: WavixClient, filters: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="page must be a whole number of 1 or more"):
        wavix.numbers.list(**filters)


@pytest.mark.parametrize("size", [0, 101, -5, "50", True])
async def test_a_page_size_out_of_range(api: Api, wavix: WavixClient, size: Any) -> None:
    with pytest.raises(InputError, match="per_page must be a whole number between 1 and 100"):
        wavix.numbers.list(per_page=size)


@pytest.mark.parametrize("items", ["abc", {"a": 1}, 5, True])
async def test_iterating_over_items_that_are_no_list_invents_nothing(api: Api, wavix: WavixClient, items: Any) -> None:
    api.answer("GET", "/v1/numbers", {"items": items, "pagination": ex.pagination()})

    with pytest.raises(WavixError):
        [number async for number in wavix.numbers.list()]


async def test_iterating_over_a_page_without_items_is_not_an_empty_account(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers", {"numbers": [ex.number()], "pagination": ex.pagination(total=1)})

    with pytest.raises(WavixError):
        [number async for number in wavix.numbers.list()]


# --- update_batch ---


async def test_update_batch(api: Api, wavix: WavixClient) -> None:
    api.answer("PATCH", "/v1/numbers", {"items": [ex.number(id=each, sms_enabled=False) for each in (1, 2)]})
    numbers = await wavix.numbers.update_batch(
        [1, 2],
        sms_enabled=False,
        sms_relay_url=None,
        destinations=[NumberDestination(destination="1", priority=1, transport=4)],
    )

    assert [(type(number), number.id) for number in numbers] == [(Number, 1), (Number, 2)]
    assert (api.last.method, api.last.path) == ("PATCH", "/v1/numbers")
    assert ex.same(
        api.last.json,
        {
            "ids": [1, 2],
            "sms_enabled": False,
            "sms_relay_url": None,
            "destinations": [{"destination": "1", "priority": 1, "transport": 4}],
        },
    )


@pytest.mark.parametrize("ids", [[], (), set()])
async def test_update_batch_needs_ids(api: Api, wavix: WavixClient, ids: Any) -> None:
    with pytest.raises(InputError, match="ids is empty: pass at least one id"):
        await wavix.numbers.update_batch(ids, sms_enabled=True)


@pytest.mark.parametrize("number_id", BAD_IDS)
async def test_update_batch_names_a_bad_id(api: Api, wavix: WavixClient, number_id: Any) -> None:
    with pytest.raises(InputError, match=r"ids\[1\] must be a positive integer"):
        await wavix.numbers.update_batch([1, number_id], sms_enabled=True)

    assert api.sent == []


async def test_update_batch_needs_a_change(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match="NumberUpdate is empty"):
        await wavix.numbers.update_batch([1])

    assert api.sent == []


@pytest.mark.parametrize(
    "items",
    [None, {"1": {}}, "abc", 5],
)
async def test_update_batch_answers_a_list_or_raises(api: Api, wavix: WavixClient, items: Any) -> None:
    api.answer("PATCH", "/v1/numbers", {"items": items})
    try:
        numbers = await wavix.numbers.update_batch([1], sms_enabled=True)
    except WavixError:
        return
    assert type(numbers) is list


@pytest.mark.parametrize("payload", [{"success": True}, {}])
async def test_update_batch_copes_without_the_numbers(api: Api, wavix: WavixClient, payload: dict[str, Any]) -> None:
    api.answer("PATCH", "/v1/numbers", payload)
    try:
        numbers = await wavix.numbers.update_batch([1], sms_enabled=True)
    except WavixError:
        return
    assert numbers == []


# --- release ---


async def test_release_by_ids_is_one_request_each(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v1/numbers", {"success": True}, repeat=True)
    answer = await wavix.numbers.release(ids=[11, 12, 13])

    assert answer == Success(success=True)
    assert [(sent.method, sent.path, sent.query) for sent in api.sent] == [
        ("DELETE", "/v1/numbers", [("ids", str(number_id))]) for number_id in (11, 12, 13)
    ]
    assert all(sent.data is None for sent in api.sent)


async def test_release_by_numbers_is_one_request(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v1/numbers", {"success": True})
    await wavix.numbers.release(dids=["14155550123", "+14155550124"])

    assert [sent.query for sent in api.sent] == [[("dids", "14155550123,14155550124")]]


async def test_a_release_that_fails_names_what_is_gone(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v1/numbers", {"success": True})
    api.answer("DELETE", "/v1/numbers", {"success": True})
    api.answer("DELETE", "/v1/numbers", {"success": False, "message": "Not found"}, status=404)

    with pytest.raises(NotFoundError) as caught:
        await wavix.numbers.release(ids=[1, 2, 3, 4])
    assert caught.value.__notes__ == ["Released before this failure: [1, 2]."]
    assert len(api.sent) == 3


async def test_an_empty_answer_confirms_a_release(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v1/numbers", body=b"", status=204)

    assert (await wavix.numbers.release(ids=[1])).success is True


@pytest.mark.parametrize("both", [{}, {"ids": [1], "dids": ["1"]}, {"ids": [], "dids": []}])
async def test_release_takes_one_of_both(api: Api, wavix: WavixClient, both: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match=r"release\(\) takes either ids=\[\.\.\.\] or dids=\[\.\.\.\]: pass exactly one"
    ):
        await wavix.numbers.release(**both)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"ids": []}, "ids is empty: pass at least one id"),
        ({"dids": []}, "dids is empty: pass at least one phone number"),
        ({"dids": "14155550123"}, "dids must be a list of phone numbers, got the string '14155550123'"),
        ({"ids": [1, "2"]}, r"ids\[1\] must be a positive integer"),
        ({"ids": [0]}, r"ids\[0\] must be a positive integer"),
        ({"ids": "12"}, r"ids\[0\] must be a positive integer"),
        ({"dids": ["1", ""]}, r"dids\[1\] must be a phone number as a string of digits"),
        ({"dids": ["1,2"]}, r"dids\[0\] must be a phone number"),
        ({"dids": [14155550123]}, r"dids\[0\] must be a phone number"),
        ({"dids": ["１２"]}, r"dids\[0\] must be a phone number"),  # noqa: RUF001
        ({"dids": ["+"]}, r"dids\[0\] must be a phone number"),
        ({"dids": ["++1"]}, r"dids\[0\] must be a phone number"),
        ({"dids": [None]}, r"dids\[0\] must be a phone number"),
    ],
)
async def test_nothing_is_released_by_mistake(
    api: Api, wavix: WavixClient, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        await wavix.numbers.release(**arguments)

    assert api.sent == []


@pytest.mark.parametrize("arguments", [{"ids": 5}, {"dids": 14155550123}])
async def test_one_bare_id_is_an_input_error(api: Api, wavix: WavixClient, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(arguments))):
        await wavix.numbers.release(**arguments)


# --- papers.upload ---

PDF = b"%PDF-1.7 \x00\xff\r\n--boundary\r\nnot text"


async def parts_of(sent: Sent) -> list[Message]:
    """Read the multipart body as a server would."""
    payload = sent.data()
    body = await payload.as_bytes()
    message = message_from_bytes(b"Content-Type: " + payload.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    assert message.get_content_type() == "multipart/form-data"
    return list(message.get_payload())  # type: ignore[arg-type]


def name_of(part: Message) -> Any:
    return part.get_param("name", header="content-disposition")


async def upload(api: Api, wavix: WavixClient, **arguments: Any) -> dict[str, Message]:
    api.answer("POST", "/v1/numbers/papers", [ex.document()], status=201)
    documents = await wavix.numbers.papers.upload(**{"did_ids": [501], "doc_id": "id", **arguments})

    assert [type(each) for each in documents] == [NumberDocument]
    assert (api.last.method, api.last.path, api.last.query) == ("POST", "/v1/numbers/papers", [])
    assert "content-type" not in headers_of(api.last), "aiohttp sets it, with the boundary"
    parts = await parts_of(api.last)
    assert [name_of(part) for part in parts] == ["did_ids", "doc_id", "doc_attachment"]
    return {name_of(part): part for part in parts}


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    path = tmp_path / "passport.pdf"
    path.write_bytes(PDF)
    return path


@pytest.mark.parametrize(
    "source",
    [
        lambda path: {"doc_attachment": path},
        lambda path: {"doc_attachment": str(path)},
        lambda path: {"doc_attachment": PDF, "filename": "passport.pdf"},
        lambda path: {"doc_attachment": bytearray(PDF), "filename": "passport.pdf"},
        lambda path: {"doc_attachment": memoryview(PDF), "filename": "passport.pdf"},
        lambda path: {"doc_attachment": io.BytesIO(PDF), "filename": "passport.pdf"},
    ],
    ids=["path", "text", "bytes", "bytearray", "memoryview", "file-object"],
)
async def test_upload_from_anything(
    api: Api, wavix: WavixClient, paper: Path, source: Callable[[Path], dict[str, Any]]
) -> None:
    parts = await upload(api, wavix, **source(paper))
    attached = parts["doc_attachment"]

    assert attached.get_payload(decode=True) == PDF
    assert attached.get_content_type() == "application/pdf"
    assert attached.get_filename() == "passport.pdf"


async def test_upload_from_an_open_file(api: Api, wavix: WavixClient, paper: Path) -> None:
    with paper.open("rb") as file:
        parts = await upload(api, wavix, doc_attachment=file)
        assert not file.closed

    assert parts["doc_attachment"].get_filename() == "passport.pdf"
    assert parts["doc_attachment"].get_payload(decode=True) == PDF


@pytest.mark.parametrize(
    ("arguments", "did_ids", "doc_id"),
    [
        ({}, b"501", b"id"),
        ({"did_ids": (1, 2, 3)}, b"1,2,3", b"id"),
        ({"did_ids": iter([7])}, b"7", b"id"),
        ({"doc_id": 2}, b"501", b"2"),
        ({"doc_id": "localaddress"}, b"501", b"localaddress"),
        ({"doc_id": DocumentTypeName.ADDRESS}, b"501", b"address"),
    ],
)
async def test_upload_sends_ids_as_one_text_and_the_kind_as_given(
    api: Api, wavix: WavixClient, arguments: dict[str, Any], did_ids: bytes, doc_id: bytes
) -> None:
    parts = await upload(api, wavix, doc_attachment=PDF, filename="a.pdf", **arguments)

    assert parts["did_ids"].get_payload(decode=True) == did_ids
    assert parts["doc_id"].get_payload(decode=True) == doc_id
    assert parts["did_ids"].get_filename() is None


@pytest.mark.parametrize("name", ['a"b.pdf', "ünï.pdf", "a;b=c.pdf", "../../etc/x.pdf", "a\\b.PDF"])
async def test_no_file_name_breaks_the_form(api: Api, wavix: WavixClient, name: str) -> None:
    parts = await upload(api, wavix, doc_attachment=PDF, filename=name)

    assert parts["doc_attachment"].get_payload(decode=True) == PDF


async def test_a_file_name_that_no_header_can_carry(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match="filename"):
        await upload(api, wavix, doc_attachment=PDF, filename="a\r\nX-Evil: 1\r\n.pdf")


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "tiff", "tif", "bmp", "pdf", "PNG", "Pdf"])
async def test_the_kinds_of_files(api: Api, wavix: WavixClient, suffix: str) -> None:
    parts = await upload(api, wavix, doc_attachment=b"x", filename=f"scan.{suffix}")

    kind = parts["doc_attachment"].get_content_type()
    assert kind.startswith("image/") or kind == "application/pdf"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"did_ids": []}, "did_ids is empty: pass at least one id"),
        ({"did_ids": [1, 0]}, r"did_ids\[1\] must be a positive integer"),
        ({"did_ids": "12"}, r"did_ids\[0\] must be a positive integer"),
        ({"filename": None}, "filename is missing: pass a file name"),
        ({"filename": ""}, "filename is missing"),
        ({"filename": "virus.exe"}, "virus.exe must be a PNG, JPG, JPEG, TIFF, TIF, BMP or PDF file"),
        ({"filename": "pdf"}, "pdf must be a PNG"),
        ({"doc_attachment": b""}, "a.pdf is empty"),
        ({"doc_attachment": bytes(10 * 1024 * 1024 + 1)}, "a.pdf is larger than 10 MB"),
        ({"doc_attachment": io.StringIO("x")}, r"open the file for reading bytes: open\(path, 'rb'\)"),
        (
            {"doc_attachment": "/nowhere/passport.pdf"},
            "doc_attachment: cannot read /nowhere/passport.pdf: No such file",
        ),
        ({"doc_attachment": "/"}, "doc_attachment: cannot read /: Is a directory"),
    ],
)
async def test_a_wrong_document_is_named(api: Api, wavix: WavixClient, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        await wavix.numbers.papers.upload(
            **{"did_ids": [1], "doc_id": "id", "doc_attachment": PDF, "filename": "a.pdf", **arguments}
        )

    assert api.sent == []


async def test_a_large_file_is_refused_before_it_is_read(api: Api, wavix: WavixClient, tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    with path.open("wb") as file:
        file.truncate(11 * 1024 * 1024)

    with pytest.raises(InputError, match=r"scan\.png is larger than 10 MB"):
        await wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=path)


class Dripping(io.RawIOBase):
    """A raw stream that gives one byte at a time, as a pipe may."""

    name = "scan.pdf"

    def __init__(self, content: bytes) -> None:
        self.left = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        given, self.left = self.left[:1], self.left[1:]
        buffer[: len(given)] = given
        return len(given)


async def test_a_stream_is_read_to_its_end(api: Api, wavix: WavixClient) -> None:
    parts = await upload(api, wavix, doc_attachment=Dripping(PDF))

    assert parts["doc_attachment"].get_payload(decode=True) == PDF


@pytest.mark.parametrize("made", [tempfile.TemporaryFile, tempfile.SpooledTemporaryFile])
async def test_a_file_object_without_a_name_needs_one(api: Api, wavix: WavixClient, made: Callable[[], Any]) -> None:
    with made() as file:
        file.write(PDF)
        file.seek(0)
        with pytest.raises(InputError, match="filename is missing"):
            await wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=file)


@pytest.mark.parametrize("source", [None, 5, "a\0.pdf"])
async def test_a_document_that_is_no_file_is_an_input_error(api: Api, wavix: WavixClient, source: Any) -> None:
    with pytest.raises(InputError, match="doc_attachment"):
        await wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=source)


async def test_a_bulk_update_sends_the_same_requests(api: Api, wavix: WavixClient) -> None:
    for number_id in (1, 2):
        api.answer("PATCH", f"/v1/numbers/{number_id}", ex.number(id=number_id))
    report = await wavix.numbers.bulk_update({1: NumberUpdate(sms_enabled=True), 2: NumberUpdate(call_status_url=None)})

    assert (report.updated, report.total, report.requests) == (2, 2, 2)
    assert {sent.path: sent.json for sent in api.sent} == {
        "/v1/numbers/1": {"sms_enabled": True},
        "/v1/numbers/2": {"call_status_url": None},
    }


# --- drift, through the whole client ---


# An answer without the id asked for, or without the value sent, is doubted, so these two do not drift here.
@pytest.mark.parametrize(
    "case",
    [case for case in ex.drift_cases() if case.where[0] not in ("id", "sms_enabled")][::9],
    ids=lambda case: case.name,
)
@pytest.mark.parametrize(
    "call",
    [lambda numbers: numbers.get(501), lambda numbers: numbers.update(501, sms_enabled=True)],
    ids=["get", "update"],
)
async def test_drift_goes_through_the_client(
    api: Api, wavix: WavixClient, call: Callable[[Any], Awaitable[Number]], case: ex.DriftCase
) -> None:
    api.answer("GET", "/v1/numbers/501", case.payload)
    api.answer("PATCH", "/v1/numbers/501", case.payload)

    assert ex.same(to_dict(await call(wavix.numbers)), case.payload)
