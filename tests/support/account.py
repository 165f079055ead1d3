"""An account of numbers behind a stub of aiohttp, which a test can change between two requests."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.support import examples
from tests.support.bulk import client_of
from tests.support.fleets import FAST, ids, number
from tests.support.stub import Reply, Seen, StubSession
from wavix_async import to_dict

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavix_async import WavixClient


class Account:
    """An API with numbers.

    Args:
        count: How many numbers it has.
        on_change: Called with each request that changes a number, before it is carried out.
    """

    def __init__(self, count: int, on_change: Callable[[Seen], object] = lambda _: None) -> None:
        self.numbers = {each: to_dict(number(each)) for each in ids(count)}
        self.on_change = on_change
        self.not_found: set[int] = set()
        """Ids of which the API says 404."""
        self.lists_all = False
        """Whether a listing shows these, too."""
        self.lie: Callable[[dict[str, Any]], Any] | None = None
        """Makes the answer to a change of the record as it was; None: the record as it is now."""
        self.ignores_changes = False
        """Whether a change changes nothing."""
        self.changed: Counter[int] = Counter()
        self.session = StubSession(self._answer)

    def client(self) -> WavixClient:
        return client_of(self.session, retry=FAST)

    def _answer(self, seen: Seen) -> Reply:
        if seen.path == "/v1/numbers":
            items = [each for each in self.numbers.values() if self.lists_all or each["id"] not in self.not_found]
            return Reply(body={"items": items, "doc_types": [], "pagination": examples.pagination(total=len(items))})
        if seen.id in self.not_found:
            return Reply(404, {"message": "Record not found"})
        if seen.method == "PATCH":
            self.on_change(seen)
            self.changed[seen.id] += 1
            before = dict(self.numbers[seen.id])
            if not self.ignores_changes:
                self.numbers[seen.id].update(seen.body)
            if self.lie is not None:
                return Reply(body=self.lie(before))
        return Reply(body=self.numbers[seen.id])
