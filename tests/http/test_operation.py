"""Operations: what is assumed of a new one, and what is stated of those that exist."""

from __future__ import annotations

import importlib
import pkgutil

import attrs
import pytest

from wavix_async import Number, NumberPage, Operation, Success, resources
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
def test_a_new_operation_is_safe_until_somebody_has_thought_about_it(
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
}


@pytest.mark.req_02
def test_whether_a_call_may_be_repeated_has_been_reviewed_for_every_operation() -> None:
    """A new operation fails here until somebody has written down what they think."""
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.iter_modules(resources.__path__, "wavix_async.resources.")
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
