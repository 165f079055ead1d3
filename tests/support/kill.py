"""End a process that changes a fleet, resume the run, and compare the end with what the sandbox saw.

The sandbox is a process of its own. It has a few more numbers than the plan, and 3 % of its answers fail. Each number
gets its own callback URL by its own PATCH. A child process plans, applies with a journal, and verifies, and is killed
at a random moment: half of the moments are drawn from its whole lifetime, half from one phase, so that short phases
(such as creating the journal) are hit as well. Some children get a SIGTERM instead, and end in order; the disk of
others takes no more. New children resume the run, and some of them are killed again. One run in five is rolled back at
its end, again with kills.

Just before a child is killed, its journal is copied while it is written, with its `-wal` file or without. Some runs are
resumed from that copy, as if it were all that is left.

After every kill and at the end of every run the sandbox's state and counters must confirm: what the journal calls
updated is updated; nothing was sent before the journal recorded it; at the end every number is as planned and no other
number changed; no number changed too often; the journal holds the values from before; and a roll-back restores the
first state.
"""

from __future__ import annotations

import asyncio
import json
import queue
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.full_disk import limit_journals
from tests.support.processes import start
from tests.support.sandbox_process import SandboxProcess, State

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST = 1001
MORE = 0.04
"""Numbers of the account that the plan leaves alone, as a share of the others."""
FAULTS = 0.03
LATENCY = (0.0, 0.004)
AGAIN = 0.35
"""The share of the children after the first that are killed, too."""
MOST_KILLS = 4
TERMINATED, FULL = 0.3, 0.2
"""The shares of the children that get a SIGTERM, and whose disk takes no more, instead of a kill."""
WITHOUT_WAL, FROM_COPY = 0.5, 0.3
"""The share of the copies without the `-wal` file, and of the runs that are resumed from a copy."""
ROLLED_BACK_EVERY = 5
PATIENCE = 180.0
FIELD = "call_status_url"
PHASES = ("planning", "applying", "checking", "sending", "settling", "verifying")


def wanted_url(number: int) -> str:
    return f"https://hooks.example.com/fleet/{number}"


# ------------------------------------------------------------------------------------------------------------ a child


