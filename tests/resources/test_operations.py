"""One row for each operation: the call, the request that it must send, and the result of the answer.

The rows are in `tests/resources/rows`, a module for each group of operations, which exports them as `ROWS`.

`test_contract.py` compares every `Operation` of the package with the API's own description.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pytest

from tests.resources import rows
from tests.resources.rows.messages import SHORT_MESSAGE
from tests.support.operations import operations
from wavix_async import Success, WavixClient, to_dict
from wavix_async._codec import is_model, shape_of
from wavix_async._http import find_id_field

if TYPE_CHECKING:
    from tests.conftest import Api
    from tests.resources.rows.row import Row

MODULES: Final = [
    importlib.import_module(module.name) for module in pkgutil.iter_modules(rows.__path__, f"{rows.__name__}.")
]
ROWS: Final[list[Row]] = [row for module in MODULES for row in getattr(module, "ROWS", ())]
IDS: Final[dict[str, str | None]] = {
    name: field for module in MODULES for name, field in getattr(module, "ID_FIELDS", {}).items()
}
"""The field of the answer that has the id of the path, by operation; modules of rows export theirs as `ID_FIELDS`."""
OWN_TESTS: Final[set[str]] = {name for module in MODULES for name in getattr(module, "OWN_TESTS", ())}
"""Operations whose tests are elsewhere; modules export theirs as `OWN_TESTS`."""


@pytest.mark.parametrize("row", ROWS, ids=[f"{at}: {row.request}" for at, row in enumerate(ROWS)])
async def test_the_request_and_the_answer(api: Api, wavix: WavixClient, row: Row) -> None:
    method, path = row.request.split()
    api.answer(method, path, row.answer)

    result = await row.call(wavix)

    (sent,) = api.sent
    assert dict(sent.query) == row.query
    assert (None if sent.data is None else sent.json) == row.body
    wire = to_dict(result)
    assert wire == (row.answer if row.result is None else row.result)


async def test_a_message_reads_as_what_it_means(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v3/messages/3f0d7d3e", SHORT_MESSAGE)

    message = await wavix.messages.get("3f0d7d3e")

    assert (message.from_, message.charge, message.status) == ("Acme", Decimal("0.0475"), "accepted")
    assert message.submitted_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert message.message_body.text == "Hello"
    assert not message.extra


@pytest.mark.parametrize("word", ["all", "sender-ids", "opt-outs"])
async def test_an_id_that_would_reach_another_operation(api: Api, wavix: WavixClient, word: str) -> None:
    with pytest.raises(ValueError, match=f"must not be '{word}'"):
        await wavix.messages.get(word)

    assert api.sent == []


async def test_an_answer_of_204_confirms(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v3/messages/sender-ids/5a4c", status=204, body=b"")

    assert await wavix.messages.sender_ids.delete("5a4c") == Success(success=True)


# --- all operations ---


def test_every_operation_has_a_row_or_a_test_of_its_own() -> None:
    requests = {row.request for row in ROWS}
    rows_of = {name: [each for each in requests if stands_for(name, each)] for name in operations()}

    assert [name for name, found in rows_of.items() if not found and name not in OWN_TESTS] == []
    assert requests == {each for found in rows_of.values() for each in found}


def stands_for(name: str, request: str) -> bool:
    """Return whether a request is one of the operation; an id has a digit, which no fixed part of a path ends with."""
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", r"(?=[^/]*\\d)[^/]+", re.escape(name)), request) is not None


@pytest.mark.req_26
def test_every_answer_about_one_record_shows_its_id() -> None:
    """An operation whose path ends with an id has a model with that id, or only confirms."""
    evidence = {
        name: find_id_field(operation)
        for name, operation in operations().items()
        if operation.path.endswith("}") and operation.result is not Success and not operation.is_stream
    }
    assert evidence == IDS


@pytest.mark.req_26
def test_what_an_operation_declares_of_its_answer_is_in_its_model() -> None:
    for name, operation in operations().items():
        if is_model(operation.result):
            names = shape_of(operation.result).names
            assert set(operation.echoes or ()) <= names, name
            assert not operation.answer_id or operation.answer_id in names, name
