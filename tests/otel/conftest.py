"""For tests of OpenTelemetry: spans and metrics kept in memory."""

from __future__ import annotations

import pytest

from tests.support.otel import Seen


@pytest.fixture
def seen() -> Seen:
    return Seen()
