"""Write the account to a file and read it back; the example fleets; against the sandbox on real sockets."""

from __future__ import annotations

import asyncio
import csv
import io
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import examples as ex
from tests.support.fleets import number
from wavix_async import (
    AuthenticationError,
    DecodeError,
    InputError,
    Number,
    NumberDestination,
    NumberUpdate,
    RetryPolicy,
    WavixClient,
    from_dict,
)
from wavix_async.fleet import Layout, Match, apply, export, plan, read, roll_back
from wavix_async.models import Page, Pagination
from wavix_async.resources.numbers import Numbers
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EXAMPLES = Path(__file__).parents[2] / "examples"
FIRST = 1001


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(250, foreign=0.2) as running:
        yield running


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy.none()) as client:
        yield client


async def account(wavix: WavixClient) -> list[Number]:
    return [number async for number in wavix.numbers.list()]


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "jsonl", "yaml", "yml"])
async def test_what_is_exported_is_what_is_there(wavix: WavixClient, sandbox: Sandbox, tmp_path: Path, suffix: str):
    if suffix.startswith("y"):
        pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
    sandbox.change(FIRST, sms_relay_url=' "null",\n', call_status_url="", sms_enabled=None, destination=None)
    sandbox.change(FIRST + 1, call_recording_enabled="yes", transcription_threshold=1.5, number=None, destination=[])
    path = tmp_path / f"fleet.{suffix}"

    assert await export(wavix, path) == 250
    whole = read(path)
    match = whole.match()
    numbers = await account(wavix)
    updates = match.updates(numbers)

    assert match.problems == []
    assert list(match.unseen()) == []
    assert [update and update.differs_from(number) for update, number in zip(updates, numbers, strict=True)] == [
        ()
    ] * 250
    assert [target.id for target in whole.targets()] == list(range(FIRST, FIRST + 250))
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


async def test_the_same_state_gives_the_same_bytes_whatever_wrote_it(
    wavix: WavixClient, sandbox: Sandbox, tmp_path: Path
):
    paths = [tmp_path / f"{i}.csv" for i in range(3)]
    route: Any = {"priority": 1, "transport": 1}
    await export(wavix, paths[0])
    before = sandbox.numbers[FIRST]
    sandbox.change(FIRST, destination=[route | {"destination": name, "id": i} for i, name in enumerate("ab")])
    await wavix.numbers.update(FIRST, call_status_url=None)
    await export(wavix, paths[1])
    sandbox.change(
        FIRST, destination=[route | {"destination": name, "srtp": True} for name in "ba"], call_status_url=""
    )
    await export(wavix, paths[2])

    assert paths[1].read_bytes() == paths[2].read_bytes() != paths[0].read_bytes()
    sandbox.change(FIRST, **before)
    await export(wavix, paths[1])
    assert paths[1].read_bytes() == paths[0].read_bytes()


async def test_an_account_without_numbers(tmp_path: Path):
    async with Sandbox(1) as empty, WavixClient(empty.api_key, base_url=empty.url) as wavix:
        await wavix.numbers.release(ids=[FIRST])
        assert await export(wavix, tmp_path / "a.csv") == 0
    assert len(read(tmp_path / "a.csv")) == 0


async def test_only_the_user_can_read_a_new_file(wavix: WavixClient, tmp_path: Path):
    await export(wavix, tmp_path / "a.csv")
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600


async def test_a_label_is_shown_as_text_and_ignored(wavix: WavixClient, sandbox: Sandbox, tmp_path: Path):
    sandbox.change(FIRST, label="=1+1", city="a\nb", country=None)
    for suffix in ("csv", "ndjson"):
        await export(wavix, tmp_path / f"a.{suffix}")
    with (tmp_path / "a.csv").open(newline="") as stream:
        row = next(csv.DictReader(stream))
    assert list(row)[:5] == ["id", "number", "label", "city", "country"]
    assert (row["label"], row["city"], row["country"]) == ("'=1+1", '"a\\nb"', "")
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text().replace("support", "sales"))
    for suffix in ("csv", "ndjson"):
        assert len(await plan(wavix, tmp_path / f"a.{suffix}")) == 0


