"""Whatever the API does to a number, the number decodes, and `to_dict` returns what was received."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import examples as ex
from wavix_async import (
    DecodeError,
    DocumentType,
    InboundCallDestination,
    InputError,
    Number,
    NumberDocument,
    NumberPage,
    NumberUpdate,
    Pagination,
    Success,
    from_dict,
    to_dict,
)
from wavix_async.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = ex.drift_cases()
quick = settings(deadline=None, max_examples=75, suppress_health_check=[HealthCheck.too_slow])


def by_name(case: ex.DriftCase) -> str:
    return case.name


# --- what is documented ---


@pytest.mark.parametrize("kind", [NumberUpdate, list[NumberUpdate], dict, list[int]])
def test_only_answers_are_read(kind: Any) -> None:
    with pytest.raises(InputError, match="from_dict reads models of answers, such as Number"):
        from_dict(kind, {})


def test_a_documented_number_decodes_without_drift() -> None:
    decoded = from_dict(Number, ex.number(), strict=True)

    assert decoded == Number(
        id=501,
        number="14155550123",
        activation_fee=Decimal("1.50"),
        monthly_fee=Decimal("0.10"),
        per_min=Decimal("0.0075"),
        city="OAKLAND",
        state="CA",
        country="United States of America",
        country_short_name="US",
        destination=[
            InboundCallDestination(id=11, destination="[did]@pbx.example.net", priority=1, transport=1, srtp=True)
        ],
        channels=8,
        require_docs=["address"],
        documents=[
            NumberDocument(
                id=901,
                allow_replace=True,
                did_number="14155550123",
                doc_content_type="application/pdf",
                doc_file_name="passport.pdf",
                doc_type_id=1,
                doc_type="id",
                status="pending",
                url="https://files.example.net/papers/901?appid=not-a-real-key",
            )
        ],
        domestic_cli=False,
        free_min=0,
        unlimited=False,
        label="night shift",
        status="active",
        seconds="3600",
        added=datetime(2024, 2, 29, 23, 59, 59, 7000, tzinfo=UTC),
        paid_until=date(2025, 1, 31),
        sms_enabled=True,
        sms_relay_url="https://hooks.example.net/sms",
        call_recording_enabled=False,
        transcription_enabled=True,
        transcription_threshold=9,
    )
    assert ex.same(to_dict(decoded), ex.number())


def test_a_documented_page_decodes_without_drift() -> None:
    page = from_dict(NumberPage, ex.number_page(), strict=True)

    assert [type(item) for item in page.items] == [Number, Number]
    assert type(page.pagination) is Pagination
    assert type(page.doc_types[0]) is DocumentType
    assert ex.same(to_dict(page), ex.number_page())


def test_a_decoded_model_is_of_its_class_and_frozen() -> None:
    decoded = from_dict(Number, ex.number())

    assert type(decoded) is Number
    assert type(decoded.destination[0]) is InboundCallDestination
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        decoded.label = "day shift"  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del decoded.label
    assert not hasattr(decoded, "__dict__")


@pytest.mark.parametrize("slots", [True, False])
def test_a_model_may_have_slots_or_a_dict(slots: bool) -> None:
    @attrs.frozen(kw_only=True, eq=False, repr=False, slots=slots)
    class Trunk(Model):
        id: int = attrs.field(default=None)
        label: str | None = None

    for payload in ({"id": 5, "label": "office"}, {"id": 5}, {"id": 5, "new": 1}, {"id": "5", "label": None}):
        decoded = from_dict(Trunk, payload)
        assert type(decoded) is Trunk
        assert to_dict(decoded) == payload


def test_lists_of_models_decode_and_encode() -> None:
    decoded = from_dict(list[NumberDocument], [ex.document(), ex.document(id=2)], strict=True)

    assert [item.id for item in decoded] == [901, 2]
    assert ex.same(to_dict(decoded), [ex.document(), ex.document(id=2)])


def test_decoding_does_not_change_the_payload() -> None:
    for case in CASES:
        before = json.dumps(case.payload)
        to_dict(from_dict(Number, case.payload))
        assert json.dumps(case.payload) == before


# --- every single drift ---


def test_there_are_enough_drift_cases() -> None:
    assert len(CASES) >= 140
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_every_single_drift_decodes_and_round_trips(case: ex.DriftCase) -> None:
    decoded = from_dict(Number, case.payload)

    assert type(decoded) is Number
    assert ex.same(to_dict(decoded), case.payload)
    owner, field = ex.read_at(decoded, case.where[:-1]), case.where[-1]
    came = ex.at(case.payload, case.where)
    match case.kind:
        case "missing" | "null":
            assert getattr(owner, str(field)) is None
        case "type":
            kept = ex.read_at(decoded, case.where)
            assert (type(kept), kept) == (type(came), came), "a value of another type was coerced"
        case "unknown":
            assert owner.extra == {field: came}
        case _:
            member = getattr(owner, str(field))
            assert member == came
            assert member.value == came
            assert member not in list(type(member))


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_strict_names_the_path_of_each_drift_and_no_other(case: ex.DriftCase) -> None:
    if case.tolerated:
        assert ex.same(to_dict(from_dict(Number, case.payload, strict=True)), case.payload)
        return

    with pytest.raises(DecodeError) as caught:
        from_dict(Number, case.payload, strict=True)

    (said,) = caught.value.paths
    assert said.startswith(f"{case.path}: expected ")
    assert said in str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_models_with_drift_survive_pickle_and_copy(case: ex.DriftCase) -> None:
    decoded = from_dict(Number, case.payload)

    for again in (pickle.loads(pickle.dumps(decoded)), copy.copy(decoded), copy.deepcopy(decoded)):
        assert again == decoded
        assert ex.same(to_dict(again), case.payload)


def test_a_drift_survives_in_a_page_and_leaves_its_neighbours_alone() -> None:
    first, last = from_dict(Number, ex.number(id=1)), from_dict(Number, ex.number(id=3))
    for case in CASES:
        payload = ex.number_page(ex.number(id=1), case.payload, ex.number(id=3))
        page = from_dict(NumberPage, payload)

        assert ex.same(to_dict(page), payload), case.name
        assert (page.items[0], page.items[2]) == (first, last), case.name


@pytest.mark.parametrize(("where", "kind"), ex.fields(), ids=lambda value: ".".join(map(str, value)) if value else None)
def test_any_json_value_in_any_field(where: tuple[str | int, ...], kind: str) -> None:
    for value in ex.STRANGERS:
        payload = ex.replaced(where, value)
        decoded = from_dict(Number, payload)

        assert ex.same(to_dict(decoded), payload)
        if not ex.fits(kind, value):
            kept = ex.read_at(decoded, where)
            assert (type(kept), kept) == (type(value), value), "a value of another type was coerced"


@pytest.mark.parametrize("changes", [{}, {"items": None}, {"items": {}}, {"items": "abc"}, {"items": [None, 5]}])
@pytest.mark.parametrize(
    "more", [{}, {"pagination": None}, {"pagination": []}, {"doc_types": [{"id": "2"}]}, {"new": 1}]
)
def test_pages_drift_too(changes: dict[str, Any], more: dict[str, Any]) -> None:
    payload = ex.number_page(**changes, **more)

    assert ex.same(to_dict(from_dict(NumberPage, payload)), payload)


@pytest.mark.parametrize("field", ["items", "pagination", "doc_types"])
def test_a_page_without_one_of_its_fields(field: str) -> None:
    payload = ex.number_page()
    del payload[field]
    page = from_dict(NumberPage, payload)

    assert getattr(page, field) is None
    assert ex.same(to_dict(page), payload)


@pytest.mark.parametrize("payload", [{"success": True}, {}, {"success": "yes"}, {"success": True, "already_gone": 1}])
def test_confirmations_drift_too(payload: dict[str, Any]) -> None:
    decoded = from_dict(Success, payload)

    assert ex.same(to_dict(decoded), payload)
    assert decoded.already_gone is False, "that is our word, not the API's"


def test_nothing_at_all_in_a_number() -> None:
    decoded = from_dict(Number, {})

    assert to_dict(decoded) == {}
    assert all(getattr(decoded, field) is None for field in ex.NUMBER_FIELDS)
    with pytest.raises(DecodeError) as caught:
        from_dict(Number, {}, strict=True)
    required = {f"$.{name}" for name, (_, optional) in ex.NUMBER_FIELDS.items() if not optional}
    assert {path.partition(":")[0] for path in caught.value.paths} == required


@pytest.mark.parametrize("payload", [None, 5, "text", True, 0.5])
def test_an_answer_that_is_no_object_raises(payload: Any) -> None:
    with pytest.raises(DecodeError, match=r"\$: expected Number"):
        from_dict(Number, payload)


@pytest.mark.parametrize("payload", [[], [1, 2], [{}]])
def test_a_list_where_a_number_was_asked_for_raises(payload: Any) -> None:
    with pytest.raises(DecodeError):
        from_dict(Number, payload)


def test_an_object_where_a_list_was_asked_for_raises() -> None:
    with pytest.raises(DecodeError):
        from_dict(list[Number], {"items": []})


@pytest.mark.parametrize("key", ["extra", "_origin", "__class__", "__dict__", "self", "", "a.b", "_extra", "texts"])
def test_keys_that_mean_something_to_python_are_only_keys(key: str) -> None:
    payload = ex.number(**{key: "x"}) if key != "self" else {**ex.number(), "self": "x"}
    decoded = from_dict(Number, payload)

    assert decoded.extra == {key: "x"}
    assert ex.same(to_dict(decoded), payload)


def test_deeply_nested_lists_go_through() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]

    to_dict(from_dict(Number, ex.number(destination=deep)))


# --- texts with more than one spelling ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.10", Decimal("0.10")),
        ("0.1", Decimal("0.1")),
        ("00.10", Decimal("0.10")),
        ("1E+2", Decimal(100)),
        ("1e2", Decimal(100)),
        (" 1", Decimal(1)),
        ("1 ", Decimal(1)),
        ("+1", Decimal(1)),
        ("-0", Decimal(0)),
        ("1_000", Decimal(1000)),
        (".5", Decimal("0.5")),
        ("5.", Decimal(5)),
        ("0.10000000000000000000000000000000000001", Decimal("0.10000000000000000000000000000000000001")),
    ],
)
def test_money_texts(text: str, value: Decimal) -> None:
    decoded = from_dict(Number, ex.number(monthly_fee=text), strict=True)

    assert type(decoded.monthly_fee) is Decimal
    assert decoded.monthly_fee == value
    assert to_dict(decoded)["monthly_fee"] == text


@pytest.mark.parametrize(
    "text", ["NaN", "nan", "sNaN", "Infinity", "-inf", "", " ", "ten", "1,50", "$1", "0x1", "1E+9" * 9]
)
def test_money_texts_that_are_no_amount_are_kept(text: str) -> None:
    decoded = from_dict(Number, ex.number(monthly_fee=text))

    assert decoded.monthly_fee == text
    assert to_dict(decoded)["monthly_fee"] == text
    with pytest.raises(DecodeError, match=r"\$\.monthly_fee: expected Decimal, found str"):
        from_dict(Number, ex.number(monthly_fee=text), strict=True)


MOMENT = datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-02-29T23:59:59.000Z", MOMENT),
        ("2024-02-29T23:59:59Z", MOMENT),
        ("2024-02-29T23:59:59.5Z", MOMENT.replace(microsecond=500_000)),
        ("2024-02-29T23:59:59.123456Z", MOMENT.replace(microsecond=123_456)),
        ("2024-02-29T23:59:59", MOMENT),
        ("2024-02-29 23:59:59", MOMENT),
        ("2024-02-29T23:59:59.000", MOMENT),
        ("2024-02-29T23:59:59+00:00", MOMENT),
        ("2024-03-01T01:59:59+02:00", MOMENT),
        ("2024-02-29T18:59:59.000-05:00", MOMENT),
        ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        ("9999-12-31T23:59:59-12:00", datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-12)))),
    ],
)
def test_times_are_aware_and_keep_their_text(text: str, value: datetime) -> None:
    decoded = from_dict(Number, ex.number(added=text), strict=True)

    assert decoded.added.utcoffset() == value.utcoffset() or decoded.added == value
    assert decoded.added.tzinfo is not None
    assert to_dict(decoded)["added"] == text


@pytest.mark.parametrize(
    "text", ["", "2024-02-29", "2023-02-29T00:00:00Z", "29.02.2024 23:59:59", "now", "1709251199000", "T" * 30]
)
def test_texts_that_are_no_time_are_kept(text: str) -> None:
    decoded = from_dict(Number, ex.number(added=text))

    assert decoded.added == text
    assert to_dict(decoded)["added"] == text


@pytest.mark.parametrize("text", ["2025-01-31", "2025-01-31T00:00:00.000Z", "2025-01-31T00:00:00Z"])
def test_a_date_may_come_as_midnight(text: str) -> None:
    decoded = from_dict(Number, ex.number(paid_until=text), strict=True)

    assert decoded.paid_until == date(2025, 1, 31)
    assert type(decoded.paid_until) is date
    assert to_dict(decoded)["paid_until"] == text


@pytest.mark.parametrize(
    "text", ["2025-01-31T09:30:00.000Z", "2025-02-30", "31/01/2025", "", "2025-01", "2025-01-31 and on"]
)
def test_texts_that_are_no_date_are_kept(text: str) -> None:
    decoded = from_dict(Number, ex.number(paid_until=text))

    assert decoded.paid_until == text
    assert to_dict(decoded)["paid_until"] == text


# --- changing a decoded model ---


@pytest.mark.parametrize(
    ("changes", "wire"),
    [
        ({"label": "day shift"}, {"label": "day shift"}),
        ({"label": None}, {"label": None}),
        ({"monthly_fee": Decimal("7.00")}, {"monthly_fee": "7.00"}),
        ({"added": datetime(2020, 1, 1, tzinfo=UTC)}, {"added": "2020-01-01T00:00:00.000Z"}),
        ({"paid_until": date(2030, 6, 1)}, {"paid_until": "2030-06-01"}),
        ({"destination": []}, {"destination": []}),
        ({"status": "inactive"}, {"status": "inactive"}),
        ({"extra": {"brand": 1}}, {"brand": 1}),
    ],
)
@pytest.mark.parametrize(
    "payload",
    [
        ex.number(),
        ex.number(monthly_fee=" 1", added="2024-01-01 00:00:00", paid_until="2025-01-31T00:00:00Z"),
        ex.number(monthly_fee=5, added=7, paid_until=[], label={}, destination="x", status=0),
    ],
    ids=["documented", "other-texts", "other-types"],
)
def test_evolve_gives_the_new_value(payload: dict[str, Any], changes: dict[str, Any], wire: dict[str, Any]) -> None:
    changed = attrs.evolve(from_dict(Number, payload), **changes)

    assert ex.same(to_dict(changed), {**payload, **wire})


@pytest.mark.parametrize("field", list(ex.NUMBER_FIELDS))
def test_evolve_fills_a_missing_field_and_keeps_the_others_missing(field: str) -> None:
    payload = {"id": 1} if field != "id" else {"number": "1"}
    value = from_dict(Number, ex.number(label="x", cnam=True, call_status_url="x"))
    changed = attrs.evolve(from_dict(Number, payload), **{field: getattr(value, field)})

    assert ex.same(to_dict(changed), {**payload, field: to_dict(value)[field]})


@pytest.mark.parametrize(
    ("came", "new", "wire"),
    [(" 1", Decimal("1.00"), "1.00"), ("1E1", Decimal("10.0"), "10.0")],
)
def test_evolve_to_an_equal_value_gives_the_new_spelling(came: Any, new: Any, wire: Any) -> None:
    changed = attrs.evolve(from_dict(Number, {"monthly_fee": came}), monthly_fee=new)

    assert ex.same(to_dict(changed), {"monthly_fee": wire})


@pytest.mark.parametrize(("came", "new", "wire"), [(1, Decimal(1), "1"), (1, True, True), (0, Decimal("0.00"), "0.00")])
def test_evolve_of_a_kept_value_to_an_equal_one(came: Any, new: Any, wire: Any) -> None:
    changed = attrs.evolve(from_dict(Number, {"monthly_fee": came}), monthly_fee=new)

    assert ex.same(to_dict(changed), {"monthly_fee": wire})


def test_evolve_keeps_microseconds() -> None:
    moment = datetime(2024, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)
    changed = attrs.evolve(from_dict(Number, ex.number()), added=moment)

    assert datetime.fromisoformat(to_dict(changed)["added"]) == moment


def test_a_model_made_by_hand_says_nothing_of_what_it_leaves_out() -> None:
    assert to_dict(Number(id=1, monthly_fee=Decimal("2.0"), state=None)) == {"id": 1, "monthly_fee": "2.0"}


def test_to_dict_gives_what_json_takes() -> None:
    for case in CASES:
        json.dumps(to_dict(from_dict(Number, case.payload)), allow_nan=False)


@pytest.mark.parametrize("value", [None, 5, "text", {"id": 1}, object()])
def test_to_dict_takes_models_only(value: Any) -> None:
    with pytest.raises(TypeError, match="to_dict takes a model"):
        to_dict(value)


# --- properties ---

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def drifting(fields: list[str], make: Callable[..., dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads in which any fields are dropped, any replaced, and any keys added."""
    return st.builds(
        lambda new, gone, changed: {
            key: value for key, value in {**new, **make(), **changed}.items() if key not in gone
        },
        st.dictionaries(st.text(max_size=8), json_values, max_size=3),
        st.sets(st.sampled_from(fields)),
        st.dictionaries(st.sampled_from(fields), json_values, max_size=4),
    )


