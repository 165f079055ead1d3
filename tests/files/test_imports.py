"""What importing the package loads."""

from __future__ import annotations

import subprocess
import sys


def test_it_loads_no_part_above_it() -> None:
    source = (
        "import sys, wavix_async._files\n"
        "above = {'wavix_async.fleet', 'wavix_async.cli', 'wavix_async.fastapi', 'yaml', 'sqlite3'}\n"
        "print(sorted(above & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
