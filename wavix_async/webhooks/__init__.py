"""Receive the events that Wavix posts: delivery reports, inbound messages, calls and changes of status.

    from wavix_async.webhooks import DeliveryReport, Webhooks

    hooks = Webhooks(secret=os.environ["WAVIX_WEBHOOK_SECRET"])

    @hooks.on(DeliveryReport, status="undelivered")
    async def retry(report: DeliveryReport) -> None: ...

    app.include_router(hooks.router, prefix="/wavix")

`_parse.py` makes a typed event of a body, `_router.py` checks requests and runs handlers, `_seen.py` stores events and
the keys of those that have come before, and `_mounts.py` connects it to FastAPI, ASGI and aiohttp.web.
"""

from wavix_async.models import Model
from wavix_async.models.events import (
    BrandStatusChanged,
    CallEvent,
    CallTranscriptionCompleted,
    CampaignStatusChanged,
    DeliveryReport,
    FileTranscriptionCompleted,
    InboundMessage,
    NumberStatusChanged,
    PostCall,
    UnknownEvent,
)
from wavix_async.webhooks._mounts import ASGIApp
from wavix_async.webhooks._networks import WAVIX_NETWORKS
from wavix_async.webhooks._parse import KINDS, WebhookEvent, parse_event
from wavix_async.webhooks._redis_store import RedisStore
from wavix_async.webhooks._router import FailedHandler, Webhooks
from wavix_async.webhooks._seen import EventStore, MemoryStore, NewEvent, StoredEvent, Verdict
from wavix_async.webhooks._sqlite_store import SqliteStore

__all__ = [
    "KINDS",
    "WAVIX_NETWORKS",
    "ASGIApp",
    "BrandStatusChanged",
    "CallEvent",
    "CallTranscriptionCompleted",
    "CampaignStatusChanged",
    "DeliveryReport",
    "EventStore",
    "FailedHandler",
    "FileTranscriptionCompleted",
    "InboundMessage",
    "MemoryStore",
    "Model",
    "NewEvent",
    "NumberStatusChanged",
    "PostCall",
    "RedisStore",
    "SqliteStore",
    "StoredEvent",
    "UnknownEvent",
    "Verdict",
    "WebhookEvent",
    "Webhooks",
    "parse_event",
]
