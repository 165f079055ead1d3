"""A sandbox in a process of its own, for several client processes: its state and its counters are the truth.

It reads commands as lines of JSON from its standard input, and answers each with one line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.processes import start

if TYPE_CHECKING:
    from types import TracebackType


@dataclass(frozen=True)
class State:
    """What a sandbox knows at a moment when nothing is under way.

    Attributes:
        numbers: The records by id, in wire form.
        updates: How many times each number was changed; one that was not is left out.
        requests: How many requests came.
        faults: Faults played, by kind.
    """

    numbers: dict[int, dict[str, Any]]
    updates: dict[int, int]
    requests: int
    faults: dict[str, int]


class SandboxProcess:
    """A process that has one sandbox at a time."""

    def __init__(self) -> None:
        self._process = start("tests.support.sandbox_process")

    def begin(self, **options: Any) -> tuple[str, str]:
        """Stop the sandbox, if any, and start a new one; `faults` is a share. Gives its URL and its key."""
        answer = self._ask({"begin": options})
        return answer["url"], answer["api_key"]

    def state(self) -> State:
        """Wait until nothing is under way, and give what there is."""
        answer = self._ask({"state": True})
        numbers = {record["id"]: record for record in answer["numbers"]}
        return State(numbers, _by_id(answer["updates"]), answer["requests"], answer["faults"])

    def updates(self) -> dict[int, int]:
        """Wait until nothing is under way, and tell how often each number was changed."""
        return _by_id(self._ask({"updates": True})["updates"])

    def messages(self) -> list[dict[str, Any]]:
        """Wait until nothing is under way, and give the messages that were sent, in wire form."""
        sent: list[dict[str, Any]] = self._ask({"messages": True})["messages"]
        return sent

    def validations(self) -> list[list[str]]:
        """Wait until nothing is under way, and give the numbers of each batch of validations that was charged."""
        batches: list[list[str]] = self._ask({"validations": True})["validations"]
        return batches

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "the sandbox has ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def _by_id(counts: dict[str, int]) -> dict[int, int]:
    return {int(number): times for number, times in counts.items()}


async def _main() -> None:
    from wavix_async.sandbox import Sandbox

    loop = asyncio.get_running_loop()
    sandbox: Any = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        if "begin" in asked:
            if sandbox is not None:
                await sandbox.stop()
            options = asked["begin"]
            if isinstance(options.get("latency"), list):
                options["latency"] = tuple(options["latency"])
            sandbox = await Sandbox(**options).start()
            answer = {"url": sandbox.url, "api_key": sandbox.api_key}
        else:
            # What a killed process has sent is still carried out.
            while sandbox.stats.in_flight:
                await asyncio.sleep(0.002)
            answer = {"updates": {number: times for number, times in sandbox.stats.updates.items() if times}}
            if "validations" in asked:
                answer["validations"] = [batch["numbers"] for batch in sandbox.validations.values()]
            if "messages" in asked:
                answer["messages"] = list(sandbox.messages.values())
            if "state" in asked:
                answer |= {
                    "numbers": [sandbox.numbers[number] for number in sandbox.numbers],
                    "requests": sandbox.stats.requests,
                    "faults": sandbox.stats.faults,
                }
        print(json.dumps(answer), flush=True)
    if sandbox is not None:
        await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(_main())
