"""The Python blocks of docs/events.md run, in order and in one namespace, and their application gets events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.events import BODIES, SECRET, dlr, post
from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.webhooks import KINDS, UnknownEvent

if TYPE_CHECKING:
    from wavix_async.webhooks import Webhooks

TEXT = text_of("events.md")
BLOCKS = python_blocks(TEXT)


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    monkeypatch.setenv("WAVIX_WEBHOOK_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "events"}
    receive, late, survive, others = BLOCKS
    await run_block(receive, "events.md", names)
    await run_block(late, "events.md", names)
    hooks: Webhooks = names["hooks"]
    async with hooks:
        for body in (dlr("a", "undelivered", error="unknown subscriber"), dlr("a", "sent"), BODIES["message"]):
            assert (await post(names["app"], body, f"/wavix/{SECRET}")).status == 200
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "15125550143 wrote 14 characters",
        "a is now undelivered",
        "a undelivered unknown subscriber",
    ]
    await run_block(survive, "events.md", names)
    assert (tmp_path / "events.db").exists()
    assert capsys.readouterr().out == "0 succeeded this time\n"
    await run_block(others, "events.md", names)
    assert capsys.readouterr().out == "DeliveryReport dlr:a:sent\n"


def test_every_kind_is_in_the_table() -> None:
    for name, kind in KINDS.items():
        if kind is not UnknownEvent:
            assert f"`{name}`" in TEXT
        assert f"`{kind.__name__}`" in TEXT
