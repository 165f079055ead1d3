"""Phone numbers: `/v1/numbers`."""

import asyncio
import builtins
import functools
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import IO, TYPE_CHECKING, Final, Literal

import attrs

from wavix_async._codec import to_dict
from wavix_async._http import BaseClient, Operation, Part
from wavix_async.errors import InputError, WavixError
from wavix_async.models.common import Success
from wavix_async.models.numbers import (
    DocumentTypeName,
    Number,
    NumberBatch,
    NumberDocument,
    NumberList,
    NumberPage,
    NumberUpdate,
)
from wavix_async.resources._base import Resource, refuse_empty
from wavix_async.resources._ids import IntId
from wavix_async.resources._pagination import Paginator, items_of
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until

if TYPE_CHECKING:
    from wavix_async.bulk import BulkOperation, BulkProgress, BulkRun

__all__ = ["Numbers", "Papers"]

LIST: Final = Operation("GET", "/v1/numbers", NumberPage, scope="numbers:read")
GET: Final = Operation("GET", "/v1/numbers/{id}", Number, scope="numbers:read")
# Setting a field twice to the same value changes nothing, so both updates are safe to repeat.
UPDATE: Final = Operation(
    "PATCH",
    "/v1/numbers/{id}",
    Number,
    scope="numbers:write",
    idempotent=True,
    applied_late=NumberUpdate.APPLIED_LATE,
)
UPDATE_BATCH: Final = Operation(
    "PATCH",
    "/v1/numbers",
    NumberBatch,
    scope="numbers:write",
    idempotent=True,
    applied_late=NumberUpdate.APPLIED_LATE,
    batch_ids="ids",
)
# A bulk run compares each record of a batch by itself.
_UPDATE_EACH: Final = attrs.evolve(UPDATE_BATCH, batch_ids=None)
RELEASE: Final = Operation("DELETE", "/v1/numbers", Success, scope="numbers:write", batch_ids="ids")
UPLOAD: Final = Operation("POST", "/v1/numbers/papers", list[NumberDocument], scope="numbers:write", proof="id")

_NUMBER_ID: Final = IntId("number_id", "Number.id, the record's id, not the phone number")


