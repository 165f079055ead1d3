"""What `numbers.bulk_update` hands to the bulk engine, which knows no numbers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from wavix_async._codec.decoder import to_dict
from wavix_async._http.operation import Operation
from wavix_async.bulk import BulkOperation, BulkStatus
from wavix_async.models.numbers import Number, NumberBatch, NumberUpdate
from wavix_async.resources._pagination import items_of

if TYPE_CHECKING:
    from wavix_async.client import WavixClient as BaseClient

__all__ = ["number_updates"]


def number_updates(
    *,
    get: Operation[Number],
    update: Operation[Number],
    update_batch: Operation[NumberBatch],
    check: Callable[[Any, Any], object],
) -> BulkOperation[int, NumberUpdate, Number]:
    """Return the bulk operation that updates numbers.

    Args:
        get: Reads one number.
        update: Changes one number.
        update_batch: Makes the same change to several.
        check: Raises `InputError` for a bad id or update.
    """

    def send(client: "BaseClient", number_id: int, changes: NumberUpdate) -> Awaitable[Number]:
        return client.call(update, path={"id": number_id}, body=changes)

    async def send_many(client: "BaseClient", ids: list[int], changes: NumberUpdate) -> Mapping[int, Number]:
        batch = await client.call(update_batch, body={"ids": ids, **to_dict(changes)})
        # What the API sends as a number, or as its id, may be anything.
        return {
            number.id: number for number in items_of(batch) if isinstance(number, Number) and type(number.id) is int
        }

    def read(client: "BaseClient", number_id: int) -> Awaitable[Number]:
        return client.call(get, path={"id": number_id})

    return BulkOperation(
        name=update.name,
        check=check,
        send=send,
        send_many=send_many,
        read=read,
        differs=NumberUpdate.differs_from,
        applied_late=NumberUpdate.APPLIED_LATE,
        idempotent=update.idempotent,
        limit_group=update.limit_group,
        success=BulkStatus.UPDATED,
        change_type=NumberUpdate,
        noun="number",
    )
