"""A service that notifies customers by SMS, follows the delivery reports, and tries another sender if one fails.

To try it with a local Wavix simulator, run `python -m examples.notifications`. To use it with your account, set
WAVIX_API_KEY, WAVIX_WEBHOOK_SECRET and PUBLIC_URL (where Wavix reaches this service, such as https://notify.example.com),
and run `uvicorn examples.notifications.app:app` behind your own login. It keeps its notifications in memory: a service
of yours has a database.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from wavix_async import OutcomeUnknownError, UnprocessableEntityError, WavixClient, WavixError
from wavix_async.fastapi import install_error_handlers, wavix_lifespan
from wavix_async.webhooks import DeliveryReport, InboundMessage, Webhooks

SENDERS = os.environ.get("SENDERS", "Shop,Shop-2").split(",")
"""The sender IDs, in the order in which they are tried."""
REPORTS_TO = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000") + "/wavix"

hooks = Webhooks(secret=os.environ["WAVIX_WEBHOOK_SECRET"])


class Order(BaseModel):
    """What a caller asks for."""

    to: str
    text: str


class Notification(BaseModel):
    """A text to a customer, and what has become of it."""

    id: str
    to: str
    text: str
    status: str = "new"
    attempts: list[str] = []
    """The senders that were tried."""
    settled: bool = False
    """Whether the service does no more for it."""


notifications: dict[str, Notification] = {}


@wavix_lifespan
@asynccontextmanager
async def lifespan(app: FastAPI, wavix: WavixClient) -> AsyncIterator[None]:
    app.state.wavix = wavix  # handlers of events have no request to take it from
    yield


app = FastAPI(title="Notifications", lifespan=lifespan)
install_error_handlers(app)
app.include_router(hooks.router, prefix="/wavix")


@app.post("/notifications", status_code=202)
async def notify(order: Order) -> Notification:
    """Send a notification. Its status changes with the delivery reports: read it again."""
    new = Notification(id=uuid.uuid4().hex, to=order.to, text=order.text)
    notifications[new.id] = new
    await send_by_next_sender(new)
    return new


@app.get("/notifications/{notification_id}")
async def read(notification_id: str) -> Notification:
    if notification_id not in notifications:
        raise HTTPException(404, "There is no such notification.")
    return notifications[notification_id]


async def send_by_next_sender(it: Notification) -> None:
    """Send a notification by the first sender that was not tried yet."""
    sender = SENDERS[len(it.attempts)]
    it.attempts.append(sender)
    it.status = "accepted"
    # A tag of its own: reports name it even if the answer to the send is lost or comes after them.
    tag = f"{it.id}-{len(it.attempts)}"
    try:
        await app.state.wavix.messages.send(
            from_=sender, to=it.to, text=it.text, tag=tag, callback_url=REPORTS_TO + hooks.path(DeliveryReport)
        )
    except UnprocessableEntityError as error:  # the customer has opted out: no other sender may try
        it.status, it.settled = f"refused: {error.reason}", True
    except OutcomeUnknownError:  # never send it again: it may be on its way, and then its reports come
        if await app.state.wavix.messages.find_sent(tag=tag) is None and it.status == "accepted":
            it.status = "unknown"
    except WavixError:  # the message was not accepted: wrong number, no money, no connection
        it.status, it.settled = "failed", True
        raise


@hooks.on(DeliveryReport)
async def follow(report: DeliveryReport) -> None:
    """Keep the status of a notification, and try the next sender if this one's message was not delivered."""
    notification_id, _, attempt = (report.tag or "").rpartition("-")
    it = notifications.get(notification_id)
    if it is None or report.late or attempt != str(len(it.attempts)):
        return
    it.status = report.status.value
    if report.status == "delivered" or len(it.attempts) == len(SENDERS):
        it.settled = report.is_final
    elif report.is_final:
        await send_by_next_sender(it)


@hooks.on(InboundMessage)
async def answer(message: InboundMessage) -> None:
    """Opt a customer out of all senders: Wavix itself knows only the one that the answer went to."""
    if message.message_body.text.strip().upper() == "STOP":
        await app.state.wavix.messages.opt_outs.create(number=message.from_)