class Papers(Resource):
    """Documents that activate numbers: `/v1/numbers/papers`."""

    async def upload(
        self,
        *,
        did_ids: Iterable[int],
        doc_attachment: "str | os.PathLike[str] | bytes | IO[bytes]",
        doc_id: DocumentTypeName | str | int,
        filename: str | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> list[NumberDocument]:
        """Upload a document for one or more numbers (POST /v1/numbers/papers).

        Args:
            did_ids: Record ids of the numbers.
            doc_attachment: A path, the bytes, or a file object open for reading bytes; PNG, JPG, TIFF, BMP or PDF of at
                most 10 MB, without a password or a digital signature.
            doc_id: The kind of document: `id`, `address` or `localaddress` (older accounts: 1, 2 or 3).
            filename: The name to show; needed with bytes, and with a file object that has no name.
            progress: Called with the bytes of a path that were sent so far, and its size; a retry begins again.

        Returns:
            The documents, one for each number, with their review status.

        Raises:
            InputError: The file is missing, empty, too large or of another type, or `did_ids` is empty.
            OutcomeUnknownError: The connection broke, or the answer is an empty list or holds something that is no
                document: the document may have been uploaded.
            APIError: The API rejected the document.
        """
        ids = _number_ids("did_ids", did_ids)
        kind = str(doc_id)
        if not (kind.isascii() and kind.isalnum()):
            raise InputError(f"doc_id must be a kind of document, such as 'id' or 'address', got {doc_id!r}.")
        from wavix_async.resources._uploads import DOCUMENTS, file_part

        document = await asyncio.to_thread(
            file_part, "doc_attachment", doc_attachment, filename, suffixes=DOCUMENTS, progress=progress
        )
        return await self._call(
            UPLOAD,
            parts=(
                Part("did_ids", ",".join(map(str, ids)).encode()),
                Part("doc_id", kind.encode()),
                document,
            ),
        )


class Numbers(Resource):
    """Phone numbers of the account: `/v1/numbers`."""

    _ids = (_NUMBER_ID,)

    @cached_property
    def papers(self) -> Papers:
        """Documents that activate numbers: `/v1/numbers/papers`."""
        return Papers(self._client)

    @unpack(NumberList)
    def list(self, query: NumberList) -> Paginator[NumberPage, Number]:
        """List the account's numbers (GET /v1/numbers).

        `await` returns one page; `async for` gives every number, from `page` on, and fetches pages ahead.

        Returns:
            A paginator.

        Raises:
            InputError: A filter has the wrong type; `page`, `per_page` or `limit` is out of range.
        """
        return self._pages(LIST, query=query)

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
        return await self._call(GET, number_id)

    @unpack(NumberUpdate)
    async def update(self, number_id: int, changes: NumberUpdate) -> Number:
        """Change one phone number; a field left out keeps its value, None clears it (PATCH /v1/numbers/{id}).

        The keywords are the fields of `NumberUpdate`. The change is idempotent, so the client may retry it. The API
        applies `destinations` and `sms_relay_url` asynchronously: the answer may still show the old values.

        Args:
            number_id: The record's id (`Number.id`), not the phone number.

        Returns:
            The number after the change.

        Raises:
            InputError: There is nothing to change, a field has a wrong type, or the id is not a positive integer.
            NotFoundError: The account has no such number.
            UnprocessableEntityError: The number does not support the change (SMS outside the US and Canada).
            OutcomeUnknownError: The answer is about another number, shows another value, or reports an error in an odd
                form: read the number before you repeat the call. Its `answer` is that answer.
        """
        return await self._call(UPDATE, number_id, body=changes)

    async def wait_applied(
        self,
        number_id: int,
        changes: NumberUpdate,
        *,
        every: tuple[float, float] = (1.0, 15.0),
        timeout: float | None = 120.0,
    ) -> Number:
        """Wait until a number shows a change (GET /v1/numbers/{id} until it does).

        The API applies `destinations` and `sms_relay_url` some time after its answer to `update`. The reads are in the
        bulk lane: other calls go first.

        Args:
            number_id: The record's id (`Number.id`), not the phone number.
            changes: The change that was sent.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.

        Returns:
            The number, which shows the change.

        Raises:
            WaitTimeoutError: The number does not show the change in time; `last` is the number as it was read last.
            InputError: There is nothing to wait for, or the id is not a positive integer.
            NotFoundError: The account has no such number.
        """
        _check_update(number_id, changes)
        return await wait_until(
            self._client,
            lambda client: _read(client, number_id),
            lambda number: not changes.differs_from(number),
            what=f"number {number_id} shows {', '.join(changes)}",
            every=every,
            timeout=timeout,
        )

    @unpack(NumberUpdate)
    async def update_batch(self, ids: Sequence[int], changes: NumberUpdate) -> builtins.list[Number]:
        """Make the same change to several numbers in one request (PATCH /v1/numbers).

        The API changes all numbers or none: one unknown id fails the batch. For many numbers, and for an exact result
        for each, use `bulk_update`.

        Args:
            ids: Record ids.

        Returns:
            The numbers after the change.

        Raises:
            InputError: There are no ids, there is nothing to change, or an id is not a positive integer.
            NotFoundError: The account does not have one of the numbers.
            OutcomeUnknownError: The answer does not show all numbers with the change. Its `answer` is that answer.
        """
        refuse_empty(changes)
        body = {"ids": _number_ids("ids", ids), **to_dict(changes)}
        return items_of(await self._call(UPDATE_BATCH, body=body))

    async def release(self, *, ids: Iterable[int] | None = None, dids: Iterable[str] | None = None) -> Success:
        """Release numbers; this cannot be undone (DELETE /v1/numbers). Pass either `ids` or `dids`.

        Several ids are released one request at a time, because many servers read only the last value of a repeated
        `ids` parameter. If a request fails, the rest is not sent; the error's notes name the ids released before it.

        Args:
            ids: Record ids.
            dids: Phone numbers, digits only.

        Returns:
            The confirmation; `already_gone` is True if an earlier attempt without an answer had already succeeded.

        Raises:
            InputError: Neither or both are given, or a value is not an id or a phone number.
            NotFoundError: The account has no such number.
            OutcomeUnknownError: The answer does not confirm the release. Its `answer` is that answer.
        """
        if (ids is None) == (dids is None):
            raise InputError("release() takes either ids=[...] or dids=[...]: pass exactly one of them.")
        if dids is not None:
            if isinstance(dids, str) or not isinstance(dids, Iterable):
                given = f"the string {dids!r}" if isinstance(dids, str) else repr(dids)
                raise InputError(f"dids must be a list of phone numbers, got {given}: pass dids=['{dids}'].")
            numbers = [_did(value, f"dids[{i}]") for i, value in enumerate(dids)]
            if not numbers:
                raise InputError("dids is empty: pass at least one phone number.")
            # A 404 for several numbers says that one of them is missing, and nothing about the others.
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
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: str | os.PathLike[str] | None = None,
    ) -> "BulkRun[int, Number]":
        """Change many numbers and get an exact result for each (PATCH /v1/numbers/{id} for every number).

        Nothing is sent until you await the run or iterate over it. `await run` returns the report; `async for result in
        run` gives each result as soon as it is known. `concurrency` limits the memory, for any number of updates and
        of failures.

        If an update gets no answer, or one that contradicts the change, the run reads the number at the end, before it
        reports `unknown`. In an outage the run waits up to two minutes and starts few requests; then it stops.

        The first 401, 402 or 403 stops the run; any other rejection fails only its own number. A second update of the
        same number waits until the first one has ended.

        Args:
            updates: A mapping, an iterable or an async iterable of `(id, NumberUpdate)`. For the same change to many:
                `dict.fromkeys(ids, NumberUpdate(...))`. A mapping or a sequence is checked completely in this call; an
                invalid item of any other iterable gets a `failed` result.
            concurrency: How many requests may be on the wire at once. An update that waits for the rate or backs off
                does not count.
            batch: How many equal changes to send in one request (PATCH /v1/numbers): a number, or "auto", which
                starts with 100 and finds out how many the API accepts. A rejected batch is halved until the invalid ids
                are alone. Default: one request for each number.
            on_progress: Called with a `BulkProgress` about ten times a second, and at the end.
            failures_to: A file for all failures, because the report keeps only the first 1,000: CSV if its name ends in
                `.csv`, otherwise one JSON object per line. The start of the run empties it; it gets each failure when
                its number ends.

        Returns:
            The run.

        Raises:
            InputError: An update is empty or not a `NumberUpdate`, or an id is not a positive integer.
            ConfigurationError: `concurrency` is less than 1, or `batch` is less than 2. When the run starts, before it
                sends anything: `failures_to` cannot be written.
        """
        # Only the first bulk run loads this module: most programs do not need it.
        from wavix_async.bulk import BulkRun

        return BulkRun(
            self._client,
            updates,
            operation=_updates(),
            concurrency=concurrency,
            batch=batch,
            on_progress=on_progress,
            failures_to=failures_to,
        )


