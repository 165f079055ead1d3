"""`Export`: rows in constant memory, as many as there were before a break, and never a formula."""

from __future__ import annotations

import asyncio
import csv
import gc
import json
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.streams.server import answer, chunked, reset, serving
from wavix_async import (
    APIError,
    DecodeError,
    DisconnectedError,
    Download,
    DriftEvent,
    Export,
    InputError,
    Operation,
    RetryPolicy,
    WavixClient,
)
from wavix_async.models import Message
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.streams.server import Asked, FileServer, Script

QUICK = RetryPolicy(backoff=0.001, max_backoff=0.002)


def row(number: int, **more: Any) -> bytes:
    sparse = {"message_id": f"m{number}", "from": "Acme", "to": "+15125550100", "charge": 0.0475, **more}
    return json.dumps(sparse).encode() + b"\n"


@asynccontextmanager
async def exporting(*scripts: Script, **options: Any) -> AsyncIterator[tuple[FileServer, WavixClient]]:
    async with (
        serving(*scripts) as server,
        WavixClient(KEY, base_url=server.url, **{"retry": QUICK, **options}) as wavix,
    ):
        yield server, wavix


def ids(rows: list[Message]) -> list[str]:
    return [each.message_id for each in rows]


# --- rows ---


async def test_rows_are_models_whatever_the_chunks_are() -> None:
    body = b"\n" + b"\r\n".join([row(1).strip(), row(2, tag="ä\u2028\x85").strip(), b"  ", row(3).strip()])
    for size in (1, 7, 10_000):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        script = chunked(*pieces, ETag='"e1"', Last_Modified="Sun, 29 Nov 2026 00:00:00 GMT")
        async with exporting(script) as (server, wavix):
            export = wavix.messages.export(type="outbound", sent_after=datetime(2026, 11, 1, 12, tzinfo=UTC), from_="A")
            assert export.complete is False
            rows = [each async for each in export]
        assert ids(rows) == ["m1", "m2", "m3"]
        assert (rows[0].from_, str(rows[0].charge), rows[0].status) == ("Acme", "0.0475", None)
        assert (export.rows, export.complete, export.etag) == (3, True, '"e1"')
        assert export.last_modified == "Sun, 29 Nov 2026 00:00:00 GMT"
        assert server.asked[0].target == "/v3/messages/all?type=outbound&sent_after=2026-11-01T12%3A00%3A00&from=A"


async def test_an_export_without_rows_is_complete() -> None:
    for script in (answer(kind="application/x-ndjson"), chunked()):
        async with exporting(script) as (_, wavix):
            export = wavix.messages.export(type="inbound")
            assert [each async for each in export] == []
            assert export.complete is True


@pytest.mark.req_33
async def test_a_break_raises_after_the_rows_before_it() -> None:
    cut = chunked(row(1) + row(2), row(3)[:9], ends=False)
    async with exporting(cut) as (server, wavix):
        export = wavix.messages.export(type="outbound")
        rows: list[Message] = []
        with pytest.raises(DisconnectedError, match="ended after 2 rows") as caught:  # noqa: PT012 - the rows count
            async for each in export:
                rows.append(each)
        assert (ids(rows), export.rows, export.complete) == (["m1", "m2"], 2, False)
        assert caught.value.attempts == 1
    assert len(server.asked) == 1, "rows were handed out, so it is not repeated"


@pytest.mark.parametrize("broken", [reset, answer(status=500), chunked(ends=False), chunked(row(1)[:9], ends=False)])
async def test_before_the_first_row_a_failure_is_repeated(broken: Script) -> None:
    async with exporting(broken, chunked(row(1))) as (server, wavix):
        assert ids([each async for each in wavix.messages.export(type="outbound")]) == ["m1"]
    assert len(server.asked) == 2


@pytest.mark.req_33
async def test_a_body_without_a_told_end_is_never_complete() -> None:
    async with exporting(answer(row(1), length=None), answer(row(1) + row(2)[:9], length=None)) as (_, wavix):
        export = wavix.messages.export(type="outbound")
        assert ids([each async for each in export]) == ["m1"]
        assert export.complete is None
        export = wavix.messages.export(type="outbound")
        with pytest.raises(DecodeError, match=r"after 1 rows: line 2 is not JSON"):
            [each async for each in export]
        assert export.complete is False


