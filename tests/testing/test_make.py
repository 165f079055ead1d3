"""Models and errors without a server."""

import inspect
import json
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

import wavix_async
from wavix_async import (
    APIError,
    BulkError,
    ConnectError,
    DecodeError,
    DocumentType,
    InboundCallDestination,
    InboundCallTransport,
    Number,
    NumberPage,
    NumberStatus,
    NumberUpdate,
    OutcomeUnknownError,
    Page,
    Pagination,
    RateLimitError,
    ServerError,
    Success,
    WavixError,
    errors,
    from_dict,
    models,
    to_dict,
)
from wavix_async._codec import shape_of
from wavix_async.models._base import Model
from wavix_async.testing import make, make_destination, make_document, make_error, make_number, make_page

MODELS = [
    kind
    for kind in (getattr(models, name) for name in models.__all__)
    if inspect.isclass(kind)
    and issubclass(kind, Model)
    and not getattr(kind, "__parameters__", ())
    and kind is not Model
]
ERRORS = [getattr(errors, name) for name in errors.__all__ if inspect.isclass(getattr(errors, name))]
ERRORS.append(BulkError)


@pytest.mark.parametrize("kind", MODELS)
def test_every_model_can_be_made_and_is_what_the_api_could_say(kind: type[Model]) -> None:
    made = make(kind)

    assert type(made) is kind
    wire = to_dict(made)
    assert from_dict(kind, json.loads(json.dumps(wire)), strict=True) == made
    # Complete: what is null in an answer is null here, not missing.
    assert wire.keys() == shape_of(kind).names
    assert pickle.loads(pickle.dumps(made)) == made


def test_there_are_models_to_make() -> None:
    assert len(MODELS) >= 8


@attrs.frozen(kw_only=True)
class Wheel(Model):
    size: int = attrs.field(default=None)


@attrs.frozen(kw_only=True)
class Car(Model):
    """A model without a sample."""

    id: int = attrs.field(default=None)
    owner_id: int = attrs.field(default=None)
    name: str = attrs.field(default=None)
    photo_url: str = attrs.field(default=None)
    contact_number: str = attrs.field(default=None)
    price: Decimal = attrs.field(default=None)
    speed: float = attrs.field(default=None)
    sold: bool = attrs.field(default=None)
    built: datetime = attrs.field(default=None)
    checked: date = attrs.field(default=None)
    status: NumberStatus = attrs.field(default=None)
    spare: Wheel = attrs.field(default=None)
    wheels: list[Wheel] = attrs.field(default=None)
    note: str | None = None


@attrs.frozen(kw_only=True)
class CarPage(Page[Car]):
    items: list[Car] = attrs.field(default=None)


def test_a_model_without_a_sample_gets_values_of_its_types() -> None:
    first, second = make(Car), make(Car, note="red", wheels=[make(Wheel)])

    assert (first.id, second.id) == (1001, 1002)
    assert (first.photo_url, first.contact_number) == ("https://example.com/1001", "14155551001")
    assert (first.name, first.owner_id, first.sold, first.note) == ("name 1001", 1, False, None)
    assert (type(first.price), type(first.built), type(first.checked)) == (Decimal, datetime, date)
    assert (first.status, first.spare, first.wheels) == (NumberStatus.ACTIVE, Wheel(size=1), [])
    assert (second.note, second.wheels) == ("red", [Wheel(size=1)])
    page = make_page(CarPage, 2)
    assert [type(car) for car in page.items] == [Car, Car]


def test_numbers_differ_in_their_ids_and_are_the_same_otherwise() -> None:
    numbers = [make_number() for _ in range(50)]

    assert len({number.id for number in numbers}) == len({number.number for number in numbers}) == 50
    destination = make_destination()
    assert len({repr(attrs.evolve(each, id=1, number="1", destination=[destination])) for each in numbers}) == 1
    assert [number.id for number in numbers] == list(range(numbers[0].id, numbers[0].id + 50))