destinations = drifting(list(ex.DESTINATION_FIELDS), ex.destination)
documents = drifting(list(ex.DOCUMENT_FIELDS), ex.document)
numbers = st.builds(
    lambda payload, inner: {**payload, **{key: value for key, value in inner.items() if key in payload}},
    drifting(list(ex.NUMBER_FIELDS), ex.number),
    st.fixed_dictionaries(
        {},
        optional={
            "destination": st.lists(destinations | json_values, max_size=2),
            "documents": st.lists(documents | json_values, max_size=2),
            "require_docs": st.lists(st.text(max_size=5) | json_values, max_size=3),
        },
    ),
)


@given(numbers)
@quick
def test_any_combination_of_drifts_round_trips(payload: dict[str, Any]) -> None:
    decoded = from_dict(Number, payload)

    assert ex.same(to_dict(decoded), payload)
    assert ex.same(to_dict(pickle.loads(pickle.dumps(decoded))), payload)
    assert from_dict(Number, to_dict(decoded)) == decoded


@given(st.lists(numbers, max_size=3), drifting(list(ex.pagination()), ex.pagination) | json_values)
@quick
def test_any_page_round_trips(items: list[Any], pages: Any) -> None:
    payload = {"items": items, "pagination": pages}

    assert ex.same(to_dict(from_dict(NumberPage, payload)), payload)


