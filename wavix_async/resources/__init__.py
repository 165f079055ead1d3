"""The operations of the API, one module for each group: `/v1/numbers` is `numbers.py`."""

from wavix_async.resources._pagination import Paginator

__all__ = ["Paginator"]
