"""Telemetry kept in memory."""

from __future__ import annotations

import pytest

from tests.otel._seen import Seen


@pytest.fixture
def seen() -> Seen:
    return Seen()
