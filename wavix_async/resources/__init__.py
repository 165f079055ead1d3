"""The operations of the API, one module for each group: `numbers.py` has those of `/v1/numbers`."""

from wavix_async.resources._pagination import Paginator

__all__ = ["Paginator"]
