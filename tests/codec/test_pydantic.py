"""Our models in pydantic: FastAPI accepts, returns and documents them without a second model."""

import json
import os
import pprint
import py_compile
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import attrs
import httpx
import pytest
from cattrs.gen import override
from fastapi import Body as FromBody
from fastapi import FastAPI, Query
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import VERSION, BaseModel, TypeAdapter, ValidationError

import wavix_async
from tests.models.test_drift import ANSWERS, payload
from tests.resources.rows.ten_dlc import NEW_BRAND, NEW_CAMPAIGN
from tests.resources.rows.trunks import SETTINGS as TRUNK
from tests.support import examples as ex
from wavix_async import (
    UNSET,
    DocumentType,
    InboundCallDestination,
    InboundCallTransport,
    InputError,
    Number,
    NumberDestination,
    NumberDocument,
    NumberPage,
    NumberStatus,
    NumberUpdate,
    Page,
    Pagination,
    Success,
    UnsetType,
    from_dict,
    models,
    to_dict,
)
from wavix_async.models import NumberBatch
from wavix_async.models._base import Body, Model, OpenIntEnum, OpenStrEnum

ROOT = Path(__file__).resolve().parents[2]
PYDANTIC = tuple(int(part) for part in VERSION.split(".")[:2])
T = TypeVar("T")
quick = settings(deadline=None, max_examples=75)
TARGET = {"destination": "sip:a@pbx.example.net", "priority": 1, "transport": 1}

STREAM = {"stream_url": "wss://media.example.com", "stream_type": "oneway", "stream_channel": "both"}
SPOKEN = {"text": "Press 1", "voice": "a-new-voice", "language": "en"}
APPEAL: dict[str, Any] = {"appeal_categories": ["LOW_SCORE"], "evidence": [], "explanation": "Why"}
TERMS = {"must": ["refund"], "match": ["angry", "cancel"], "exclude": []}

