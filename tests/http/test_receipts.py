"""Receipts of single calls, and recordings of all calls of a block."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.support import examples as ex
from tests.support.clients import client
from tests.support.stub import NUMBER, Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AttemptEvent,
    BulkReport,
    ConfigurationError,
    InputError,
    NotFoundError,
    Number,
    NumberPage,
    NumberUpdate,
    Operation,
    RateLimitError,
    Receipt,
    RetryPolicy,
    WavixClient,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.conftest import Api

ID = {"X-Request-Id": "req-1"}


def stub(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient(KEY, base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


def test_a_receipt_has_the_facts_of_the_call() -> None:
    replies = iter([Reply(429, {}, {"Retry-After": "3"}, before=0.25), Reply(headers=ID, before=0.5)])

    async def main() -> None:
        async with stub(StubSession(lambda _: next(replies))) as wavix:
            receipt = await wavix.receipt(wavix.numbers.get(1001))
        assert (receipt.value.id, receipt.status, receipt.request_id) == (1001, 200, "req-1")
        assert (receipt.operation, receipt.attempts, receipt.error) == ("GET /v1/numbers/{id}", 2, None)
        assert receipt.headers["x-request-ID"] == "req-1"
        assert receipt.waited >= 3
        assert receipt.elapsed - receipt.waited == pytest.approx(0.75, abs=0.05)

    run_virtual(main())


def test_a_receipt_can_be_pickled_and_copied() -> None:
    async def main() -> None:
        async with stub(StubSession(lambda _: Reply(headers=ID))) as wavix:
            receipt = await wavix.receipt(wavix.numbers.get(1001))
        for other in (pickle.loads(pickle.dumps(receipt)), copy.deepcopy(receipt), copy.copy(receipt)):
            assert other == receipt
            assert other.value == receipt.value
            assert other.headers["x-request-ID"] == "req-1"

    run_virtual(main())


def test_the_wait_for_the_rate_counts_as_waited() -> None:
    async def main() -> None:
        async with stub(StubSession(latency=0.125), rate=2.0) as wavix:
            receipts = await asyncio.gather(*(wavix.receipt(wavix.numbers.get(id_)) for id_ in range(1, 9)))
        waits = sorted(receipt.waited for receipt in receipts)
        assert waits[0] < 0.1
        assert waits[-1] > 2
        assert all(receipt.elapsed - receipt.waited == pytest.approx(0.125, abs=0.05) for receipt in receipts)
        # Each call has its own, though they ran side by side.
        assert [receipt.value.id for receipt in receipts] == list(range(1, 9))

    run_virtual(main())


async def test_any_call_has_a_receipt(api: Api) -> None:
    api.answer("GET", "/v1/numbers", ex.number_page(ex.number(id=1)), repeat=True)
    api.answer("PATCH", "/v1/numbers/1", ex.number(id=1, sms_enabled=True), headers=ID)
    api.answer("GET", "/v1/trunks", {"trunks": []})
    api.answer("POST", "/v1/numbers/papers", [ex.document(id=901)], status=201)
    async with client() as wavix:
        page: Receipt[NumberPage] = await wavix.receipt(wavix.numbers.list(per_page=100))
        assert (len(page.value.items), page.operation) == (1, "GET /v1/numbers")
        changed: Receipt[Number] = await wavix.receipt(wavix.numbers.update(1, sms_enabled=True))
        assert (changed.value.sms_enabled, changed.request_id) == (True, "req-1")
        plain = await wavix.receipt(wavix.call(Operation("GET", "/v1/trunks", dict)))
        assert plain.value == {"trunks": []}
        upload = wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=b"x", filename="a.pdf")
        assert (await wavix.receipt(upload)).status == 201
        listed = await wavix.receipt(wavix.numbers.list().to_list())
        assert ([number.id for number in listed.value], listed.status) == ([1], 200)
        slow = await wavix.receipt(wavix.with_options(deadline=5).numbers.list().first())
        assert slow.value is not None


async def test_a_failed_call_raises_its_error(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", {"message": "no"}, status=404, headers=ID)
    async with client() as wavix:
        with pytest.raises(NotFoundError) as caught:
            await wavix.receipt(wavix.numbers.get(1))
    assert (caught.value.request_id, caught.value.attempts) == ("req-1", 1)


async def test_what_is_not_one_call_is_refused() -> None:
    async def nothing() -> int:
        return 5

    session = StubSession()
    async with stub(session) as wavix:
        run = wavix.numbers.bulk_update({1: NumberUpdate(sms_enabled=True)})
        with pytest.raises(InputError, match=r"a BulkRun makes many: wrap it in `with wavix\.record\(\) as calls:`"):
            await wavix.receipt(run)
        assert session.requests == 0
        await run
        with pytest.raises(InputError, match="made no call"):
            await wavix.receipt(nothing())
        task = asyncio.ensure_future(wavix.numbers.get(1))
        with pytest.raises(InputError, match="may have begun"):
            await wavix.receipt(task)
        await task
        with pytest.raises(InputError, match="got Number"):
            await wavix.receipt(await wavix.numbers.get(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_neither_the_key_nor_a_secret_is_in_a_receipt(api: Api) -> None:
    headers = {
        **{"X-Request-Id": f"id-{KEY}", "X-Echo": f"Bearer {KEY}", "Set-Cookie": "sid=abcdef", "X-Auth-Token": "t0k"},
        **{"Location": "https://files.example.com/a?X-Amz-Signature=abcdef", "Content-Language": "en"},
    }
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), headers=headers)
    async with client() as wavix:
        with wavix.record() as calls:
            receipt = await wavix.receipt(wavix.numbers.get(1))
    for each in (receipt, *calls):
        text = f"{each!r} {dict(each.headers)}"
        assert all(secret not in text for secret in (KEY, "abcdef", "t0k"))
        assert (each.headers["Set-Cookie"], each.headers["x-auth-token"]) == ("<hidden>", "<hidden>")
        assert (each.headers["X-Echo"], each.request_id) == ("Bearer <hidden>", "id-<hidden>")
        assert (each.headers["Location"], each.headers["Content-Language"]) == ("<hidden>", "en")


# --- recordings ---


async def test_a_recording_keeps_the_calls_of_a_block_and_of_its_tasks(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True, headers=ID)
    api.answer("GET", "/v1/numbers/2", {}, status=404, headers={"X-Request-Id": "req-2"}, repeat=True)
    async with client() as wavix, client() as other:
        await wavix.numbers.get(1)
        elsewhere = asyncio.Event()
        before = asyncio.ensure_future(_after(elsewhere, wavix.numbers.get(1)))
        await asyncio.sleep(0)
        with wavix.record() as calls:
            await asyncio.gather(*(wavix.with_options(deadline=9).numbers.get(1) for _ in range(3)))
            with pytest.raises(NotFoundError):
                await wavix.numbers.get(2)
            await other.numbers.get(1)
            elsewhere.set()
            await before
            late = asyncio.ensure_future(_after(asyncio.Event(), wavix.numbers.get(1)))
            await asyncio.sleep(0)
        await wavix.numbers.get(1)
        late.cancel()
        await asyncio.wait([late])

    assert [(call.status, call.request_id, call.error) for call in calls] == [
        *[(200, "req-1", None)] * 3,
        (404, "req-2", "NotFoundError"),
    ]
    assert (calls.total, calls[-1].value, calls[0].value.id, len(calls[:2])) == (4, None, 1, 2)


async def _after(event: asyncio.Event, call: Coroutine[Any, Any, Any]) -> None:
    try:
        await event.wait()
    except asyncio.CancelledError:
        call.close()
        raise
    await call


def test_a_bulk_run_is_recorded_whole_and_bounded() -> None:
    def answer(seen: Any) -> Reply:
        return Reply(422, {"message": "no"}) if seen.id == 7 else Reply(headers={"X-Request-Id": f"r{seen.id}"})

    async def main() -> None:
        changes = dict.fromkeys(range(1, 51), NumberUpdate(sms_enabled=True))
        async with stub(StubSession(answer, latency=0.01)) as wavix:
            with wavix.record() as calls, wavix.record(keep=10) as last:
                report: BulkReport[Any, Any] = await wavix.numbers.bulk_update(changes, concurrency=8)
        assert report.requests == len(calls) == calls.total == last.total == 50
        assert list(last) == list(calls)[-10:]
        assert {call.request_id for call in calls if call.error is None} == {f"r{id_}" for id_ in range(1, 51)} - {"r7"}
        assert [call.status for call in calls if call.error] == [422]

    run_virtual(main())


def test_a_batch_is_recorded_too() -> None:
    async def main() -> None:
        changes = dict.fromkeys(range(1, 41), NumberUpdate(sms_enabled=True))
        async with stub(StubSession(latency=0.01)) as wavix:
            with wavix.record() as calls:
                report: BulkReport[Any, Any] = await wavix.numbers.bulk_update(changes, batch=20)
        assert len(calls) == report.requests < 40

    run_virtual(main())


def test_calls_that_got_no_answer_are_recorded() -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(before=99))
        async with stub(session, timeout=1, retry=RetryPolicy.none()) as wavix:
            with wavix.record() as calls:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(wavix.numbers.get(1), 0.5)
                session.answer(lambda _: Reply(429, {}, {"Retry-After": "1"}))
                with pytest.raises(RateLimitError):
                    await wavix.numbers.get(1)
        assert [(call.status, call.error, call.attempts) for call in calls] == [
            (None, "CancelledError", 1),
            (429, "RateLimitError", 1),
        ]
        assert calls[0].elapsed == pytest.approx(0.5, abs=0.05)

    run_virtual(main())


def test_the_rules_of_a_recording() -> None:
    with WavixClient(KEY).record() as calls:
        pass
    with pytest.raises(InputError, match="once"), calls:
        pass
    assert (list(calls), repr(calls)) == ([], "<Recording of 0 calls>")
    for keep in (0, True, 1.5):
        with pytest.raises(ConfigurationError, match="keep"):
            WavixClient(KEY).record(keep=keep)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_release_that_is_gone_after_an_unknown_outcome_has_a_receipt() -> None:
    replies = iter([Reply(error=ConnectionResetError()), Reply(404, {}, ID)])

    async def main() -> None:
        async with stub(StubSession(lambda _: next(replies))) as wavix:
            receipt = await wavix.receipt(wavix.numbers.release(ids=[1]))
        assert (receipt.value.already_gone, receipt.status, receipt.attempts) == (True, 404, 2)
        assert receipt.request_id == "req-1"

    run_virtual(main())


# --- the id of a success ---


@pytest.mark.req_25
def test_the_request_id_of_a_success_reaches_observers_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "wavix_async")
    events: list[Any] = []

    async def main() -> None:
        async with stub(StubSession(lambda _: Reply(headers=ID)), observers=[events.append]) as wavix:
            await wavix.numbers.get(1)

    run_virtual(main())
    assert [event.request_id for event in events if isinstance(event, AttemptEvent)] == ["req-1"]
    assert [getattr(record, "request_id", None) for record in caplog.records] == ["req-1"]


def test_without_an_observer_no_header_is_read_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Headers(dict[str, str]):
        read: list[str]

        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return super().get(name, default)

    asked: list[str] = []

    async def main(**options: Any) -> None:
        async with stub(StubSession(lambda _: Reply()), **options) as wavix:
            await wavix.numbers.get(NUMBER["id"])

    monkeypatch.setattr("tests.support.stub.CIMultiDict", lambda given: Headers(given))
    run_virtual(main())
    assert "X-Request-Id" not in asked
    run_virtual(main(observers=[lambda _: None]))
    assert "X-Request-Id" in asked
