"""What the API takes and answers, one module for each group of operations."""

from wavix_async.models.common import Page, Pagination, Success
from wavix_async.models.numbers import (
    DocumentStatus,
    DocumentType,
    DocumentTypeName,
    InboundCallDestination,
    InboundCallTransport,
    Number,
    NumberBatch,
    NumberDestination,
    NumberDocument,
    NumberPage,
    NumberStatus,
    NumberUpdate,
)

__all__ = [
    "DocumentStatus",
    "DocumentType",
    "DocumentTypeName",
    "InboundCallDestination",
    "InboundCallTransport",
    "Number",
    "NumberBatch",
    "NumberDestination",
    "NumberDocument",
    "NumberPage",
    "NumberStatus",
    "NumberUpdate",
    "Page",
    "Pagination",
    "Success",
]
