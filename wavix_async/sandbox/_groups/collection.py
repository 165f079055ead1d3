"""A collection: records of one kind and the operations on them, configured by arguments.

A group declares what its records look like and uses the collection's methods as the handlers of its routes::

    senders = Collection(context, ids=Uuids(seed, "sender_ids"), rules={"sender_id": TEXT}, record=_sender_id)
    Route("GET", "/v3/messages/sender-ids/{id}", "messages:read", senders.get)

The state is in memory: `Record`s by key, in the order of their creation.
"""

import builtins
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Collection as Names
from copy import deepcopy
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl
from uuid import UUID

from attrs import define, field, frozen

from wavix_async.sandbox._groups.filters import Filter, Predicate, Record
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import Check, fields, json_object, pagination, paging, read_id, rules
from wavix_async.sandbox._server import ApiError, Call, Reply, Rows, invalid

# --- ids ---


class Ids(Protocol):
    """How the API creates the ids of a collection, and how it reads them from a path."""

    def make(self, count: int) -> Any:
        """Return the id of a new record, if `count` records were created before it."""
        ...

    def read(self, text: str) -> Any:
        """Return the id in a path segment."""
        ...


@frozen
class Numbered:
    """Whole numbers without gaps."""

    first: int = 1

    def make(self, count: int) -> int:
        return self.first + count

    def read(self, text: str) -> int:
        return read_id(text)


@frozen
class Uuids:
    """UUIDs that depend only on the seed, the name of the collection and the order of creation."""

    seed: int
    name: str

    def make(self, count: int) -> str:
        bits = random.Random(f"{self.seed} {self.name} {count}").getrandbits(128)  # noqa: S311 - repeatable, not secret
        return str(UUID(int=bits, version=4))

    def read(self, text: str) -> str:
        return text


@frozen
class Codes:
    """Short codes, such as `BM20QP9`, that depend only on the seed, the prefix and the order of creation."""

    seed: int
    prefix: str

    def make(self, count: int) -> str:
        rng = random.Random(f"{self.seed} {self.prefix} {count}")  # noqa: S311 - repeatable, not secret
        return self.prefix + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=6))

    def read(self, text: str) -> str:
        return text


# --- the collection ---


