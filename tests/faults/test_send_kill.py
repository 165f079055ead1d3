"""Processes that send messages and are killed with SIGKILL: none is sent twice, and each item has one true outcome."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.sandbox_process import SandboxProcess
from tests.support.send_kill import End, recipient, send_with_kills

if TYPE_CHECKING:
    from pathlib import Path

Kill = tuple[str, float]

pytestmark = [
    pytest.mark.req_14,
    pytest.mark.req_37,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
]


def check(end: End, count: int) -> None:
    assert max(end.sent.values()) == 1
    assert end.ends.keys() == {f"k{position}" for position in range(count)}
    assert set(end.ends.values()) <= {"accepted", "unknown"}
    for position in range(count):
        # Each has a tag of its own, so what was sent is proved.
        assert end.sent[recipient(position)] == (end.ends[f"k{position}"] == "accepted")
    assert end.charged == f"{sum(end.sent.values()) / 100:.2f}"


def at_random(seed: int) -> list[Kill]:
    dice = random.Random(seed)
    points = [("time", dice.uniform(0.0, 0.6)), ("after", dice.randrange(60)), ("before", dice.randrange(60))]
    return [dice.choice(points) for _ in range(3)]


@pytest.mark.parametrize(
    ("count", "kills", "options"),
    [
        # One child is killed after an answer, the next before a request leaves.
        (40, [("after", 9), ("before", 5)], {}),
        *(
            pytest.param(
                300, at_random(seed), {"seed": seed, "faults": 0.03, "latency": (0.0, 0.004)}, marks=pytest.mark.scale
            )
            for seed in range(12)
        ),
    ],
)
def test_a_killed_run_is_continued_and_nothing_is_sent_twice(
    count: int, kills: list[Kill], options: dict[str, Any], tmp_path: Path
) -> None:
    with SandboxProcess() as sandbox:
        end = send_with_kills(sandbox, tmp_path / "run", count, kills, **options)
    check(end, count)
    if not options:
        assert end.kills == 2
        # The request that had not left stays unknown; 8 requests at once are between the journal and the wire.
        assert 1 <= list(end.ends.values()).count("unknown") <= 16