async def test_errors_of_the_api_are_the_usual_ones() -> None:
    denied = answer(b'{"success": false, "message": "No"}', status=403, kind="application/json")
    lie = chunked(b'{"success": false, "message": "Too busy"}\n')
    late = chunked(row(1), b'{"error": true, "message": "Died"}\n')
    stray = chunked(b"[1]\n")
    async with exporting(denied, lie, late, stray, retry=RetryPolicy.none()) as (_, wavix):
        for error, message in (
            (APIError, r"No\.|scope"),
            (APIError, "Too busy"),
            (APIError, "after 1 rows: .*Died"),
            (DecodeError, "line 1 is not a row"),
        ):
            with pytest.raises(error, match=message):
                [each async for each in wavix.messages.export(type="outbound")]


async def test_lines_have_an_upper_limit() -> None:
    piece = b"x" * 65536
    async with exporting(chunked(row(1), *[piece] * 17), chunked(row(1, tag="x" * 2_000_000))) as (_, wavix):
        for _ in range(2):
            with pytest.raises(DecodeError, match="a line is longer than 1 MB"):
                [each async for each in wavix.messages.export(type="outbound")]
    async with exporting(chunked(row(1, deep=json.loads("[" * 200 + "]" * 200)))) as (_, wavix):
        with pytest.raises(DecodeError, match="nested deeper"):
            [each async for each in wavix.messages.export(type="outbound")]


async def test_drift_is_reported_once_and_sparse_rows_are_none() -> None:
    seen: list[Any] = []
    async with exporting(chunked(row(1, new=1), row(2, new=1)), observers=[seen.append]) as (_, wavix):
        rows = [each async for each in wavix.messages.export(type="outbound")]
        assert [each.extra for each in rows] == [{"new": 1}] * 2
    assert [each.drift.field for each in seen if isinstance(each, DriftEvent)] == ["new"]
    async with exporting(chunked(row(1), row(2, new=1)), strict=True) as (_, wavix):
        with pytest.raises(DecodeError, match=r"after 1 rows.*not as documented"):
            [each async for each in wavix.messages.export(type="outbound")]


async def test_a_loop_that_is_left_frees_the_slot() -> None:
    async with exporting(chunked(*[row(each) for each in range(1000)]), max_connections=1) as (_, wavix):
        async for each in wavix.messages.export(type="outbound"):
            assert each.message_id == "m0"
            break
        gc.collect()
        rows = [each async for each in wavix.messages.export(type="outbound")]
        assert len(rows) == 1000
        export = wavix.messages.export(type="outbound")
        assert len([each async for each in export]) == 1000
        with pytest.raises(InputError, match="read already"):
            [each async for each in export]


# --- files ---


async def test_save_keeps_the_rows_as_they_came(tmp_path: Path) -> None:
    body = row(1, odd="1e5") + b"\n" + row(2, charge="0.10")
    async with exporting(chunked(body)) as (_, wavix):
        export = wavix.messages.export(type="outbound")
        saved = await export.save(tmp_path / "m.ndjson")
    assert saved.path.read_bytes() == row(1, odd="1e5") + row(2, charge="0.10")
    assert (saved.rows, saved.complete, export.complete) == (2, True, True)


async def test_a_table_has_no_formulas(tmp_path: Path) -> None:
    evil = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\uff1d1", " =1+1", "+\u0663"]
    good = ["+15125550100", "-5", 'plain,"x"\n', "a\r=1"]
    rows = [row(at, tag=text, body={"a": 1}) for at, text in enumerate([*evil, *good])]
    async with exporting(chunked(*rows)) as (_, wavix):
        saved = await wavix.messages.export(type="outbound").save(tmp_path / "m.csv")
    with saved.path.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert list(table[0])[:4] == ["message_id", "message_type", "from", "to"]
    assert list(table[0])[-1] == "extra"
    assert [each["tag"] for each in table] == [*(f"'{text}" for text in evil), *good]
    assert {each["to"] for each in table} == {"+15125550100"}
    assert json.loads(table[0]["extra"]) == {"body": {"a": 1}}
    assert saved.rows == len([*evil, *good])


