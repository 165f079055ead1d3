"""Observers around attempts and bulk runs: when they are entered and left; their exceptions change nothing."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.conftest import BASE, KEY
from tests.support import examples as ex
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AttemptEvent,
    AttemptStart,
    BulkEvent,
    BulkStart,
    Event,
    NumberUpdate,
    RetryPolicy,
    ServerError,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Api

pytestmark = pytest.mark.req_25
inside: ContextVar[str] = ContextVar("inside", default="nothing")
NUMBER = "PATCH /v1/numbers/{id}"


def client(observer: Any) -> WavixClient:
    return WavixClient(KEY, base_url=BASE, retry=RetryPolicy(backoff=0), observers=[observer])


@attrs.define
class Tracer:
    """Writes down what happens, and where."""

    log: list[str] = attrs.field(factory=list)
    starts: list[AttemptStart | BulkStart] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.log.append(f"{type(event).__name__} in {inside.get()}")

    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        return self._around("attempt", start)

    def around_bulk(self, start: BulkStart) -> AbstractContextManager[object]:
        return self._around("bulk", start)

    @contextmanager
    def _around(self, what: str, start: Any) -> Iterator[None]:
        self.starts.append(start)
        self.log.append(f"{what} in {inside.get()}")
        token = inside.set(what)
        try:
            yield
        except BaseException as error:
            self.log.append(f"{type(error).__name__} out of {what}")
            raise
        finally:
            inside.reset(token)


async def test_each_attempt_is_entered_and_its_event_sent_inside(api: Api) -> None:
    tracer = Tracer()
    api.answer("PATCH", "/v1/numbers/1", {}, status=503)
    api.answer("PATCH", "/v1/numbers/1", ex.number(id=1))
    async with client(tracer) as wavix:
        await wavix.numbers.update(1, sms_enabled=True)

    assert tracer.log == [
        "attempt in nothing",
        "AttemptEvent in attempt",
        "ServerError out of attempt",
        "RetryEvent in nothing",
        "attempt in nothing",
        "AttemptEvent in attempt",
    ]
    assert [(start.operation, getattr(start, "attempt", None)) for start in tracer.starts] == [(NUMBER, 1), (NUMBER, 2)]
    assert str(getattr(tracer.starts[0], "url", None)) == f"{BASE}/v1/numbers/1"


async def test_a_cancelled_attempt_is_left(api: Api) -> None:
    tracer = Tracer()
    async with client(tracer) as wavix:
        # No server answers: aioresponses refuses the connection, and the backoff of that is cancelled at any moment.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await wavix.with_options(retry=RetryPolicy(backoff=8)).numbers.get(1)

    entered = sum(line.startswith("attempt in") for line in tracer.log)
    assert entered
    assert sum(isinstance(event, AttemptEvent) for event in tracer.events) == entered
    assert inside.get() == "nothing"


async def test_the_workers_of_a_bulk_run_inherit_its_context(api: Api) -> None:
    tracer = Tracer()
    for number_id in range(1, 21):
        api.answer("PATCH", f"/v1/numbers/{number_id}", ex.number(id=number_id))
    async with client(tracer) as wavix:
        await wavix.numbers.bulk_update(
            {number_id: NumberUpdate(sms_enabled=True) for number_id in range(1, 21)}, concurrency=4
        )

    assert tracer.starts[0] == BulkStart(operation=NUMBER, total=20, concurrency=4)
    assert tracer.log[0] == "bulk in nothing"
    assert tracer.log.count("attempt in bulk") == 20
    assert tracer.log[-1] == "BulkEvent in bulk"
    ended = tracer.events[-1]
    assert isinstance(ended, BulkEvent)
    assert (ended.updated, ended.failed, ended.unknown, ended.not_sent, ended.requests) == (20, 0, 0, 0, 20)
    assert (ended.stopped_by, ended.rate_limited) == (None, 0)
    assert ended.elapsed > 0
    assert inside.get() == "nothing"


async def test_a_run_that_is_stopped_says_by_what(api: Api) -> None:
    tracer = Tracer()
    for number_id in range(1, 21):
        api.answer("PATCH", f"/v1/numbers/{number_id}", {"error": "no"}, status=401)
    async with client(tracer) as wavix:
        await wavix.numbers.bulk_update(
            {number_id: NumberUpdate(sms_enabled=True) for number_id in range(1, 21)}, concurrency=1
        )

    ended = tracer.events[-1]
    assert isinstance(ended, BulkEvent)
    assert (ended.stopped_by, ended.failed, ended.not_sent) == ("AuthenticationError", 1, 19)


async def test_observers_of_a_call_go_around_it_too(api: Api) -> None:
    first, second = Tracer(), Tracer()
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True)
    async with client(first) as wavix:
        await wavix.with_options(observers=[second]).numbers.get(1)
        await wavix.numbers.get(1)

    assert first.log == ["attempt in nothing", "AttemptEvent in attempt"] * 2
    assert second.log == ["attempt in attempt", "AttemptEvent in attempt"]


class FailsToBegin:
    def __call__(self, event: Event) -> None: ...

    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        raise RuntimeError("observer")


class FailsToEnter(FailsToBegin):
    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        @contextmanager
        def manager() -> Iterator[None]:
            raise RuntimeError("observer")
            yield

        return manager()


class FailsToLeave(FailsToBegin):
    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        @contextmanager
        def manager() -> Iterator[None]:
            try:
                yield
            finally:
                raise RuntimeError("observer")

        return manager()


class Swallows(FailsToBegin):
    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        class Manager(nullcontext[None]):
            def __exit__(self, *_: object) -> bool:  # type: ignore[override]
                return True

        return Manager()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("kind", [FailsToBegin, FailsToEnter, FailsToLeave, Swallows])
async def test_a_tracer_that_fails_changes_nothing(
    api: Api, caplog: pytest.LogCaptureFixture, kind: type[FailsToBegin], status: int
) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1) if status == 200 else {}, status=status, repeat=True)
    async with client(kind()) as wavix:
        for _ in range(3):
            if status == 200:
                assert (await wavix.numbers.get(1)).id == 1
            else:
                with pytest.raises(ServerError):
                    await wavix.with_options(retry=RetryPolicy.none()).numbers.get(1)

    assert [record.getMessage() for record in caplog.records] == ([] if kind is Swallows else ["observer failed"])


async def test_a_plain_observer_makes_no_context(api: Api) -> None:
    seen: list[Event] = []
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
    async with client(seen.append) as wavix:
        assert not wavix.observers.trace_attempts
        assert not wavix.observers.trace_bulk
        await wavix.numbers.get(1)

    assert [type(event) for event in seen] == [AttemptEvent]


class Interrupts(FailsToBegin):
    def around_attempt(self, start: AttemptStart) -> AbstractContextManager[object]:
        raise KeyboardInterrupt


async def test_an_interrupt_on_entering_gives_everything_back(api: Api) -> None:
    async with WavixClient(KEY, base_url=BASE, max_connections=1, observers=[Interrupts()]) as wavix:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                await wavix.numbers.get(1)

        assert wavix.limits.snapshot().in_flight == 0
        assert not api.sent


async def test_an_answer_is_not_in_the_log_of_an_observer_that_failed(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("observer")

    api.answer("GET", "/v1/numbers/1", {"message": "token=SECRET of +15551234567"}, status=500)
    async with WavixClient(KEY, base_url=BASE, retry=RetryPolicy.none(), observers=[broken]) as wavix:
        with pytest.raises(ServerError, match="SECRET"):
            await wavix.numbers.get(1)

    assert "observer failed" in caplog.text
    assert "SECRET" not in caplog.text


def test_an_id_that_is_no_text_is_made_one() -> None:
    tracer = Tracer()
    refused = Reply(422, {"code": "c" * 9000}, {"X-Request-Id": "abc\udcff" + "x" * 9000})

    async def main() -> WavixError:
        session: Any = StubSession(lambda _: refused)
        async with WavixClient(KEY, base_url=BASE, session=session, observers=[tracer]) as wavix:
            with pytest.raises(UnprocessableEntityError) as caught:
                await wavix.numbers.get(1)
        return caught.value

    error = run_virtual(main())
    assert str(error.request_id).startswith("abc\\udcffx")
    assert len(str(error.request_id)) < 250
    assert len(str(error.code)) == 200
    assert [event.request_id for event in tracer.events if isinstance(event, AttemptEvent)] == [error.request_id]