EXAMPLES: dict[Any, Any] = {
    DocumentType: {"id": 2, "name": "address", "title": "Bill or bank letter"},
    InboundCallDestination: ex.destination(),
    Number: ex.number(),
    NumberBatch: {"items": [ex.number()]},
    NumberDestination: {**TARGET, "transport": 5, "trunk_id": 7},
    NumberDocument: ex.document(),
    NumberPage: ex.number_page(),
    NumberUpdate: {"sms_enabled": True, "destinations": [TARGET], "sms_relay_url": None, "transcription_threshold": 0},
    Page: {"items": [1, "x"], "pagination": ex.pagination()},
    Page[Number]: {"items": [ex.number()], "pagination": ex.pagination()},
    list[NumberDocument]: [ex.document()],
    Pagination: ex.pagination(),
    Success: {"success": True},
    models.Message: ex.MESSAGE,
    models.MessageBody: {"text": "Hello", "media": ["https://media.example.com/1.png"]},
    models.MessageContent: {"text": "Hello", "media": None},
    models.MessageCreate: {"from": "Acme", "to": "447700900123", "message_body": {"text": "Hello", "media": None}},
    models.MessagePage: {"items": [ex.MESSAGE], "pagination": ex.pagination()},
    models.OptOut: {"number": "15550100200", "sender_id": "Acme"},
    models.OptOutItem: ex.OPT_OUT,
    models.OptOutPage: {"items": [ex.OPT_OUT], "pagination": ex.pagination()},
    models.SenderID: ex.SENDER_ID,
    models.SenderIDCreate: {"sender_id": "Acme", "type": "numeric", "countries": ["GB"], "usecase": "promo"},
    models.CallAnswer: {"call_recording": True, **STREAM},
    models.CallAudioPlay: {"audio_file": "https://media.example.com/welcome.mp3"},
    models.CallCreate: {"from": "15125550143", "to": "15125550144", "recording": True, "tag": "a", "timeout": 60},
    models.CallDtmfCollect: {"max_digits": 4, "termination_character": "#", "prompt": {"say": SPOKEN}},
    models.CallStreamCreate: STREAM,
    models.CallUpdate: {"tag": "a"},
    models.CallWebhookCreate: {"url": "https://calls.example.com/hooks", "event_type": "on-call"},
    models.CartNumbers: {"ids": ["541139862174"]},
    models.CDRRetranscription: {"language": "en", "webhook_url": "https://calls.example.com/hooks"},
    models.CDRSearch: {"from": "2026-03-01", "to": "2026-03-31", "type": "placed", "transcription": {"any": TERMS}},
    models.CollectPrompt: {"play": "https://media.example.com/welcome.mp3"},
    models.CollectSay: SPOKEN,
    models.PhoneValidationBatchCreate: {"phone_numbers": ["15125550143"], "type": "format", "async": True},
    models.ShortLinkCreate: {"link": "https://shop.example.com/sale", "expiration_time": "2026-03-01T09:30:00.000Z"},
    models.SpeechRetranscription: {"callback_url": "https://calls.example.com/hooks", "insights": False},
    models.TranscriptionFilter: {"agent": TERMS, "client": {"must": []}},
    models.TranscriptionTerms: TERMS,
    models.TwoFactorVerificationCheck: {"code": "123456"},
    models.TwoFactorVerificationCreate: {"service_id": "7204", "to": "447919433768", "channel": "sms"},
    models.TwoFactorVerificationResend: {"channel": "voice"},
    models.VoiceCampaignCreate: {"callflow_id": 7, "caller_id": "15125550143", "contact": "15125550144"},
    models.WebRTCTokenCreate: {"sip_trunk": "12345", "ttl": None, "payload": {"user": 7}},
    models.WebRTCTokenUpdate: {"payload": {"user": 7}},
    models.AllowedIPSettings: {"ip": "203.0.113.7"},
    models.ApiKeyCreate: {"label": "billing", "scopes_enabled": True, "billing": {"allow": "read"}},
    models.ApiKeyUpdate: {"active": False, "permitted_ips": ["203.0.113.7"]},
    models.CompanyInfoUpdate: {"industry": "other", "billing_address": "Baker Street 1", "country_code": "GB"},
    models.DefaultDestinationsUpdate: {"sms_endpoint": "https://hooks.example.com/sms", "dlr_endpoint": ""},
    models.ProfileUpdate: {"contacts": "bills@example.com", "company_info": {"name": "Acme"}},
    models.ScopePermissionUpdate: {"allow": "write"},
    models.SIPTrunkEdit: {"password": "secret", "call_limit": 60, "max_call_cost": 0.18},
    models.SIPTrunkSettings: {"password": "secret", **TRUNK},
    models.SubOrganizationCreate: {"name": "Acme", "default_destinations": {"sms_endpoint": "https://a.example.com"}},
    models.SubOrganizationUpdate: {"status": "disabled"},
    models.TenDLCBrandAppealCreate: APPEAL,
    models.TenDLCBrandCreate: {**NEW_BRAND, "state_or_province": None},
    models.TenDLCBrandUpdate: {"city": "Tampa", "stock_symbol": None},
    models.TenDLCBrandVettingAppealCreate: {**APPEAL, "vetting_id": "1"},
    models.TenDLCBrandVettingCreate: {"evp_id": "AEGIS", "vetting_class": "a-new-class"},
    models.TenDLCBrandVettingImport: {"evp_id": "CV", "vetting_id": "1", "vetting_token": "secret"},
    models.TenDLCCampaignCreate: {**NEW_CAMPAIGN, "mock": False, "affiliate_marketing": False},
    models.TenDLCCampaignNudge: {"nudge_intent": "REVIEW", "description": "Please"},
    models.TenDLCCampaignUpdate: {"auto_renewal": False},
    models.TenDLCEventSubscriptionCreate: {"subscription_category": "brand", "url": "https://hooks.example.com/1"},
    models.TrunkHostRequestSettings: {"host": "203.0.113.7"},
}
for answer in ANSWERS:
    EXAMPLES.setdefault(answer, payload(answer))
ENUMS = [
    each
    for name in models.__all__
    if issubclass(each := getattr(models, name), OpenStrEnum | OpenIntEnum) and len(each)
]
CASES = ex.drift_cases()


def named(kind: Any) -> str:
    return getattr(kind, "name", None) or getattr(kind, "__name__", str(kind))


def written(kind: Any, value: Any) -> Any:
    """Return what JSON of pydantic says, and see that both ways of FastAPI say the same."""
    adapter = TypeAdapter(kind)
    text = adapter.dump_json(value)
    assert ex.same(adapter.dump_python(value, mode="json"), json.loads(text))
    return json.loads(text)


def problems(kind: Any, payload: Any) -> dict[tuple[Any, ...], tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(payload)
    return {error["loc"]: (error["type"], error["msg"]) for error in caught.value.errors()}


# --- a judge of JSON schemas that knows the words that ours use, and no other ---

TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "boolean": (bool,), "number": (int, float),
                                      "array": (list,), "object": (dict,), "null": (type(None),)}  # fmt: skip
NOTES = {"title", "description", "x-enum-varnames", "$defs", "default"}
READ: dict[str, Any] = {"date": date.fromisoformat, "date-time": datetime.fromisoformat, "decimal": Decimal}


