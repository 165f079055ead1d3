"""`DriftCollector`: what real answers showed, in the form of `compare`."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from tests.support import examples
from wavix_async import AttemptEvent, Drift, DriftEvent, WavixClient
from wavix_async.spec import DriftCollector, Effect

if TYPE_CHECKING:
    from tests.conftest import Api

SECRET = "hunter2-0123456789"


def event(
    model: str = "Number", field: str = "label", kind: Any = "type", operation: str = "GET /x", more: int = 0
) -> Any:
    drift = Drift(model, field, kind, f"$.items[3].{field}", "str", "int")
    return DriftEvent(operation=operation, drift=drift, more=more)


async def test_what_answers_showed_has_names_and_types_only(api: Api) -> None:
    number = examples.number(id=1001, number=15125550143, city=None, colour=SECRET)
    del number["country"]
    api.answer("GET", "/v1/numbers/1001", number)
    collector = DriftCollector()

    async with WavixClient("key-of-the-test", base_url="https://api.wavix.test", observers=[collector]) as wavix:
        await wavix.numbers.get(1001)

    found = collector.comparison()
    assert {(each.effect, each.kind, each.subject, each.expected, each.found) for each in found.changes} == {
        ("breaks_reading", "removed", "Number.country", "str", ""),
        ("breaks_reading", "newly nullable", "Number.city", "str", ""),
        ("breaks_reading", "retyped", "Number.number", "str", "int"),
        ("not_covered", "added", "Number.colour", "", "str"),
    }
    assert found.changes[-1].effect == "not_covered"
    assert {each.operations for each in found.changes} == {("GET /v1/numbers/{id}",)}
    text = found.to_json() + found.to_markdown()
    assert SECRET not in text
    assert "15125550143" not in text
    assert "| answer | `Number.colour` | added |  | `str` | `GET /v1/numbers/{id}` |" in found.to_markdown()


def test_the_same_drift_of_two_operations_is_one() -> None:
    collector = DriftCollector()
    for operation in ("GET /x", "PUT /x", "GET /x"):
        collector(event(operation=operation))

    (change,) = collector.comparison().changes

    assert change.operations == ("GET /x", "PUT /x")


def test_the_memory_is_bounded() -> None:
    collector = DriftCollector()
    for at in range(3_000):
        collector(event(field=f"field_{at:x}_{'x' * 1_000}", more=1))

    found = collector.comparison()

    assert len(found.changes) == 1_000
    assert found.left_out == 2_000 + 3_000
    assert max(len(each.subject) for each in found.changes) < 200
    assert found.to_markdown().startswith("# 6,000 differences")
    collector.clear()
    assert not collector.comparison()


def test_a_name_of_an_answer_cannot_be_markup_or_a_phone_number() -> None:
    collector = DriftCollector()
    collector(event(field="\x1b[31m|15125550143|\n# x", kind="unknown"))

    found = collector.comparison()

    assert json.loads(found.to_json())["changes"][0]["subject"] == "Number.\\u001b[31m|***143|\\u000a# x"
    assert r"`Number.\u001b[31m\u007c***143\u007c\u000a# x`" in found.to_markdown()


def test_other_events_are_ignored() -> None:
    collector = DriftCollector()
    collector(AttemptEvent(operation="GET /x", attempt=1, status=200, error=None, outcome=None, duration=0.1))

    assert not collector.comparison()


def test_threads_can_share_it() -> None:
    collector = DriftCollector()
    events = [event(field=f"field_{at}", kind="null") for at in range(200)]
    threads = [threading.Thread(target=lambda: [collector(each) for each in events]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = collector.comparison()

    assert [each.subject for each in found.changes] == [f"Number.field_{at}" for at in range(200)]
    assert {each.effect for each in found.changes} == {Effect.BREAKS_READING}