class TestWholeOrNothing:
    async def test_a_refusal_leaves_the_old_file(self, sandbox: Sandbox, tmp_path: Path):
        path = tmp_path / "fleet.csv"
        path.write_text("old")
        async with WavixClient("wrong", base_url=sandbox.url) as wavix:
            with pytest.raises(AuthenticationError):
                await export(wavix, path)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    async def test_cancelling_leaves_the_old_file(self, wavix: WavixClient, tmp_path: Path):
        path = tmp_path / "fleet.csv"
        path.write_text("old")
        for steps in range(0, 60, 3):
            task = asyncio.ensure_future(export(wavix, path))
            for _ in range(steps):
                await asyncio.sleep(0.0005)
            task.cancel()
            done = (await asyncio.gather(task, return_exceptions=True))[0]
            text = path.read_text()
            assert text == "old" or text.count("\n") == 251
            assert list(tmp_path.iterdir()) == [path]
            if not isinstance(done, BaseException):
                break

    async def test_a_number_without_an_id_is_an_error(self, wavix: WavixClient, sandbox: Sandbox, tmp_path: Path):
        sandbox.change(FIRST, id=None)
        with pytest.raises(DecodeError, match="has no usable id: None"):
            await export(wavix, tmp_path / "a.csv")
        assert list(tmp_path.iterdir()) == []

    async def test_where_nothing_can_be_written_nothing_is_asked(
        self, wavix: WavixClient, sandbox: Sandbox, tmp_path: Path
    ):
        for path, message in (
            (tmp_path / "missing" / "a.csv", "Cannot write"),
            (tmp_path, "suffix must be one of"),
            (Path("/dev/null"), "suffix must be one of"),
            (tmp_path / "a.txt", "suffix must be one of"),
        ):
            with pytest.raises(InputError, match=message):
                await export(wavix, path)
        with pytest.raises(InputError, match="it is not a file"):
            await export(wavix, tmp_path, layout="csv")
        assert sandbox.requests == ()

    async def test_the_file_keeps_its_mode_and_a_link_stays_one(self, wavix: WavixClient, tmp_path: Path):
        path, link = tmp_path / "real", tmp_path / "link.csv"
        path.touch(0o640)
        link.symlink_to(path)
        await export(wavix, link, layout="csv")

        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert path.read_bytes().count(b"\n") == 251


