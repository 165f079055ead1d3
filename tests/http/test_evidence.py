"""An answer is believed only if it is about what was asked, shows it, and does not say no."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import pytest
from attrs import field, frozen
from cattrs.gen import override
from yarl import URL

from tests.conftest import BASE, KEY
from tests.support import examples as ex
from tests.support.clients import client
from wavix_async import (
    UNSET,
    APIError,
    AttemptEvent,
    DecodeError,
    InputError,
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    Success,
    UnsetType,
    WavixClient,
    WavixError,
)
from wavix_async._http import Response, build_request, read_response
from wavix_async.models import Call as PhoneCall
from wavix_async.models._base import Body, Model
from wavix_async.resources import messages, numbers

if TYPE_CHECKING:
    from tests.conftest import Api

pytestmark = pytest.mark.req_26

ON = NumberUpdate(sms_enabled=True)


def read(
    operation: Operation[Any],
    payload: Any,
    path: Mapping[str, object] | None = None,
    body: object = None,
) -> Any:
    """Read a 200 as the answer to a request of the operation."""
    request = build_request(operation, URL("https://api.wavix.test"), path, None, body)
    response = Response(200, {"Content-Type": "application/json"}, json.dumps(payload).encode(), request)
    return read_response(operation, response)[0]


def number(**changes: Any) -> dict[str, Any]:
    return ex.number(**{"id": 1001, **changes})


# --- one number ---

LIES: list[tuple[dict[str, Any], str]] = [
    (number(sms_enabled=False), "it shows sms_enabled=False instead of True"),
    (number(sms_enabled=None), "it shows sms_enabled=None instead of True"),
    (number(sms_enabled="true"), "it shows sms_enabled='true' instead of True"),
    ({"id": 1001}, "it shows sms_enabled=None instead of True"),
    (number(id=1002), "it is about id 1002 instead of 1001"),
    (number(id="1002"), "it is about id '1002' instead of 1001"),
    (number(id=True), "it is about id True instead of 1001"),
    (number(id=None), "it does not show the id 1001"),
    ({"number": "14155550123", "sms_enabled": True}, "it does not show the id 1001"),
    ({"status": "error", "message": "db down"}, "it says status: 'error'"),
    ({"status": "Failed", "message": "db down"}, "it says status: 'Failed'"),
    ({"status": 500, "error": "Internal Server Error"}, "it says error: 'Internal Server Error'"),
    ({"status": 500, "message": "no"}, "it says status: 500"),
    ({"success": 0, "id": 1001}, "it says success: 0"),
    ({**number(), "success": "false"}, "it says success: 'false'"),
    ({**number(), "success": None}, "it says success: None"),
    ({"id": None, "errors": ["no"]}, r"it says errors: \['no'\]"),
    ({**number(), "errors": {"sms_enabled": "no"}}, "it says errors: {'sms_enabled': 'no'}"),
    ({**number(), "error": {"code": 5}}, "it says error: {'code': 5}"),
    ({"error": "Not Found"}, "it says error: 'Not Found'"),
]


@pytest.mark.parametrize(("payload", "words"), LIES, ids=[words for _, words in LIES])
def test_an_update_whose_answer_contradicts_it_is_not_believed(payload: dict[str, Any], words: str) -> None:
    with pytest.raises(OutcomeUnknownError, match=rf"HTTP 200 for PATCH /v1/numbers/1001, .*: {words}\.") as caught:
        read(numbers.UPDATE, payload, {"id": 1001}, ON)

    assert "check the account before you send it again" in str(caught.value)
    assert (caught.value.outcome, caught.value.status, caught.value.retryable) == ("unknown", 200, False)
    assert caught.value.answer is not None
    assert caught.value.other_record is ("is about" in words)
    assert caught.value.is_contradicted
    assert caught.value.shows_other_values is not words.startswith("it says")
    assert re.fullmatch(words, caught.value.contradiction or "")


@pytest.mark.parametrize(
    "payload",
    [
        number(),
        number(id="1001"),
        number(id=1001.0),
        {**number(), "success": True, "error": None, "errors": []},
        {**number(), "success": 1, "error": False},
        number(status="blocked"),
        {"id": 1001, "sms_enabled": True},
    ],
)
def test_an_update_whose_answer_shows_it_is_believed(payload: dict[str, Any]) -> None:
    assert read(numbers.UPDATE, payload, {"id": 1001}, ON).sms_enabled is True


def test_fields_that_the_api_applies_late_prove_nothing() -> None:
    changes = NumberUpdate(destinations=[], sms_relay_url="https://new.example.net", transcription_threshold=12)

    assert read(numbers.UPDATE, number(transcription_threshold=12), {"id": 1001}, changes).id == 1001
    with pytest.raises(OutcomeUnknownError) as caught:
        read(numbers.UPDATE, number(transcription_threshold=9), {"id": 1001}, changes)
    assert caught.value.differing == ("transcription_threshold",)


def test_every_field_that_differs_is_named() -> None:
    changes = NumberUpdate(sms_enabled=False, call_status_url="https://new.example.net", transcription_threshold=9)

    with pytest.raises(OutcomeUnknownError, match="call_status_url=None instead of") as caught:
        read(numbers.UPDATE, number(), {"id": 1001}, changes)
    assert set(caught.value.differing) == {"sms_enabled", "call_status_url"}


@pytest.mark.parametrize("shown", [None, ""])
def test_a_value_that_was_cleared_may_be_null_or_an_empty_text(shown: str | None) -> None:
    assert read(numbers.UPDATE, number(call_status_url=shown), {"id": 1001}, NumberUpdate(call_status_url=None))


def test_a_body_of_plain_json_is_compared_too() -> None:
    with pytest.raises(OutcomeUnknownError, match="sms_enabled=True instead of False"):
        read(numbers.UPDATE, number(), {"id": 1001}, {"sms_enabled": False, "sms_relay_url": "late", "unknown": 1})


# --- reads ---


@pytest.mark.parametrize(
    "payload",
    [number(id=1002), number(id=None), {"status": "error", "message": "db down"}, {"error": "x"}, {"success": 0}],
)
def test_a_read_that_shows_another_record_is_a_broken_answer(payload: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="HTTP 200 for GET /v1/numbers/1001, but the answer") as caught:
        read(numbers.GET, payload, {"id": 1001})

    assert caught.value.retryable


async def test_a_read_of_another_record_is_repeated(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1001", number(id=1002))
    api.answer("GET", "/v1/numbers/1001", number())
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        assert (await wavix.numbers.get(1001)).id == 1001
    assert len(api.sent) == 2


@pytest.mark.parametrize("payload", [ex.number_page(), ex.number_page(ex.number(id=7)), ex.number_page(errors=[])])
def test_a_page_is_about_no_record(payload: dict[str, Any]) -> None:
    assert read(numbers.LIST, payload)


# --- answers that only confirm ---


@pytest.mark.parametrize(
    "payload",
    [
        {"success": 0},
        {"success": None},
        {"success": True, "error": "no"},
        {"success": True, "errors": [{"id": 1}]},
        {"success": True, "status": "error"},
        {"success": True, "status": 500},
        {"status": "error", "message": "db down"},
        {"message": "db down"},
        {"id": None, "errors": ["no"]},
        number(),
    ],
)
@pytest.mark.parametrize("operation", [numbers.RELEASE, messages.CREATE_OPT_OUT])
def test_an_object_that_does_not_say_success_confirms_nothing(
    payload: dict[str, Any], operation: Operation[Success]
) -> None:
    with pytest.raises(OutcomeUnknownError, match=r"the answer cannot be believed: it (says|does not say)") as caught:
        read(operation, payload)

    assert caught.value.answer == payload


@pytest.mark.parametrize(
    "payload",
    [
        {"success": True},
        {"success": 1},
        {"success": "true"},
        {},
        {"success": True, "message": "done", "errors": None},
        {"success": True, "status": "PENDING", "number": "14155550123"},
        {"success": True, "status": 200},
    ],
)
def test_an_object_that_says_success_confirms(payload: dict[str, Any]) -> None:
    assert type(read(numbers.RELEASE, payload)) is Success


@pytest.mark.parametrize(
    ("operation", "path", "query", "payload", "believed"),
    [
        (numbers.RELEASE, None, {"ids": 7}, {"success": True, "id": 7}, True),
        (numbers.RELEASE, None, {"ids": 7}, {"success": True, "id": "7"}, True),
        (numbers.RELEASE, None, {"ids": 7}, {"success": True, "id": 8}, False),
        (numbers.RELEASE, None, {"dids": "14155550123"}, {"success": True, "id": 8}, True),
        (messages.DELETE_SENDER_ID, {"id": "5a4c"}, None, {"success": True, "id": "5A4C"}, True),
        (messages.DELETE_SENDER_ID, {"id": "5a4c"}, None, {"success": True, "id": "5a4d"}, False),
        # The id of a new record, and that of another object.
        (Operation("POST", "/v1/things/{id}", Success), {"id": 1}, None, {"success": True, "id": 2}, True),
        (Operation("PUT", "/v1/cdrs/{id}/retranscribe", Success), {"id": 1}, None, {"success": True, "id": 2}, True),
    ],
)
def test_a_confirmation_that_names_another_record_confirms_nothing(
    operation: Operation[Any], path: Any, query: Any, payload: dict[str, Any], believed: bool
) -> None:
    request = build_request(operation, URL("https://api.wavix.test"), path, query)
    response = Response(200, {}, json.dumps(payload).encode(), request)
    if believed:
        assert read_response(operation, response)[0].success is True
        return
    with pytest.raises(OutcomeUnknownError, match=r"it is about id .* instead of") as caught:
        read_response(operation, response)
    assert caught.value.other_record


@pytest.mark.parametrize("payload", [{"success": False}, {"error": True}, {"success": False, "errors": ["no"]}])
def test_the_apis_own_form_of_an_error_is_a_rejection(payload: dict[str, Any]) -> None:
    with pytest.raises(APIError) as caught:
        read(numbers.RELEASE, payload)
    assert caught.value.outcome == "rejected"


# --- calls that are sent once ---

SMS = {"from": "Acme", "to": "447700900123", "message_body": {"text": "Hello"}}


@pytest.mark.req_01
@pytest.mark.parametrize(
    "payload",
    [
        {"status": "error", "message": "db down"},
        {"error": "Internal Server Error"},
        {"message": "db down"},
        {**ex.MESSAGE, "to": "447700900124"},
        {**ex.MESSAGE, "success": 0},
    ],
)
async def test_a_message_whose_answer_cannot_be_believed_goes_out_once(api: Api, payload: dict[str, Any]) -> None:
    api.answer("POST", "/v3/messages", payload, repeat=True)
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        with pytest.raises(OutcomeUnknownError):
            await wavix.messages.send(from_="Acme", to="447700900123", message_body={"text": "Hello"})
    assert len(api.sent) == 1


@pytest.mark.parametrize(
    "payload",
    [
        ex.MESSAGE,
        {**ex.MESSAGE, "to": "+447700900123"},
        {**ex.MESSAGE, "to": 447700900123},
        {**ex.MESSAGE, "status": "rejected", "error_message": "No route"},
        {**ex.MESSAGE, "status": "failed"},
        {**ex.MESSAGE, "from": "Other"},
    ],
)
def test_what_a_result_documents_is_data(payload: dict[str, Any]) -> None:
    assert read(messages.SEND, payload, None, SMS).message_id


# --- batches ---

BATCH = {"ids": [1, 2], "sms_enabled": True, "sms_relay_url": "https://late.example.net"}


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([number(id=1)], "it does not show 2"),
        ([], "it does not show 1, 2"),
        (None, "it does not show 1, 2"),
        ([number(id=1), number(id=3)], "it does not show 2"),
        ([number(id=1), None], "it does not show 2"),
        ([number(id=1), number(id=2, sms_enabled=False)], "it shows sms_enabled=False instead of True for id 2"),
    ],
)
def test_a_batch_whose_answer_does_not_show_every_number_is_not_believed(items: Any, words: str) -> None:
    with pytest.raises(OutcomeUnknownError, match=words) as caught:
        read(numbers.UPDATE_BATCH, {"items": items}, None, BATCH)
    assert caught.value.answer.items == items or len(caught.value.answer.items) == len(items)  # type: ignore[attr-defined]


def test_a_batch_that_shows_every_number_is_believed() -> None:
    answer = {"items": [number(id="2"), number(id=1), number(id=9, sms_enabled=False)]}
    assert len(read(numbers.UPDATE_BATCH, answer, None, BATCH).items) == 3


# --- through a client ---


async def test_an_update_that_is_contradicted_raises_and_neither_reads_nor_repeats(api: Api) -> None:
    api.answer("PATCH", "/v1/numbers/1001", number(sms_enabled=False), repeat=True)
    events: list[Any] = []
    async with client(retry=RetryPolicy(backoff=0), observers=[events.append]) as wavix:
        with pytest.raises(OutcomeUnknownError) as caught:
            await wavix.numbers.update(1001, sms_enabled=True)

    assert [sent.method for sent in api.sent] == ["PATCH"]
    error = caught.value
    assert isinstance(error.answer, Number)
    assert (error.answer.sms_enabled, error.differing, error.attempts) == (False, ("sms_enabled",), 1)
    (event,) = events
    assert isinstance(event, AttemptEvent)
    assert (event.status, event.error, event.outcome) == (200, "OutcomeUnknownError", "unknown")


@pytest.mark.req_24
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("payload", [number(sms_enabled=False, new=[1]), {"error": "no"}])
def test_the_answer_survives_a_pickle(payload: dict[str, Any], protocol: int) -> None:
    with pytest.raises(OutcomeUnknownError) as caught:
        read(numbers.UPDATE, payload, {"id": 1001}, ON)
    back = pickle.loads(pickle.dumps(caught.value, protocol))

    assert back.answer == caught.value.answer
    assert (str(back), back.differing, back.other_record) == (str(caught.value), caught.value.differing, False)


@pytest.mark.req_24
@pytest.mark.parametrize(
    "payload",
    [
        number(sms_enabled=False, call_status_url=f"https://x.example.net?appid={KEY}"),
        {"error": f"no such key {KEY}"},
        number(id=KEY),
    ],
)
async def test_the_key_is_not_in_the_answer(api: Api, payload: dict[str, Any]) -> None:
    api.answer("PATCH", "/v1/numbers/1001", payload)
    async with client() as wavix:
        with pytest.raises(OutcomeUnknownError) as caught:
            await wavix.numbers.update(1001, sms_enabled=True, call_status_url="https://y.example.net")

    assert KEY not in f"{caught.value} {caught.value.answer!r} {vars(caught.value)!r}"
    assert KEY.encode() not in pickle.dumps(caught.value)
    assert "<hidden>" in f"{caught.value.answer!r}"


LONG_KEY = "k" + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ."
LATE = f"{'x' * (120 - len(LONG_KEY))}{LONG_KEY}"
"""A text that a limit of 100 characters cuts in the middle of the key."""
SPREADING: list[dict[str, Any]] = [
    {"id": 1001, "error": f"upstream rejected the header Authorization: Bearer {LONG_KEY}"},
    {"id": 1001, "error": LATE},
    {"id": 1001, "errors": {"a": ["x", LATE]}},
    {"id": 1001, "errors": [LATE] * 9},
    {"success": LATE},
    {"text": LATE},
    {LATE: 1, "id": LATE},
    number(sms_enabled=LATE),
    number(call_status_url=LATE),
    number(call_status_url=f"{'x' * 30}{LONG_KEY}{'x' * 3000}"),
    number(id=LATE),
    number(id=[LATE]),
]


@pytest.mark.req_24
@pytest.mark.parametrize("payload", SPREADING)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE", "batch"])
async def test_no_part_of_the_key_is_in_what_a_message_quotes(api: Api, payload: dict[str, Any], method: str) -> None:
    path = "/v1/numbers" if method in ("DELETE", "batch") else "/v1/numbers/1001"
    answer = {"items": [{**payload, "id": 1001}]} if method == "batch" and "sms_enabled" in payload else payload
    api.answer("PATCH" if method == "batch" else method, path, answer)
    async with WavixClient(LONG_KEY, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        try:
            if method == "GET":
                await wavix.numbers.get(1001)
            elif method == "DELETE":
                await wavix.numbers.release(ids=[1001])
            elif method == "batch":
                await wavix.numbers.update_batch([1001], sms_enabled=True, call_status_url="https://y.example.net")
            else:
                await wavix.numbers.update(1001, sms_enabled=True, call_status_url="https://y.example.net")
        except WavixError as error:
            told = f"{error} {vars(error)!r}"
            assert not {LONG_KEY[at : at + 16] for at in range(len(LONG_KEY) - 15)} & {
                told[at : at + 16] for at in range(len(told))
            }
            return
    assert method == "GET"


@pytest.mark.parametrize("payload", [{"error": "busy"}, {"errors": ["no"]}, {"status": "failed"}, {"success": "no"}])
def test_a_message_about_plain_json_says_how_to_read_its_keys_as_data(payload: dict[str, Any]) -> None:
    call = Operation("GET", "/v1/calls/{id}", dict)
    with pytest.raises(DecodeError, match=r"\. If that is data, make the Operation with error_flag_is_data=True\.$"):
        read(call, payload, {"id": "46a2"})
    with pytest.raises(OutcomeUnknownError, match="error_flag_is_data=True"):
        read(Operation("POST", "/v1/calls/{id}", dict), payload, {"id": "46a2"})
    with pytest.raises(WavixError) as caught:
        read(numbers.GET, {**number(), "error": "busy"}, {"id": 1001})
    assert "error_flag_is_data" not in str(caught.value)
    assert read(attrs.evolve(call, error_flag_is_data=True), payload, {"id": "46a2"}) == payload


# --- what an operation declares ---


@frozen(kw_only=True)
class Trunk(Model):
    id: int = field(default=None)
    name: str = field(default=None)
    callerid: str | None = None
    password: str | None = field(default=None, repr=False)
    from_: Annotated[str | None, override(rename="from")] = None
    hosts: list[dict[str, object]] | None = None


@frozen(kw_only=True)
class TrunkSettings(Body):
    name: str
    callerid: str | UnsetType = UNSET
    password: str | UnsetType = field(default=UNSET, repr=False)
    from_: Annotated[str | UnsetType, override(rename="from")] = UNSET
    hosts: Sequence[Mapping[str, object]] | UnsetType = UNSET
    internal: int | UnsetType = UNSET


TRUNK = {"id": 5, "name": "office", "callerid": "14155550123", "password": "secret", "from": "a", "hosts": []}
PUT = Operation("PUT", "/v1/trunks/{id}", Trunk)


@pytest.mark.parametrize(
    ("settings", "shown", "differing"),
    [
        ({"name": "office"}, {}, ()),
        ({"name": "office", "internal": 7}, {}, ()),
        ({"name": "other"}, {}, ("name",)),
        ({"name": "office", "callerid": "+1 (415) 555-0123"}, {}, ()),
        ({"name": "office", "callerid": "14155550124"}, {}, ("callerid",)),
        ({"name": "office", "from_": "a"}, {}, ()),
        ({"name": "office", "from_": "b"}, {}, ("from",)),
        ({"name": "office", "hosts": [{"ip": "1.2.3.4"}]}, {"hosts": [{"id": 1, "ip": "1.2.3.4"}]}, ()),
        ({"name": "office", "hosts": [{"ip": "1.2.3.4"}]}, {"hosts": [{"id": 1, "ip": "1.2.3.5"}]}, ("hosts",)),
        ({"name": "office", "hosts": [{"ip": "1.2.3.4"}]}, {}, ("hosts",)),
        ({"name": "office", "hosts": []}, {"hosts": None}, ()),
    ],
)
def test_a_new_operation_needs_to_declare_nothing(
    settings: dict[str, Any], shown: dict[str, Any], differing: tuple[str, ...]
) -> None:
    def call() -> object:
        return read(PUT, {**TRUNK, **shown}, {"id": 5}, TrunkSettings(**settings))

    if not differing:
        assert call()
        return
    with pytest.raises(OutcomeUnknownError) as caught:
        call()
    assert caught.value.differing == differing


def test_a_value_that_is_not_shown_anywhere_is_not_shown_in_an_error() -> None:
    with pytest.raises(OutcomeUnknownError, match="password='<hidden>' instead of '<hidden>'") as caught:
        read(PUT, {**TRUNK, "password": "masked"}, {"id": 5}, TrunkSettings(name="office", password="a private thing"))
    assert "a private thing" not in repr(vars(caught.value))


CALL = {"uuid": "4F0D-A", "call_id": "x1", "brand_id": "B1", "campaign_id": "C1"}


@frozen(kw_only=True)
class Call(Model):
    uuid: str = field(default=None)


@frozen(kw_only=True)
class Campaign(Model):
    brand_id: str = field(default=None)
    campaign_id: str = field(default=None)


@frozen(kw_only=True)
class Stream(Model):
    id: int = field(default=None)


@frozen(kw_only=True)
class Recording(Model):
    id: int | None = None
    call_id: str | None = None


@pytest.mark.parametrize(
    ("operation", "path", "payload", "believed"),
    [
        (Operation("GET", "/v1/calls/{id}", Call), {"id": "4f0d-a"}, CALL, True),
        (Operation("GET", "/v1/calls/{id}", Call, unwrap="call"), {"id": "4f0d-b"}, {"call": CALL}, False),
        (Operation("GET", "/v1/calls/{id}", Call, answer_id=""), {"id": "other"}, CALL, True),
        (
            Operation("GET", "/b/{brand_id}/c/{campaign_id}", Campaign),
            {"brand_id": "B1", "campaign_id": "C1"},
            CALL,
            True,
        ),
        (
            Operation("GET", "/b/{brand_id}/c/{campaign_id}", Campaign),
            {"brand_id": "B2", "campaign_id": "C1"},
            CALL,
            False,
        ),
        (
            Operation("GET", "/b/{brand_id}/c/{campaign_id}", Campaign),
            {"brand_id": "B1", "campaign_id": "C2"},
            CALL,
            False,
        ),
        # The path goes on: the id of the answer is that of the stream.
        (Operation("POST", "/v1/calls/{id}/streams", Stream), {"id": 1}, {"id": 77}, True),
        # The documentation says that this one may be left out.
        (Operation("GET", "/v1/recordings/{call_id}", Recording), {"call_id": "x1"}, {"id": 3}, True),
        (Operation("GET", "/v1/recordings/{call_id}", Recording), {"call_id": "x2"}, {"id": 3, "call_id": "x1"}, False),
        # No model documents the keys of plain JSON.
        (Operation("GET", "/v1/calls/{id}", dict), {"id": "46a2"}, {"id": 5, "status": "failed"}, True),
        (Operation("GET", "/v1/calls/{id}", dict, answer_id="uuid"), {"id": "x"}, CALL, False),
        (Operation("GET", "/v1/calls/{id}", dict, answer_id="uuid"), {"id": "x"}, {"id": "x"}, False),
        (Operation("GET", "/v1/calls/{id}", dict, answer_id="uuid"), {"id": "4f0d-A"}, CALL, True),
        (Operation("GET", "/v1/calls/{id}", dict), {"id": "46a2"}, {"error": "gone"}, False),
        (Operation("GET", "/v1/calls/{id}", dict, error_flag_is_data=True), {"id": "46a2"}, {"error": "busy"}, True),
        (Operation("GET", "/v1/calls/{id}", list), {"id": "46a2"}, [CALL], True),
        (Operation("GET", "/v1/calls/{id}", None), {"id": "46a2"}, {"error": "x"}, True),
    ],
)
def test_the_id_that_an_answer_repeats(
    operation: Operation[Any], path: dict[str, Any], payload: Any, believed: bool
) -> None:
    if believed:
        read(operation, payload, path)
        return
    with pytest.raises(DecodeError, match="cannot be believed"):
        read(operation, payload, path)


def test_a_post_shows_what_its_operation_says() -> None:
    body = {"name": "office", "callerid": "1"}
    for echoes, believed in ((None, True), (("name",), True), (("name", "callerid"), False)):
        operation = Operation("POST", "/v1/trunks", Trunk, echoes=echoes)
        plain = Operation("POST", "/v1/trunks", dict, echoes=echoes)
        for each in (operation, plain):
            if believed:
                assert read(each, TRUNK, None, body)
            else:
                with pytest.raises(OutcomeUnknownError, match="callerid='14155550123' instead of '1'"):
                    read(each, TRUNK, None, body)


@pytest.mark.parametrize("setting", [{"answer_id": 5}, {"echoes": "to"}, {"applied_late": [1]}, {"batch_ids": 1}])
def test_a_wrong_setting_is_an_input_error(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        Operation("PATCH", "/v1/trunks", Trunk, **setting)


@pytest.mark.parametrize(
    "payload", [[], {}, "x", None, {"error": [[]]}, {"status": [1]}, {"success": []}, {"errors": {}}]
)
async def test_any_answer_gives_a_result_or_one_of_our_errors(api: Api, wavix: WavixClient, payload: Any) -> None:
    for method, path in (("PATCH", "/v1/numbers/1"), ("GET", "/v1/numbers/1"), ("DELETE", "/v1/numbers")):
        api.answer(method, path, payload)
    for call in (wavix.numbers.update(1, sms_enabled=True), wavix.numbers.get(1), wavix.numbers.release(ids=[1])):
        with suppress(WavixError):
            await call


def test_a_call_with_other_options_of_its_operation_is_judged_by_them() -> None:
    """What an operation has worked out for its answers must not go over to a copy of it."""
    read(numbers.UPDATE, number(), {"id": 1001}, ON)
    other = attrs.evolve(numbers.UPDATE, applied_late=("sms_enabled",))
    assert read(other, number(sms_enabled=False), {"id": 1001}, ON)


# --- errors inside an answer ---


@frozen(kw_only=True)
class Job(Model):
    id: int = field(default=None)
    label: str | None = None
    error: str | None = None
    """Why the job failed: data."""


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize("result", [dict, Trunk])
@pytest.mark.parametrize(
    "inner",
    [
        {"id": 5, "name": "office", "error": "could not save"},
        {"id": 5, "name": "office", "error": True},
        {"id": 5, "name": "office", "success": False},
        {"success": False},
        {"status": "error", "message": "no"},
        None,
        False,
    ],
)
def test_an_error_inside_what_is_unwrapped_is_a_doubt(method: str, result: Any, inner: Any) -> None:
    operation = Operation(method, "/v1/trunks", result, unwrap="trunk")
    with pytest.raises((DecodeError, OutcomeUnknownError)) as caught:
        read(operation, {"success": True, "trunk": inner})
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        (Operation("POST", "/v1/jobs", Job, unwrap="job"), {"job": {"id": 5, "error": "no route"}}),
        (Operation("POST", "/v1/jobs", dict, unwrap="job"), {"job": {"id": 5, "status": "failed", "error": None}}),
        (Operation("POST", "/v1/jobs", dict, unwrap="job"), {"id": 5, "job": None}),
        (Operation("POST", "/v1/jobs", dict, unwrap="job", error_flag_is_data=True), {"job": {"error": "no route"}}),
        (Operation("POST", "/v1/jobs", list[Job]), [{"id": 5, "error": "no route"}]),
        (Operation("POST", "/v1/jobs", list[Job]), []),
        (Operation("POST", "/v1/jobs", list), [None, 1]),
        (Operation("POST", "/v1/jobs", list[dict], error_flag_is_data=True), [{"error": "no route"}]),
        (Operation("PATCH", "/v1/jobs", list[Job], batch_ids="ids"), [{"id": 5, "error": "no route"}]),
    ],
)
def test_an_error_that_a_result_documents_is_data(operation: Operation[Any], payload: Any) -> None:
    assert read(operation, payload, None, {"ids": [5]}) is not None


@pytest.mark.parametrize(
    "payload",
    [
        [],
        [None, None],
        [1, 2],
        [{}],
        [{"error": "x"}],
        [{"message": "x"}],
        [ex.document(), {"error": "x"}],
        [ex.document(), None],
        [ex.document(id=None)],
        [{**ex.document(), "error": "x"}],
    ],
)
def test_an_upload_whose_answer_holds_no_documents_is_a_doubt(payload: Any) -> None:
    with pytest.raises(OutcomeUnknownError, match="cannot be believed") as caught:
        read(numbers.UPLOAD, payload)
    assert caught.value.answer is not None


def test_an_upload_whose_answer_has_a_new_key_is_believed() -> None:
    assert len(read(numbers.UPLOAD, [{**ex.document(), "new": 1, "error": None}])) == 1


@pytest.mark.parametrize(
    ("result", "item"), [(list, {"error": "x"}), (list[dict], {"error": "x"}), (list[Job], {"message": "no"})]
)
def test_a_list_that_answers_a_change_with_an_error_is_a_doubt(result: Any, item: Any) -> None:
    with pytest.raises(OutcomeUnknownError, match=r"it says error: 'x'|in place of a record"):
        read(Operation("POST", "/v1/jobs", result), [item])


@pytest.mark.parametrize(
    "wrong", [{"error": "could not save"}, {"errors": ["no"]}, {"success": False}, {"status_code": 1, "error": True}]
)
@pytest.mark.parametrize("at", [0, 1])
def test_an_error_in_one_record_of_a_batch_is_a_doubt(wrong: dict[str, Any], at: int) -> None:
    items = [number(id=1), number(id=2)]
    items[at] |= wrong
    with pytest.raises(OutcomeUnknownError, match=rf"it says (error|errors|success): .* for id {at + 1}\."):
        read(numbers.UPDATE_BATCH, {"items": items}, None, BATCH)


@pytest.mark.parametrize("order", [1, -1])
def test_a_number_that_comes_twice_must_show_the_change_twice(order: int) -> None:
    items = [number(id=1), number(id=2, sms_enabled=False), number(id=2)][::order]
    with pytest.raises(OutcomeUnknownError, match="sms_enabled=False instead of True for id 2"):
        read(numbers.UPDATE_BATCH, {"items": items}, None, BATCH)


@pytest.mark.parametrize(
    ("result", "settings", "around"),
    [
        (list, {}, None),
        (list[dict], {}, None),
        (list[dict], {"unwrap": "items"}, "items"),
        (dict, {}, "items"),
        (dict, {}, "trunks"),
        (object, {}, "items"),
        (object, {}, None),
        (list, {"answer_id": "uuid"}, None),
    ],
)
def test_a_batch_of_plain_json(result: Any, settings: dict[str, Any], around: str | None) -> None:
    operation = Operation("PATCH", "/v1/trunks", result, batch_ids="ids", echoes=["label"], **settings)
    key = settings.get("answer_id", "id")

    def told(*records: dict[str, Any]) -> Any:
        return read(operation, {around: [*records]} if around else [*records], None, {"ids": [1, 2], "label": "a"})

    right = [{key: 1, "label": "a"}, {key: "2", "label": "a"}]
    assert told(*right)
    for wrong in (
        {key: 3, "label": "a"},
        {key: 2, "label": "b"},
        {key: 2, "label": "a", "error": "no"},
        {"label": "a"},
    ):
        with pytest.raises(OutcomeUnknownError, match=r"does not show 2|instead of 'a' for id 2|it says error"):
            told(right[0], wrong)


def test_a_batch_below_a_record_names_what_differs() -> None:
    operation = Operation(
        "PATCH", "/v1/groups/{id}/trunks", list, batch_ids="ids", answer_id="id", echoes=["label"], idempotent=True
    )
    with pytest.raises(OutcomeUnknownError, match="it shows label='b' instead of 'a' for id 1"):
        read(operation, [{"id": 1, "label": "b"}], {"id": 9}, {"ids": [1], "label": "a"})


# --- the proof that something was made ---


@pytest.mark.req_01
@pytest.mark.parametrize("shown", [{"message_id": None}, {"message_id": ""}])
def test_a_message_without_an_id_is_a_doubt(shown: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknownError, match="it does not show the message_id") as caught:
        read(messages.SEND, {**ex.MESSAGE, **shown}, None, SMS)
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("result", [dict, Job, object, list[Job], list])
def test_the_proof_that_something_was_made(result: Any) -> None:
    operation = Operation("POST", "/v1/jobs", result, proof="id")
    right, wrong = {"id": 5, "label": "a"}, {"label": "a"}
    in_list = result in (list[Job], list)
    assert read(operation, [right] if in_list else right)
    with pytest.raises(OutcomeUnknownError):
        read(operation, [right, wrong] if in_list else wrong)


@pytest.mark.req_01
@pytest.mark.parametrize("result", [dict, PhoneCall, list[PhoneCall]])
def test_one_proof_of_several_is_enough(result: Any) -> None:
    operation = Operation("POST", "/v1/calls", result, proof=("id", "uuid"))
    for right in ({"id": "a", "to": "1"}, {"uuid": "a", "to": "1"}):
        assert read(operation, [right] if result == list[PhoneCall] else right)
    wrong = {"id": None, "to": "1"}
    with pytest.raises(OutcomeUnknownError, match="id or uuid"):
        read(operation, [wrong] if result == list[PhoneCall] else wrong)
    with pytest.raises(InputError, match="proof"):
        Operation("POST", "/v1/calls", dict, proof=("id", ""))


def test_a_batch_needs_no_proof() -> None:
    with pytest.raises(InputError, match="proof"):
        Operation("PATCH", "/v1/jobs", list, batch_ids="ids", proof="id")
    with pytest.raises(InputError, match="proof"):
        Operation("POST", "/v1/jobs", dict, proof=5)  # type: ignore[arg-type]


async def test_nothing_under_the_key_to_unwrap_is_sent_once(api: Api) -> None:
    api.answer("POST", "/v1/trunks", {"trunk": None}, repeat=True)
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        with pytest.raises(OutcomeUnknownError):
            await wavix.call(Operation("POST", "/v1/trunks", dict, unwrap="trunk"), body={"label": "a"})
    assert len(api.sent) == 1