def _check_update(number_id: object, changes: object) -> None:
    _NUMBER_ID.check(number_id)
    if not isinstance(changes, NumberUpdate):
        raise InputError(f"number {number_id}: the update must be a NumberUpdate, got {type(changes).__name__}.")
    try:
        refuse_empty(changes)
    except InputError as error:
        raise InputError(f"number {number_id}: {error}") from None


def _send(client: BaseClient, number_id: int, changes: NumberUpdate) -> Awaitable[Number]:
    return client.call(UPDATE, path={"id": number_id}, body=changes)


async def _send_many(client: BaseClient, ids: list[int], changes: NumberUpdate) -> Mapping[int, Number]:
    batch = await client.call(_UPDATE_EACH, body={"ids": ids, **to_dict(changes)})
    found: dict[int, Number] = {}
    twice = set()
    for number in items_of(batch):
        # The API may send anything in place of a number or its id.
        if isinstance(number, Number) and type(number.id) is int and found.setdefault(number.id, number) != number:
            twice.add(number.id)
    # Of a number that comes twice with different values, the answer shows nothing: it is sent again alone.
    return {key: number for key, number in found.items() if key not in twice} if twice else found


def _read(client: BaseClient, number_id: int) -> Awaitable[Number]:
    return client.call(GET, path={"id": number_id})


def _values(changes: NumberUpdate, number: Number, name: str) -> tuple[object, object]:
    return getattr(changes, name), getattr(number, "destination" if name == "destinations" else name)


@functools.cache
def _updates() -> "BulkOperation[int, NumberUpdate, Number]":
    from wavix_async.bulk import BulkOperation, BulkStatus

    return BulkOperation(
        name=UPDATE.name,
        check=_check_update,
        send=_send,
        send_many=_send_many,
        read=_read,
        differs=NumberUpdate.differs_from,
        values=_values,
        applied_late=NumberUpdate.APPLIED_LATE,
        idempotent=UPDATE.idempotent,
        limit_group=UPDATE.limit_group,
        success=BulkStatus.UPDATED,
        change_type=NumberUpdate,
        noun="number",
    )


def _number_ids(name: str, values: object) -> list[int]:
    if not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of ids, got {values!r}: pass {name}=[{values!r}].")
    ids = [IntId(f"{name}[{i}]", _NUMBER_ID.what).check(value) for i, value in enumerate(values)]
    if not ids:
        raise InputError(f"{name} is empty: pass at least one id.")
    return ids


def _did(value: object, name: str) -> str:
    digits = value.removeprefix("+") if isinstance(value, str) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise InputError(f"{name} must be a phone number as a string of digits, got {value!r}.")
    return digits
