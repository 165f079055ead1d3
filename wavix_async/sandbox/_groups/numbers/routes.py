"""The operations of the numbers group, from a request to an answer."""

import hmac
from collections.abc import Mapping

from aiohttp import web

from wavix_async.sandbox._groups.numbers.data import DOC_TYPES
from wavix_async.sandbox._groups.numbers.query import listing, selection
from wavix_async.sandbox._groups.numbers.store import Store
from wavix_async.sandbox._groups.numbers.uploads import read_upload
from wavix_async.sandbox._groups.numbers.validation import batch_body, update_body
from wavix_async.sandbox._server.errors import ApiError, forbidden, invalid, unauthorized, unknown_numbers, wrong_method
from wavix_async.sandbox._server.response import Reply

_REACH = {"none": 0, "read": 1, "write": 2}
_DOC_TYPES = [{"id": kind, "name": name, "title": title} for kind, (name, title) in DOC_TYPES.items()]

UPLOAD_PATH = "/v1/numbers/papers"


class Api:
    """Answers requests from the state.

    Args:
        store: The state.
        api_key: The key to ask for.
        scopes: What the key may do by group (`none`, `read`, `write`), or None for everything.
        batch_limit: The most ids in one batch, or None for no limit.
    """

    def __init__(self, store: Store, api_key: str, scopes: Mapping[str, str] | None, batch_limit: int | None) -> None:
        self._store = store
        self._authorization = f"Bearer {api_key}".encode()
        self._reach = 2 if scopes is None else _REACH[scopes.get("numbers", "none")]
        self._batch_limit = batch_limit

    async def answer(self, request: web.BaseRequest, path: str, query: str, body: bytes) -> Reply:
        """Carry out one request.

        Raises:
            ApiError: The API says no.
        """
        method = request.method
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), self._authorization):
            raise unauthorized()
        # A change is what bulk runs send by the thousand: its path is looked at first.
        if method == "PATCH" and path.startswith("/v1/numbers/") and path[12:].isdigit():
            self._permit(2)
            with self._store.lock:
                return Reply.of(200, self._store.update((_id(path[12:]),), update_body(body))[0])
        if path == UPLOAD_PATH and method == "POST":
            self._permit(2)
            return await self._upload(request)
        with self._store.lock:
            return self._route(method, path, query, body)

    def _permit(self, reach: int) -> None:
        if self._reach < reach:
            raise forbidden()

    def _route(self, method: str, path: str, query: str, body: bytes) -> Reply:
        match (method, *path.split("/")[1:]):
            case ("GET", "v1", "numbers"):
                self._permit(1)
                return self._list(query)
            case ("PATCH", "v1", "numbers"):
                self._permit(2)
                ids, changes = batch_body(body, self._batch_limit)
                return Reply.of(200, {"items": self._store.update(ids, changes)})
            case ("DELETE", "v1", "numbers"):
                self._permit(2)
                return self._release(query)
            case (_, "v1", "numbers"):
                raise wrong_method("GET, PATCH, DELETE")
            case (_, "v1", "numbers", "papers"):
                raise wrong_method("POST")
            case ("GET", "v1", "numbers", number_id):
                self._permit(1)
                return Reply.of(200, self._store.record(_id(number_id)))
            case ("PATCH", "v1", "numbers", number_id):
                self._permit(2)
                raise invalid("id")
            case (_, "v1", "numbers", _):
                raise wrong_method("GET, PATCH")
            case ("GET", "v1", "numbers", number_id, "papers", paper_id):
                self._permit(1)
                content_type, content = self._store.file(_id(number_id), _id(paper_id))
                return Reply(200, content, content_type)
            case (_, "v1", "numbers", _, "papers", _):
                raise wrong_method("GET")
            case _:
                raise ApiError(404, "Not found")

    def _list(self, query: str) -> Reply:
        wanted, page, per_page = listing(query)
        items, total = self._store.page(wanted, page, per_page)
        pagination = {
            "current_page": page,
            "per_page": per_page,
            "total": total,
            # An empty account has one page, as the live API says.
            "total_pages": max(1, -(-total // per_page)),
        }
        return Reply.of(200, {"items": items, "doc_types": _DOC_TYPES, "pagination": pagination})

    def _release(self, query: str) -> Reply:
        ids, dids = selection(query)
        if dids:
            found = {did: self._store.find(did) for did in dids}
            unknown = [did for did, number_id in found.items() if number_id is None]
            if unknown:
                raise unknown_numbers(unknown)
            ids = [number_id for number_id in found.values() if number_id is not None]
        self._store.release(ids)
        return Reply.of(200, {"success": True})

    async def _upload(self, request: web.BaseRequest) -> Reply:
        upload = await read_upload(request)
        with self._store.lock:
            papers = self._store.add_document(
                upload.number_ids, upload.kind, upload.name, upload.content_type, upload.content
            )
        return Reply.of(200, papers)


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise invalid("id")
    return int(text)
