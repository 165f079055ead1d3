"""Messages that the API shows as sent: the proof of a send whose outcome is unknown."""

from datetime import date
from typing import Any, Final

from wavix_async._codec import query_of
from wavix_async._http import BaseClient, Operation
from wavix_async.models._checks import phone
from wavix_async.models.common import Direction
from wavix_async.models.messages import Message, MessageList, MessagePage

__all__ = ["sent_messages"]

_MOST: Final = 100


async def sent_messages(
    client: BaseClient, list_: Operation[MessagePage], *, tag: str, to: str | None, sent_after: date | None
) -> list[Message]:
    """Return the messages on the first page of a list that show all that was asked for: the API may ignore a filter.

    Args:
        client: The client.
        list_: Lists messages.
        tag: The tag that they were sent with.
        to: Their recipient; None: any.
        sent_after: The first day, in UTC; None: any.

    Raises:
        InputError: An argument has the wrong type.
    """
    query = MessageList(type=Direction.OUTBOUND, tag=tag, to=to, sent_after=sent_after)
    page = await client.call(list_, query={**query_of(query), "per_page": _MOST})
    shown: list[Any] = page.items or []
    return [each for each in shown if isinstance(each, Message) and _is_sent(each, tag, query.to)]


def _is_sent(message: Message, tag: str, to: str | None) -> bool:
    is_to = to is None or (isinstance(message.to, str) and phone(message.to, plus=False) == to)
    return is_to and message.tag == tag and message.direction != Direction.INBOUND
