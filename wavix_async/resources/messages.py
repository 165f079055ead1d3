"""Messages: `/v3/messages`."""

import builtins
import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

from wavix_async._http import EventSource, Export, Operation, idempotency_headers
from wavix_async.errors import InputError
from wavix_async.models.common import Success
from wavix_async.models.messages import (
    Message,
    MessageContent,
    MessageCreate,
    MessageExport,
    MessageList,
    MessagePage,
    OptOut,
    OptOutItem,
    OptOutList,
    OptOutPage,
    SenderID,
    SenderIDCreate,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._sent import sent_messages
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until
from wavix_async.types import UNSET, UnsetType

if TYPE_CHECKING:
    from wavix_async.bulk import BulkProgress, BulkRun

__all__ = ["Messages", "OptOuts", "SenderIDs"]

K = TypeVar("K", bound=str | int)

MessageLike: TypeAlias = MessageCreate | Mapping[str, object]

LIST: Final = Operation("GET", "/v3/messages", MessagePage, scope="messages:read")
GET: Final = Operation(
    "GET",
    "/v3/messages/{id}",
    Message,
    scope="messages:read",
    unwrap="message",
    reserved=("all", "sender-ids", "opt-outs"),
)
EXPORT: Final = Operation("GET", "/v3/messages/all", Export[Message], scope="messages:read")
SEND: Final = Operation(
    "POST",
    "/v3/messages",
    Message,
    scope="messages:write",
    limit_group="messages",
    echoes=("to",),
    proof="message_id",
    # Too many messages to this number within an hour: the others may go on.
    fail_fast_codes=("7", "47"),
)
LIST_SENDER_IDS: Final = Operation(
    "GET", "/v3/messages/sender-ids", list[SenderID], scope="messages:read", unwrap="items"
)
CREATE_SENDER_ID: Final = Operation("POST", "/v3/messages/sender-ids", SenderID, scope="messages:write")
GET_SENDER_ID: Final = Operation("GET", "/v3/messages/sender-ids/{id}", SenderID, scope="messages:read")
DELETE_SENDER_ID: Final = Operation("DELETE", "/v3/messages/sender-ids/{id}", Success, scope="messages:write")
LIST_OPT_OUTS: Final = Operation("GET", "/v3/messages/opt-outs", OptOutPage, scope="messages:read")
# Opting a number out twice changes nothing.
CREATE_OPT_OUT: Final = Operation(
    "POST", "/v3/messages/opt-outs", Success, scope="messages:write", wrap="opt_out", idempotent=True
)


class SenderIDs(Resource):
    """Names and numbers that messages are sent from: `/v3/messages/sender-ids`."""

    _ids = (TextId("sender_id", "SenderID.id, the record's id, not the name"),)

    async def list(self) -> builtins.list[SenderID]:
        """List the sender IDs (GET /v3/messages/sender-ids); there are no pages."""
        return await self._call(LIST_SENDER_IDS)

    @unpack(SenderIDCreate)
    async def create(self, sender_id: SenderIDCreate) -> SenderID:
        """Register a sender ID (POST /v3/messages/sender-ids). It has a monthly fee, so it is never sent twice."""
        return await self._call(CREATE_SENDER_ID, body=sender_id)

    async def get(self, sender_id: str) -> SenderID:
        """Read one sender ID by its record id (GET /v3/messages/sender-ids/{id})."""
        return await self._call(GET_SENDER_ID, sender_id)

    async def delete(self, sender_id: str) -> Success:
        """Delete a sender ID by its record id (DELETE /v3/messages/sender-ids/{id})."""
        return await self._call(DELETE_SENDER_ID, sender_id)


class OptOuts(Resource):
    """Phone numbers that receive no messages: `/v3/messages/opt-outs`."""

    @unpack(OptOutList)
    def list(self, query: OptOutList) -> Paginator[OptOutPage, OptOutItem]:
        """List the opt-outs (GET /v3/messages/opt-outs): `await` gives one page, `async for` all of them."""
        return self._pages(LIST_OPT_OUTS, query=query)

    @unpack(OptOut)
    async def create(self, opt_out: OptOut) -> Success:
        """Opt a phone number out (POST /v3/messages/opt-outs); doing it twice changes nothing."""
        return await self._call(CREATE_OPT_OUT, body=opt_out)


class Messages(Resource):
    """SMS and MMS messages: `/v3/messages`."""

    _ids = (TextId("message_id", "Message.message_id"),)

    @cached_property
    def sender_ids(self) -> SenderIDs:
        """Names and numbers that messages are sent from: `/v3/messages/sender-ids`."""
        return SenderIDs(self._client)

    @cached_property
    def opt_outs(self) -> OptOuts:
        """Phone numbers that receive no messages: `/v3/messages/opt-outs`."""
        return OptOuts(self._client)

    @unpack(MessageList)
    def list(self, query: MessageList) -> Paginator[MessagePage, Message]:
        """List messages (GET /v3/messages): `await` gives one page, `async for` all of them."""
        return self._pages(LIST, query=query)

    @unpack(MessageExport)
    def export(self, query: MessageExport) -> Export[Message]:
        """Read all messages of a time as a stream (GET /v3/messages/all), in constant memory.

            async for message in wavix.messages.export(type="outbound", sent_after=date(2026, 11, 1)):
                ...
            saved = await wavix.messages.export(type="outbound").save("messages.csv")  # or "messages.ndjson"

        The rows are sparse: a field that a row does not have is None.
        """
        return self._export(EXPORT, query=query)

    @overload
    async def send(
        self,
        /,
        *,
        from_: str,
        to: str,
        text: str,
        media: Sequence[str] | UnsetType | None = UNSET,
        callback_url: str | UnsetType = UNSET,
        validity: int | UnsetType = UNSET,
        tag: str | UnsetType = UNSET,
        smart_encoding: bool | UnsetType = UNSET,
        idempotency_key: str | UnsetType = UNSET,
    ) -> Message: ...
    @overload
    async def send(
        self,
        /,
        *,
        from_: str,
        to: str,
        message_body: MessageContent | Mapping[str, object],
        callback_url: str | UnsetType = UNSET,
        validity: int | UnsetType = UNSET,
        tag: str | UnsetType = UNSET,
        smart_encoding: bool | UnsetType = UNSET,
        idempotency_key: str | UnsetType = UNSET,
    ) -> Message: ...
    # The overloads are for type checkers: exactly one of `text` and `message_body`. A test holds them to the model.
    @unpack(MessageCreate)
    async def send(self, message: MessageCreate) -> Message:
        """Send one message (POST /v3/messages). It costs money, so it is never sent twice.

            sent = await wavix.messages.send(from_="Acme", to="+1 (512) 555-0143", text="Your order has left.")

        A 429 of the limit of messages per second is waited out, apart from the limit of other calls. The status of the
        answer is `accepted`; `wait` and delivery reports tell how it ends. Needs the scope `messages:write`.

        Raises:
            InputError: A field has the wrong type, or there is not exactly one of `text` and `message_body`.
            OutcomeUnknownError: The message may have been sent. `find_sent` can prove that it was, if it has a tag.
        """
        return await self._call(SEND, body=message, headers=idempotency_headers(message.idempotency_key))

    async def get(self, message_id: str) -> Message:
        """Read one message (GET /v3/messages/{id})."""
        return await self._call(GET, message_id)

    async def wait(
        self,
        message_id: str,
        *,
        every: tuple[float, float] = (1.0, 15.0),
        timeout: float | None = 600.0,
        events: EventSource | None = None,
    ) -> Message:
        """Wait until the status of a message is final (GET /v3/messages/{id} until it is).

            message = await wavix.messages.wait(sent.message_id)
            if message.status != "delivered": ...

        With `events=hooks` (`wavix_async.webhooks`), a delivery report makes it read at once. The reads are in the bulk
        lane: other calls go first. Needs the scope `messages:read`.

        Args:
            message_id: `Message.message_id`.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit. A message with a longer `validity` may take that long.
            events: What receives webhooks; None: only the reads show the status.

        Returns:
            The message, in whatever final status: delivered, undelivered, expired, rejected or dlr_expired.

        Raises:
            WaitTimeoutError: The status is not final in time; `last` is the message as it was read last.
            ConfigurationError: `every` or `timeout` is out of range.
            NotFoundError: The account has no such message.
        """
        path = self._path(GET, (message_id,))
        return await wait_until(
            self._client,
            lambda client: client.call(GET, path=path),
            lambda message: message.is_final,
            what=f"message {message_id} has a final status",
            every=every,
            timeout=timeout,
            events=events,
            event="DeliveryReport",
            message_id=message_id,
        )

    async def find_sent(self, *, tag: str, to: str | None = None, sent_after: date | None = None) -> Message | None:
        """Look for a message that was sent, by its tag (GET /v3/messages): a proof after an unknown outcome.

            try:
                sent = await wavix.messages.send(from_="Acme", to=customer, text="Your order has left.", tag="order-7")
            except OutcomeUnknownError:
                sent = await wavix.messages.find_sent(tag="order-7")  # a Message: it was sent; None: still unknown

        A message proves that a send with this tag was accepted, in whatever state the message is now. None proves
        nothing: the list may be late. So give each send a tag of its own, or one of its own for each recipient. Needs
        the scope `messages:read`. It reads one page; if several messages match, it returns the first of them.

        Args:
            tag: The tag that the message was sent with.
            to: The recipient, if others have messages with the same tag; in any usual spelling.
            sent_after: The first day, in UTC; None: any day.

        Raises:
            InputError: The tag is empty, or an argument has the wrong type.
        """
        if not tag:
            raise InputError("find_sent() needs the tag that the message was sent with: an empty tag proves nothing.")
        return next(iter(await sent_messages(self._client, LIST, tag=tag, to=to, sent_after=sent_after)), None)

    @overload
    def bulk_send(
        self,
        items: Mapping[K, MessageLike] | Iterable[tuple[K, MessageLike]] | AsyncIterable[tuple[K, MessageLike]],
        *,
        concurrency: int = 32,
        tag_each: bool = True,
        journal: str | os.PathLike[str] | None = None,
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: str | os.PathLike[str] | None = None,
    ) -> "BulkRun[K, Message]": ...
    @overload
    def bulk_send(
        self,
        items: Iterable[MessageLike] | AsyncIterable[MessageLike],
        *,
        concurrency: int = 32,
        tag_each: bool = True,
        journal: str | os.PathLike[str] | None = None,
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: str | os.PathLike[str] | None = None,
    ) -> "BulkRun[int, Message]": ...
    def bulk_send(
        self,
        items: Any,
        *,
        concurrency: int = 32,
        tag_each: bool = True,
        journal: str | os.PathLike[str] | None = None,
        on_progress: "Callable[[BulkProgress], object] | None" = None,
        failures_to: str | os.PathLike[str] | None = None,
    ) -> "BulkRun[Any, Message]":
        """Send many messages, none of them twice, and get an outcome for each (POST /v3/messages for every message).

            run = wavix.messages.bulk_send({"order-1": MessageCreate(...)}, journal="orders.sqlite")
            report = await run
            print(report, report.charged)

        Nothing is sent until you await the run or iterate over it. Each item ends as `accepted`, `failed`, `unknown` or
        `not_sent`. An item whose answer is lost is never sent again. If no other item has its tag, the run looks for a
        message with that tag (GET /v3/messages) and reports `accepted` if there is one; otherwise `unknown`, because a
        list without the message does not prove that it was not sent.

        A 401, 402 or 403, and "Insufficient funds", stop the run. Any other rejection fails only its own item, also
        because the recipient has opted out, or got too many messages within an hour (codes 7 and 47). The run waits out
        a 429 because of the messages per second (code 26).

        Scope messages:write, and messages:read for items whose answer is lost. Each accepted message costs money.

        Args:
            items: A mapping, an iterable or an async iterable of `(key, message)`, or an iterable or an async iterable
                of messages, whose keys are then their positions from 0. A key is a string or an integer, and a message
                a `MessageCreate` or a mapping with its fields. A second item of a key fails; two keys may have the same
                recipient. A mapping or a collection with a length is checked completely in this call; an invalid item
                of any other iterable gets a `failed` result.
            concurrency: How many requests may be on the wire at once. Default 32. An item that waits for the rate or
                backs off does not count.
            tag_each: Give each item without a tag a unique one, so that the run can find its message. Default True.
            journal: A file that makes the run safe against a kill. Call `bulk_send` again with the same items and the
                same journal: it sends what was not sent, looks for what may have been sent, and returns the report on
                all items. The file has keys, tags, ids, recipients and prices, and no texts. Default None: no journal.
            on_progress: Called with a `BulkProgress` about ten times a second, and at the end.
            failures_to: A file for all failures, because the report keeps only the first 1,000: CSV if its name ends in
                `.csv`, otherwise one JSON object per line.

        Returns:
            The run. Its report has `charged`: what the answers said that the messages cost, in USD.

        Raises:
            InputError: A message or a key is invalid.
            ConfigurationError: `concurrency` is less than 1. When the run starts, before it sends anything:
                `failures_to` cannot be written.
            JournalError: When the run starts, before it sends anything: the journal is in use, damaged or a copy, or
                belongs to other items, another key or another account.
        """
        # Only the first bulk run loads these modules: most programs do not need them.
        from wavix_async.bulk import BulkRun
        from wavix_async.resources._bulk_send import pairs_of, sending

        return BulkRun(
            self._client,
            pairs_of(items),
            operation=sending(SEND, LIST, tag_each=tag_each),
            concurrency=concurrency,
            on_progress=on_progress,
            failures_to=failures_to,
            journal=journal,
        )