@given(numbers)
@quick
def test_strict_raises_just_where_tolerant_decoding_had_to_bend(payload: dict[str, Any]) -> None:
    try:
        strict = from_dict(Number, payload, strict=True)
    except DecodeError:
        return
    assert strict == from_dict(Number, payload)
    assert ex.same(to_dict(strict), payload)


@given(st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.text(max_size=12))
@quick
def test_any_text_in_a_money_field(text: str) -> None:
    decoded = from_dict(Number, ex.number(monthly_fee=text))

    assert to_dict(decoded)["monthly_fee"] == text
    assert isinstance(decoded.monthly_fee, Decimal) or decoded.monthly_fee == text


@given(
    st.datetimes(
        timezones=st.none() | st.just(UTC) | st.timedeltas(-timedelta(hours=23), timedelta(hours=23)).map(timezone)
    )
    .flatmap(lambda moment: st.sampled_from(["T", " "]).map(moment.isoformat))
    .map(lambda text: text.replace("+00:00", "Z"))
    | st.text("0123456789-:T.Z+ W", max_size=30)
)
@quick
def test_any_text_in_a_time_and_a_date_field(text: str) -> None:
    decoded = from_dict(Number, ex.number(added=text, paid_until=text))
    again = to_dict(decoded)

    assert (again["added"], again["paid_until"]) == (text, text)
    assert decoded.added == text or decoded.added.tzinfo is not None


@given(st.text(), st.integers())
@quick
def test_any_enum_value_round_trips(text: str, number: int) -> None:
    payload = ex.number(status=text, destination=[ex.destination(transport=number)])
    decoded = from_dict(Number, payload, strict=True)

    assert decoded.status == text
    assert decoded.destination[0].transport == number
    assert ex.same(to_dict(decoded), payload)