async def test_a_number_that_moves_to_another_page_is_written_once(
    wavix: WavixClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    numbers = await account(wavix)

    class Pages:
        async def pages(self) -> AsyncIterator[Any]:
            for start, end in ((200, 250), (0, 120), (100, 210)):
                yield Page(items=numbers[start:end], pagination=Pagination(total=250))

    monkeypatch.setattr(type(wavix.numbers), "list", lambda self, **_: Pages())
    assert await export(wavix, tmp_path / "a.csv") == 250
    assert [target.id for target in read(tmp_path / "a.csv").targets()] == list(range(FIRST, FIRST + 250))


class TestListsThatAreNotWhole:
    """An export is the whole account, or an error that leaves the old file."""

    @pytest.mark.req_29
    @pytest.mark.parametrize(
        ("pages", "why"),
        [
            ([(0, 100, 1000)], "has 1,000 numbers, and its pages held 100 different ones"),
            ([(0, 100, 250), (0, 100, 250), (200, 250, 250)], "has 250 numbers, and its pages held 150"),
            ([(0, 100, 250), (50, 150, 250), (150, 200, 250)], "has 250 numbers, and its pages held 200"),
        ],
        ids=["short", "repeated", "overlapping"],
    )
    async def test_pages_that_hide_numbers(
        self,
        wavix: WavixClient,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        pages: list[tuple[int, int, int]],
        why: str,
    ):
        numbers = await account(wavix)

        class Pages:
            async def pages(self) -> AsyncIterator[Any]:
                for start, end, total in pages:
                    yield Page(items=numbers[start:end], pagination=Pagination(total=total))

        (path := tmp_path / "a.csv").write_text("old")
        monkeypatch.setattr(type(wavix.numbers), "list", lambda self, **_: Pages())
        with pytest.raises(DecodeError, match=why):
            await export(wavix, path)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.req_29
    @pytest.mark.parametrize("lie", ["one page", "the same page", "null"])
    async def test_an_api_that_lies_about_its_pages(self, tmp_path: Path, lie: str):
        (path := tmp_path / "a.csv").write_text("old")

        async def pages(request: web.Request) -> web.Response:
            number = int(request.query.get("page", 1))
            items: list[Any] = [ex.number(id=one) for one in range(1, 101)]
            counts = ex.pagination(current_page=number, per_page=100, total=1000, total_pages=10)
            if lie == "one page":
                counts["total_pages"], items = 1, items if number == 1 else []
            elif lie == "null":
                items[7] = None
            return web.json_response({"items": items, "doc_types": [], "pagination": counts})

        app = web.Application()
        app.router.add_get("/v1/numbers", pages)
        async with TestServer(app) as server, WavixClient("a-key", base_url=str(server.make_url("/"))) as wavix:
            with pytest.raises(DecodeError, match=r"not a (whole list|list of records)"):
                await export(wavix, path)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


ODD_TEXTS = ["half \ud83d", "\udc00", "\x00", "\x1b[31m", "\u202e", "=1+1", "\uff1d1+1", "[bold]"]


@pytest.mark.req_29
@pytest.mark.parametrize("text", ODD_TEXTS, ids=ascii)
async def test_an_odd_text_disturbs_no_file_and_no_run(tmp_path: Path, text: str):
    fields = ("number", "label", "city", "sms_relay_url", "call_status_url")
    async with Sandbox(20) as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        for number_id, field in enumerate(fields, FIRST):
            sandbox.change(number_id, **{field: text})
        for suffix in ("csv", "ndjson"):
            assert await export(wavix, tmp_path / f"a.{suffix}") == 20
            assert len(list(read(tmp_path / f"a.{suffix}").targets())) == 20
        for row in csv.reader(io.StringIO((tmp_path / "a.csv").read_text())):
            assert not any(cell.startswith(("=", "+", "-", "@", "\uff1d")) for cell in row)
        wanted = NumberUpdate(sms_relay_url="https://x.test/a", call_status_url="https://x.test/b")
        planned = await plan(wavix, dict.fromkeys(range(FIRST, FIRST + len(fields)), wanted))
        planned.table().encode()
        report = await apply(wavix, planned, journal=tmp_path / "journal")
        assert report.updated == len(fields)
        back = await roll_back(wavix, tmp_path / "journal")
        # No request can set what was there before: such a number is reported, and no other is left out.
        assert back.updated + back.failed == len(fields)
        assert back.failed <= 2


class TestExamples:
    async def test_the_table(self):
        async with Sandbox(100) as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            numbers = await account(wavix)
        whole = read(EXAMPLES / "fleet.csv")
        match = whole.match()
        changes = {
            number.id: update.differs_from(number)
            for number, update in zip(numbers, match.updates(numbers), strict=True)
            if update is not None
        }

        assert match.problems == []
        assert list(match.unseen()) == []
        assert changes == {
            1001: ("sms_enabled", "sms_relay_url"),
            1002: ("sms_enabled", "sms_relay_url"),
            1003: ("destinations", "call_status_url"),
            1004: ("transcription_enabled", "transcription_threshold"),
            1005: ("call_status_url",),
            1006: ("destinations",),
            1007: ("transcription_enabled", "transcription_threshold"),
            1008: (),
        }

    async def test_the_selectors(self):
        pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
        async with Sandbox(100) as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            numbers = await account(wavix)
        whole = read(EXAMPLES / "fleet.yaml")
        match = whole.match()
        wanted = dict(zip((number.id for number in numbers), match.updates(numbers), strict=True))

        assert (whole.rows, len(whole.selectors)) == (7, 4)
        assert match.problems == []
        assert list(match.unseen()) == []
        assert None not in wanted.values(), "one selector means all"
        # Every selector of the example must match a number.
        for selector in whole.selectors:
            assert any(selector.matches(number) for number in numbers)
        # Detroit, support, and by id: for each field, the later entry wins.
        assert wanted[1010] == NumberUpdate(
            sms_enabled=True,
            call_recording_enabled=True,
            transcription_enabled=False,
            transcription_threshold=10,
            call_status_url=None,
            destinations=getattr(wanted[1002], "destinations", None),
        )
        assert getattr(wanted[1016], "transcription_threshold", None) == 30
        assert getattr(wanted[1014], "sms_enabled", None) is False


# --- export writes files that read accepts ---

texts = st.text(max_size=8) | st.sampled_from(
    ["null", "NULL", "~", "true", '"', '"null"', " x ", "a\nb", "\r\n", "\x85", "\u2028", "\ufeff", "007", "#", "=1+1",
     "*a", "- x: y", "a,b;c", "\ud800", "\x00\x7f", "\U0001f600", "{}", "https://x.test/?a=b&c=%20#f"]
)  # fmt: skip
formulas = st.sampled_from(["=cmd|' /C calc'!A0", "+1", "-5", "@x", "'quoted", "''", "'", "\t=1", "+1 415 555 0100"])
urls = st.text("abc:/?#&=;,|'\"+\u00e9\U0001f600\u2028 \n", max_size=8).map("https://x".__add__)
raw = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts, st.just([]), st.just({"a": [1]})
)
routes = st.lists(
    st.fixed_dictionaries(
        {"destination": texts | raw, "priority": st.integers() | raw, "transport": st.sampled_from([1, 4, 5, 9]) | raw},
        optional={"trunk_id": st.integers() | raw, "id": st.integers(), "srtp": st.booleans(), "new": raw},
    )
    | raw,
    max_size=3,
)
numbers = st.fixed_dictionaries(
    {},
    optional={
        "number": texts | raw | formulas,
        "label": texts | raw | formulas,
        "city": texts | raw | formulas,
        "country": texts | raw | formulas,
        "sms_enabled": st.booleans() | raw,
        "destination": routes | raw,
        "sms_relay_url": texts | raw | formulas | urls,
        "call_recording_enabled": raw,
        "transcription_threshold": st.integers() | raw,
        "call_status_url": texts | raw | urls,
    },
)


