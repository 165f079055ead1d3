"""Collections: requests are answered from a description of the records."""

import json
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from wavix_async.sandbox import SandboxStats
from wavix_async.sandbox._groups import (
    BOOL,
    TEXT,
    Collection,
    Context,
    Numbered,
    Uuids,
    exact,
    phone,
    prefix,
    since,
    until,
)
from wavix_async.sandbox._server import ApiError, Call, Outbox, Reply, Timers


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def date(self) -> datetime:
        return datetime(2026, 6, 30, tzinfo=UTC) + timedelta(seconds=self.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(clock: Clock) -> Context:
    timers, outbox = Timers(clock), Outbox(clock)
    return Context(
        lock=RLock(), clock=clock, date=clock.date, stats=SandboxStats(), timers=timers, outbox=outbox, seed=3
    )


def call(body: Any = None, *ids: str, query: str = "") -> Call:
    encoded = b"" if body is None else json.dumps(body).encode()
    return Call(make_mocked_request("GET", "/"), query, ids, {}, None, encoded)


def read(reply: Reply) -> Any:
    return json.loads(reply.payload)


def things(context: Context, **described: Any) -> Collection:
    """Return a collection of names with a flag."""
    described = {
        "checks": {"name": TEXT, "active": BOOL},
        "required": ("name",),
        "record": lambda given: {"name": given["name"], "active": given.get("active", True)},
        **described,
    }
    return Collection(context, **described)


def test_what_is_created_is_shown_until_it_is_deleted(context: Context) -> None:
    made = things(context, ids=Numbered(50))
    first = made.create(call({"name": "a"}))
    assert (first.code, read(first)) == (201, {"id": 50, "name": "a", "active": True})
    second = read(made.create(call({"name": "b", "active": False})))
    assert second == {"id": 51, "name": "b", "active": False}
    assert read(made.get(call(None, "51"))) == second
    assert read(made.list(call()))["items"] == [read(first), second]
    assert read(made.delete(call(None, "50"))) == {"success": True}
    for again in (made.get, made.delete, made.update):
        with pytest.raises(ApiError, match="Record not found") as caught:
            again(call({}, "50"))
        assert caught.value.status == 404
    assert read(made.create(call({"name": "c"})))["id"] == 52
    assert dict(made.view) == {51: second, 52: {"id": 52, "name": "c", "active": True}}


def test_the_last_id_of_the_path_counts(context: Context) -> None:
    made = things(context)
    made.create(call({"name": "a"}))
    assert read(made.get(call(None, "parent", "1")))["name"] == "a"
    with pytest.raises(ApiError, match="Missing or invalid parameter id"):
        made.get(call(None, "1", "parent"))


@pytest.mark.parametrize(
    ("update_by", "body", "active"),
    [
        ("merge", {"name": "b"}, False),
        ("merge", {"name": "b", "active": True}, True),
        ("replace", {"name": "b"}, True),
        ("replace", {"name": "b", "active": False}, False),
    ],
)
def test_update(context: Context, update_by: str, body: dict[str, Any], active: bool) -> None:
    made = things(context, update_by=update_by)
    made.create(call({"name": "a", "active": False}))
    assert read(made.update(call(body, "1"))) == {"id": 1, "name": "b", "active": active}
    assert made.view[1]["active"] is active


def test_what_update_needs(context: Context) -> None:
    merged, replaced = things(context), things(context, update_by="replace")
    for made in (merged, replaced):
        made.create(call({"name": "a"}))
    assert read(merged.update(call({}, "1")))["name"] == "a"
    with pytest.raises(ApiError, match="Missing or invalid parameter name"):
        replaced.update(call({}, "1"))


def test_uuids_depend_on_the_seed_and_the_order_only(context: Context) -> None:
    def ids(seed: int, name: str) -> list[str]:
        made = things(context, ids=Uuids(seed, name), id_field="uuid")
        return [read(made.create(call({"name": "a"})))["uuid"] for _ in range(3)]

    assert ids(3, "things") == ids(3, "things")
    assert len({*ids(3, "things"), *ids(4, "things"), *ids(3, "others")}) == 9
    assert all(len(one) == 36 and one[14] == "4" for one in ids(3, "things"))


def test_reset_begins_again_with_the_first_id(context: Context) -> None:
    made = things(context)
    first = read(made.create(call({"name": "a"})))
    made.reset()
    assert len(made.view) == 0
    assert read(made.create(call({"name": "a"}))) == first


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "name"),
        ({"name": 5}, "name"),
        ({"name": " "}, "name"),
        ({"name": None}, "name"),
        ({"name": "a", "active": "yes"}, "active"),
        ({"name": "a", "colour": "red"}, "colour: unknown field"),
        ({"name": "\ud800"}, "body: malformed JSON"),
        ([], "body: a JSON object is needed"),
        (None, "body: malformed JSON"),
    ],
)
def test_wrong_fields(context: Context, body: Any, message: str) -> None:
    made = things(context)
    with pytest.raises(ApiError) as caught:
        made.create(call(body))
    assert caught.value.status == 400
    assert caught.value.body == {"success": False, "message": f"Missing or invalid parameter {message}"}
    assert not made.view


