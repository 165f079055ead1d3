"""A client of the API that `tests/conftest.py` fakes; it sends every request once."""

from __future__ import annotations

from typing import Any

from tests.conftest import BASE, KEY
from wavix_async import RetryPolicy, WavixClient


def client(**options: Any) -> WavixClient:
    return WavixClient(KEY, base_url=BASE, **{"retry": RetryPolicy.none(), **options})