class Child:
    """A process that works on the fleet, says which phase it is in, and may be killed."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.said: list[tuple[float, str]] = []
        self.report: dict[str, Any] | None = None
        self.complaint = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        # Of its own: a pipe that no process reads could hold it up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = start("tests.support.kill", json.dumps(task), stderr=self._errors)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            text = line.strip()
            if text.startswith("{"):
                self.report = json.loads(text)
            else:
                self.said.append((time.perf_counter(), text))
                self._lines.put(text)
        self._lines.put(None)

    def run(
        self,
        kill_in: tuple[str, float] | None = None,
        number: signal.Signals = signal.SIGKILL,
        before: Callable[[], object] = lambda: None,
    ) -> str | None:
        """Let it run to its end, or send it a signal so many seconds after it has printed a word.

        Args:
            kill_in: The word, and the seconds.
            number: The signal.
            before: Called just before the signal is sent.

        Returns:
            The phase in which it was killed or stopped, or None when it came to its end before.
        """
        until = time.monotonic() + PATIENCE
        if kill_in is not None:
            word, seconds = kill_in
            while (line := self._lines.get(timeout=PATIENCE)) not in (word, None):
                pass
            if line is not None:
                until = time.monotonic() + seconds
        try:
            self._process.wait(max(until - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            before()
            self._process.send_signal(number if kill_in else signal.SIGKILL)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.complaint = f"did not end after {number.name}, in {self.phase}"
                self._process.kill()
        self._reader.join()
        self._process.wait()
        killed = self._process.returncode < 0 or self.has_said("stopped")
        with self._errors as errors:
            errors.seek(0)
            if not killed and self._process.returncode:
                self.complaint = errors.read().strip()[-2000:] or f"ended with code {self._process.returncode}"
        if killed and kill_in is None:
            self.complaint = f"had not ended after {PATIENCE:g} s, in {self.phase}"
        for stream in (self._process.stdin, self._process.stdout):
            assert stream
            stream.close()
        return self.phase if killed else None

    @property
    def phase(self) -> str:
        return next((word for _, word in reversed(self.said) if word in PHASES), PHASES[0])

    @property
    def is_begun(self) -> bool:
        """Whether it has written the run into the journal, so that a copy must have it, too."""
        return any(map(self.has_said, PHASES[2:]))

    def has_said(self, word: str) -> bool:
        return any(word == each for _, each in self.said)


async def _work(task: dict[str, Any]) -> None:
    from wavix_async import RetryPolicy, StoppedError, StopSignal, WavixClient, fleet

    spoken = ""
    stop = StopSignal()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if task["pages"]:
        limit_journals(task["pages"])

    def say(word: str) -> None:
        nonlocal spoken
        if word != spoken:
            spoken = word
            print(word, flush=True)

    def follow(progress: fleet.FleetProgress) -> None:
        # Listing is what planning does, and the rest is said by the phase.
        if progress.phase != "listing":
            say(progress.phase)

    safety = fleet.Safety(max_fraction=None)
    options: dict[str, Any] = {"safety": safety, "verify": True, "verify_within": 30.0, "on_progress": follow}
    retry = RetryPolicy(backoff=0.05, max_backoff=0.5)

    async with WavixClient(task["api_key"], base_url=task["url"], retry=retry) as client:
        wavix = client.with_options(stop=stop)

        async def apply() -> fleet.FleetReport:
            say("planning")
            plan = await fleet.plan(wavix, task["file"])
            say("applying")
            return await fleet.apply(wavix, plan, journal=task["journal"], **options)

        try:
            match task["what"]:
                case "apply":
                    report = await apply()
                case "roll_back":
                    say("applying")
                    report = await fleet.roll_back(wavix, task["journal"], **options)
                case "resume":
                    try:
                        say("resuming")
                        report = await fleet.resume(wavix, task["journal"], on_progress=follow)
                    except fleet.JournalError as error:
                        if error.retryable:
                            raise
                        # It was killed before there was anything to resume; only the parent knows that.
                        print(f"no journal: {error}".replace("\n", " "), flush=True)
                        report = await apply()
                case what:
                    raise ValueError(what)
        except StoppedError:
            say("stopped")
            return
        except fleet.JournalError as error:
            if not task["pages"] or not error.retryable or "full" not in str(error):
                raise
            say("disk full")
            return
    if stop.is_set() and not report.finished:
        say("stopped")
    say("end")
    names = (
        "kind",
        "finished",
        "total",
        "updated",
        "unchanged",
        "failed",
        "unknown",
        "not_sent",
        "pending",
        "requests",
    )
    print(json.dumps({name: getattr(report, name) for name in names} | {"stopped_by": report.stopped_by}), flush=True)


# -------------------------------------------------------------------------------------------------------------- a run


@dataclass
class Run:
    """What became of one fleet."""

    seed: int
    kills: list[str] = field(default_factory=list)
    """The phases in which its children were killed."""
    ways: Counter[str] = field(default_factory=Counter)
    """How they ended: by a signal, or because the disk was full."""
    copies: Counter[str] = field(default_factory=Counter)
    """How many copies were read, of each kind, and from how many a run was resumed."""
    began_again: int = 0
    """How many times there was no journal yet, so that the plan was applied again."""
    lost: int = 0
    times: Counter[int] = field(default_factory=Counter)
    """How many numbers the apply changed once, twice, and so on."""
    times_back: Counter[int] = field(default_factory=Counter)
    """The same, by the roll-back."""
    rolled_back: bool = False
    faults: int = 0
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)


class Killer:
    """Makes one run after the other, and learns how long the phases last.

    Args:
        sandbox: Where the numbers are.
        place: A directory for the file and the journals.
        numbers: How many numbers are changed in each run.
        dice: Chooses the moments.
    """

    def __init__(self, sandbox: SandboxProcess, place: Path, numbers: int, dice: random.Random) -> None:
        self._sandbox, self._place, self._numbers, self._dice = sandbox, place, numbers, dice
        self._file = place / "fleet.csv"
        rows = (f"{number},{wanted_url(number)}\n" for number in self._planned())
        self._file.write_text(f"id,{FIELD}\n{''.join(rows)}", encoding="utf-8")
        self._lasts: dict[str, float] = {}
        self._whole = 0.0
        self._pages = 0
        self._is_begun = False

    def _planned(self) -> range:
        return range(FIRST, FIRST + self._numbers)

    def run(self, seed: int, *, kill: bool = True) -> Run:
        """Apply the fleet to a new account, with kills, and see what became of it."""
        run, began = Run(seed), time.perf_counter()
        self._is_begun = False
        url, key = self._sandbox.begin(
            numbers=self._numbers + max(int(self._numbers * MORE), 1), seed=seed, faults=FAULTS, latency=LATENCY
        )
        journal = self._place / f"{seed}.sqlite"
        task = {"url": url, "api_key": key, "file": str(self._file), "journal": str(journal)}
        first = self._sandbox.state()
        report = self._to_the_end(run, task, journal, "apply", kill_first=kill, again=AGAIN if kill else 0.0)
        now = self._sandbox.state()
        run.times = self._check(run, journal, report, first, now, first.updates)
        if kill and seed % ROLLED_BACK_EVERY == 0 and not run.complaints:
            run.rolled_back = True
            report = self._to_the_end(
                run, task, journal, "roll_back", kill_first=self._dice.random() < 0.7, again=AGAIN
            )
            back = self._sandbox.state()
            run.times_back = self._check(run, journal, report, now, back, now.updates, planned=first)
            now = back
        run.faults, run.seconds = sum(now.faults.values()), time.perf_counter() - began
        self._pages = self._pages or journal.stat().st_size // 4096
        with closing(sqlite3.connect(journal)) as connection:
            if (said := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                run.complaints.append(f"the journal is broken: {said}")
        for path in self._place.glob(f"{journal.name}*"):
            path.unlink()
        return run

    def _to_the_end(
        self, run: Run, task: dict[str, Any], journal: Path, what: str, *, kill_first: bool, again: float
    ) -> dict[str, Any]:
        """Send one child after the other until one of them comes to its end; give what it reports."""
        kills = 0
        updates = self._sandbox.updates()
        while True:
            changed_before = updates
            will_kill = (kill_first if not kills else self._dice.random() < again) and kills < MOST_KILLS
            way = self._dice.random() if will_kill else 1.0
            # The journal has at least seven pages before there is a run, and more than it had before a roll-back.
            full = self._dice.randint(8, max(self._pages - 1, 8)) if way < FULL and what != "roll_back" else 0
            child = Child({**task, "what": what, "pages": full})
            number = signal.SIGTERM if way < FULL + TERMINATED else signal.SIGKILL
            copy = self._dice.choice([["", "-wal"], [""]])
            moment = self._moment(what) if will_kill and not full else None
            killed = child.run(moment, number, lambda child=child, ends=copy: self._copy(journal, child, ends))
            if full and child.has_said("disk full"):
                killed, number = child.phase, None
            if child.complaint:
                run.complaints.append(f"{what}: {child.complaint}")
            if nothing := next((word for _, word in child.said if word.startswith("no journal")), None):
                run.began_again += 1
                if any(number in changed_before for number in self._planned()):
                    run.complaints.append(f"changed before there was a journal: {nothing}")
            if killed is None:
                if will_kill and not kills and not child.complaint and what == "apply":
                    # It was quicker than thought. A run without any kill proves nothing, but it tells the time.
                    run.kills.append("too late")
                self._learn(child, what)
                return child.report or {}
            kills += 1
            run.kills.append(killed)
            run.ways[number.name if number else "full disk"] += 1
            updates = self._sandbox.updates()
            self._look(run, journal, what, updates, changed_before)
            self._look_at_copy(run, journal, what, updates)
            self._is_begun |= child.is_begun
            if what == "roll_back" and self._kind(journal) != "roll_back":
                # Killed before the journal knew that it is to be rolled back: nothing has been.
                if updates != changed_before:
                    run.complaints.append("rolled back before the journal knew of it")
                continue
            what = "resume"

    def _copy(self, journal: Path, child: Child, ends: list[str]) -> None:
        """Copy a journal while it is written."""
        # Not after the copy: until the signal arrives, the child goes on.
        self._is_begun |= child.is_begun
        for end in ends:
            with suppress(FileNotFoundError):
                shutil.copy(f"{journal}{end}", f"{journal}.copy{end}")

    def _look_at_copy(self, run: Run, journal: Path, what: str, updates: dict[int, int]) -> None:
        """Hold a copy against what the sandbox has seen; now and then, let it take the place of the journal."""
        from wavix_async import fleet

        copy = Path(f"{journal}.copy")
        if not copy.exists():
            return
        kind = "with its -wal file" if Path(f"{copy}-wal").exists() else "without its -wal file"
        try:
            report = fleet.status(copy)
        except fleet.JournalError as error:
            if self._is_begun:
                run.complaints.append(f"a copy {kind}, made during a run, is not a journal: {error}")
        else:
            run.copies[kind] += 1
            if report.total != self._numbers:
                run.complaints.append(f"a copy {kind} has {report.total} numbers")
            if report.kind == "apply" and what != "roll_back":
                wrong = [result.id for result in report.results("updated", "pending") if not updates.get(result.id)]
                wrong += [result.id for result in report.results("not_sent") if updates.get(result.id)]
                if wrong:
                    run.complaints.append(f"a copy {kind} is wrong about {len(wrong)} numbers, such as {wrong[0]}")
                if self._dice.random() < FROM_COPY:
                    run.copies["resumed from"] += 1
                    for end in ("", "-wal", "-shm"):
                        Path(f"{journal}{end}").unlink(missing_ok=True)
                        if Path(f"{copy}{end}").exists():
                            Path(f"{copy}{end}").rename(f"{journal}{end}")
        for path in self._place.glob(f"{copy.name}*"):
            path.unlink()

    def _moment(self, what: str) -> tuple[str, float]:
        """Choose when to kill: in the whole of the time, or in one of the phases."""
        first = {"apply": "planning", "roll_back": "applying", "resume": "resuming"}[what]
        if self._dice.random() < 0.5:
            return first, self._dice.uniform(0.0, 0.97) * self._whole
        phases = [phase for phase in self._lasts if what == "apply" or phase not in ("planning", "applying")]
        phase = self._dice.choice(phases)
        return phase, self._dice.random() * self._lasts[phase]

    def _learn(self, child: Child, what: str) -> None:
        if what != "apply" or not child.said or child.said[0][1] != "planning":
            return
        lasts: dict[str, float] = defaultdict(float)
        for (at, word), (until, _) in zip(child.said, child.said[1:], strict=False):
            if word in PHASES:
                lasts[word] += until - at
        self._lasts, self._whole = dict(lasts), child.said[-1][0] - child.said[0][0]

    # --- what is to be true ---

    @staticmethod
    def _kind(journal: Path) -> str | None:
        from wavix_async import fleet

        try:
            return str(fleet.status(journal).kind)
        except fleet.JournalError:
            return None

    def _look(self, run: Run, journal: Path, what: str, updates: dict[int, int], before: dict[int, int]) -> None:
        """Hold what a killed child has left in the journal against what the sandbox has seen."""
        from wavix_async import fleet

        try:
            report = fleet.status(journal)
        except fleet.JournalError:
            if any(number in updates for number in self._planned()):
                run.complaints.append("numbers were changed and there is no journal")
            return
        if report.kind == "roll_back" or what == "roll_back":
            return
        counts = [report.updated, report.unchanged, report.failed, report.unknown, report.not_sent, report.pending]
        if sum(counts) != report.total or report.total != self._numbers:
            run.complaints.append(f"counts of a killed run: {counts} of {report.total}")
        wrong = [result.id for result in report.results("updated", "pending") if not updates.get(result.id)]
        if wrong:
            run.complaints.append(f"{len(wrong)} called updated and never changed, such as {wrong[0]}")

    def _check(
        self,
        run: Run,
        journal: Path,
        report: dict[str, Any],
        before: State,
        now: State,
        counted: dict[int, int],
        planned: State | None = None,
    ) -> Counter[int]:
        """Hold the end against the plan; `planned` is the first state, which a roll-back brings back."""
        from wavix_async import fleet

        def must_be(number: int, record: dict[str, Any]) -> dict[str, Any]:
            if planned is not None:
                return planned.numbers[number]
            return {**record, FIELD: wanted_url(number)} if number in self._planned() else record

        name = "the roll-back" if planned else "the apply"
        complain = run.complaints.append
        off = [
            number for number, record in before.numbers.items() if now.numbers.get(number) != must_be(number, record)
        ]
        run.lost += len(off)
        if off:
            complain(f"{name}: {len(off)} numbers are not as planned, such as {off[0]}")
        times = Counter(now.updates.get(number, 0) - counted.get(number, 0) for number in self._planned())
        if often := sum(count for many, count in times.items() if many > 2):
            complain(f"{name}: {often} numbers were changed more than twice")
        if strange := now.updates.keys() - set(self._planned()):
            complain(f"{name}: {len(strange)} numbers were changed that are not in the plan")
        expected = {"finished": True, "total": self._numbers, "updated": self._numbers, "stopped_by": None}
        if wrong := {key: report.get(key) for key, value in expected.items() if report.get(key) != value}:
            complain(f"{name}: the report says {wrong}: {report}")
        found = 0
        try:
            for result in fleet.status(journal).results():
                found += 1
                (change,) = result.fields
                said = (change.field, change.before, change.after)
                true = (FIELD, before.numbers[result.id][FIELD], must_be(result.id, before.numbers[result.id])[FIELD])
                if said != true or result.status != "updated":
                    complain(f"{name}: the journal says {result} and not {true}")
                    break
            else:
                if found != self._numbers:
                    complain(f"{name}: the journal has {found} results")
        except (fleet.JournalError, ValueError) as error:
            complain(f"{name}: the journal cannot be read: {error!r}")
        return times


# ------------------------------------------------------------------------------------------------------------- all runs


def measure(times: int, numbers: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Make so many runs that were killed at least once."""
    runs: list[Run] = []
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as place, SandboxProcess() as sandbox:
        killer = Killer(sandbox, Path(place), numbers, dice)
        # Tells how long it takes, and that it works at all.
        undisturbed = killer.run(seed, kill=False)
        if undisturbed.complaints:
            return {"numbers": numbers, "runs": [], "undisturbed": undisturbed, "complaints": undisturbed.complaints}
        number = seed
        while sum(run.kills != ["too late"] for run in runs) < times and len(runs) < 2 * times + 5:
            number += 1
            run = killer.run(number)
            runs.append(run)
            state = "ok" if not run.complaints else "WRONG"
            done = sum(each.kills != ["too late"] for each in runs)
            kills = ", ".join(run.kills)
            say(f"{done} of {times}, seed {number}, {run.seconds:.1f} s: killed in {kills}: {state}")
            for complaint in run.complaints:
                say(f"  {complaint}")
    complaints = [f"seed {run.seed}: {complaint}" for run in runs for complaint in run.complaints]
    killed = sum(run.kills != ["too late"] for run in runs)
    if killed < times:
        complaints.append(f"only {killed} of {times} runs could be killed in time")
    return {"numbers": numbers, "runs": runs, "undisturbed": undisturbed, "complaints": complaints}


if __name__ == "__main__":
    asyncio.run(_work(json.loads(sys.argv[1])))