async def test_save_starts_again_and_leaves_no_half_file(tmp_path: Path) -> None:
    cut = chunked(row(1), row(2)[:5], ends=False)
    async with exporting(cut, chunked(row(1), row(2))) as (_, wavix):
        saved = await wavix.messages.export(type="outbound").save(tmp_path / "m.ndjson")
        assert saved.rows == 2
        saved.path.unlink()
    async with exporting(cut) as (_, wavix):
        with pytest.raises(DisconnectedError, match="after 1 rows"):
            await wavix.messages.export(type="outbound").save(tmp_path / "m.ndjson")
        with pytest.raises(InputError, match=r"must end in \.ndjson"):
            await wavix.messages.export(type="outbound").save(tmp_path / "m.xlsx")
    async with exporting(answer(row(1), length=None)) as (_, wavix):
        saved = await wavix.messages.export(type="outbound").save(tmp_path / "m.csv")
        assert (saved.path.name, saved.complete) == ("m.csv.part", None)
    assert [each.name for each in tmp_path.iterdir()] == ["m.csv.part"]


async def test_wrong_operations_are_input_errors() -> None:
    with pytest.raises(InputError, match="needs the model of its rows"):
        Operation("GET", "/v1/x", Export)
    with pytest.raises(InputError, match="needs the model of its rows"):
        Operation("GET", "/v1/x", Export[int])
    async with WavixClient(KEY) as wavix:
        with pytest.raises(InputError, match="streams no rows"):
            wavix.export(Operation("GET", "/v1/x", Download))  # type: ignore[arg-type]


# --- the sandbox, and many with faults ---


async def test_the_sandbox_streams_messages(tmp_path: Path) -> None:
    async with Sandbox(numbers=1) as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        body = {"text": "Hello"}
        for each in range(300):
            await wavix.messages.send(from_="Acme", to=f"+1512555{each:04}", message_body=body, tag=f"t{each % 2}")
        rows = [each async for each in wavix.messages.export(type="outbound", tag="t1")]
        listed = await wavix.messages.list(type="outbound", tag="t1", limit=1000).to_list()
        assert ids(rows) == ids(listed)
        assert (await wavix.messages.export(type="outbound").save(tmp_path / "m.csv")).rows == 300
        today = datetime.now(UTC).date()
        found = wavix.messages.export(
            type="outbound", sent_after=today - timedelta(1), sent_before=today + timedelta(1)
        )
        assert len([each async for each in found]) == 300
        future = wavix.messages.export(type="outbound", sent_after="2099-01-01")
        assert [each async for each in future] == []
        sandbox.fail_next("half_body", match="*/all")
        rows = []
        with pytest.raises(DisconnectedError, match="ended after") as caught:  # noqa: PT012 - the rows count
            async for row_ in wavix.messages.export(type="outbound"):
                rows.append(row_)
        assert 100 < len(rows) < 200
        assert f"after {len(rows)} rows" in str(caught.value)


@pytest.mark.req_33
@pytest.mark.parametrize("seed", range(2))
async def test_many_exports_tell_the_truth(seed: int) -> None:
    dice = random.Random(seed)
    whole = b"".join(map(row, range(200)))

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        fate = dice.random()
        if fate < 0.05:
            await reset(asked, writer)
        elif fate < 0.3:
            await chunked(whole[: dice.randrange(len(whole))], ends=False)(asked, writer)
        else:
            await chunked(whole)(asked, writer)

    counts = {"whole": 0, "cut": 0}
    async with exporting(script, retry=RetryPolicy(attempts=6, backoff=0.001, budget_ratio=1)) as (_, wavix):

        async def read() -> None:
            export = wavix.messages.export(type="outbound")
            rows: list[Message] = []
            try:
                async for each in export:
                    rows.append(each)
            except DisconnectedError as error:
                told = str(error)
                assert (export.complete, f"after {len(rows)} rows" in told) == (False, True)
                counts["cut"] += 1
            else:
                assert export.complete is True
                assert len(rows) == 200
                counts["whole"] += 1
            assert ids(rows) == [f"m{at}" for at in range(len(rows))]

        await asyncio.gather(*(read() for _ in range(30)))
    assert counts["whole"] > 5
    assert counts["cut"] > 0