def complaints(schema: dict[str, Any], value: Any, defs: dict[str, Any], path: str = "$") -> Iterator[str]:
    known = {"$ref", "anyOf", "type", "enum", "items", "properties", "required", "additionalProperties", "format"}
    assert schema.keys() <= known | NOTES, schema
    if ref := schema.get("$ref"):
        yield from complaints(defs[ref.rpartition("/")[2]], value, defs, path)
    if (choices := schema.get("anyOf")) and all(list(complaints(each, value, defs, path)) for each in choices):
        yield f"{path}: {value!r} is nothing of {choices}"
    if (kind := schema.get("type")) and type(value) not in TYPES[kind]:
        yield f"{path}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not of {schema['enum']}"
    if "format" in schema:
        READ[schema["format"]](value)
    if "items" in schema:
        for i, each in enumerate(value):
            yield from complaints(schema["items"], each, defs, f"{path}[{i}]")
    if kind == "object":
        properties = schema.get("properties", {})
        yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        if schema.get("additionalProperties") is False:
            yield from (f"{path}.{name} is unknown" for name in value if name not in properties)
        for name, each in value.items():
            yield from complaints(properties.get(name, {}), each, defs, f"{path}.{name}")


def schema_of(kind: Any, mode: Any = "validation") -> dict[str, Any]:
    return TypeAdapter(kind).json_schema(mode=mode)


def judged(kind: Any, value: Any) -> list[str]:
    schema = schema_of(kind)
    return list(complaints(schema, value, schema.get("$defs", {})))


# --- what is taken: request bodies ---

texts = st.text(max_size=12)
urls = st.text("ab/?#=&%é", max_size=12).map("https://x".__add__)
targets = st.builds(
    NumberDestination,
    destination=texts,
    priority=st.integers(),
    transport=st.sampled_from([1, 4, 9]),
    trunk_id=st.none() | st.just(UNSET) | st.integers(min_value=1),
) | st.builds(
    NumberDestination,
    destination=texts,
    priority=st.integers(),
    transport=st.just(InboundCallTransport.SIP_TRUNK),
    trunk_id=st.integers(min_value=1),
)
unset = st.just(UNSET)
updates = st.builds(
    NumberUpdate,
    sms_enabled=unset | st.booleans(),
    destinations=unset | st.lists(targets, max_size=3),
    sms_relay_url=unset | st.none() | urls,
    call_recording_enabled=unset | st.booleans(),
    transcription_enabled=unset | st.booleans(),
    transcription_threshold=unset | st.integers(),
    call_status_url=unset | st.none() | urls,
)


@quick
@given(updates)
def test_an_update_comes_back_as_it_was_sent(update: NumberUpdate) -> None:
    adapter, sent = TypeAdapter(NumberUpdate), to_dict(update)

    assert adapter.validate_python(sent) == update
    assert adapter.validate_json(json.dumps(sent)) == update
    assert ex.same(written(NumberUpdate, update), sent)
    assert judged(NumberUpdate, sent) == []


def test_what_is_left_out_stays_unset_and_null_clears() -> None:
    update = TypeAdapter(NumberUpdate).validate_python({"sms_relay_url": None})

    assert update == NumberUpdate(sms_relay_url=None)
    assert update.call_status_url is UNSET
    assert written(NumberUpdate, update) == {"sms_relay_url": None}


def test_an_instance_passes_as_it_is() -> None:
    update, target = NumberUpdate(sms_enabled=True), NumberDestination(**TARGET)

    assert TypeAdapter(NumberUpdate).validate_python(update) is update
    taken = TypeAdapter(NumberUpdate).validate_python({"destinations": [target]})
    assert taken.destinations[0] is target


@pytest.mark.parametrize("body", [NumberUpdate, NumberDestination], ids=named)
def test_pydantic_takes_of_each_field_what_the_class_takes(body: Any) -> None:
    """Nothing is coerced that the class would refuse, and nothing is refused that it takes."""
    rest = TARGET if body is NumberDestination else {}
    adapter = TypeAdapter(body)
    for field in attrs.fields(body):
        for value in (None, *ex.STRANGERS):
            payload = {**rest, field.name: value}
            try:
                expected = body(**payload)
            except InputError:
                with pytest.raises(ValidationError) as caught:
                    adapter.validate_json(json.dumps(payload))
                assert {each["loc"][0] for each in caught.value.errors()} == {field.name}, value
                assert problems(body, payload).keys() == {each["loc"] for each in caught.value.errors()}
            else:
                assert adapter.validate_python(payload) == adapter.validate_json(json.dumps(payload)) == expected


def test_all_errors_are_reported_at_once_each_at_its_place() -> None:
    told = problems(
        NumberUpdate,
        {
            "sms_enabled": "true",
            "transcription_threshold": 1.5,
            "call_recording_enabled": None,
            "lable": "night",
            "destinations": [
                {"destination": 7, "transport": "1"},
                {**TARGET, "transport": 5},
                {**TARGET, "transport": 5, "trunk_id": None, "trunk": 7},
            ],
        },
    )

    assert told == {
        ("sms_enabled",): ("bool_type", "Input should be a valid boolean"),
        ("transcription_threshold",): ("int_type", "Input should be a valid integer"),
        ("call_recording_enabled",): ("bool_type", "Input should be a valid boolean"),
        ("lable",): ("extra_forbidden", "Extra inputs are not permitted"),
        ("destinations", 0, "destination"): ("string_type", "Input should be a valid string"),
        ("destinations", 0, "priority"): ("missing", "Field required"),
        ("destinations", 0, "transport"): ("int_type", "Input should be a valid integer"),
        ("destinations", 1, "trunk_id"): (
            "value_error",
            "NumberDestination.trunk_id is missing: transport 5 (SIP_TRUNK) routes to a trunk; pass the trunk's id.",
        ),
        ("destinations", 2, "trunk"): ("extra_forbidden", "Extra inputs are not permitted"),
    }


