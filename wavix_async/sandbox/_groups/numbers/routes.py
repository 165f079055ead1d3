"""The operations of the numbers group, from the request to the response."""

from collections.abc import Sequence

from wavix_async.sandbox._groups.filters import Record, without_plus
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.numbers.data import DOC_TYPES, Fleet
from wavix_async.sandbox._groups.numbers.query import listing, selection
from wavix_async.sandbox._groups.numbers.store import NumbersView, Store
from wavix_async.sandbox._groups.numbers.uploads import read_upload
from wavix_async.sandbox._groups.numbers.validation import batch_body, update_body
from wavix_async.sandbox._groups.reading import pagination, read_id
from wavix_async.sandbox._server import Call, Reply, Route, unknown_numbers

_DOC_TYPES = [{"id": kind, "name": name, "title": title} for kind, (name, title) in DOC_TYPES.items()]


class Numbers:
    """Phone numbers and their documents.

    Raises:
        ValueError: The context's `numbers` or `foreign` is out of range.
    """

    def __init__(self, context: Context) -> None:
        fleet = Fleet(context.seed, context.numbers, context.foreign)
        self.store = Store(fleet, context.clock, context.apply_delay, context.stats.updates, context.lock)
        self.view = NumbersView(self.store)
        self.reset = self.store.reset
        self._batch_limit = context.batch_limit

    def find(self, phone: str) -> Record | None:
        """Return a phone number in wire form, or None if the account does not own it; the caller holds the lock."""
        number_id = self.store.find(without_plus(phone))
        return None if number_id is None else self.store.record(number_id)

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        one, paper = "/v1/numbers/{id}", "/v1/numbers/{id}/papers/{paper_id}"
        return (
            Route("GET", "/v1/numbers", "numbers:read", self._list, own_checks=True),
            Route("PATCH", "/v1/numbers", "numbers:write", self._update_batch, own_checks=True),
            Route("DELETE", "/v1/numbers", "numbers:write", self._release, own_checks=True),
            Route("GET", one, "numbers:read", self._get, own_checks=True),
            Route("PATCH", one, "numbers:write", self._update, own_checks=True),
            Route("POST", "/v1/numbers/papers", "numbers:write", self._upload, upload=True),
            Route("GET", paper, "numbers:read", self._file, own_checks=True),
        )

    def _list(self, call: Call) -> Reply:
        wanted, page, per_page = listing(call.query)
        items, total = self.store.page(wanted, page, per_page)
        return Reply.of(200, {"items": items, "doc_types": _DOC_TYPES, "pagination": pagination(page, per_page, total)})

    def _get(self, call: Call) -> Reply:
        return Reply.of(200, self.store.record(read_id(call.ids[0])))

    def _update(self, call: Call) -> Reply:
        return Reply.of(200, self.store.update((read_id(call.ids[0]),), update_body(call.body))[0])

    def _update_batch(self, call: Call) -> Reply:
        ids, changes = batch_body(call.body, self._batch_limit)
        return Reply.of(200, {"items": self.store.update(ids, changes)})

    def _release(self, call: Call) -> Reply:
        ids, dids = selection(call.query)
        if dids:
            found = {did: self.store.find(did) for did in dids}
            unknown = [did for did, number_id in found.items() if number_id is None]
            if unknown:
                raise unknown_numbers(unknown)
            ids = [number_id for number_id in found.values() if number_id is not None]
        self.store.release(ids)
        return Reply.of(200, {"success": True})

    async def _upload(self, call: Call) -> Reply:
        upload = await read_upload(call.request)
        with self.store.lock:
            papers = self.store.add_document(
                upload.number_ids, upload.kind, upload.name, upload.content_type, upload.content
            )
        return Reply.of(200, papers)

    def _file(self, call: Call) -> Reply:
        number_id, paper_id = map(read_id, call.ids)
        content_type, content = self.store.file(number_id, paper_id)
        return Reply(200, content, content_type)
