"""Types of downloads and exports: what they give, and what they reject."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import assert_type

from wavix_async import Download, Export, Number, Operation, SavedFile, WavixClient
from wavix_async.models import Message

FILE = Operation("GET", "/v1/recordings/{id}", Download)
ROWS = Operation("GET", "/v1/rows", Export[Number])


async def downloads(wavix: WavixClient) -> None:
    file = wavix.download(FILE, path={"id": "a"})
    assert_type(file, Download)
    assert_type(await file, bytes)
    assert_type(await file.save("a.mp3", progress=print), SavedFile)
    assert_type(await file.save(Path("a.mp3"), accept_unknown_length=True), SavedFile)
    assert_type(await file.url(), str | None)
    async with file as opened:
        assert_type(opened, Download)
        assert_type(opened.filename, str | None)
        assert_type(opened.size, int | None)
        assert_type(opened.content_type, str | None)
        assert_type(opened.complete, bool | None)
        async for chunk in opened:
            assert_type(chunk, bytes)
        assert_type(await opened.read(), bytes)
    wavix.download(ROWS)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def exports(wavix: WavixClient) -> None:
    rows = wavix.export(ROWS)
    assert_type(rows, Export[Number])
    async for row in rows:
        assert_type(row, Number)
    assert_type(rows.etag, str | None)
    messages = wavix.messages.export(type="outbound", sent_after=datetime.date(2026, 1, 1), from_="Acme")
    assert_type(messages, Export[Message])
    async for message in messages:
        assert_type(message.tag, str | None)
    saved = await messages.save("m.csv")
    assert_type(saved.rows, int | None)
    assert_type(saved.path, Path)
    wavix.export(FILE)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix.messages.export()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
