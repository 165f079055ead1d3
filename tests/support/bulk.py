"""For tests of bulk runs: clients on the stub session, and both ways to finish a run (await it, iterate over it)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import BulkReport, BulkResult, BulkRun, NumberUpdate, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from collections.abc import Callable

ON = NumberUpdate(sms_enabled=True)
FAST = RetryPolicy(backoff=0.01, max_backoff=0.05, budget_per_second=1e6)
UNBOUNDED = RetryPolicy(budget_per_second=1e6)

# A clock that begins at 0.0 is no clock of a real machine.
run_from_1000 = functools.partial(run_virtual, start=1000.0)


def client_of(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


def fast_client(session: StubSession, **options: Any) -> WavixClient:
    """A client whose backoffs are short and whose budget is no bound."""
    return client_of(session, **{"retry": FAST, **options})


def answering(answer: Callable[[Seen], Reply], **options: Any) -> tuple[StubSession, WavixClient]:
    """A session that answers so, 20 ms later, and a client on it."""
    session = StubSession(answer, latency=0.02)
    return session, client_of(session, **options)


async def finish(run: BulkRun) -> BulkReport:
    return await run


async def results_of(run: BulkRun) -> list[BulkResult]:
    return [result async for result in run]


def counts(report: BulkReport) -> tuple[int, int, int, int]:
    return report.succeeded, report.failed, report.unknown, report.not_sent


def dropped(*, applied: bool) -> Reply:
    """The connection breaks after the request was sent."""
    return Reply(error=aiohttp.ServerDisconnectedError(), applied=applied)


def lost() -> Reply:
    return dropped(applied=False)