@pytest.mark.parametrize("payload", [None, [], "x", 1, [["sms_enabled", True]]])
def test_a_body_is_an_object(payload: Any) -> None:
    assert problems(NumberUpdate, payload)[()][0] == "dict_type"


# --- classes to come: every type that the codec knows, names that Python does not take, rules over several fields ---


class Level(OpenStrEnum):
    """How much."""

    LOW = "low"


@attrs.frozen(kw_only=True)
class Order(Body):
    """A request body of the groups to come.

    Attributes:
        amount: In USD; None: as
            much as there is.
        day: The first day.

    Raises:
        InputError: `amount` is negative.
    """

    amount: Decimal | UnsetType | None = UNSET
    at: datetime | UnsetType = UNSET
    day: date
    """The first day, of the attribute's own text."""
    sender: Annotated[str | UnsetType, override(rename="from")] = UNSET
    level: Level | UnsetType | None = attrs.field(default=UNSET)
    tags: list[str] | UnsetType = UNSET
    more: dict | UnsetType = UNSET  # type: ignore[type-arg]
    either: int | str | UnsetType = UNSET

    def __attrs_post_init__(self) -> None:
        if isinstance(self.amount, Decimal) and self.amount < 0:
            raise InputError("Order.amount must not be negative {like this}.")
        if self.tags == ["{}"]:
            raise InputError("Together these {make} no sense.")


@attrs.frozen(kw_only=True)
class Receipt(Model, Generic[T]):
    amount: Decimal = attrs.field(default=None)
    level: Level | None = None
    what: T = attrs.field(default=None)
    rest: list[T] | None = None
    sender: Annotated[str, override(rename="from")] = attrs.field(default=None)


def test_a_body_of_all_types_is_read_as_the_codec_reads() -> None:
    sent = {"amount": "1.50", "at": "2026-01-02T03:04:05.000Z", "day": "2026-02-03", "from": "me", "level": "high",
            "tags": ["a"], "more": {"x": None}, "either": "x"}  # fmt: skip
    order = TypeAdapter(Order).validate_json(json.dumps(sent))

    assert order == Order(
        amount=Decimal("1.50"),
        at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        day=date(2026, 2, 3),
        sender="me",
        level=Level("high"),
        tags=["a"],
        more={"x": None},
        either="x",
    )
    assert ex.same(written(Order, order), sent)
    assert judged(Order, sent) == []


def test_a_body_of_all_types_refuses_what_the_codec_does_not_read() -> None:
    told = problems(Order, {"amount": 1.5, "at": 7, "day": "2026-31-01", "from": 1, "level": 1, "tags": "a", "more": 1,
                            "sender": "me"})  # fmt: skip

    assert {loc: kind for loc, (kind, _) in told.items()} == {
        ("amount",): "string_type",
        ("at",): "string_type",
        ("day",): "date_parsing",
        ("from",): "string_type",
        ("level",): "string_type",
        ("tags",): "list_type",
        ("more",): "dict_type",
        ("sender",): "extra_forbidden",
    }
    assert told["day",][1] == "Input should be a valid date as a string"


def test_values_of_python_are_taken_too() -> None:
    values = {"amount": Decimal(1), "at": datetime(2026, 1, 2, tzinfo=UTC), "day": date(2026, 1, 2), "level": Level.LOW}

    assert TypeAdapter(Order).validate_python(values) == Order(**values)
    # A datetime is a date to Python, and its time would be lost.
    assert problems(Order, {"day": datetime(2026, 1, 2, tzinfo=UTC)}).keys() == {("day",)}


def test_rules_of_our_own_are_reported_where_their_message_says() -> None:
    day = {"day": "2026-02-03"}

    assert problems(Order, {**day, "amount": "-1"}) == {
        ("amount",): ("value_error", "Order.amount must not be negative {like this}.")
    }
    assert problems(Order, {**day, "tags": ["{}"]}) == {(): ("value_error", "Together these {make} no sense.")}


def test_a_generic_answer_of_other_types() -> None:
    payload = {"amount": "1", "level": "new", "what": ex.destination(), "rest": [ex.destination(id="x")], "from": "me"}
    taken = TypeAdapter(Receipt[InboundCallDestination]).validate_python(payload)

    assert type(taken) is Receipt
    assert type(taken.what) is InboundCallDestination
    assert type(taken.rest[0]) is InboundCallDestination
    assert taken.sender == "me"
    assert ex.same(written(Receipt[InboundCallDestination], taken), payload)


