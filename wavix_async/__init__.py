"""The asyncio SDK for the Wavix telecom API.

    async with WavixClient() as wavix:
        number = await wavix.numbers.update(123, sms_enabled=True)
        report = await wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(sms_enabled=True)))

`wavix_async.errors` draws the tree of exceptions; all of them are importable from here.
"""

from wavix_async._codec import Drift, from_dict, to_dict
from wavix_async._events import (
    AttemptEvent,
    AttemptStart,
    BulkEvent,
    BulkStart,
    DriftEvent,
    Event,
    Observer,
    PauseEvent,
    RateEvent,
    RetryEvent,
    Tracer,
)
from wavix_async._limits import LimitSnapshot
from wavix_async._operation import Operation
from wavix_async._paging import Paginator
from wavix_async._stop import StopSignal
from wavix_async._version import __version__
from wavix_async.bulk import BulkProgress, BulkReport, BulkResult, BulkRun, BulkStatus
from wavix_async.client import WavixClient
from wavix_async.config import RetryPolicy, Timeouts
from wavix_async.errors import (
    APIError,
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    BulkError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    ContentTooLargeError,
    DeadlineExceededError,
    DecodeError,
    DisconnectedError,
    InputError,
    NotFoundError,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StoppedError,
    TransportError,
    UnprocessableEntityError,
    WavixError,
)
from wavix_async.models import (
    DocumentStatus,
    DocumentType,
    DocumentTypeName,
    InboundCallDestination,
    InboundCallTransport,
    Number,
    NumberDestination,
    NumberDocument,
    NumberPage,
    NumberStatus,
    NumberUpdate,
    Page,
    Pagination,
    Success,
)
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "__version__",
    # the client and its settings
    "WavixClient",
    "RetryPolicy",
    "Timeouts",
    "LimitSnapshot",
    "Operation",
    "Paginator",
    "StopSignal",
    # phone numbers
    "DocumentStatus",
    "DocumentType",
    "DocumentTypeName",
    "InboundCallDestination",
    "InboundCallTransport",
    "Number",
    "NumberDestination",
    "NumberDocument",
    "NumberPage",
    "NumberStatus",
    "NumberUpdate",
    "Page",
    "Pagination",
    "Success",
    # bulk
    "BulkProgress",
    "BulkReport",
    "BulkResult",
    "BulkRun",
    "BulkStatus",
    # values
    "UNSET",
    "UnsetType",
    "from_dict",
    "to_dict",
    # events
    "AttemptEvent",
    "AttemptStart",
    "BulkEvent",
    "BulkStart",
    "Drift",
    "DriftEvent",
    "Event",
    "Observer",
    "PauseEvent",
    "RateEvent",
    "RetryEvent",
    "Tracer",
    # errors
    "APIError",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BulkError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ContentTooLargeError",
    "DeadlineExceededError",
    "DecodeError",
    "DisconnectedError",
    "InputError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "StoppedError",
    "TransportError",
    "UnprocessableEntityError",
    "WavixError",
]
