"""Many changes at once, under a semaphore, with one stated outcome for each."""

from wavix_async.bulk._delivery import Work
from wavix_async.bulk._records import BulkProgress, BulkReport, BulkResult, BulkStatus
from wavix_async.bulk._run import BulkRun

__all__ = ["BulkProgress", "BulkReport", "BulkResult", "BulkRun", "BulkStatus", "Work"]