# --- what is taken and written: answers ---


@pytest.mark.parametrize("kind", EXAMPLES, ids=named)
def test_every_model_has_a_schema_that_its_example_fits(kind: Any) -> None:
    taken = TypeAdapter(kind).validate_python(EXAMPLES[kind])

    assert judged(kind, EXAMPLES[kind]) == []
    assert ex.same(written(kind, taken), EXAMPLES[kind])
    if isinstance(kind, type) and issubclass(kind, Model) and kind is not Page:
        assert taken == from_dict(kind, EXAMPLES[kind])


def test_no_model_is_without_an_example() -> None:
    public = {each for name in models.__all__ if issubclass(each := getattr(models, name), Model | Body)} - {
        Model,
        Body,
        models.PageBody,
    }

    assert public == {each for each in EXAMPLES if isinstance(each, type) and issubclass(each, Model | Body)}


@pytest.mark.parametrize("kind", EXAMPLES, ids=named)
def test_both_directions_have_one_schema(kind: Any) -> None:
    assert schema_of(kind) == schema_of(kind, "serialization")


@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_deviates_from_the_documentation_is_written_as_it_came(case: ex.DriftCase) -> None:
    number = from_dict(Number, case.payload)
    page = Page(items=[number], pagination=None)

    assert TypeAdapter(Number).validate_python(number) is number
    assert ex.same(written(Number, number), case.payload)
    assert ex.same(written(Page[Number], page), {"items": [case.payload]})
    assert TypeAdapter(Number).validate_python(case.payload) == number
    taken = TypeAdapter(Page[Number]).validate_python({"items": [case.payload]})
    assert (type(taken), taken.items) == (Page, [number])
    assert ex.same(written(Page[Number], taken), {"items": [case.payload]})


@pytest.mark.parametrize("kind", [Number, Page[Number], Success], ids=named)
@pytest.mark.parametrize("payload", [None, [], "x", 1, NumberUpdate()])
def test_an_answer_that_is_not_an_object_is_not_an_answer(kind: Any, payload: Any) -> None:
    assert problems(kind, payload)[()][0] == "dict_type"


def test_a_model_made_by_hand_is_written_as_to_dict_writes_it() -> None:
    number = Number(id=1, monthly_fee=Decimal("0.10"), added=datetime(2020, 1, 1, tzinfo=UTC), extra={"new": [None]})

    assert written(Number, number) == to_dict(number)
    assert written(Success, Success(success=True, already_gone=True)) == {"success": True}
    page = NumberPage(items=[number], doc_types=[])
    assert written(Page[Number], page) == {"items": [to_dict(number)], "doc_types": []}


def test_parts_of_an_answer_can_be_picked() -> None:
    adapter = TypeAdapter(list[Number])
    numbers = [from_dict(Number, ex.number(label=None, new={"a": None}))]

    assert adapter.dump_python(numbers, include={"__all__": {"id", "number"}}) == [{"id": 501, "number": "14155550123"}]
    (rest,) = adapter.dump_python(numbers, exclude={0: {"documents": True, "destination": {0: {"id"}}}})
    assert rest.keys() == ex.number(new=1).keys() - {"documents"}
    assert rest["destination"] == [{key: value for key, value in ex.destination().items() if key != "id"}]
    (known,) = adapter.dump_python(numbers, exclude_none=True)
    assert None not in known.values()
    assert known["new"] == {}


# --- open enums ---


@pytest.mark.parametrize("kind", ENUMS, ids=named)
def test_an_enum_names_what_is_known_and_stays_open(kind: Any) -> None:
    values = [member.value for member in kind]
    new: Any = 77 if issubclass(kind, int) else "brand-new"
    schema = schema_of(kind)

    assert schema["anyOf"][0]["enum"] == values
    assert schema["title"] == kind.__name__
    assert schema["description"]
    for value in (*values, new):
        taken = TypeAdapter(kind).validate_python(value)
        assert type(taken) is kind
        assert taken == value
        assert written(kind, taken) == value
        assert judged(kind, value) == []
    assert judged(kind, None) != []


def test_integers_of_an_enum_have_their_names() -> None:
    assert schema_of(InboundCallTransport)["anyOf"] == [
        {"type": "integer", "enum": [1, 4, 5], "x-enum-varnames": ["SIP_URI", "PSTN", "SIP_TRUNK"]},
        {"type": "integer"},
    ]


def test_an_enum_on_its_own_coerces_as_pydantic_is_configured() -> None:
    adapter = TypeAdapter(InboundCallTransport)

    assert adapter.validate_python("5") is InboundCallTransport.SIP_TRUNK
    assert adapter.validate_python(InboundCallTransport.PSTN) is InboundCallTransport.PSTN
    with pytest.raises(ValidationError, match="valid integer"):
        adapter.validate_python("5", strict=True)


