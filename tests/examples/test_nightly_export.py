"""The nightly export runs by its command, and goes on after it was killed."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from examples.nightly_export.export import export_days
from tests.support.soon import SOON
from wavix_async import RetryPolicy, WavixClient
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WAVIX")}
    return {**ours, "PYTHONPATH": ".", **more}


def test_the_command_exports_to_a_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.nightly_export", "--to", str(tmp_path / "exports")],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"calls (placed|received)$", done.stdout, re.MULTILINE)) == 4
    assert len(re.findall(r"recordings, all new; 0 failed$", done.stdout, re.MULTILINE)) == 2
    assert len(list((tmp_path / "exports").iterdir())) == 2


def test_an_export_that_was_killed_goes_on(tmp_path: Path) -> None:
    last = datetime.now(UTC).date() - timedelta(days=1)
    command = [sys.executable, "-m", "examples.nightly_export.export", str(tmp_path), "--last", last.isoformat()]
    with Sandbox(numbers=0, cdrs=200, latency=0.005) as sandbox:
        options = {
            "cwd": ROOT,
            "env": environment(WAVIX_API_KEY=sandbox.api_key, WAVIX_BASE_URL=sandbox.url),
            "stdout": subprocess.DEVNULL,
        }
        files = tmp_path / last.isoformat() / "recordings"
        with subprocess.Popen([*command, "--days", "1"], **options) as first:  # type: ignore[call-overload]
            until = time.monotonic() + SOON
            while len(list(files.glob("*.mp3"))) < 5 and first.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            first.kill()
        assert subprocess.run(command, timeout=120, check=False, **options).returncode == 0  # type: ignore[call-overload]

        wanted = {
            f"{recording['call_uuid']}.mp3"
            for recording in sandbox.recordings.values()
            if recording["created_at"][:10] == last.isoformat()
        }
        assert len(wanted) > 5
        found = {file.name: file.stat().st_size for file in files.iterdir() if not file.name.startswith(".")}
        assert found == dict.fromkeys(wanted, 4096)
        calls = [call for call in sandbox.cdrs.values() if call["date"][:10] == last.isoformat()]
        rows = 0
        for kind in ("placed", "received"):
            with (tmp_path / last.isoformat() / f"{kind}.csv").open(newline="") as table:
                rows += len(list(csv.DictReader(table)))
        assert rows == len(calls)


async def test_a_recording_that_cannot_be_saved_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = datetime(2026, 11, 28, 12, tzinfo=UTC)
    async with (
        Sandbox(numbers=0) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy.none()) as wavix,
    ):
        good, bad = (sandbox.add_call(from_="14155550100", to="13125551000", began=day)["call_id"] for _ in "12")
        sandbox.fail_next(404, match=f"GET /v1/recordings/{bad}")
        assert not await export_days(wavix, day.date(), 1, tmp_path)
        assert "1 recordings, all new; 1 failed" in capsys.readouterr().out
        assert bad in (tmp_path / "2026-11-28" / "failures.csv").read_text()

        assert await export_days(wavix, day.date(), 1, tmp_path)
        assert "2 recordings, 1 of them from before; 0 failed" in capsys.readouterr().out
        assert {each.stem for each in (tmp_path / "2026-11-28" / "recordings").iterdir()} == {good, bad}
