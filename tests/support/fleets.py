"""For tests of fleets: clients, changes, and what a sandbox and a report say about a run."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import examples as ex
from wavix_async import Number, NumberUpdate, RetryPolicy, WavixClient, fleet, from_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wavix_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[2] / "examples"
FAST = RetryPolicy(backoff=0.01, max_backoff=0.05, budget_per_second=1e6)
FIRST = 1001
ANY_SHARE = fleet.Safety(max_fraction=None)
NO_SAFETY = fleet.Safety(max_fraction=None, failures_in_a_row=None, failed_fraction=None)
SETTABLE = (
    "sms_enabled", "sms_relay_url", "call_recording_enabled", "transcription_enabled", "transcription_threshold",
    "call_status_url",
)  # fmt: skip


def client_of(sandbox: Sandbox, **options: Any) -> WavixClient:
    settings: dict[str, Any] = {"base_url": sandbox.url, "retry": FAST, **options}
    return WavixClient(settings.pop("api_key", sandbox.api_key), **settings)


def number(number_id: int, phone: str | None = None, **changes: Any) -> Number:
    """A number of an account; its phone number follows from its id."""
    return from_dict(Number, ex.number(**{"id": number_id, "number": phone or f"1415555{number_id:04}", **changes}))


def ids(count: int, start: int = FIRST) -> range:
    return range(start, start + count)


def url(number: int, name: str = "hooks") -> str:
    return f"https://{name}.example.com/{number}"


def urls(numbers: Iterable[int], name: str = "hooks") -> dict[int, NumberUpdate]:
    return {number: NumberUpdate(call_status_url=url(number, name)) for number in numbers}


def five_changes(numbers: Iterable[int]) -> dict[int, NumberUpdate]:
    kinds = [NumberUpdate(call_status_url=url(kind), transcription_threshold=40 + kind) for kind in range(5)]
    return {number: kinds[number % 5] for number in numbers}


def relays(numbers: Iterable[int]) -> dict[int, NumberUpdate]:
    return {number: NumberUpdate(sms_relay_url=url(number, "sms")) for number in numbers}


def standing(sandbox: Sandbox) -> dict[int, dict[str, Any]]:
    """What could be set, as it is: a destination that was deleted and made again has another id."""
    state = {}
    for number, record in sandbox.numbers.items():
        state[number] = {name: record[name] for name in SETTABLE}
        state[number]["destination"] = [{**each, "id": None} for each in record["destination"]]
    return state


def methods(sandbox: Sandbox) -> Counter[str]:
    return Counter(request.method for request in sandbox.requests)


def counts(report: fleet.FleetReport) -> dict[str, int]:
    return {
        status.value: getattr(report, status.value) for status in fleet.FleetStatus if getattr(report, status.value)
    }


def holds_together(report: fleet.FleetReport, so_already: int = 0) -> None:
    """What is counted is what is listed, each number once, but for those that the plan found to be so already."""
    results = list(report.results())
    assert len({(result.id, result.number) for result in results}) == len(results) == report.total - so_already
    listed = Counter(result.status.value for result in results)
    listed["unchanged"] += so_already
    assert +listed == counts(report)


async def begun(progressed: Callable[[], bool], task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(60):
        while not progressed() and not task.done():
            await asyncio.sleep(0.005)
    assert not task.done()
