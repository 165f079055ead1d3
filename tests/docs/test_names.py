"""Names that other processes, files and dashboards know are those that the version before the new layout wrote.

`tests/data/names.py` says how they are collected, and `tests/data/names_63b61a9.json` holds those of that version.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[1] / "data"
BEFORE: dict[str, Any] = json.loads((DATA / "names_63b61a9.json").read_text(encoding="utf-8"))
MAY_GROW = {"errors", "telemetry"}
MAY_HAVE_MORE = {"problems", "exit codes"}
"""By error class, and by name: a later version may have more, and each old one is answered as before."""


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """The names of this version, collected in a process that has imported nothing else."""
    done = subprocess.run(
        [sys.executable, DATA / "names.py"], cwd=DATA.parents[1], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(DATA.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("what", BEFORE)
def test_names_on_the_wire_and_on_disk_have_not_changed(what: str, names: dict[str, Any]) -> None:
    if what in MAY_GROW:
        assert set(BEFORE[what]) - set(names[what]) == set()
    elif what == "events":
        # There may be more events, and an event may get more fields, after the others.
        now = {event: names[what][event][: len(fields)] for event, fields in BEFORE[what].items()}
        assert now == BEFORE[what]
        assert names[what].keys() >= BEFORE[what].keys()
    elif what == "spans and metrics":
        # A span may get more attributes.
        before, now = BEFORE[what], names[what]
        kept = {span: sorted({*found} & {*before["spans"][span]}) for span, found in now["spans"].items()}
        assert {**now, "spans": kept} == before
    elif what == "columns":
        # A file may get more columns; programs read them by name.
        for name, old in BEFORE[what].items():
            assert [each for each in names[what][name] if each in old] == old
    elif what == "journal":
        # A journal may say more of itself: an older version reads the keys that it knows.
        meta = {key: names[what]["meta"].get(key) for key in BEFORE[what]["meta"]}
        assert {**names[what], "meta": meta} == BEFORE[what]
    elif what in MAY_HAVE_MORE:
        assert {name: names[what].get(name) for name in BEFORE[what]} == BEFORE[what]
    else:
        assert names[what] == BEFORE[what]


def test_every_kind_of_name_is_compared(names: dict[str, Any]) -> None:
    assert names.keys() == BEFORE.keys()
    assert all(BEFORE.values())
