"""Phone numbers: `/v1/numbers`."""

import asyncio
import builtins
import mimetypes
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import attrs

from wavix_async._codec.decoder import to_dict
from wavix_async._http.operation import Operation
from wavix_async._http.response import Part
from wavix_async.bulk import BulkProgress, BulkRun
from wavix_async.errors import InputError, WavixError
from wavix_async.models.common import Success
from wavix_async.models.numbers import (
    DocumentTypeName,
    Number,
    NumberBatch,
    NumberDocument,
    NumberPage,
    NumberUpdate,
)
from wavix_async.resources._base import Resource, positive_id
from wavix_async.resources._bulk_numbers import number_updates
from wavix_async.resources._pagination import Paginator, items_of
from wavix_async.resources._unpack import unpack
from wavix_async.types import UNSET

if TYPE_CHECKING:
    from wavix_async.client import WavixClient

__all__ = ["Numbers", "Papers"]

LIST: Final = Operation("GET", "/v1/numbers", NumberPage, scope="numbers:read")
GET: Final = Operation("GET", "/v1/numbers/{id}", Number, scope="numbers:read")
# Setting a field twice to the same value changes nothing, so both updates are safe to repeat.
UPDATE: Final = Operation("PATCH", "/v1/numbers/{id}", Number, scope="numbers:write", idempotent=True)
UPDATE_BATCH: Final = Operation("PATCH", "/v1/numbers", NumberBatch, scope="numbers:write", idempotent=True)
RELEASE: Final = Operation("DELETE", "/v1/numbers", Success, scope="numbers:write")
UPLOAD: Final = Operation("POST", "/v1/numbers/papers", list[NumberDocument], scope="numbers:write")

_PAPER_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tiff", ".tif", ".bmp", ".pdf")
_PAPER_BYTES: Final = 10 * 1024 * 1024


class Papers(Resource):
    """Documents that activate numbers: `/v1/numbers/papers`."""

    async def upload(
        self,
        *,
        did_ids: Iterable[int],
        doc_attachment: "str | os.PathLike[str] | bytes | IO[bytes]",
        doc_id: DocumentTypeName | str | int,
        filename: str | None = None,
    ) -> list[NumberDocument]:
        """Upload a document for one or more numbers (POST /v1/numbers/papers).

        Args:
            did_ids: Record ids of the numbers.
            doc_attachment: A path, the bytes, or a file object open for reading bytes; PNG, JPG, TIFF, BMP or PDF of at
                most 10 MB, without a password or a digital signature.
            doc_id: The kind of document: `id`, `address` or `localaddress` (older accounts: 1, 2 or 3).
            filename: The name to show; needed with bytes, and with a file object that has no name.

        Returns:
            The documents, one for each number, with the state of their review.

        Raises:
            InputError: The file is missing, empty, too large or of another type, or there is no number.
            OutcomeUnknownError: The connection broke: the document may have been uploaded.
            APIError: The API refused it.
        """
        ids = _number_ids("did_ids", did_ids)
        kind = str(doc_id)
        if not (kind.isascii() and kind.isalnum()):
            raise InputError(f"doc_id must be a kind of document like 'id' or 'address', got {doc_id!r}.")
        content, name = await asyncio.to_thread(_read_paper, doc_attachment, filename)
        return await self._call(
            UPLOAD,
            parts=(
                Part("did_ids", ",".join(map(str, ids)).encode()),
                Part("doc_id", kind.encode()),
                Part("doc_attachment", content, name, mimetypes.guess_type(name)[0] or "application/octet-stream"),
            ),
        )


