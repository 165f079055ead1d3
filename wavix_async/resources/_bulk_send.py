"""How `messages.bulk_send` sends, proves and charges one message. Loaded by the first such run."""

import functools
import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import attrs

from wavix_async._codec import from_dict, to_dict
from wavix_async._http import BaseClient, Operation, idempotency_headers
from wavix_async.bulk import BulkOperation, BulkStatus, OncePerKey
from wavix_async.errors import APIError, InputError, WavixError
from wavix_async.models._checks import make_body
from wavix_async.models.messages import Message, MessageCreate, MessagePage
from wavix_async.resources._sent import sent_messages
from wavix_async.types import UNSET

__all__ = ["pairs_of", "sending"]

_NO_FUNDS: Final = "insufficient funds"
_CLOCKS_DIFFER: Final = timedelta(minutes=2)
"""How much earlier than this machine the API's clock may say that a message was submitted."""


def pairs_of(items: Any) -> Any:
    """Return the items as pairs of a key and a message: of a message without a key, its position is the key.

    An item that is no message stays as it is; the run says what is wrong with it.
    """
    if isinstance(items, MessageCreate | str | bytes):
        return items
    if isinstance(items, Mapping):
        return {key: _message_of(item) for key, item in items.items()}
    if isinstance(items, AsyncIterable):
        return _pairs_of_async(items)
    if isinstance(items, Sized) and isinstance(items, Iterable):
        return list(_pairs_of(items))
    return _pairs_of(items) if isinstance(items, Iterable) else items


def _pairs_of(items: Iterable[Any]) -> Iterator[Any]:
    try:
        for position, item in enumerate(items):
            yield _pair_of(position, item)
    finally:
        if isinstance(items, Generator):
            items.close()


async def _pairs_of_async(items: AsyncIterable[Any]) -> AsyncIterator[Any]:
    position, iterator = 0, aiter(items)
    try:
        async for item in iterator:
            yield _pair_of(position, item)
            position += 1
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


def _pair_of(position: int, item: Any) -> Any:
    if isinstance(item, tuple | list):
        # An error about the key of an item must not show its text.
        return (item[0], _message_of(item[1])) if len(item) == 2 else (position, item)
    return position, _message_of(item)


def _message_of(item: Any) -> Any:
    if isinstance(item, MessageCreate) or not isinstance(item, Mapping):
        return item
    try:
        return make_body(MessageCreate, item)
    except InputError:
        return item


def _check(key: object, message: object) -> None:
    if type(key) is bool or not isinstance(key, str | int):
        raise InputError(f"the key of a message must be a string or an integer, got {type(key).__name__}.")
    if isinstance(message, MessageCreate):
        return
    if not isinstance(message, Mapping):
        raise InputError(f"message {key}: it must be a MessageCreate or a mapping, got {type(message).__name__}.")
    try:
        make_body(MessageCreate, message)
    except InputError as error:
        raise InputError(f"message {key}: {error}") from None


def _send(send: Operation[Message], client: BaseClient, _: object, message: MessageCreate) -> Awaitable[Message]:
    return client.call(send, body=message, headers=idempotency_headers(message.idempotency_key))


def _tagged(message: MessageCreate, tag: str) -> MessageCreate:
    return attrs.evolve(message, tag=tag) if message.tag is UNSET else message


def _as_it_is(message: MessageCreate, _: str) -> MessageCreate:
    return message


def _tag_of(message: MessageCreate) -> str | None:
    return message.tag if isinstance(message.tag, str) and message.tag else None


async def _prove(
    list_: Operation[MessagePage], client: BaseClient, message: MessageCreate, since: datetime | None
) -> Message | None:
    """Return the one message that was sent with this tag.

    The tag may be the caller's own. Then a message to another number, or one that is older than the run, is not it.
    """
    tag = _tag_of(message)
    assert tag is not None
    # The API takes days here.
    sent_after = None if since is None else (since - timedelta(days=1)).date()
    to = None if since is None else message.to
    found = await sent_messages(client, list_, tag=tag, to=to, sent_after=sent_after)
    if since is not None:
        found = [each for each in found if _is_after(each, since)]
    return found[0] if len(found) == 1 else None


def _is_after(found: Message, since: datetime) -> bool:
    at = found.submitted_at
    return isinstance(at, datetime) and (at if at.tzinfo else at.replace(tzinfo=UTC)) >= since - _CLOCKS_DIFFER


def _save(message: Message) -> str:
    # Without the text, which may be a one-time code.
    return json.dumps({name: value for name, value in to_dict(message).items() if name != "message_body"})


def _load(text: str) -> Message:
    return from_dict(Message, json.loads(text))


def _concerns(of_recipient: frozenset[str | None], error: WavixError) -> Literal["run", "item"] | None:
    if error.code in of_recipient:
        return "item"
    refused = isinstance(error, APIError) and error.is_refusal
    return "run" if refused and _NO_FUNDS in (error.reason or "").lower() else None


def _cost(message: Message) -> Decimal | None:
    # An answer may lack the price, or have another type there.
    charge: object = message.charge
    fees: object = message.carrier_fees
    if not isinstance(charge, Decimal):
        return None
    return charge + fees if isinstance(fees, Decimal) else charge


def sending(
    send: Operation[Message], list_: Operation[MessagePage], *, tag_each: bool
) -> BulkOperation[Any, MessageCreate, Message]:
    """Return the operation of a run.

    Args:
        send: Sends one message.
        list_: Lists messages.
        tag_each: Whether a message without a tag gets one.
    """
    return BulkOperation(
        name=send.name,
        check=_check,
        send=functools.partial(_send, send),
        once=OncePerKey(
            mark=_tagged if tag_each else _as_it_is,
            mark_of=_tag_of,
            prove=functools.partial(_prove, list_),
            save=_save,
            load=_load,
        ),
        concerns=functools.partial(_concerns, frozenset(send.fail_fast_codes)),
        cost=_cost,
        limit_group=send.limit_group,
        success=BulkStatus.ACCEPTED,
        change_type=MessageCreate,
        key_name="key",
        noun="message",
        argument="items",
    )