# --- the schemas in detail ---


def test_the_schema_of_an_update() -> None:
    schema = schema_of(NumberUpdate)

    assert {key: schema[key] for key in ("title", "type", "additionalProperties", "description")} == {
        "title": "NumberUpdate",
        "type": "object",
        "additionalProperties": False,
        "description": "What to change on a phone number; a field left out keeps its value, null clears it.",
    }
    assert "required" not in schema
    assert list(schema["properties"]) == [field.name for field in attrs.fields(NumberUpdate)]
    assert schema["properties"]["sms_relay_url"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "title": "Sms Relay Url",
        "description": "The URL to which inbound messages are posted; null: the account's default. "
        "Applied asynchronously.",
    }
    assert schema["$defs"]["NumberDestination"]["required"] == ["destination", "priority", "transport"]
    assert schema["$defs"]["NumberDestination"]["properties"]["transport"] == {
        "$ref": "#/$defs/InboundCallTransport",
        "description": "1 SIP URI, 4 phone number, 5 SIP trunk.",
    }


def test_the_schema_of_a_number_says_what_the_documentation_promises() -> None:
    schema = schema_of(Number)
    nullable = {name for name, field in schema["properties"].items() if {"type": "null"} in field.get("anyOf", ())}

    assert list(schema["properties"]) == list(ex.NUMBER_FIELDS)
    assert schema["additionalProperties"] is True
    assert set(schema["required"]) == {name for name, (_, optional) in ex.NUMBER_FIELDS.items() if not optional}
    assert nullable == {name for name, (_, optional) in ex.NUMBER_FIELDS.items() if optional}
    formats = {name: field["format"] for name, field in schema["properties"].items() if "format" in field}
    assert formats == {
        "activation_fee": "decimal",
        "monthly_fee": "decimal",
        "per_min": "decimal",
        "added": "date-time",
        "paid_until": "date",
    }
    assert schema["properties"]["status"]["$ref"] == "#/$defs/NumberStatus"


def test_descriptions_come_from_docstrings_sections_and_bases() -> None:
    order, destination = schema_of(Order), schema_of(InboundCallDestination)

    assert order["description"] == "A request body of the groups to come."
    assert order["properties"]["amount"]["description"] == "In USD; null: as much as there is."
    assert order["properties"]["day"]["description"] == "The first day, of the attribute's own text."
    assert "description" not in order["properties"]["at"]
    assert destination["properties"]["srtp"]["description"] == "Whether the media is encrypted."
    assert "already_gone" not in schema_of(Success)["properties"]


