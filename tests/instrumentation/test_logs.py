"""The logger `wavix_async`: silent until asked, constant texts, facts as attributes, nothing private."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import attrs
import pytest

from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AttemptEvent,
    Event,
    NotFoundError,
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    PauseEvent,
    RateEvent,
    RetryEvent,
    WavixClient,
)

pytestmark = pytest.mark.req_25

KEY = "key-0123456789abcdef"


def client_of(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient(KEY, base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


def talk(session: StubSession, **options: Any) -> list[Event]:
    """Change one number through a 429 and a 503, with an observer at hand."""
    events: list[Event] = []

    async def main() -> None:
        async with client_of(session, observers=(events.append,), **options) as wavix:
            await wavix.numbers.update(7, sms_enabled=True)

    run_virtual(main())
    return events


def a_429_and_a_503() -> StubSession:
    replies = iter([Reply(429, {}, {"Retry-After": "2", "X-Request-Id": "first"}), Reply(503, {})])
    return StubSession(lambda _: next(replies, Reply()))


def test_a_name_in_an_answer_adds_no_line_and_no_escape_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "wavix_async")
    talk(StubSession(lambda _: Reply(200, {"id": 7, "sms_enabled": True, "\x1b[31mred\n2030 ERROR\u202e": 1})))
    shown = [str(vars(record).get("drift")) for record in caplog.records]
    assert any(r"\x1b[31mred\n2030 ERROR\u202e" in each for each in shown)
    assert all(each.isprintable() for each in shown)


TEXTS = {
    AttemptEvent: "attempt ended",
    RetryEvent: "attempt will be repeated",
    PauseEvent: "calls pause",
    RateEvent: "rate learned",
}


def test_the_log_has_what_observers_get(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wavix_async")
    events = talk(a_429_and_a_503())
    assert {type(event) for event in events} >= {AttemptEvent, RetryEvent, PauseEvent}
    assert len(caplog.records) == len(events)
    for record, event in zip(caplog.records, events, strict=True):
        # Constant: whatever it is about, records of one kind have one text.
        assert record.getMessage() == record.msg == TEXTS[type(event)]
        for name, value in attrs.asdict(event).items():
            assert getattr(record, name) == value
    first = next(event for event in events if isinstance(event, AttemptEvent))
    assert (first.status, first.request_id) == (429, "first")


@pytest.mark.parametrize(
    ("level", "texts"),
    [
        (logging.INFO, {"attempt will be repeated", "calls pause", "rate learned"}),
        (logging.WARNING, set()),
    ],
)
def test_levels(level: int, texts: set[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(level, "wavix_async")
    talk(a_429_and_a_503(), rate=None)
    assert {record.getMessage() for record in caplog.records} <= texts
    assert bool(caplog.records) == bool(texts)


def test_debugging_can_begin_while_a_client_lives(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with client_of(StubSession()) as wavix:
            await wavix.numbers.get(1)
            assert not caplog.records
            caplog.set_level(logging.DEBUG, "wavix_async")
            await wavix.numbers.get(1)

    run_virtual(main())
    (record,) = caplog.records
    assert (record.getMessage(), getattr(record, "status", None)) == ("attempt ended", 200)


def test_nothing_private_is_in_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    phone = "12565378257"
    drifting = {"id": 1, "number": phone, f"+{phone}": {"x": 1}, "sms_enabled": phone}
    unlucky = [Reply(body=drifting), Reply(404, {"message": f"no {phone}, key {KEY}"}), Reply(500)]
    replies = iter([*unlucky, *[Reply()] * 5])
    by_phone = Operation("GET", f"/v1/by-phone/{phone}", Number)

    async def main() -> None:
        async with client_of(StubSession(lambda _: next(replies))) as wavix:
            await wavix.call(by_phone)
            with pytest.raises(NotFoundError):
                await wavix.numbers.get(1)
            with pytest.raises(OutcomeUnknownError):
                await wavix.call(Operation("POST", f"/v1/calls/{phone}", Number), body={"to": phone})
            report = await wavix.numbers.bulk_update({1: NumberUpdate(call_status_url=f"https://x/{phone}")})
            assert report.total == 1

    run_virtual(main())
    ours = [record for record in caplog.records if record.name.startswith("wavix_async")]
    assert {record.name for record in ours} == {"wavix_async", "wavix_async.drift"}
    told = "".join(str(record.__dict__) for record in ours)
    assert KEY not in told
    assert phone not in told
    assert "***257" in told


def test_a_library_is_silent_by_default() -> None:
    """Not even by the handler of last resort, which prints warnings where no handler is configured."""
    code = """
import asyncio
from tests.support.stub import Reply, StubSession
from wavix_async import WavixClient

async def main():
    replies = iter([Reply(429, {}, {"Retry-After": "0"}), Reply(body={"id": 1, "channels": "drift"})])
    async with WavixClient("k", base_url="http://127.0.0.1:1", session=StubSession(lambda _: next(replies))) as wavix:
        await wavix.numbers.get(1)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")
