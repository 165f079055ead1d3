"""The Python blocks of docs/events.md run, in order and in one namespace, and their application gets events."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.events import BODIES, SECRET, dlr, post
from wavix_async.webhooks import KINDS, UnknownEvent

if TYPE_CHECKING:
    from wavix_async.webhooks import Webhooks

TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


async def run(block: str, names: dict[str, Any]) -> None:
    result = eval(compile(block, "events.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await result


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    monkeypatch.setenv("WAVIX_WEBHOOK_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "events"}
    receive, late, survive, others = BLOCKS
    await run(receive, names)
    await run(late, names)
    hooks: Webhooks = names["hooks"]
    async with hooks:
        for body in (dlr("a", "undelivered", error="unknown subscriber"), dlr("a", "sent"), BODIES["message"]):
            assert (await post(names["app"], body, f"/wavix/{SECRET}")).status == 200
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "15125550143 wrote 14 characters",
        "a is now undelivered",
        "a undelivered unknown subscriber",
    ]
    await run(survive, names)
    assert (tmp_path / "events.db").exists()
    assert capsys.readouterr().out == "0 succeeded this time\n"
    await run(others, names)
    assert capsys.readouterr().out == "DeliveryReport dlr:a:sent\n"


def test_every_kind_is_in_the_table() -> None:
    for name, kind in KINDS.items():
        if kind is not UnknownEvent:
            assert f"`{name}`" in TEXT
        assert f"`{kind.__name__}`" in TEXT
