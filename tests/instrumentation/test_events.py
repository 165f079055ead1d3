"""The events: frozen records whose repr shows their fields."""

from __future__ import annotations

import attrs
import pytest

from wavix_async import PauseEvent, RetryEvent

pytestmark = pytest.mark.req_25


def test_an_event_shows_its_fields() -> None:
    retry = RetryEvent(operation="GET /v1/numbers", attempt=1, wait=0.5, reason="ServerError", status=500)
    assert repr(retry) == (
        "RetryEvent(operation='GET /v1/numbers', attempt=1, wait=0.5, reason='ServerError', status=500)"
    )


def test_an_event_cannot_be_changed_and_equals_its_like() -> None:
    pause = PauseEvent(group="default", seconds=1.0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        pause.seconds = 2.0  # type: ignore[misc]
    assert pause == PauseEvent(group="default", seconds=1.0)
