"""The state of the account, kept as the differences from the generated numbers."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from threading import RLock
from typing import Any

from attrs import frozen

from wavix_async.sandbox._groups.numbers.data import FIRST_ID, SMS_COUNTRIES, City, Fleet, document, routed, trunk_label
from wavix_async.sandbox._server import ApiError, unknown_numbers

_LATE_FIELDS = ("destination", "sms_relay_url")
"""Fields whose changes the live API applies some time after its response."""
_FIRST_NEW_ROUTE = 50_000_000
_FIRST_NEW_PAPER = 20_000_000
_KEPT_FILTERS = 16
# The content of a generated document: one grey pixel.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6368000000820081770cc8190000000049454e44ae426082"
)

Record = dict[str, Any]


@frozen
class Filter:
    """The filter of a list; None in a field means no filter by that field."""

    search: str | None = None
    label: str | None = None
    label_present: bool | None = None
    city_id: int | None = None


NO_FILTER = Filter()


class Store:
    """The numbers and their documents; callers hold `lock`.

    Args:
        fleet: The numbers in their initial state.
        clock: Seconds, for `apply_delay`.
        apply_delay: Seconds until a change of destinations or of the SMS callback is visible.
        updates: Counts the writes of each number.
        lock: The lock of the sandbox.
    """

    def __init__(
        self, fleet: Fleet, clock: Callable[[], float], apply_delay: float, updates: Counter[int], lock: RLock
    ) -> None:
        self.fleet = fleet
        self.lock = lock
        self.base_url = "http://127.0.0.1"
        self._clock = clock
        self._apply_delay = apply_delay
        self._updates = updates
        self.reset()

    def reset(self) -> None:
        """Restore the initial state."""
        self.ids: Sequence[int] = range(FIRST_ID, FIRST_ID + self.fleet.count)
        # Many numbers may share one value, so replace it and never change it in place.
        self._edits: dict[int, Mapping[str, Any]] = {}
        self._late: dict[int, list[tuple[float, str, Any]]] = {}
        self._files: dict[int, tuple[str, bytes]] = {}
        self._bought: dict[int, tuple[City, Record]] = {}  # by index, as the numbers of the start have one
        self._bought_ids: dict[str, int] = {}
        self._matching: dict[Filter, list[int]] = {}
        self._next_route = _FIRST_NEW_ROUTE
        self._next_paper = _FIRST_NEW_PAPER
        self._last_bought = 0

    def __contains__(self, number_id: object) -> bool:
        ids = self.ids
        if isinstance(ids, range):
            return number_id in ids
        if not isinstance(number_id, int):
            return False
        at = bisect_left(ids, number_id)
        return at < len(ids) and ids[at] == number_id

    def record(self, number_id: int) -> Record:
        """Return a number in wire form; the caller must not change nested values, which the state may share.

        Raises:
            ApiError: 404, the account does not own the number.
        """
        if number_id not in self:
            raise ApiError(404, "Record not found")
        if self._late:
            self._settle(number_id)
        index = number_id - FIRST_ID
        bought = self._bought.get(index)
        record = self.fleet.record(index, self.base_url) if bought is None else dict(bought[1])
        edits = self._edits.get(number_id)
        if edits:
            record.update(edits)
        return record

    def copy(self, number_id: int) -> Record:
        """Return a number in wire form that shares nothing with the state."""
        record = self.record(number_id)
        for name, value in self._edits.get(number_id, {}).items():
            record[name] = deepcopy(value)
        return record

    def _settle(self, number_id: int) -> None:
        """Apply the delayed changes that are due."""
        late = self._late.get(number_id)
        if not late:
            return
        now = self._clock()
        due = {name: value for at, name, value in late if at <= now}
        if due:
            self._edit(number_id, due)
            rest = [change for change in late if change[0] > now]
            if rest:
                self._late[number_id] = rest
            else:
                del self._late[number_id]

    def _edit(self, number_id: int, fields: Mapping[str, Any]) -> None:
        old = self._edits.get(number_id)
        self._edits[number_id] = {**old, **fields} if old else fields

    def page(self, wanted: Filter, page: int, per_page: int) -> tuple[list[Record], int]:
        """Return one page of numbers in the order of ids, and how many numbers all pages have."""
        ids = self.ids if wanted == NO_FILTER else self._select(wanted)
        start = (page - 1) * per_page
        return [self.record(number_id) for number_id in ids[start : start + per_page]], len(ids)

    def _select(self, wanted: Filter) -> list[int]:
        found = self._matching.get(wanted)
        if found is None:
            found = [number_id for number_id in self.ids if self._fits(number_id, wanted)]
            while len(self._matching) >= _KEPT_FILTERS:
                del self._matching[next(iter(self._matching))]
            self._matching[wanted] = found
        return found

    def _fits(self, number_id: int, wanted: Filter) -> bool:
        index = number_id - FIRST_ID
        edits = self._edits.get(number_id, {})
        if wanted.label_present is not None or wanted.label is not None:
            label = edits.get("label", None if index in self._bought else self.fleet.label(index))
            # The API ignores `label` if `label_present` is given.
            if wanted.label_present is not None:
                if bool(label) != wanted.label_present:
                    return False
            elif label != wanted.label:
                return False
        if wanted.city_id is not None and self._city(index).id != wanted.city_id:
            return False
        return wanted.search is None or wanted.search in edits.get("number", self._phone(index))

    def update(self, number_ids: Sequence[int], changes: Mapping[str, Any]) -> list[Record]:
        """Apply the same validated changes to every number, or to none.

        Raises:
            ApiError: 404 for unknown numbers, 422 for SMS settings of a number without SMS.
        """
        self._require(number_ids)
        if changes.get("sms_enabled") or changes.get("sms_relay_url") is not None:
            self._require_sms(number_ids, changes)
        fields = {name: value for name, value in changes.items() if name != "destinations"}
        late = {}
        if self._apply_delay:
            late = {name: fields.pop(name) for name in _LATE_FIELDS if name in fields}
        shared = changes if len(fields) == len(changes) else fields
        for number_id in number_ids:
            own = dict(late)
            if "destinations" in changes:
                routes = self._route(changes["destinations"])
                if self._apply_delay:
                    own["destination"] = routes
                else:
                    self._edit(number_id, {"destination": routes})
            if shared:
                self._edit(number_id, shared)
            if own:
                due = self._clock() + self._apply_delay
                self._late.setdefault(number_id, []).extend((due, name, value) for name, value in own.items())
            if changes:
                self._updates[number_id] += 1
        return [self.record(number_id) for number_id in number_ids]

    def _require(self, number_ids: Sequence[int]) -> None:
        unknown = [str(number_id) for number_id in number_ids if number_id not in self]
        if unknown:
            raise unknown_numbers(unknown) if len(number_ids) > 1 else ApiError(404, "Record not found")

    def _require_sms(self, number_ids: Sequence[int], changes: Mapping[str, Any]) -> None:
        for number_id in number_ids:
            if self._city(number_id - FIRST_ID).country_code in SMS_COUNTRIES:
                continue
            if changes.get("sms_enabled"):
                raise ApiError(422, "Inbound SMS can only be activated on US and CA phone numbers")
            raise ApiError(422, "The phone number does not support SMS")

    def _route(self, wanted: Sequence[Mapping[str, Any]]) -> list[Record]:
        routes = []
        for route in wanted:
            by_trunk = route["transport"] == 5
            trunk_id = route.get("trunk_id") if by_trunk else None
            label = trunk_label(trunk_id) if trunk_id is not None else None
            routes.append(
                routed(self._next_route, route["destination"], route["priority"], route["transport"], trunk_id, label)
            )
            self._next_route += 1
        return routes

    def change(self, number_id: int, fields: Mapping[str, Any]) -> None:
        """Set fields without validation, delay or counting."""
        self._edit(number_id, fields)
        self._matching.clear()

    def find(self, phone: str) -> int | None:
        """Return the id of a phone number, or None if the account does not own it."""
        if phone in self._bought_ids:
            return self._bought_ids[phone]
        index = self.fleet.index_of(phone)
        return None if index is None or FIRST_ID + index not in self else FIRST_ID + index

    def buy(self, phone: str, city: City, fields: Record) -> None:
        """Add a number that the account has bought.

        Args:
            phone: The phone number.
            city: Its city.
            fields: What a number shows of the number that was bought; it has the other fields of any number.
        """
        number_id = max(FIRST_ID + self.fleet.count - 1, *self.ids[-1:], self._last_bought) + 1
        self._last_bought = number_id
        index = number_id - FIRST_ID
        plain: Record = {"destination": [], "documents": [], "label": None, "status": "active", "seconds": "0"}
        off = {"sms_relay_url": None, "call_status_url": None, "call_recording_enabled": False, "sms_enabled": False}
        record = {**self.fleet.record(index, self.base_url), **plain, **off, **fields, "state": city.state}
        self._bought[index], self._bought_ids[phone] = (city, record), number_id
        self.ids = [*self.ids, number_id]
        self._matching.clear()

    def _city(self, index: int) -> City:
        bought = self._bought.get(index)
        return self.fleet.city(index) if bought is None else bought[0]

    def _phone(self, index: int) -> str:
        bought = self._bought.get(index)
        return self.fleet.phone(index) if bought is None else str(bought[1]["number"])

    def release(self, number_ids: Sequence[int]) -> None:
        """Release numbers, all of them or none.

        Raises:
            ApiError: 404 for unknown numbers.
        """
        self._require(number_ids)
        gone = set(number_ids)
        if len(gone) == 1 and isinstance(self.ids, list):
            del self.ids[bisect_left(self.ids, number_ids[0])]
        else:
            self.ids = [number_id for number_id in self.ids if number_id not in gone]
        for number_id in gone:
            if number_id - FIRST_ID in self._bought:
                del self._bought_ids[self._bought.pop(number_id - FIRST_ID)[1]["number"]]
            self._edits.pop(number_id, None)
            self._late.pop(number_id, None)
        self._matching.clear()

    def add_document(
        self, number_ids: Sequence[int], kind: int, name: str, content_type: str, content: bytes
    ) -> list[Record]:
        """Attach a document to every number, or to none.

        Raises:
            ApiError: 404 for unknown numbers.
        """
        self._require(number_ids)
        added = []
        for number_id in number_ids:
            record = self.record(number_id)
            paper = document(
                self._next_paper,
                number_id,
                record["number"],
                kind,
                self.base_url,
                doc_content_type=content_type,
                doc_file_name=name,
            )
            self._files[self._next_paper] = (content_type, content)
            self._next_paper += 1
            self._edit(number_id, {"documents": [*record["documents"], paper]})
            added.append(paper)
        return added

    def file(self, number_id: int, paper_id: int) -> tuple[str, bytes]:
        """Return the media type and the content of a document.

        Raises:
            ApiError: 404, no such number or document.
        """
        for paper in self.record(number_id)["documents"]:
            if paper["id"] == paper_id:
                return self._files.get(paper_id, (paper["doc_content_type"], _PIXEL))
        raise ApiError(404, "Record not found")


class NumbersView(Mapping[int, Record]):
    """A read-only view of the numbers; each read returns a copy, so callers cannot change the state."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, number_id: int) -> Record:
        with self._store.lock:
            if number_id not in self._store:
                raise KeyError(number_id)
            return self._store.copy(number_id)

    def __iter__(self) -> Iterator[int]:
        with self._store.lock:
            return iter(tuple(self._store.ids) if isinstance(self._store.ids, list) else self._store.ids)

    def __len__(self) -> int:
        return len(self._store.ids)

    def __contains__(self, number_id: object) -> bool:
        with self._store.lock:
            return number_id in self._store