def exported(numbers: list[Number], layout: Layout) -> bytes:
    """Return the file that `export` writes for an account with these numbers."""

    class Listing:
        async def pages(self) -> AsyncIterator[Any]:
            yield Page(items=numbers, pagination=Pagination(total=len(numbers)))

    async def write(path: Path) -> int:
        async with WavixClient("a key of an account", base_url="http://127.0.0.1:9") as client:
            return await export(client, path, layout=layout)

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Numbers, "list", lambda self, **_: Listing())
        assert asyncio.run(write(Path(directory) / "fleet")) == len(numbers)
        return (Path(directory) / "fleet").read_bytes()


@pytest.mark.parametrize("examples", [25, pytest.param(200, marks=pytest.mark.scale)])
@pytest.mark.parametrize("layout", ["csv", "ndjson", "yaml"])
def test_what_is_written_of_any_number_differs_from_it_in_nothing(layout: Layout, examples: int):
    if layout == "yaml":
        pytest.importorskip("yaml")
    wait = settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    wait(given(layout=st.just(layout), payloads=PAYLOADS)(what_is_written_differs_in_nothing))()


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_a_spreadsheet_saves_of_an_export_differs_in_nothing(delimiter: str, encoding: str):
    def differs_in_nothing(payloads: list[dict[str, Any]]) -> None:
        account = account_of(payloads)
        rows = csv.reader(io.StringIO(exported(account, "csv").decode()))
        saved = io.StringIO()
        csv.writer(saved, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([*row, ""] for row in rows)
        assert not any(cell.startswith(("=", "@")) for row in rows for cell in row)
        match = read(io.BytesIO(f"sep={delimiter}\r\n{saved.getvalue()}\r\n".encode(encoding)), layout="csv").match()
        updates = match.updates(account)
        assert [update and update.differs_from(each) for update, each in zip(updates, account, strict=True)] == [
            () for _ in account
        ]

    settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])(
        given(payloads=PAYLOADS)(differs_in_nothing)
    )()


def account_of(payloads: list[dict[str, Any]]) -> list[Number]:
    return [
        from_dict(Number, {**ex.number(number=f"1415555000{at}"), **payload, "id": at + 1})
        for at, payload in enumerate(payloads)
    ]


PAYLOADS = st.lists(numbers, min_size=1, max_size=3)


def what_is_written_differs_in_nothing(layout: Layout, payloads: list[dict[str, Any]]) -> None:
    account = account_of(payloads)
    written = exported(account, layout)
    match: Match = read(io.BytesIO(written), layout=layout).match()

    updates = match.updates(account)

    assert match.problems == []
    assert [update and update.differs_from(each) for update, each in zip(updates, account, strict=True)] == [
        () for _ in account
    ]
    assert all(update is not None for update in updates)
    assert list(match.unseen()) == []


@pytest.mark.parametrize("layout", ["csv", "ndjson", "yaml"])
def test_a_flag_in_place_of_a_transport_is_not_written_as_a_number(layout: Layout) -> None:
    route = {"id": 0, "destination": "", "priority": 0, "transport": False}
    what_is_written_differs_in_nothing(layout, [{"destination": [route]}])


@pytest.mark.parametrize("layout", ["csv", "ndjson", "yaml"])
def test_nothing_that_can_be_said_is_left_out(layout: Layout):
    if layout == "yaml":
        pytest.importorskip("yaml")
    odd, url = 'a "b",\n\u2028 \U0001f600 null', "https://x.test/?a=1,2;'\U0001f600\""
    account = [
        number(1, sms_relay_url=url, call_status_url=None, sms_enabled=False, transcription_threshold=0),
        number(2, sms_relay_url="", call_status_url="HTTP://null", destination=[], sms_enabled=None),
        number(3, destination=[ex.destination(destination=odd, transport=5, trunk_id=7), ex.destination(priority=2)]),
    ]
    written = exported(account, layout)
    first, second, third = read(io.BytesIO(written), layout=layout).match().updates(account)

    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.sms_relay_url, first.call_status_url, first.sms_enabled) == (url, None, False)
    assert (second.sms_relay_url, second.call_status_url, second.destinations) == (None, "HTTP://null", ())
    assert not second.sms_enabled
    assert third.destinations == (
        NumberDestination(destination=odd, priority=1, transport=5, trunk_id=7),
        NumberDestination(destination="[did]@pbx.example.net", priority=2, transport=1),
    )
