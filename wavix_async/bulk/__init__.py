"""Many changes at once, under a semaphore, with one stated outcome for each."""

from wavix_async.bulk._results import BulkProgress, BulkReport, BulkResult, BulkStatus
from wavix_async.bulk._run import BulkRun
from wavix_async.bulk._sender import Work

__all__ = ["BulkProgress", "BulkReport", "BulkResult", "BulkRun", "BulkStatus", "Work"]