def test_wrap_and_unwrap(context: Context) -> None:
    made = things(context, wrap="thing", unwrap="thing")
    record = {"id": 1, "name": "a", "active": True}
    assert read(made.create(call({"thing": {"name": "a"}}))) == {"thing": record}
    assert read(made.update(call({"thing": {"active": True}}, "1"))) == {"thing": record}
    assert read(made.get(call(None, "1"))) == {"thing": record}
    assert read(made.list(call()))["items"] == [record]
    bodies = [{"name": "a"}, {"thing": "a"}, {"thing": {"name": 5}}, {"thing": {"name": "a", "x": 1}}]
    names = ["thing", "thing: a JSON object is needed", "thing.name", "thing.x: unknown field"]
    for body, name in zip(bodies, names, strict=True):
        with pytest.raises(ApiError) as caught:
            made.create(call(body))
        assert caught.value.body["message"] == f"Missing or invalid parameter {name}"


def test_a_key_instead_of_an_id(context: Context) -> None:
    made = things(context, key=lambda record: record["name"], echo=False)
    for active in (True, False):
        assert read(made.create(call({"name": "a", "active": active}))) == {"success": True}
    assert dict(made.view) == {"a": {"name": "a", "active": False}}


def test_no_id_on_the_wire(context: Context) -> None:
    made = things(context, id_field=None)
    assert read(made.create(call({"name": "a"}))) == {"name": "a", "active": True}
    assert read(made.get(call(None, "1"))) == {"name": "a", "active": True}


def test_pages(context: Context) -> None:
    made = things(context)
    for number in range(30):
        made.create(call({"name": str(number)}))
    page = read(made.list(call(query="page=2")))
    assert [record["name"] for record in page["items"]] == ["25", "26", "27", "28", "29"]
    assert page["pagination"] == {"current_page": 2, "per_page": 25, "total": 30, "total_pages": 2}
    page = read(made.list(call(query="per_page=1000")))
    assert (len(page["items"]), page["pagination"]["per_page"]) == (30, 100)
    assert read(made.list(call(query="page=9")))["items"] == []
    made.reset()
    assert read(made.list(call()))["pagination"] == {"current_page": 1, "per_page": 25, "total": 0, "total_pages": 1}
    for query in ("page=0", "per_page=x"):
        with pytest.raises(ApiError, match=f"Missing or invalid parameter {query.split('=')[0]}"):
            made.list(call(query=query))


def test_lists_of_other_shapes(context: Context) -> None:
    record = {"id": 1, "name": "a", "active": True}
    for shape, answer in (
        ({"list_key": "things", "paged": False}, {"things": [record]}),
        ({"list_key": None}, [record]),
    ):
        made = things(context, **shape)
        made.create(call({"name": "a"}))
        assert read(made.list(call(query="page=2"))) == answer


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "abc"),
        ("kind=x", "ac"),
        ("kind=x&number=12", "c"),
        ("kind=z", None),
        ("number=%2B1", "a"),
        ("number=+1", "a"),
        ("number=1", "a"),
        ("starts=1", "ac"),
        ("after=2026-06-30", "abc"),
        ("after=2026-07-01", "bc"),
        ("after=2026-07-03", ""),
        ("before=2026-06-30", "a"),
        ("before=2026-07-01", "ab"),
        ("after=2026-07-01&before=2026-07-01", "b"),
        ("after=1.7.2026", None),
        ("before=20260701", None),
        ("before=2026-02-30", None),
        ("colour=red", "abc"),
    ],
)
def test_filters(context: Context, clock: Clock, query: str, names: str | None) -> None:
    made = things(
        context,
        checks={"name": TEXT, "kind": TEXT, "number": TEXT},
        record=lambda given: {**given, "made_at": context.date().isoformat()},
        filters={
            "kind": exact("kind", "x", "y"),
            "number": phone("number"),
            "starts": prefix("number"),
            "after": since("made_at"),
            "before": until("made_at"),
        },
    )
    for name, kind, number in (("a", "x", "1"), ("b", "y", "22"), ("c", "x", "12")):
        made.create(call({"name": name, "kind": kind, "number": number}))
        clock.now += 86_400
    if names is None:
        with pytest.raises(ApiError, match=f"Missing or invalid parameter {query.split('=')[0]}: ") as caught:
            made.list(call(query=query))
        assert caught.value.status == 400
    else:
        assert "".join(record["name"] for record in read(made.list(call(query=query)))["items"]) == names


def test_a_filter_that_must_be_given(context: Context) -> None:
    made = things(context, filters={"name": exact("name")}, required_filters=("name",))
    with pytest.raises(ApiError, match="Missing or invalid parameter name"):
        made.list(call())
    assert read(made.list(call(query="name=a")))["items"] == []


def test_time_changes_records(context: Context, clock: Clock) -> None:
    made = things(context)
    made.create(call({"name": "a"}))
    context.timers.after(10, lambda: made.change(1, {"active": False}) and None)
    clock.now = 5
    assert made.view[1] == {"id": 1, "name": "a", "active": True}
    clock.now = 12
    assert made.view[1] == {"id": 1, "name": "a", "active": False}
    with pytest.raises(ApiError, match="Record not found"):
        made.change(2, {"active": False})


def test_looking_changes_nothing(context: Context) -> None:
    made = things(context, record=lambda given: {**given, "parts": []})
    made.create(call({"name": "a"}))
    made.view[1]["parts"].append("x")
    assert made.view[1]["parts"] == []
    assert (2 in made.view, made.view.get(2)) == (False, None)
    with pytest.raises(KeyError):
        made.view[2]