class Numbers(Resource):
    """Phone numbers of the account: `/v1/numbers`."""

    @cached_property
    def papers(self) -> Papers:
        """Documents that activate numbers: `/v1/numbers/papers`."""
        return Papers(self._client)

    def list(
        self,
        *,
        search: str | None = None,
        label: str | None = None,
        label_present: bool | None = None,
        city_id: int | None = None,
        page: int | None = None,
        per_page: int | None = None,
    ) -> Paginator[NumberPage, Number]:
        """List the account's numbers (GET /v1/numbers).

        `await` gives one page; `async for` gives every number, from `page` on, pages fetched ahead.

        Args:
            search: A part of the phone number.
            label: The label, exactly.
            label_present: True: only numbers with a label; False: only those without. Makes the API ignore `label`.
            city_id: The id of the city or rate center.
            page: Which page, counted from 1.
            per_page: Numbers in a page, 1 to 100; the API's default is 25, iteration uses 100.

        Returns:
            A paginator.

        Raises:
            InputError: `page` or `per_page` is out of range.
        """
        filters = {"search": search, "label": label, "label_present": label_present, "city_id": city_id}

        async def fetch(number: int | None, size: int | None) -> NumberPage:
            return await self._call(LIST, query={**filters, "page": number, "per_page": size})

        return Paginator(fetch, page, per_page)

    async def get(self, number_id: int) -> Number:
        """Read one phone number (GET /v1/numbers/{id}).

        Args:
            number_id: The record's id (`Number.id`), not the phone number.

        Returns:
            The number.

        Raises:
            InputError: The id is not a positive integer.
            NotFoundError: The account has no such number.
        """
        return await self._call(GET, path={"id": _number_id(number_id)})

    @unpack(NumberUpdate)
    async def update(self, number_id: int, changes: NumberUpdate) -> Number:
        """Change one phone number; a field left out stays as it is, None clears it (PATCH /v1/numbers/{id}).

        The keywords are the fields of `NumberUpdate`. Safe to repeat, and repeated where that helps. Changes of
        `destinations` and `sms_relay_url` are applied asynchronously: the answer may still show the old ones.

        Args:
            number_id: The record's id (`Number.id`), not the phone number.
            changes: Given as keywords.

        Returns:
            The number after the change.

        Raises:
            InputError: Nothing to change, a wrong type, or the id is not a positive integer.
            NotFoundError: The account has no such number.
            UnprocessableEntityError: The number cannot do that (SMS outside the US and Canada).
        """
        _check_update(number_id, changes)
        return await _send_update(self._client, number_id, changes)

    @unpack(NumberUpdate)
    async def update_batch(self, ids: Sequence[int], changes: NumberUpdate) -> builtins.list[Number]:
        """Make the same change to several numbers in one request (PATCH /v1/numbers).

        All or nothing as far as the API goes: one unknown id fails the batch. For many numbers, and for the truth
        about each, use `bulk_update`.

        Args:
            ids: Record ids.
            changes: Given as keywords: the fields of `NumberUpdate`.

        Returns:
            The numbers after the change.

        Raises:
            InputError: No ids, nothing to change, or an id that is not a positive integer.
            NotFoundError: The account lacks one of the numbers.
        """
        return await _send_updates(self._client, _number_ids("ids", ids), _not_empty(changes))

    async def release(self, *, ids: Iterable[int] | None = None, dids: Iterable[str] | None = None) -> Success:
        """Give numbers back; this cannot be undone (DELETE /v1/numbers).

        Several ids are released one request at a time: servers of the API's kind read a repeated `ids` as its last
        value only. A failure stops the rest; its notes name the ids that were released before it.

        Args:
            ids: Record ids; or
            dids: Phone numbers, digits only.

        Returns:
            The confirmation; `already_gone` where a first attempt without an answer turned out to have worked.

        Raises:
            InputError: Neither or both are given, or one of them is not an id or a number.
            NotFoundError: The account has no such number.
        """
        if (ids is None) == (dids is None):
            raise InputError("release() takes either ids=[...] or dids=[...], not both and not neither.")
        if dids is not None:
            if isinstance(dids, str) or not isinstance(dids, Iterable):
                given = f"the string {dids!r}" if isinstance(dids, str) else repr(dids)
                raise InputError(f"dids must be a list of phone numbers, got {given}: pass dids=['{dids}'].")
            numbers = [_did(value, f"dids[{i}]") for i, value in enumerate(dids)]
            if not numbers:
                raise InputError("dids must name at least one number.")
            # A 404 for several says that one of them is not there, and nothing of the others.
            operation = RELEASE if len(numbers) == 1 else attrs.evolve(RELEASE, not_found_is_success=False)
            return await self._call(operation, query={"dids": ",".join(numbers)})
        return await self._release_each(_number_ids("ids", ids))

    async def _release_each(self, ids: builtins.list[int]) -> Success:
        answers: list[Success] = []
        ids = list(dict.fromkeys(ids))
        for index, number_id in enumerate(ids):
            try:
                answers.append(await self._call(RELEASE, query={"ids": number_id}))
            except WavixError as error:
                if index:
                    error.add_note(f"Released before this failure: {ids[:index]}.")
                raise
        return next((answer for answer in answers if answer.already_gone), answers[-1])

    def bulk_update(
        self,
        updates: Mapping[int, NumberUpdate]
        | Iterable[tuple[int, NumberUpdate]]
        | AsyncIterable[tuple[int, NumberUpdate]],
        *,
        concurrency: int = 32,
        batch: Literal["auto"] | int | None = None,
        on_progress: Callable[[BulkProgress], object] | None = None,
    ) -> BulkRun[int, Number]:
        """Change many numbers at once, and tell the truth about each (PATCH /v1/numbers/{id} for every one).

        Nothing is sent before the run is awaited or iterated. `await run` gives the report; `async for result in run`
        gives each result as it lands. Memory stays bounded by `concurrency`, however many updates there are.

        What no trustworthy answer came for is read back at the end, before it is called `unknown`. An outage in the
        middle of a run is waited out for up to two minutes, in which little is begun; then the run stops.

        A 401, 402 or 403 stops the run at the first; any other refusal fails its number only. A number that comes again
        is written after its predecessor has ended, never at the same time.

        Args:
            updates: A mapping, an iterable or an async iterable of `(id, NumberUpdate)`. For the same change to many:
                `dict.fromkeys(ids, NumberUpdate(...))`. A mapping or a sequence is checked as a whole here; a bad item
                of any other iterable becomes that item's `failed` result.
            concurrency: Requests on the wire at once. Waiting for the rate or for a backoff takes no place.
            batch: How many equal changes may go out as one request (PATCH /v1/numbers): a number, or "auto", which
                begins with 100 and finds out what the API takes. A batch that is refused is halved until the bad ids
                are alone. Default: every number has a request of its own.
            on_progress: Called with a `BulkProgress` some ten times a second, and at the end.

        Returns:
            The run.

        Raises:
            InputError: An update is empty or no `NumberUpdate`, or an id is not a positive integer.
            ConfigurationError: `concurrency` is less than 1, or `batch` less than 2.
        """
        return BulkRun(
            self._client,
            updates,
            operation=_UPDATES,
            concurrency=concurrency,
            batch=batch,
            on_progress=on_progress,
        )