@define(eq=False)
class Collection:
    """Records of one kind, and the handlers of their operations."""

    context: Context
    record: Callable[[Record], Record] = field(kw_only=True)
    """Turns the checked fields of a request into a complete record without an id."""
    ids: Ids = field(default=Numbered(), kw_only=True)
    id_field: str | None = field(default="id", kw_only=True)
    """The field of the record that has the id; None: records have no id."""
    key: Callable[[Record], Any] | None = field(default=None, kw_only=True)
    """A function that returns the key of a record without an id; a new record overwrites one with the same key."""
    checks: Mapping[str, Check] | None = field(default=None, kw_only=True)
    """The fields that create and update accept; None: the router has checked them by the API's description."""
    required: Names[str] = field(default=(), kw_only=True)
    """The fields that create requires, with `checks`."""
    rules: Mapping[str, Check] = field(factory=dict, kw_only=True)
    """What the API's description does not say of fields of a body, without `checks`."""
    update_by: Literal["merge", "replace"] = field(default="merge", kw_only=True)
    """What update does with a field that is left out: `merge` keeps the value, `replace` restores the default."""
    kept: Names[str] = field(default=(), kw_only=True)
    """The fields that update keeps even if it replaces: those that no request sets."""
    filters: Mapping[str, Filter] = field(factory=dict, kw_only=True)
    """The query parameters of list; it ignores others."""
    export_filters: Mapping[str, Filter] = field(factory=dict, kw_only=True)
    """The query parameters of export that differ from those of list."""
    required_filters: Names[str] = field(default=(), kw_only=True)
    list_key: str | None = field(default="items", kw_only=True)
    """The key of the list in the response; None: the response is a bare array without pages."""
    paged: bool = field(default=True, kw_only=True)
    wrap: str | None = field(default=None, kw_only=True)
    """The key of the object in which create and update expect the fields; None: the body itself."""
    unwrap: str | None = field(default=None, kw_only=True)
    """The key under which create, get and update return the record; None: the body is the record."""
    echo: bool = field(default=True, kw_only=True)
    """Whether create returns the record; otherwise it returns `{"success": true}`."""
    _records: dict[Any, Record] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)

    def reset(self) -> None:
        """Remove all records, and begin again with the first id."""
        self._records.clear()
        self._count = 0

    # --- for code of the group; the caller holds the lock ---

    def insert(self, given: Record) -> Record:
        """Add a record from the fields of a request, and return it."""
        return self.add(self.record(given))

    def add(self, record: Record) -> Record:
        """Add a record that lacks only its id, and return it with its id."""
        if self.key is not None:
            key = self.key(record)
        else:
            key = self.ids.make(self._count)
            if self.id_field is not None:
                record = {self.id_field: key, **record}
        self._count += 1
        self._records[key] = record
        return record

    def change(self, key: Any, changes: Record) -> Record:
        """Set fields of a record, and return it.

        Raises:
            ApiError: 404, there is no such record.
        """
        record = self._records[key] = {**self.find(key), **changes}
        return record

    def find(self, key: Any) -> Record:
        """Return the current state of a record; the caller must not change nested values.

        Raises:
            ApiError: 404, there is no such record.
        """
        record = self._records.get(key)
        if record is None:
            raise ApiError(404, "Record not found")
        return record

    def remove(self, key: Any) -> None:
        """Remove a record.

        Raises:
            ApiError: 404, there is no such record.
        """
        self.find(key)
        del self._records[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[Any]:
        return iter(tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)

    @property
    def view(self) -> "View":
        """A read-only view of the records, for tests."""
        return View(self)

    # --- handlers of routes ---

    def list(self, call: Call) -> Reply:
        """Return the records that match all filters, oldest first; one page of them if the list is paged."""
        return Reply.of(200, self.page(dict(parse_qsl(call.query, keep_blank_values=True))))

    def page(self, given: Mapping[str, str]) -> Any:
        """Return what list answers to the parameters of a query."""
        found = self.matching(given, self.filters)
        if self.list_key is None:
            return found
        if not self.paged:
            return {self.list_key: found}
        page, per_page = paging(given)
        shown = found[(page - 1) * per_page : page * per_page]
        return {self.list_key: shown, "pagination": pagination(page, per_page, len(found))}

    def export(self, call: Call) -> Reply:
        """Return all records that match all filters, oldest first, as rows without their empty fields."""
        given = dict(parse_qsl(call.query, keep_blank_values=True))
        return exported(self.matching(given, {**self.filters, **self.export_filters}))

    def matching(self, given: Mapping[str, str], filters: Mapping[str, Filter]) -> builtins.list[Record]:
        """Return the records that match all filters that are given, oldest first.

        Raises:
            ApiError: 400 with the filter that is missing or wrong.
        """
        for name in self.required_filters:
            if name not in given:
                raise invalid(name)
        tests = [self._test(name, make, given[name]) for name, make in filters.items() if name in given]
        return [record for record in map(self.find, self) if all(test(record) for test in tests)]

    def _test(self, name: str, make: Filter, text: str) -> Predicate:
        try:
            return make(text)
        except ValueError as error:
            raise invalid(name, str(error)) from None

    def get(self, call: Call) -> Reply:
        """Return the record whose id is the last one in the path."""
        return self._shown(200, self.find(self._key(call)))

    def create(self, call: Call) -> Reply:
        """Add a record."""
        record = self.insert(self.read(call.body, self.required))
        return self._shown(201, record) if self.echo else Reply.of(201, {"success": True})

    def update(self, call: Call) -> Reply:
        """Change a record in the way of `update_by`."""
        key = self._key(call)
        old = self.find(key)
        if self.update_by == "merge":
            new = {**old, **self.read(call.body)}
        else:
            new = self.record(self.read(call.body, self.required)) | {name: old[name] for name in self.kept}
            if self.id_field is not None:
                new = {self.id_field: key, **new}
        self._records[key] = new
        return self._shown(200, self.find(key))

    def delete(self, call: Call) -> Reply:
        """Remove a record."""
        self.remove(self._key(call))
        return Reply.of(200, {"success": True})

    def read(self, body: bytes, required: Names[str] = ()) -> Record:
        """Return the fields of a body.

        Raises:
            ApiError: 400 with the field that is missing, wrong or unknown.
        """
        given = json_object(body)
        if self.checks is None:
            found: Record = given if self.wrap is None else given[self.wrap]
            rules(self.rules)(self.wrap or "", found)
            return found
        if self.wrap is None:
            fields(self.checks, required)("", given)
            return given
        fields({self.wrap: fields(self.checks, required)}, (self.wrap,))("", given)
        inner: Record = given[self.wrap]
        return inner

    def _key(self, call: Call) -> Any:
        return self.ids.read(call.ids[-1])

    def _shown(self, status: int, record: Record) -> Reply:
        return Reply.of(status, record if self.unwrap is None else {self.unwrap: record})


@define(eq=False)
class Children:
    """A collection for each record of another one, such as the files of a brand, and the handlers of its operations."""

    owner: Callable[[Call], Any]
    """Returns the key of the record that a path names; it raises a 404 if there is none."""
    make: Callable[[Any], Collection]
    """Returns an empty collection for such a key."""
    _of: dict[Any, Collection] = field(factory=dict, init=False)

    def reset(self) -> None:
        """Remove all records."""
        self._of.clear()

    def of(self, key: Any) -> Collection:
        """Return the collection of a record."""
        if key not in self._of:
            self._of[key] = self.make(key)
        return self._of[key]

    def at(self, call: Call) -> Collection:
        """Return the collection of the record that a path names.

        Raises:
            ApiError: 404, there is no such record.
        """
        return self.of(self.owner(call))

    def list(self, call: Call) -> Reply:
        """Return the records of their owner, oldest first."""
        return self.at(call).list(call)

    def delete(self, call: Call) -> Reply:
        """Remove a record."""
        return self.at(call).delete(call)


def exported(records: Iterable[Record]) -> Rows:
    """Return records as rows without their empty fields."""
    body = Rows([{name: value for name, value in record.items() if value is not None} for record in records])
    body.lines = f'ETag: "{zlib.crc32(body.payload):08x}"\r\n'
    return body


class View(Mapping[Any, Record]):
    """The records of a collection by key, in wire form; every read returns a copy, so tests cannot change the state."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def __getitem__(self, key: Any) -> Record:
        with self._collection.context.lock:
            self._collection.context.timers.run_due()
            if key not in self._collection:
                raise KeyError(key)
            return deepcopy(self._collection.find(key))

    def __iter__(self) -> Iterator[Any]:
        with self._collection.context.lock:
            self._collection.context.timers.run_due()
            return iter(self._collection)

    def __len__(self) -> int:
        with self._collection.context.lock:
            self._collection.context.timers.run_due()
            return len(self._collection)