def test_without_source_only_the_fields_lose_their_descriptions(tmp_path: Path) -> None:
    source = tmp_path / "bare_model.py"
    source.write_text(
        "import attrs\nfrom wavix_async.models._base import Model\n\n\n"
        '@attrs.frozen(kw_only=True)\nclass Bare(Model):\n    """A class without source."""\n\n'
        '    id: int = attrs.field(default=None)\n    """Its id."""\n'
    )
    check = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom bare_model import Bare\nfrom pydantic import TypeAdapter\n"
        "schema = TypeAdapter(Bare).json_schema()\n"
        "print(schema['description'], schema['properties']['id'].get('description'))"
    )

    def run() -> str:
        command = [sys.executable, "-B", "-c", check, str(tmp_path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    assert run() == "A class without source. Its id."
    py_compile.compile(str(source), cfile=str(tmp_path / "bare_model.pyc"), doraise=True)
    source.unlink()
    assert run() == "A class without source. None"


# --- in pydantic's own models, and in unions ---


class Problem(BaseModel):
    title: str


class Mine(BaseModel):
    update: NumberUpdate
    page: Page[Number] | None = None
    status: NumberStatus = NumberStatus.ACTIVE


def test_a_model_of_pydantic_holds_ours() -> None:
    sent = {"update": {"sms_enabled": False}, "page": {"items": [ex.number(id="odd")]}, "status": "new"}
    mine = Mine.model_validate(sent)

    assert mine.update == NumberUpdate(sms_enabled=False)
    assert mine.page is not None
    assert mine.page.items == [from_dict(Number, ex.number(id="odd"))]
    assert ex.same(json.loads(mine.model_dump_json()), sent)
    assert Mine.model_json_schema()["$defs"].keys() >= {"NumberUpdate", "Page_Number_", "Number", "NumberStatus"}


def test_a_page_and_a_page_of_numbers_do_not_mix() -> None:
    payload = {"items": [ex.number()]}
    left, right = TypeAdapter(tuple[Page, Page[Number]]).validate_python([payload, payload])

    assert left.items == [ex.number()]
    assert right.items == [from_dict(Number, ex.number())]
    assert schema_of(tuple[Page, Page[Number]])["$defs"].keys() >= {"Page", "Page_Number_"}


def test_a_union_is_written_by_the_member_that_it_is() -> None:
    number = from_dict(Number, ex.number())

    assert written(Number | Problem, Problem(title="gone")) == {"title": "gone"}
    assert ex.same(written(Problem | Number, number), ex.number())


def test_an_error_in_a_union_names_the_member() -> None:
    told = problems(NumberUpdate | NumberDestination, {"sms_enabled": 1})

    assert {(loc[0], loc[-1]) for loc in told} >= {
        ("function-wrap[NumberUpdate()]", "sms_enabled"),
        ("function-wrap[NumberDestination()]", "transport"),
    }


# --- FastAPI ---


def make_app(taken: list[Any], answer: Any = None) -> FastAPI:
    app = FastAPI()

    @app.patch("/numbers/{id}")
    async def change(id: int, update: NumberUpdate) -> Number:  # noqa: A002
        taken.append(update)
        return answer

    @app.get("/numbers")
    async def pages(
        status: Annotated[list[NumberStatus], Query()], transport: InboundCallTransport | None = None
    ) -> NumberPage:
        taken.append((transport, status))
        return answer

    @app.get("/page")
    async def page() -> Page[Number]:
        return answer

    @app.get("/list")
    async def every() -> list[Number]:
        return answer

    @app.get("/maybe")
    async def maybe() -> Number | None:
        return answer

    @app.put("/destinations")
    async def replace(destinations: list[NumberDestination], dry: bool = False) -> Success:
        taken.append(destinations)
        return Success(success=True)

    @app.post("/optional")
    async def optional(update: NumberUpdate | None = None) -> Pagination | None:
        taken.append(update)

    return app


async def call(app: FastAPI, method: str, url: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.example.net") as client:
        return await client.request(method, url, **options)


async def test_a_route_takes_an_update_from_the_body_and_answers_a_number() -> None:
    taken: list[Any] = []
    payload = ex.number(id="odd", added=7, monthly_fee="1.0E1", brand_new=[None])
    app = make_app(taken, from_dict(Number, payload))

    answer = await call(app, "PATCH", "/numbers/7", json={"sms_relay_url": None, "destinations": [TARGET]})

    assert answer.status_code == 200
    assert ex.same(answer.json(), payload)
    assert taken == [NumberUpdate(sms_relay_url=None, destinations=[NumberDestination(**TARGET)])]


async def test_a_route_refuses_a_body_with_the_place_of_every_error() -> None:
    taken: list[Any] = []
    body = {"destinations": [{**TARGET, "transport": "1"}, {**TARGET, "transport": 5}], "sms_enable": True}

    answer = await call(make_app(taken), "PATCH", "/numbers/7", json=body)

    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [
        ["body", "destinations", 0, "transport"],
        ["body", "destinations", 1, "trunk_id"],
        ["body", "sms_enable"],
    ]
    assert taken == []


@pytest.mark.parametrize(
    ("url", "payload", "kind"),
    [
        ("/numbers?status=new", ex.number_page(ex.number(status=7), more=1), NumberPage),
        ("/page", ex.number_page(), NumberPage),
        ("/list", [ex.number(), ex.number(documents="none")], list[Number]),
        ("/maybe", ex.number(), Number),
    ],
)
async def test_routes_answer_whatever_holds_numbers(url: str, payload: Any, kind: Any) -> None:
    answer = await call(make_app([], from_dict(kind, payload)), "GET", url)

    assert ex.same(answer.json(), payload)


async def test_routes_take_bodies_in_every_form() -> None:
    taken: list[Any] = []
    app = make_app(taken)
    target = NumberDestination(**TARGET)

    @app.post("/several")
    async def several(update: NumberUpdate, number: Annotated[Number, FromBody()]) -> list[NumberDestination]:
        taken.append((update, number))
        return update.destinations or []

    assert (await call(app, "PUT", "/destinations?dry=1", json=[TARGET])).json() == {"success": True}
    answer = await call(app, "POST", "/several", json={"update": {"destinations": [TARGET]}, "number": {"id": 1}})
    assert answer.json() == [TARGET]
    assert (await call(app, "POST", "/optional")).json() is None
    assert (await call(app, "POST", "/optional", json={"sms_enabled": True})).json() is None
    assert taken == [
        [target],
        (NumberUpdate(destinations=[target]), from_dict(Number, {"id": 1})),
        None,
        NumberUpdate(sms_enabled=True),
    ]


async def test_enums_work_in_a_query() -> None:
    taken: list[Any] = []
    page = from_dict(NumberPage, ex.number_page())

    answer = await call(make_app(taken, page), "GET", "/numbers?transport=9&status=active&status=new")

    assert answer.status_code == 200
    assert taken == [(InboundCallTransport(9), [NumberStatus.ACTIVE, NumberStatus("new")])]


def test_components_have_the_names_of_the_classes_once() -> None:
    described = make_app([]).openapi()
    ours = {"DocumentStatus", "DocumentType", "DocumentTypeName", "InboundCallDestination", "InboundCallTransport",
            "Number", "NumberDestination", "NumberDocument", "NumberPage", "NumberStatus", "NumberUpdate",
            "Page_Number_", "Pagination", "Success"}  # fmt: skip

    components = described["components"]["schemas"]
    assert components.keys() == ours | {"HTTPValidationError", "ValidationError"}
    assert components["Page_Number_"]["title"] == "Page[Number]"
    assert components["Page_Number_"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/Number"}
    body = described["paths"]["/numbers/{id}"]["patch"]["requestBody"]
    assert body == {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NumberUpdate"}}},
        "required": True,
    }


@pytest.mark.skipif(
    PYDANTIC < (2, 13), reason="Before, pydantic keeps both directions apart where equal schemas are nested three deep."
)
def test_what_is_taken_and_answered_is_one_component() -> None:
    app = make_app([])

    @app.put("/page")
    async def replace_page(page: Page[Number], update: NumberUpdate) -> NumberUpdate:
        raise NotImplementedError

    components = app.openapi()["components"]["schemas"]
    assert {"Page_Number_", "Number", "NumberUpdate"} < components.keys()
    assert [name for name in components if name.endswith(("Input", "Output"))] == []


# --- what it costs others: nothing ---


def test_a_body_is_a_mapping_of_what_is_set() -> None:
    update = NumberUpdate(sms_relay_url=None, destinations=[NumberDestination(**TARGET)])

    assert dict(update) == {"sms_relay_url": None, "destinations": (NumberDestination(**TARGET),)}
    assert NumberUpdate(**update) == update
    assert len(update) == 2
    assert "sms_enabled" not in update
    assert update.get("sms_enabled") is None
    assert (update == dict(update)) is False
    assert pprint.pformat(update) == repr(update)
    assert NumberUpdate(), "an empty one is still one"


@pytest.mark.parametrize(
    "code",
    [
        "import wavix_async",
        "import wavix_async as w; w.to_dict(w.NumberUpdate(sms_enabled=True)); w.from_dict(w.Number, {})",
    ],
)
def test_pydantic_is_not_loaded_before_it_asks(code: str) -> None:
    code += "; import sys; parts = {'pydantic', 'pydantic_core', 'fastapi', 'wavix_async._codec.pydantic'}"
    code += "; loaded = parts & {*sys.modules}"
    code += "; assert not loaded, loaded"
    environment = {key: value for key, value in os.environ.items() if key != "COVERAGE_PROCESS_START"}

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- what docs/fastapi.md says beside that ---


async def test_an_answer_can_be_taken_and_its_links_left_out() -> None:
    app = FastAPI()

    @app.post("/lines", response_model_exclude={"documents": {"__all__": {"url"}}})
    async def keep(number: Annotated[Number, FromBody()]) -> Number:
        return number

    document = {"id": 1, "doc_file_name": "a.pdf", "url": "https://files/SECRET"}
    told = await call(app, "POST", "/lines", json={"id": 7, "documents": [document]})

    assert told.status_code == 200
    assert told.json() == {"id": 7, "documents": [{"id": 1, "doc_file_name": "a.pdf"}]}


async def test_an_answer_without_a_model_may_hold_numbers() -> None:
    app = FastAPI()
    number = from_dict(Number, {"id": 7, "monthly_fee": "0.99", "brand_new": [1]})

    @app.get("/lines")
    async def read() -> dict[str, Any]:
        return {"line": number, "lines": [number], "change": NumberUpdate(sms_enabled=True)}

    told = await call(app, "GET", "/lines")

    as_sent = to_dict(number)
    assert told.json() == {"line": as_sent, "lines": [as_sent], "change": {"sms_enabled": True}}


def test_without_pydantic_a_model_has_nothing_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wavix_async._codec.pydantic", None)
    monkeypatch.delattr(wavix_async._codec, "pydantic", raising=False)

    assert not hasattr(NumberUpdate(), "__pydantic_serializer__")


@pytest.mark.req_29
@pytest.mark.parametrize("name", ["label", "city", "new"])
def test_half_a_character_can_be_sent_as_json(name: str) -> None:
    read = from_dict(Number, ex.number(**{name: "cut \ud83d, whole \U0001f600"}))
    adapter = TypeAdapter(list[Number])

    assert adapter.dump_python([read])[0][name] == "cut \ud83d, whole \U0001f600"
    assert adapter.dump_python([read], mode="json")[0][name] == "cut \ufffd, whole \U0001f600"
    assert json.loads(adapter.dump_json([read]))[0][name] == "cut \ufffd, whole \U0001f600"