def _send_update(client: "WavixClient", number_id: int, changes: NumberUpdate) -> Awaitable[Number]:
    return client.call(UPDATE, path={"id": number_id}, body=changes)


async def _send_updates(client: "WavixClient", ids: list[int], changes: NumberUpdate) -> list[Number]:
    batch = await client.call(UPDATE_BATCH, body={"ids": ids, **to_dict(changes)})
    return items_of(batch)


def _check_update(number_id: object, changes: object) -> None:
    _number_id(number_id)
    if not isinstance(changes, NumberUpdate):
        raise InputError(f"the update of number {number_id} must be a NumberUpdate, got {type(changes).__name__}.")
    try:
        _not_empty(changes)
    except InputError as error:
        raise InputError(f"number {number_id}: {error}") from None


_UPDATES: Final = number_updates(get=GET, update=UPDATE, update_batch=UPDATE_BATCH, check=_check_update)


def _number_id(value: object, name: str = "number_id") -> int:
    return positive_id(name, value, "Number.id, the record's id, not the phone number")


def _number_ids(name: str, values: object) -> list[int]:
    if not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of ids, got {values!r}: pass {name}=[{values!r}].")
    ids = [_number_id(value, f"{name}[{i}]") for i, value in enumerate(values)]
    if not ids:
        raise InputError(f"{name} must name at least one number.")
    return ids


def _did(value: object, name: str) -> str:
    digits = value.removeprefix("+") if isinstance(value, str) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise InputError(f"{name} must be a phone number as a string of digits, got {value!r}.")
    return digits


_FIELDS: Final = tuple(field.name for field in attrs.fields(NumberUpdate))


def _not_empty(changes: NumberUpdate) -> NumberUpdate:
    for name in _FIELDS:
        if getattr(changes, name) is not UNSET:
            return changes
    raise InputError(f"NumberUpdate is empty, it would change nothing: give at least one of {', '.join(_FIELDS)}.")


def _read_paper(source: object, filename: str | None) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        content, name = bytes(source), filename
    elif isinstance(source, str | os.PathLike):
        content, name = _read_path(source), filename or os.path.basename(source)
    elif hasattr(source, "read"):
        known = getattr(source, "name", None)
        content, name = _read_file(source), filename or (os.path.basename(known) if isinstance(known, str) else None)
    else:
        raise InputError(f"doc_attachment must be a path, bytes or a file object, got {source!r}.")
    if name is not None and not isinstance(name, str):
        raise InputError(f"filename must be a string, got {name!r}.")
    if not name:
        raise InputError("filename is missing: with bytes, pass the name that the document shall have.")
    if not name.isprintable():
        raise InputError(f"filename holds control characters, which no header can carry: {name!r}.")
    if not name.lower().endswith(_PAPER_SUFFIXES):
        raise InputError(f"doc_attachment: {name} is none of PNG, JPG, JPEG, TIFF, BMP, PDF.")
    if not content:
        raise InputError(f"doc_attachment: {name} is empty.")
    if len(content) > _PAPER_BYTES:
        raise InputError(f"doc_attachment: {name} is larger than 10 MB, the most that the API takes.")
    return content, name


def _read_path(path: "str | os.PathLike[str]") -> bytes:
    try:
        with open(path, "rb") as file:
            return _read_file(file)
    except OSError as error:
        raise InputError(f"doc_attachment: cannot read {os.fspath(path)}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"doc_attachment: {path!r} is no path: {error}.") from None


def _read_file(file: Any) -> bytes:
    """Read to the end, or as far as a document may go; a raw stream gives less than it is asked for."""
    content = b""
    try:
        while len(content) <= _PAPER_BYTES and (chunk := file.read(_PAPER_BYTES + 1 - len(content))):
            if not isinstance(chunk, bytes):
                raise InputError("doc_attachment: open the file for reading bytes: open(path, 'rb').")
            content += chunk
    except UnicodeDecodeError:
        raise InputError("doc_attachment: open the file for reading bytes: open(path, 'rb').") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"doc_attachment: the file cannot be read: {error}.") from error
    return content
