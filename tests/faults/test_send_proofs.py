"""`messages.bulk_send` over sockets: one answer in twenty is lost, none is sent twice, and every unknown is named."""

from __future__ import annotations

import itertools
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from wavix_async import BulkResult, WavixClient
from wavix_async.sandbox import Sandbox
from wavix_async.testing import skip_waits

if TYPE_CHECKING:
    from pathlib import Path

EVERY = 20
SIZES = [300, *(pytest.param(size, marks=pytest.mark.scale) for size in (2_000, 10_000))]


def recipient(position: int) -> str:
    return f"1512{position:07}"


def message(position: int) -> dict[str, Any]:
    return {"from": "Acme", "to": recipient(position), "message_body": {"text": "Hello"}}


@pytest.mark.req_01
@pytest.mark.req_17
@pytest.mark.req_37
@pytest.mark.parametrize("with_journal", [True, pytest.param(False, marks=pytest.mark.scale)])
@pytest.mark.parametrize("count", SIZES)
async def test_one_answer_in_twenty_is_lost_and_each_message_is_sent_once(
    count: int, with_journal: bool, tmp_path: Path
) -> None:
    """Requirement 37: every second lost answer is one to a message that was not sent."""
    posts = itertools.count(1)
    numbers: list[int] = []

    def is_sent(method: str, path: str) -> bool:
        if method == "POST":
            numbers.append(next(posts))
        return method == "POST" and numbers[-1] % (2 * EVERY) == 0

    def is_not_sent(method: str, path: str) -> bool:
        return method == "POST" and numbers[-1] % (2 * EVERY) == EVERY

    journal = tmp_path / "run" if with_journal else None
    with Sandbox(numbers=1) as sandbox:
        sandbox.fail_next("reset_after", count, is_sent)
        sandbox.fail_next("reset_before", count, is_not_sent)
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            skip_waits(wavix, sandbox.advance)
            run = wavix.messages.bulk_send(map(message, range(count)), journal=journal)
            ends: dict[int, BulkResult] = {result.id: result async for result in run}
            sent = Counter(each["to"] for each in sandbox.messages.values())
            lost = sandbox.stats.faults
            again = (
                None if journal is None else await wavix.messages.bulk_send(map(message, range(count)), journal=journal)
            )
            assert Counter(each["to"] for each in sandbox.messages.values()) == sent
    assert len(numbers) == count
    assert max(sent.values()) == 1
    assert lost == {"reset_after": count // (2 * EVERY), "reset_before": -(-(count // EVERY) // 2)}
    assert ends.keys() == set(range(count))
    unknown = {position for position, result in ends.items() if result.status == "unknown"}
    assert {recipient(position) for position in range(count)} - sent.keys() == set(map(recipient, unknown))
    assert all(result.ok for position, result in ends.items() if position not in unknown)
    assert len(unknown) == lost["reset_before"]
    assert sum(result.settled for result in ends.values()) == lost["reset_after"]
    assert run.report.charged == Decimal(len(sent)) / 100
    assert again is None or (again.succeeded, again.unknown, again.charged) == (
        len(sent),
        len(unknown),
        run.report.charged,
    )
