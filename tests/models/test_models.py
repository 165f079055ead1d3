"""Models and request bodies: what they accept, what they reject, and what they send."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wavix_async
from tests.support import examples as ex
from wavix_async import (
    UNSET,
    DocumentStatus,
    DocumentTypeName,
    InboundCallDestination,
    InboundCallTransport,
    InputError,
    Number,
    NumberDestination,
    NumberDocument,
    NumberStatus,
    NumberUpdate,
    Pagination,
    UnsetType,
    from_dict,
    to_dict,
)

SPEC = Path(wavix_async.__file__).parent / "spec" / "openapi.json"
UPDATE_FIELDS = {
    "sms_enabled",
    "destinations",
    "sms_relay_url",
    "call_recording_enabled",
    "transcription_enabled",
    "transcription_threshold",
    "call_status_url",
}
quick = settings(deadline=None, max_examples=75)


def target(**changes: Any) -> NumberDestination:
    return NumberDestination(**{"destination": "sip:a@pbx.example.net", "priority": 1, "transport": 1, **changes})


# --- UNSET ---


def test_unset_is_one_falsy_value_that_names_itself() -> None:
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert list(UnsetType) == [UNSET]
    for again in (pickle.loads(pickle.dumps(UNSET)), copy.copy(UNSET), copy.deepcopy(UNSET)):
        assert again is UNSET


# --- NumberUpdate ---


def test_an_update_has_the_fields_of_the_api() -> None:
    assert {field.name for field in attrs.fields(NumberUpdate)} == UPDATE_FIELDS


@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        ({}, {}),
        ({"sms_enabled": True}, {"sms_enabled": True}),
        ({"sms_enabled": False}, {"sms_enabled": False}),
        ({"transcription_threshold": 0}, {"transcription_threshold": 0}),
        ({"sms_relay_url": None}, {"sms_relay_url": None}),
        ({"sms_relay_url": ""}, {"sms_relay_url": ""}),
        ({"call_status_url": None, "sms_relay_url": UNSET}, {"call_status_url": None}),
        ({"destinations": []}, {"destinations": []}),
        (
            {"destinations": [target(), target(transport=5, trunk_id=7, destination="trunk")]},
            {
                "destinations": [
                    {"destination": "sip:a@pbx.example.net", "priority": 1, "transport": 1},
                    {"destination": "trunk", "priority": 1, "transport": 5, "trunk_id": 7},
                ]
            },
        ),
        (
            {"destinations": (target(trunk_id=None),)},
            {
                "destinations": [
                    {"destination": "sip:a@pbx.example.net", "priority": 1, "transport": 1, "trunk_id": None}
                ]
            },
        ),
    ],
)
def test_an_update_sends_what_was_given_and_no_more(given_: dict[str, Any], sent: dict[str, Any]) -> None:
    assert ex.same(to_dict(NumberUpdate(**given_)), sent)


_WRONG: dict[str, list[Any]] = {
    "sms_enabled": [None, 1, 0, "true", "", [], {}],
    "call_recording_enabled": [None, 1, "yes"],
    "transcription_enabled": [None, 0, "false"],
    "transcription_threshold": [None, True, "6", 6.0, [6]],
    "sms_relay_url": [True, 5, b"https://x.example.net", ["https://x.example.net"]],
    "call_status_url": [False, 0, {}],
    "destinations": [None, "sip:a@b", {}, 5, [None], ["sip:a@b"], target()],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in _WRONG.items() for value in values])
def test_an_update_refuses_other_types_by_name(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"NumberUpdate\.{field} must be .*; got ") as caught:
        NumberUpdate(**{field: value})

    assert caught.value.outcome == "not_sent"


def test_an_update_names_what_is_wrong_inside_of_a_list() -> None:
    with pytest.raises(
        InputError, match=r"NumberUpdate\.destinations\[0\]: NumberDestination\.priority is missing; got "
    ) as it:
        NumberUpdate(destinations=[{"destination": "a"}])

    assert it.value.outcome == "not_sent"


def test_an_update_is_frozen_and_evolves() -> None:
    update = NumberUpdate(sms_enabled=True)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        update.sms_enabled = False  # type: ignore[misc]
    assert to_dict(attrs.evolve(update, sms_relay_url=None)) == {"sms_enabled": True, "sms_relay_url": None}
    assert to_dict(attrs.evolve(update, sms_enabled=UNSET)) == {}
    with pytest.raises(InputError):
        attrs.evolve(update, sms_enabled="true")


def test_updates_compare_by_value_and_tell_null_from_absent() -> None:
    assert NumberUpdate(sms_relay_url=None) == NumberUpdate(sms_relay_url=None)
    assert NumberUpdate(sms_relay_url=None) != NumberUpdate()
    assert len({NumberUpdate(), NumberUpdate(), NumberUpdate(sms_enabled=True)}) == 2


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(TypeError, match="sms_enable"):
        NumberUpdate(sms_enable=True)  # type: ignore[call-arg]


urls = st.just("") | st.text("abc.:/?#=&%+,;'\"<>{}[]\u00e9\U0001f600", min_size=1).map(lambda text: f"https://x{text}")
wire_updates = st.fixed_dictionaries(
    {},
    optional={
        "sms_enabled": st.booleans(),
        "call_recording_enabled": st.booleans(),
        "transcription_enabled": st.booleans(),
        "transcription_threshold": st.integers(),
        "sms_relay_url": st.none() | urls,
        "call_status_url": st.none() | urls,
        "destinations": st.lists(
            st.fixed_dictionaries(
                {
                    "destination": st.text(),
                    "priority": st.integers(),
                    "transport": st.integers().filter(lambda n: n != 5),
                },
                optional={"trunk_id": st.none() | st.integers()},
            ),
            max_size=3,
        ),
    },
)


@given(wire_updates)
@quick
def test_any_update_sends_exactly_what_was_given(wire: dict[str, Any]) -> None:
    fields = dict(wire)
    if "destinations" in fields:
        fields["destinations"] = [NumberDestination(**each) for each in fields["destinations"]]
    update = NumberUpdate(**fields)

    for again in (update, pickle.loads(pickle.dumps(update)), copy.deepcopy(update)):
        assert again == update
        assert ex.same(to_dict(again), wire)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://x.test/", "must be a URL that begins with http:// or https://; got another text."),
        ("not a url", "must be a URL that begins with http:// or https://"),
        ("NULL", "must be a URL that begins with http:// or https://"),
        ("-", "must be a URL that begins with http:// or https://"),
        ("https://", "must be a URL that begins with http:// or https://"),
        (
            "https://x.test/a\n1002,https://x.test/b",
            r"without blanks, line breaks .*; character 17 is '\\n'",
        ),
        ("https://x.test/a b", "character 17 is ' '"),
        ("https://x.test/\x00", r"character 16 is '\\x00'"),
        ("https://x.test/\u200b", r"character 16 is '\\u200b'"),
    ],
)
@pytest.mark.parametrize("field", ["sms_relay_url", "call_status_url"])
def test_a_text_that_is_not_a_url_is_refused_before_anything_is_sent(field: str, url: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^NumberUpdate.{field} .*{message}"):
        NumberUpdate(**{field: url})


def numpy_scalar(value: Any) -> Any:
    """Return a scalar as numpy has them, without numpy."""
    kind = type("int64", (), {"__module__": "numpy", "ndim": 0, "item": lambda self: value})
    return kind()


EMPTY = [type(name, (), {})() for name in ("NAType", "NaTType")]


class TestScalarsOfNumpyAndPandas:
    def test_they_mean_what_they_hold(self) -> None:
        assert NumberUpdate(
            sms_enabled=numpy_scalar(True),
            transcription_threshold=numpy_scalar(3),
            sms_relay_url=numpy_scalar("http://x"),
        ) == NumberUpdate(sms_enabled=True, transcription_threshold=3, sms_relay_url="http://x")
        with pytest.raises(InputError, match=r"NumberUpdate.sms_enabled must be true or false.*got 'x'"):
            NumberUpdate(sms_enabled=numpy_scalar("x"))

    @pytest.mark.parametrize("empty", [math.nan, *EMPTY], ids=["nan", "NA", "NaT"])
    def test_an_empty_cell_leaves_the_field_out(self, empty: Any) -> None:
        assert NumberUpdate(sms_enabled=empty, call_status_url=empty, destinations=empty) == NumberUpdate()

    def test_an_empty_cell_is_refused_elsewhere(self) -> None:
        with pytest.raises(InputError, match="must be a string"):
            NumberDestination(destination=math.nan, priority=1, transport=1)  # type: ignore[arg-type]

    def test_the_real_ones(self) -> None:
        numpy = pytest.importorskip("numpy")
        given = {"sms_enabled": numpy.bool_(True), "transcription_threshold": numpy.int64(3)}
        made = NumberUpdate(**given, sms_relay_url=numpy.nan)
        assert to_dict(made) == {"sms_enabled": True, "transcription_threshold": 3}
        assert type(to_dict(made)["transcription_threshold"]) is int


# --- NumberDestination ---


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, {}),
        ({"transport": InboundCallTransport.PSTN}, {"transport": 4}),
        ({"transport": 99}, {"transport": 99}),
        ({"trunk_id": None}, {"trunk_id": None}),
        ({"trunk_id": 3}, {"trunk_id": 3}),
        ({"transport": 5, "trunk_id": 3}, {"transport": 5, "trunk_id": 3}),
        ({"priority": 0}, {"priority": 0}),
    ],
)
def test_a_destination_sends_what_was_given_and_no_more(changes: dict[str, Any], sent: dict[str, Any]) -> None:
    wire = {"destination": "sip:a@pbx.example.net", "priority": 1, "transport": 1, **sent}

    assert ex.same(to_dict(target(**changes)), wire)
    assert json.dumps(to_dict(target(**changes)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("destination", None),
        ("destination", 14155550123),
        ("priority", "1"),
        ("priority", True),
        ("priority", 1.0),
        ("transport", "1"),
        ("transport", None),
        ("transport", True),
        ("transport", 1.0),
        ("trunk_id", "7"),
        ("trunk_id", False),
    ],
)
def test_a_destination_refuses_other_types_by_name(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"NumberDestination\.{field} must be "):
        target(**{field: value})


@pytest.mark.parametrize("field", ["destination", "priority", "transport"])
def test_what_a_destination_needs_cannot_be_unset(field: str) -> None:
    with pytest.raises(InputError, match=rf"NumberDestination\.{field} must be "):
        target(**{field: UNSET})


@pytest.mark.parametrize("trunk", [{}, {"trunk_id": None}, {"trunk_id": UNSET}, {"trunk_id": 0}])
@pytest.mark.parametrize("transport", [5, InboundCallTransport.SIP_TRUNK])
def test_a_trunk_destination_needs_its_trunk(trunk: dict[str, Any], transport: int) -> None:
    with pytest.raises(InputError, match=r"NumberDestination\.trunk_id is missing: .* pass the trunk's id"):
        target(transport=transport, **trunk)


# --- enums ---


@pytest.mark.parametrize(
    ("kind", "known", "new"),
    [
        (NumberStatus, "active", "dormant"),
        (DocumentStatus, "rejected", ""),
        (DocumentTypeName, "localaddress", "business"),
        (InboundCallTransport, 4, 0),
        (InboundCallTransport, 5, -77),
    ],
)
def test_enums_are_open(kind: Any, known: Any, new: Any) -> None:
    assert kind(known) is kind(known)
    member = kind(new)

    assert type(member) is kind
    assert member == new == member.value
    assert hash(member) == hash(new)
    assert kind(new) == member
    assert {new: 1}[member] == 1
    assert f"{member}" == str(new)
    assert json.loads(json.dumps(member)) == new
    assert member not in list(kind), "an unknown value must not become a member for every caller"
    assert [each.value for each in kind] == [each.value for each in type(member)]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(member, protocol))
        assert (type(again), again) == (kind, member)
    assert copy.deepcopy(member) == copy.copy(member) == member
    assert repr(member)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (NumberStatus, 1),
        (NumberStatus, None),
        (InboundCallTransport, "1"),
        (InboundCallTransport, 1.5),
        (NumberStatus, []),
    ],
)
def test_enums_refuse_other_types(kind: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        kind(value)


# --- answers ---


def test_answers_are_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        from_dict(Number, ex.number()).label = "x"  # type: ignore[misc]


def test_answers_compare_by_content() -> None:
    assert from_dict(Number, ex.number()) == from_dict(Number, ex.number())
    assert from_dict(Number, ex.number(monthly_fee="1E2")) == from_dict(Number, ex.number(monthly_fee="100"))
    assert from_dict(Number, ex.number()) != from_dict(Number, ex.number(label=None))
    assert from_dict(Number, ex.number()) != from_dict(Number, ex.number(new=1)), "extra counts"


def test_the_link_to_a_document_is_not_shown() -> None:
    number = from_dict(Number, ex.number())

    assert "not-a-real-key" not in repr(number)
    assert "not-a-real-key" not in str(number)
    assert "not-a-real-key" in number.documents[0].url


@pytest.mark.parametrize("url", [{"href": "x?appid=not-a-real-key"}, ["x?appid=not-a-real-key"]])
def test_the_link_to_a_document_is_not_shown_when_its_shape_drifts(url: Any) -> None:
    assert "not-a-real-key" not in repr(from_dict(NumberDocument, ex.document(url=url)))


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (Number, ex.NUMBER_FIELDS),
        (InboundCallDestination, ex.DESTINATION_FIELDS),
        (NumberDocument, ex.DOCUMENT_FIELDS),
        (Pagination, ex.pagination()),
    ],
)
def test_models_have_all_fields_of_the_api(model: type[Any], schema: dict[str, Any]) -> None:
    assert {field.name for field in attrs.fields(model)} - {"extra", "_origin"} == set(schema)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Number", "Number"),
        ("InboundCallDestination", "InboundCallDestination"),
        ("NumberDocument", "NumberDocument"),
        ("DocumentType", "DocumentType"),
        ("Pagination", "Pagination"),
        ("NumberDestination", "NumberDestination"),
        ("NumberUpdateRequest", "NumberUpdate"),
        ("NumberListResponse", "NumberPage"),
    ],
)
def test_models_have_all_fields_of_the_description(name: str, model: str) -> None:
    described = json.loads(SPEC.read_text(encoding="utf-8"))["components"]["schemas"][name]["properties"]
    ours = {field.name for field in attrs.fields(getattr(wavix_async, model))}

    assert set(described) <= ours


def test_the_examples_of_the_description_round_trip() -> None:
    listing = json.loads(SPEC.read_text(encoding="utf-8"))["paths"]["/v1/numbers"]["get"]["responses"]["200"]
    for example in listing["content"]["application/json"]["examples"].values():
        assert ex.same(to_dict(from_dict(wavix_async.NumberPage, example["value"])), example["value"])


def test_every_model_is_documented() -> None:
    for name in wavix_async.__all__:
        kind = getattr(wavix_async, name)
        if inspect.isclass(kind) and kind.__module__.startswith("wavix_async.models"):
            assert kind.__doc__, name


def test_a_model_is_written_as_json_as_it_was_received() -> None:
    payload = {**ex.number(), "label": "Zürich \U0001f600", "a_new_key": {"deep": [1, None]}}
    number = from_dict(Number, payload)
    assert json.loads(number.to_json()) == payload
    assert "Zürich" in number.to_json()
    assert "\n" not in number.to_json()
    assert json.loads(number.to_json(indent=2)) == payload
    assert number.to_json(indent=2).startswith('{\n  "')
    half = from_dict(Number, {**payload, "label": "half \ud800"})
    assert json.loads(half.to_json().encode()) == {**payload, "label": "half \ud800"}
