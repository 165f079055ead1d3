"""Operations: the defaults of a new one, and the reviewed properties of the existing ones."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from contextlib import suppress
from decimal import Decimal
from typing import Any, Optional, Union

import attrs
import pytest

from wavix_async import (
    DecodeError,
    InputError,
    Number,
    NumberPage,
    NumberStatus,
    NumberUpdate,
    Operation,
    Page,
    Success,
    resources,
)
from wavix_async._codec import fits
from wavix_async._http import Response, read_response
from wavix_async.models import NumberBatch
from wavix_async.resources import numbers


@pytest.mark.req_02
@pytest.mark.req_23
@pytest.mark.parametrize(
    ("method", "idempotent", "not_found_is_success"),
    [
        ("GET", True, False),
        ("PUT", True, False),
        ("DELETE", True, True),
        ("POST", False, False),
        ("PATCH", False, False),
    ],
)
def test_a_new_operation_is_safe_until_someone_has_thought_about_it(
    method: str, idempotent: bool, not_found_is_success: bool
) -> None:
    operation = Operation(method, "/v1/things/{id}", Success)

    assert operation.idempotent is idempotent
    assert operation.not_found_is_success is not_found_is_success
    assert (operation.scope, operation.limit_group, operation.fail_fast_on_429) == (None, "default", False)
    assert operation.name == f"{method} /v1/things/{{id}}"


@pytest.mark.req_02
def test_what_is_stated_wins() -> None:
    operation = Operation(
        "PUT", "/v1/costly", Success, idempotent=False, not_found_is_success=True, fail_fast_on_429=True
    )

    assert (operation.idempotent, operation.not_found_is_success, operation.fail_fast_on_429) == (False, True, True)


def test_a_429_is_about_one_request_by_its_code() -> None:
    operation = Operation("POST", "/v1/costly", Success, fail_fast_codes=["7", "47"])
    assert [operation.is_quota(code) for code in ("7", "47", "26", None)] == [True, True, False, False]
    assert Operation("POST", "/v1/x", Success, fail_fast_on_429=True).is_quota(None)
    with pytest.raises(InputError, match="fail_fast_codes must be a list of error codes"):
        Operation("POST", "/v1/x", Success, fail_fast_codes="47")


def test_an_operation_is_a_value() -> None:
    assert Operation("GET", "/v1/x", Success) == Operation("GET", "/v1/x", Success)
    assert len({Operation("GET", "/v1/x", Success), Operation("GET", "/v1/x", Success)}) == 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        numbers.GET.path = "/elsewhere"  # type: ignore[misc]


# What has been thought about, operation by operation, with the reason where it is not the method's.
REVIEWED = {
    "GET /v1/numbers": True,
    "GET /v1/numbers/{id}": True,
    "PATCH /v1/numbers/{id}": True,  # sets fields to given values: twice is once
    "PATCH /v1/numbers": True,  # the same for many
    "DELETE /v1/numbers": True,  # what is gone is gone
    "POST /v1/numbers/papers": False,  # each upload is a document of its own
    "GET /v3/messages": True,
    "GET /v3/messages/all": True,  # until a row was handed out
    "GET /v3/messages/{id}": True,
    "POST /v3/messages": False,  # sends a message, and is charged
    "GET /v3/messages/sender-ids": True,
    "POST /v3/messages/sender-ids": False,  # has a monthly fee
    "GET /v3/messages/sender-ids/{id}": True,
    "DELETE /v3/messages/sender-ids/{id}": True,
    "GET /v3/messages/opt-outs": True,
    "POST /v3/messages/opt-outs": True,  # a number that has opted out stays so
    "GET /v1/calls/webhooks": True,
    "POST /v1/calls/webhooks": False,  # may make a second one
    "DELETE /v1/calls/webhooks": True,
    "POST /v1/calls": False,  # starts a call, and is charged
    "GET /v1/calls": True,
    "GET /v1/calls/{id}": True,
    "DELETE /v1/calls/{id}": True,  # a call that is over stays over
    "PATCH /v1/calls/{id}": True,  # sets the tag
    "POST /v1/calls/{id}/answer": False,  # may start a stream
    "POST /v1/calls/{call_id}/streams": False,  # starts another stream
    "DELETE /v1/calls/{call_id}/streams/{id}": True,
    "POST /v1/calls/{id}/play": False,  # plays it again
    "DELETE /v1/calls/{id}/audio": True,  # silence stays silence
    "POST /v1/calls/{id}/collect": False,  # asks again
    "GET /v2/webrtc/tokens": True,
    "POST /v2/webrtc/tokens": False,  # makes another token
    "GET /v2/webrtc/tokens/{id}": True,
    "PUT /v2/webrtc/tokens/{id}": True,
    "DELETE /v2/webrtc/tokens/{id}": True,
    "POST /v1/voice-campaigns": False,  # starts a call, and is charged
    "GET /v1/voice-campaigns/{id}": True,
    "GET /v1/cdrs": True,
    "POST /v1/cdrs": True,  # only reads
    "GET /v1/cdrs/all": True,  # until a row was handed out
    "GET /v1/cdrs/{call_id}": True,
    "PUT /v1/cdrs/{call_id}/retranscribe": False,  # charges for each minute
    "GET /v1/cdrs/{call_id}/transcription": True,
    "GET /v1/cdrs/{call_id}/transcriptions": True,
    "GET /v1/recordings": True,
    "GET /v1/recordings/{call_id}": True,
    "GET /v1/recordings/{id}": True,
    "DELETE /v1/recordings/{id}": True,
    "POST /v1/speech-analytics": False,  # charges for each minute
    "GET /v1/speech-analytics/{request_id}": True,
    "PUT /v1/speech-analytics/{request_id}": False,  # charges again
    "GET /v1/speech-analytics/{request_id}/file": True,
    "GET /v3/10dlc/brands": True,
    "POST /v3/10dlc/brands": False,  # has a fee
    "GET /v3/10dlc/brands/{brand_id}": True,
    "PUT /v3/10dlc/brands/{brand_id}": False,  # can have a fee
    "DELETE /v3/10dlc/brands/{brand_id}": True,
    "GET /v3/10dlc/brands/{brand_id}/appeals": True,
    "POST /v3/10dlc/brands/{brand_id}/appeals": False,  # can have a fee
    "GET /v3/10dlc/brands/{brand_id}/evidence": True,
    "POST /v3/10dlc/brands/{brand_id}/evidence": False,  # makes a copy
    "GET /v3/10dlc/brands/{brand_id}/evidence/{id}": True,
    "DELETE /v3/10dlc/brands/{brand_id}/evidence/{id}": True,
    "GET /v3/10dlc/brands/{brand_id}/vettings": True,
    "POST /v3/10dlc/brands/{brand_id}/vettings": False,  # has a fee
    "PUT /v3/10dlc/brands/{brand_id}/vettings": False,  # can have a fee
    "GET /v3/10dlc/brands/{brand_id}/vettings/appeals": True,
    "POST /v3/10dlc/brands/{brand_id}/vettings/appeals": False,  # can have a fee
    "GET /v3/10dlc/brands/{brand_id}/usecases/{use_case}": True,
    "GET /v3/10dlc/brands/campaigns": True,
    "GET /v3/10dlc/brands/{brand_id}/campaigns": True,
    "POST /v3/10dlc/brands/{brand_id}/campaigns": False,  # charges three months
    "GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}": True,
    "PUT /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}": True,  # sets fields to given values
    "DELETE /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}": True,
    "POST /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/nudge": False,  # once in a day
    "GET /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers": True,
    "POST /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers/{number}": False,  # may register it again
    "DELETE /v3/10dlc/brands/{brand_id}/campaigns/{campaign_id}/numbers/{number}": True,
    "GET /v3/10dlc/subscriptions": True,
    "POST /v3/10dlc/subscriptions": False,  # may make a second one
    "DELETE /v3/10dlc/subscriptions": True,
    "GET /v1/buy/countries": True,
    "GET /v1/buy/countries/{country_id}/regions": True,
    "GET /v1/buy/countries/{country_id}/cities": True,
    "GET /v1/buy/countries/{country_id}/regions/{region_id}/cities": True,
    "GET /v1/buy/countries/{country_id}/cities/{city_id}/dids": True,
    "PUT /v1/buy/cart": False,  # what is in the cart can be bought
    "GET /v1/buy/cart": True,
    "DELETE /v1/buy/cart": True,
    "POST /v1/buy/cart/checkout": False,  # charges at once
    "GET /v1/billing/transactions": True,
    "GET /v1/billing/invoices": True,
    "GET /v1/billing/invoices/{id}": True,
    "GET /v1/validation": False,  # charges, though it is a GET
    "POST /v1/validation": False,  # charges for each number
    "GET /v1/validation/{request_id}": True,
    "POST /v1/short-links": False,  # charges for another link
    "GET /v1/short-links/metrics": True,
    "POST /v1/two-fa/verification": False,  # sends a code
    "POST /v1/two-fa/verification/{session_id}": False,  # sends another code
    "POST /v1/two-fa/verification/{session_id}/check": False,  # uses an attempt
    "PATCH /v1/two-fa/verification/{session_id}/cancel": True,
    "GET /v1/two-fa/service/{service_id}/sessions": True,
    "GET /v1/two-fa/session/{session_id}/events": True,
    "GET /v1/api-keys": True,
    "POST /v1/api-keys": False,  # makes another key
    "PATCH /v1/api-keys/{id}": True,  # sets fields
    "DELETE /v1/api-keys/{id}": True,
    "GET /v1/trunks": True,
    "POST /v1/trunks": False,  # makes another trunk
    "GET /v1/trunks/{id}": True,
    "PUT /v1/trunks/{id}": True,
    "DELETE /v1/trunks/{id}": True,
    "GET /v1/profile": True,
    "PUT /v1/profile": True,
    "GET /v1/profile/config": True,
    "GET /v1/sub-organizations": True,
    "POST /v1/sub-organizations": False,  # makes another one
    "GET /v1/sub-organizations/{id}": True,
    "PUT /v1/sub-organizations/{id}": True,
    "GET /v1/sub-organizations/{id}/billing/transactions": True,
}


@pytest.mark.req_02
def test_whether_a_call_may_be_repeated_has_been_reviewed_for_every_operation() -> None:
    """A new operation fails here until someone has written down what they think."""
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.walk_packages(resources.__path__, "wavix_async.resources.")
    ]
    found = {each.name: each for module in modules for each in vars(module).values() if isinstance(each, Operation)}
    assert {name: operation.idempotent for name, operation in found.items()} == REVIEWED


@pytest.mark.req_02
@pytest.mark.parametrize(
    ("operation", "name", "result", "scope", "idempotent"),
    [
        (numbers.LIST, "GET /v1/numbers", NumberPage, "numbers:read", True),
        (numbers.GET, "GET /v1/numbers/{id}", Number, "numbers:read", True),
        (numbers.UPDATE, "PATCH /v1/numbers/{id}", Number, "numbers:write", True),
        (numbers.UPDATE_BATCH, "PATCH /v1/numbers", NumberBatch, "numbers:write", True),
        (numbers.RELEASE, "DELETE /v1/numbers", Success, "numbers:write", True),
        (numbers.UPLOAD, "POST /v1/numbers/papers", None, "numbers:write", False),
    ],
)
def test_the_operations_of_numbers(
    operation: Operation[object], name: str, result: type | None, scope: str, idempotent: bool
) -> None:
    assert operation.name == name
    assert result is None or operation.result is result
    assert operation.scope == scope
    assert operation.idempotent is idempotent
    assert operation.fail_fast_on_429 is False


# --- checks when an operation is made: nothing has been sent ---

RESULTS: list[Any] = [
    None,
    Number,
    Success,
    NumberPage,
    dict,
    list,
    dict[str, Any],
    dict[str, object],
    dict[str, Number],
    list[Number],
    list[dict[str, Any]],
    list[str],
    list[Decimal | None],
    list[NumberStatus],
    list[list[Number]],
    list[object],
    dict[str, list[Number | str]],
    object,
    Any,
    Number | Success,
    Number | None,
    list[Number] | Success,
    Union[Number, Success],  # noqa: UP007
    Optional[Number],  # noqa: UP045
]


@pytest.mark.parametrize("result", RESULTS, ids=str)
def test_what_an_answer_can_be(result: Any) -> None:
    operation = Operation("GET", "/v1/things", result)

    assert operation.result == result
    assert copy.copy(operation) == pickle.loads(pickle.dumps(operation)) == operation
    assert len({operation, Operation("GET", "/v1/things", result)}) == 1


@pytest.mark.req_24
@pytest.mark.parametrize(
    "payload", ["{}", "[]", "null", '"a"', "5", '{"id": 1}', '[{"id": "1"}]', '{"items": [{}]}', "[[1]]"]
)
@pytest.mark.parametrize("result", RESULTS, ids=str)
def test_what_an_answer_can_be_is_read_or_one_of_our_errors(result: Any, payload: str) -> None:
    operation = Operation("GET", "/v1/things", result)
    read: list[Any] = []
    with suppress(DecodeError):
        read.append(read_response(operation, Response(200, {"Content-Type": "application/json"}, payload.encode()))[0])

    assert all(fits(type(None) if result is None else result, value) for value in read)


class Text(str):
    __slots__ = ()


@pytest.mark.req_01
@pytest.mark.parametrize(
    ("result", "named"),
    [
        (bytes, "bytes"),
        (str, "str"),
        (Text, "Text"),
        (int, "int"),
        (NumberUpdate, "NumberUpdate"),
        (dict[int, Number], "dict\\[int, .*Number\\]"),
        (list[bytes], "bytes"),
        (list[set[str]], "set"),
        (dict[str, NumberUpdate], "NumberUpdate"),
        (set[str], "set"),
        (Page[Number], "Page"),  # a class of its own is one: NumberPage
        (tuple, "tuple"),
        (Number | bytes, "bytes"),
        ("dict", "dict"),
        (5, "5"),
        (Success(success=True), "Success"),
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_read_is_refused_before_anything_is_sent(result: Any, named: str) -> None:
    with pytest.raises(
        InputError, match=rf"POST /v1/things: the result cannot be .*{named}.*list\[\.\.\.\] of one, dict"
    ) as caught:
        Operation("POST", "/v1/things", result)
    assert caught.value.outcome == "not_sent"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_methods(method: str) -> None:
    assert Operation(method, "/v1/things", Success).idempotent is (method not in {"POST", "PATCH"})


@pytest.mark.parametrize("method", ["get", "Patch", "", "OPTIONS", "TRACE", "GET ", None, 5])
def test_a_method_that_is_none(method: Any) -> None:
    with pytest.raises(InputError, match="must be one of GET, POST, PUT, PATCH, DELETE, HEAD; got"):
        Operation(method, "/v1/things", Success)


@pytest.mark.parametrize(
    ("path", "placeholders"),
    [
        ("/", ()),
        ("/v1/things", ()),
        ("/v1/{id}", ("id",)),
        ("/v1/{a}/b/{c_1}", ("a", "c_1")),
        ("/v1/{a}-{b}.json", ("a", "b")),
    ],
)
def test_paths(path: str, placeholders: tuple[str, ...]) -> None:
    assert Operation("GET", path, Success).placeholders == placeholders


@pytest.mark.parametrize(
    "path",
    [
        "v1/things",
        "",
        "https://api.wavix.com/v1/things",
        None,
        "/v1/{}",
        "/v1/{id",
        "/v1/id}",
        "/v1/{{id}}",
        "/v1/{0}",
        "/v1/{a.b}",
        "/v1/{a[0]}",
        "/v1/{a!r}",
        "/v1/{a:>5}",
        "/v1/{a-b}",
        "/v1/{id}/{id}",
        "/v1/things?page=1",
        "/v1/things#top",
        "/v1/two words",
        "/v1/d\u00fcsseldorf",
    ],
)
def test_a_path_that_is_none(path: Any) -> None:
    with pytest.raises(InputError, match=r"The path of an operation must look like /v1/numbers/\{id\}; got"):
        Operation("GET", path, Success)


@pytest.mark.parametrize("name", ["unwrap", "wrap"])
def test_keys_of_answers_and_bodies(name: str) -> None:
    wrong: Any
    for wrong in ("", 5, ["call"]):
        with pytest.raises(InputError, match=rf"GET /v1/things: {name} must be a key such as 'call', or None"):
            Operation("GET", "/v1/things", dict, **{name: wrong})


@pytest.mark.parametrize(
    "name", ["idempotent", "fail_fast_on_429", "not_found_is_success", "error_flag_is_data", "pending_202"]
)
@pytest.mark.parametrize("value", ["no", "", 1, 0, None])
def test_a_switch_is_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"POST /v1/things: {name} must be True or False, got {value!r}"):
        Operation("POST", "/v1/things", dict, **{name: value})


def test_reserved_words() -> None:
    operation = Operation("GET", "/v3/messages/{id}", dict, reserved=["all", "sender-ids"])
    assert operation.reserved == {"all", "sender-ids"}
    assert hash(operation) == hash(Operation("GET", "/v3/messages/{id}", dict, reserved=("sender-ids", "all")))
    wrong: Any
    for wrong in ("all", ["all", 5], [""], 5):
        with pytest.raises(InputError, match=r"reserved must be a list of path words such as \['all'\]"):
            Operation("GET", "/v3/messages/{id}", dict, reserved=wrong)


def test_an_operation_can_be_changed() -> None:
    """`attrs.evolve` makes a new one, which is checked and split again."""
    other = attrs.evolve(numbers.GET, path="/v1/other/{name}", result=dict)

    assert (other.placeholders, other.scope, other.result) == (("name",), numbers.GET.scope, dict)
    with pytest.raises(InputError):
        attrs.evolve(numbers.GET, result=bytes)
