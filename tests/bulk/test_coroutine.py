"""A run works wherever asyncio accepts a coroutine: `create_task`, `TaskGroup`, `gather`, `asyncio.run`; its repr."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from tests.support.bulk import ON, client_of, counts
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import BulkRun, Number, NumberUpdate

pytestmark = pytest.mark.req_10


def run_of(count: int, session: StubSession | None = None, **options: Any) -> BulkRun[int, Number]:
    client = client_of(session or StubSession(latency=0.01))
    return client.numbers.bulk_update(dict.fromkeys(range(1, count + 1), ON), **options)


def quiet() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def test_create_task() -> None:
    async def main() -> None:
        run = run_of(20)
        task = asyncio.create_task(run, name="the run")
        assert counts(await task) == (20, 0, 0, 0)
        assert await run == task.result() == run.report
        assert quiet()

    run_virtual(main())


def test_task_group() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_of(count)) for count in (5, 6)]
        assert [task.result().succeeded for task in tasks] == [5, 6]

    run_virtual(main())


def test_a_task_group_that_fails_ends_its_runs() -> None:
    async def main() -> None:
        run = run_of(1000, concurrency=2)

        async def fail() -> None:
            await asyncio.sleep(0.1)
            raise ZeroDivisionError

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(run)
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await together()
        assert run.report.total == 1000
        assert 0 < run.report.succeeded < 1000
        assert quiet()

    run_virtual(main())


def test_gather_wait_and_wait_for() -> None:
    async def main() -> None:
        first, second = await asyncio.gather(run_of(3), run_of(4))
        assert (first.succeeded, second.succeeded) == (3, 4)
        done, _ = await asyncio.wait({asyncio.create_task(run_of(5))})
        assert done.pop().result().succeeded == 5
        assert (await asyncio.wait_for(run_of(6), 60)).succeeded == 6
        assert (await asyncio.shield(run_of(7))).succeeded == 7
        slow = run_of(1000, concurrency=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow, 0.1)
        assert 0 < slow.report.succeeded < 1000
        assert slow.report.total == 1000
        assert quiet()

    run_virtual(main())


def test_a_run_is_a_coroutine_for_asyncio_run() -> None:
    run = run_of(3, StubSession())
    assert isinstance(run, Coroutine)
    assert asyncio.run(run).succeeded == 3  # type: ignore[arg-type]


def test_several_tasks_may_wait_for_one_run() -> None:
    async def main() -> None:
        run = run_of(50, concurrency=2)
        reports = await asyncio.gather(*(asyncio.create_task(run) for _ in range(3)), run, run)
        assert [report.succeeded for report in reports] == [50] * 5
        assert reports[0].requests == 50

    run_virtual(main())


def test_a_task_that_is_cancelled_ends_the_run() -> None:
    async def main() -> None:
        session = StubSession(latency=0.01)
        run = run_of(1000, session, concurrency=2)
        task = asyncio.create_task(run)
        await asyncio.sleep(0.105)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(run.report) == (20, 0, 2, 978)
        assert session.in_flight == 0
        assert quiet()

    run_virtual(main())


def test_a_task_that_is_cancelled_before_it_begins_sends_nothing() -> None:
    async def main() -> None:
        session = StubSession()
        run = run_of(10, session)
        task = asyncio.create_task(run)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (session.requests, run.report.total) == (0, 0)
        # The run has not started, so it can still be awaited.
        assert (await run).succeeded == 10

    run_virtual(main())
    gc.collect()


def test_a_run_that_is_never_awaited_is_no_coroutine_that_was_forgotten(recwarn: pytest.WarningsRecorder) -> None:
    run = run_of(10)
    run.close()
    del run
    gc.collect()
    assert not recwarn.list


def test_an_error_of_the_input_reaches_the_task() -> None:
    async def main() -> None:
        def torn() -> Any:
            yield 1, ON
            raise ZeroDivisionError

        task = asyncio.create_task(client_of(StubSession()).numbers.bulk_update(torn()))
        with pytest.raises(ZeroDivisionError):
            await task

    run_virtual(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_task() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        assert (await asyncio.create_task(run_of(5))).succeeded == 5

    run_virtual(main())


def test_the_workers_have_the_context_of_the_task() -> None:
    seen: list[str] = []
    name: ContextVar[str] = ContextVar("name", default="none")

    def answer(_: Seen) -> Reply:
        seen.append(name.get())
        return Reply()

    async def main() -> None:
        run = run_of(2, StubSession(answer))
        name.set("the task's")
        await asyncio.create_task(run)

    run_virtual(main())
    assert seen == ["the task's"] * 2


# --- repr ---


def test_the_repr_says_which_operation_how_far_and_in_what_state() -> None:
    async def main() -> None:
        run = run_of(1200, concurrency=10)
        assert repr(run) == "<BulkRun PATCH /v1/numbers/{id}: 0 of 1,200 done, not started>"
        task = asyncio.create_task(run)
        await asyncio.sleep(0.055)
        done = run.progress.done
        assert 0 < done < 1200
        assert repr(run) == f"<BulkRun PATCH /v1/numbers/{{id}}: {done} of 1,200 done, running>"
        run.stop()
        assert repr(run) == f"<BulkRun PATCH /v1/numbers/{{id}}: {done} of 1,200 done, stopping>"
        await task
        assert repr(run) == "<BulkRun PATCH /v1/numbers/{id}: 1,200 of 1,200 done, ended>"

    run_virtual(main())


def test_the_repr_of_a_run_whose_length_is_not_known() -> None:
    async def main() -> None:
        run = client_of(StubSession()).numbers.bulk_update(iter([(1, ON), (2, NumberUpdate(sms_enabled=False))]))
        assert repr(run) == "<BulkRun PATCH /v1/numbers/{id}: 0 done, not started>"
        await run
        assert repr(run) == "<BulkRun PATCH /v1/numbers/{id}: 2 done, ended>"

    run_virtual(main())


def test_a_run_that_has_failed_has_ended() -> None:
    def answer(seen: Seen) -> Reply:
        raise ZeroDivisionError

    async def main() -> None:
        run = run_of(2, StubSession(answer))
        with pytest.raises(ZeroDivisionError):
            await asyncio.create_task(run)
        assert repr(run).endswith("2 of 2 done, ended>")

    run_virtual(main())
