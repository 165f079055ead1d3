"""The example of a notification service runs by its command, and shows what its README shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs FastAPI")
pytest.importorskip("uvicorn", reason="the service needs uvicorn")

ROOT = Path(__file__).parents[2]


def test_the_service_sends_follows_tries_again_and_opts_out() -> None:
    readme = (ROOT / "examples" / "notifications" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^```console\n\$ [^\n]*--demo\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert found is not None

    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.notifications", "--demo", "--port", "0"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("WAVIX_") and name != "SENDERS"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == found[1]