def test_values_are_taken_as_the_model_has_them_and_as_the_api_writes_them() -> None:
    number = make_number(
        id=7,
        status="inactive",
        monthly_fee=Decimal("2.50"),
        per_min="0.02",
        added=datetime(2026, 3, 1, 12, tzinfo=UTC),
        paid_until=date(2026, 4, 1),
        destination=[make_destination(transport=4), make_destination(transport=InboundCallTransport.SIP_TRUNK)],
        label=None,
        extra={"carrier": "x"},
    )

    assert (number.id, number.status, number.monthly_fee, number.per_min) == (
        7,
        NumberStatus.INACTIVE,
        Decimal("2.50"),
        Decimal("0.02"),
    )
    assert number.status is NumberStatus.INACTIVE
    assert (number.added.hour, number.added.tzinfo, number.paid_until) == (12, UTC, date(2026, 4, 1))
    assert [each.transport for each in number.destination] == [4, 5]
    assert number.extra == {"carrier": "x"}
    assert to_dict(number)["carrier"] == "x"
    assert make(Success, already_gone=True).already_gone
    assert make_document(status="rejected").status == "rejected"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: make_number(sms_enable=True), "Number has no field 'sms_enable': did you mean sms_enabled"),
        (lambda: make_number(colour="red"), "Number has no field 'colour': it has id, number,"),
        (lambda: make_number(_origin=None), "no field '_origin'"),
        (lambda: make_number(sms_enabled="yes"), r"Number.sms_enabled: expected bool, found str\."),
        (lambda: make_number(number=None), "Number.number: expected str, found null"),
        (lambda: make_number(destination=[{"id": 1}]), r"Number.destination\[0\].destination: expected str"),
        (lambda: make_number(extra=3), "extra must be a mapping of keys"),
        (lambda: make(NumberUpdate), "such as Number or NumberPage, not NumberUpdate"),  # type: ignore[type-var]
        (lambda: make(Page), "such as Number or NumberPage, not Page"),
        (lambda: make(3), "takes a response class, such as Number or NumberPage, not 3"),  # type: ignore[arg-type]
        (lambda: make_page(Number), "takes a page class"),  # type: ignore[type-var]
        (lambda: make_page(NumberPage, [make_destination()]), r"NumberPage.items\[0\].*\(and \d+ more\)"),
        (lambda: make_error(RateLimitError, retryafter=3), "no argument 'retryafter': did you mean retry_after"),
    ],
)
def test_what_cannot_be_is_refused_by_name(made: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        made()


def test_pages_add_up() -> None:
    assert make_page(NumberPage, 0).pagination == Pagination(current_page=1, per_page=25, total=0, total_pages=1)
    page = make_page(NumberPage, [make_number(id=1), make_number(id=2)], page=3, per_page=10, total=42)
    assert [number.id for number in page.items] == [1, 2]
    assert page.pagination == Pagination(current_page=3, per_page=10, total=42, total_pages=5)
    assert make_page(NumberPage, 4, page=2, per_page=4).pagination.total == 8
    assert all(isinstance(kind, DocumentType) for kind in page.doc_types)
    for wrong in ({"per_page": 2}, {"total": 2}, {"page": 2, "total": 27}):
        with pytest.raises(ValueError, match="cannot have 3 items"):
            make_page(NumberPage, 3, **wrong)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_can_be_made_with_the_facts_of_a_call(kind: type[WavixError]) -> None:
    error = make_error(kind)

    assert type(error) is kind
    if error.status is not None:
        assert errors.error_for_status(error.status) is kind
    assert (error.attempts, error.elapsed) == ((0, 0.0) if error.outcome == "not_sent" else (1, 0.05))
    assert kind.__name__ in str(error)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_all_errors_of_the_api_have_their_status() -> None:
    made = {kind: make_error(kind).status for kind in ERRORS if issubclass(kind, APIError) and kind is not APIError}
    assert len(made) == 10
    assert None not in made.values()
    assert made[ServerError] == 500


def test_the_facts_of_an_error_are_taken() -> None:
    error = make_error(RateLimitError, "slow down", retry_after=3, attempts=4, elapsed=2.0)
    assert (str(error), error.status, error.retry_after, error.attempts, error.elapsed) == ("slow down", 429, 3, 4, 2.0)
    assert make_error(ServerError, status=503).status == 503
    assert make_error(OutcomeUnknownError).outcome == "unknown"
    assert make_error(ConnectError, was_idle=True).was_idle
    assert make_error(DecodeError, paths=("$.id",)).paths == ("$.id",)
    assert make_error(BulkError, report=None).report is None


def test_nothing_of_it_is_loaded_with_the_package() -> None:
    assert not hasattr(wavix_async, "make_number")
    assert issubclass(InboundCallDestination, Model)
