"""Send many changes concurrently, with one outcome for each. This package depends on no API resource."""

from wavix_async.bulk._operation import BulkOperation, OncePerKey
from wavix_async.bulk._results import BulkError, BulkProgress, BulkReport, BulkResult, BulkStatus, FailureKind
from wavix_async.bulk._run import BulkRun

__all__ = [
    "BulkError",
    "BulkOperation",
    "BulkProgress",
    "BulkReport",
    "BulkResult",
    "BulkRun",
    "BulkStatus",
    "FailureKind",
    "OncePerKey",
]
