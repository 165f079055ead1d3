"""Requests made up from the API's description, valid ones and broken ones: the sandbox has an answer to each.

At full size (`pytest -m scale tests/fuzz`) each operation gets 100 requests, by default every tenth gets 5.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.description import DOCUMENT
from tests.support.operations import operations
from wavix_async.sandbox import Sandbox

schemathesis = pytest.importorskip("schemathesis", reason="pip install --group fuzz")
requests = pytest.importorskip("requests", reason="pip install --group fuzz")

OPERATIONS: Final = sorted(operations())
IDS: Final = re.compile(r"(?:.*_)?u?u?id")
KEPT_IDS: Final = 200
SIZES: Final = [
    *((name, 5) for name in OPERATIONS[::10]),
    *(pytest.param(name, 100, marks=pytest.mark.scale) for name in OPERATIONS),
]


@pytest.fixture(scope="module")
def api() -> Any:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    return {each.ok().label: each.ok() for each in schema.get_all_operations()}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(numbers=20, seed=3, cdrs=40) as running:
        yield running


@pytest.fixture(scope="module")
def session(sandbox: Sandbox) -> Iterator[Any]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {sandbox.api_key}"
        yield session


@pytest.fixture(scope="module")
def ids() -> dict[Any, None]:
    """Ids that the sandbox has shown, oldest first, so that made up requests are about records that exist."""
    return {1001: None}


def found_ids(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, each in value.items():
            if IDS.fullmatch(key) and isinstance(each, str | int) and each != "":
                yield each
            yield from found_ids(each)
    elif isinstance(value, list):
        for each in value:
            yield from found_ids(each)


@pytest.mark.parametrize(("name", "examples"), SIZES)
def test_no_request_is_an_accident(
    api: Any, sandbox: Sandbox, session: Any, ids: dict[Any, None], name: str, examples: int
) -> None:
    operation = api[name]
    modes = schemathesis.GenerationMode
    cases = operation.as_strategy(generation_mode=modes.POSITIVE)
    if takes_anything(operation):
        cases |= operation.as_strategy(generation_mode=modes.NEGATIVE)

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, known=st.none() | st.integers(0, KEPT_IDS))
    def send(case: Any, known: int | None) -> None:
        if case.path_parameters and known is not None:
            for key in case.path_parameters:
                case.path_parameters[key] = list(ids)[known % len(ids)]
        answer = case.call(base_url=sandbox.url, session=session, allow_redirects=False)

        assert answer.status_code < 500, (case.formatted_path, case.query, case.body, answer.text)
        if answer.content and answer.headers.get("Content-Type") == "application/json":
            for each in found_ids(json.loads(answer.content)):
                ids[each] = None
                if len(ids) > KEPT_IDS:
                    del ids[next(iter(ids))]

    send()


def takes_anything(operation: Any) -> bool:
    """Return whether an operation has parameters or a body, which can be wrong."""
    return any((operation.path_parameters, operation.query, operation.body))
