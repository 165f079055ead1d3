"""How `campaigns.numbers.bulk_link` links and proves one number. Loaded by the first such run."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Iterable, Mapping, Sized
from datetime import datetime
from functools import partial
from typing import Any, Final

from attrs import frozen

from wavix_async._codec import from_dict, to_dict
from wavix_async._http import BaseClient, Operation
from wavix_async.bulk import BulkOperation, BulkStatus, OncePerKey
from wavix_async.errors import InputError
from wavix_async.models._base import Body
from wavix_async.models.common import Success
from wavix_async.models.ten_dlc.campaigns import TenDLCCampaignNumber
from wavix_async.resources.ten_dlc._ids import digits_of

__all__ = ["linking", "pairs_of"]

_FRESH: Final = 1.0
"""Seconds for which a list of the linked numbers serves all items. An item is looked for several times, the last time
seconds after it was sent, so a list from before its request does not decide."""


@frozen(kw_only=True)
class NumberLink(Body):
    """A number to link."""

    brand_id: str
    campaign_id: str
    number: str


def pairs_of(numbers: Any, path: Mapping[str, str]) -> Any:
    """Return the numbers as pairs of their digits and what to link.

    Args:
        numbers: The numbers.
        path: The ids of the brand and of the campaign.

    Raises:
        InputError: A number of a collection with a length is no phone number.
    """
    if isinstance(numbers, str | bytes | Mapping):
        raise InputError(f"numbers must be an iterable or an async iterable of phone numbers, got {numbers!r}.")
    if isinstance(numbers, AsyncIterable):
        return _pairs_of_async(numbers, path)
    if isinstance(numbers, Sized) and isinstance(numbers, Iterable):
        return [_pair_of(digits_of(number), path) for number in numbers]
    return (_pair_of(number, path) for number in numbers) if isinstance(numbers, Iterable) else numbers


async def _pairs_of_async(numbers: AsyncIterable[Any], path: Mapping[str, str]) -> AsyncIterator[Any]:
    try:
        async for number in numbers:
            yield _pair_of(number, path)
    finally:
        if isinstance(numbers, AsyncGenerator):
            await numbers.aclose()


def _pair_of(number: Any, path: Mapping[str, str]) -> Any:
    try:
        digits = digits_of(number)
    except InputError:
        # The check of the run says what is wrong with it, as the result of this item.
        return number, None
    return digits, NumberLink(number=digits, **path)


def _check(number: object, _: object) -> None:
    digits_of(number)


def _mark(link: NumberLink, _: str) -> NumberLink:
    return link


class _Linked:
    """The numbers that a campaign has: one list serves all items that look for themselves at about the same time."""

    def __init__(self, list_: Operation[list[TenDLCCampaignNumber]]) -> None:
        self._list = list_
        self._lock = asyncio.Lock()
        self._read_at = 0.0
        self._numbers: frozenset[str] | None = None

    async def prove(self, client: BaseClient, link: NumberLink, _: datetime | None) -> Success | None:
        """Return a confirmation if the campaign has the number."""
        async with self._lock:
            # The lock is free only when a list in progress is there.
            if self._numbers is None or client.clock.time() - self._read_at >= _FRESH:
                self._read_at = client.clock.time()
                path = {"brand_id": link.brand_id, "campaign_id": link.campaign_id}
                found = await client.call(self._list, path=path)
                shown = (each.number for each in found if isinstance(each, TenDLCCampaignNumber))
                self._numbers = frozenset(number.removeprefix("+") for number in shown if isinstance(number, str))
        return Success(success=True) if link.number in self._numbers else None


def _send(link: Operation[Success], client: BaseClient, _: object, change: NumberLink) -> Awaitable[Success]:
    return client.call(link, path=to_dict(change))


def _save(answer: Success) -> str:
    return json.dumps(to_dict(answer))


def _load(text: str) -> Success:
    return from_dict(Success, json.loads(text))


def linking(
    link: Operation[Success], list_: Operation[list[TenDLCCampaignNumber]]
) -> BulkOperation[str, NumberLink, Success]:
    """Return the operation of a run.

    Args:
        link: Links one number.
        list_: Lists the numbers of a campaign.
    """
    return BulkOperation(
        name=link.name,
        check=_check,
        send=partial(_send, link),
        once=OncePerKey(
            mark=_mark, mark_of=lambda change: change.number, prove=_Linked(list_).prove, save=_save, load=_load
        ),
        success=BulkStatus.ACCEPTED,
        change_type=NumberLink,
        key_name="number",
        noun="number",
        argument="numbers",
    )
