"""A client of the faked API (`tests/conftest.py`) that sends everything once."""

from __future__ import annotations

from typing import Any

from tests.conftest import BASE, KEY
from wavix_async import RetryPolicy, WavixClient


def client(**options: Any) -> WavixClient:
    return WavixClient(KEY, base_url=BASE, **{"retry": RetryPolicy.none(), **options})
