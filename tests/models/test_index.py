"""The names of `wavix_async.models`: each in one module, loaded when it is used, and readable as an answer."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import Counter
from typing import Any

import attrs
import pytest

from wavix_async import InputError, Operation, models
from wavix_async.models import Model, Page

ANSWERS = [
    kind
    for name in models.__all__
    if inspect.isclass(kind := getattr(models, name)) and issubclass(kind, Model) and kind not in {Model, Page}
]


def test_a_name_is_in_one_module() -> None:
    modules = [
        importlib.import_module(each.name)
        for each in pkgutil.walk_packages(models.__path__, f"{models.__name__}.")
        if not each.name.rpartition(".")[2].startswith("_") and not each.ispkg
    ]
    counted = Counter(name for module in modules for name in module.__all__)

    assert [name for name, count in counted.items() if count > 1] == []
    assert counted.keys() <= set(models.__all__)
    assert all(getattr(models, name).__module__.startswith(models.__name__) for name in counted)


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Mesage'; did you mean 'Message'"):
        models.Mesage  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_field_of_a_model_is_of_a_type_that_can_be_read(kind: Any) -> None:
    # A model of a user's own is checked field by field; those of the package are not, to be quick.
    own = attrs.make_class(f"Own{kind.__name__}", {}, bases=(kind,), frozen=True, kw_only=True)

    assert Operation("GET", "/v1/own", own).result is own


@attrs.frozen(kw_only=True)
class Wrong(Model):
    data: bytes = attrs.field(default=None)


class Undecorated(Model):
    data: str = ""


@pytest.mark.parametrize("kind", [Wrong, Undecorated, Page, list[Wrong]])
def test_a_model_that_cannot_be_read_is_refused_when_the_operation_is_made(kind: Any) -> None:
    with pytest.raises(InputError, match="the result cannot be "):
        Operation("POST", "/v1/own", kind)
