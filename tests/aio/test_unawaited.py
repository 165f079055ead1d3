"""What works only when it is awaited warns if it is thrown away unused, as coroutines do."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bulk import ON, fast_client, finish
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import ConfigurationError, InputError, WavixClient

ROOT = Path(__file__).parents[2]
MAKERS: list[Any] = [
    pytest.param(
        lambda client: client.numbers.bulk_update({1: ON}), r"bulk run of PATCH /v1/numbers/\{id\}", id="bulk"
    ),
    pytest.param(lambda client: client.numbers.bulk_update(iter([(1, ON)])), "so it sent nothing", id="generator"),
    pytest.param(
        lambda client: aiter(client.numbers.bulk_update({1: ON})), "was never awaited", id="bulk, not iterated"
    ),
    pytest.param(lambda client: client.numbers.list(), "GET /v1/numbers was never awaited, so it read", id="list"),
    pytest.param(lambda client: aiter(client.numbers.list()), "GET /v1/numbers was never", id="list, not iterated"),
    pytest.param(lambda client: client.numbers.get(1), "was never awaited", id="a call"),
    pytest.param(lambda client: client.numbers.update(1, sms_enabled=True), "was never awaited", id="a change"),
    pytest.param(lambda client: client.numbers.release(ids=[1]), "was never awaited", id="a release"),
]


def told(make: Callable[[WavixClient], object]) -> list[warnings.WarningMessage]:
    """Make something, throw it away, and return the warnings."""
    client = fast_client(StubSession())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(client)
    return caught


@pytest.mark.parametrize(("make", "text"), MAKERS)
def test_what_was_never_awaited_warns_once(make: Callable[[WavixClient], object], text: str) -> None:
    (warning,) = told(make)
    assert warning.category is RuntimeWarning
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(str(warning.message))


@pytest.mark.parametrize("make", [MAKERS[0].values[0], MAKERS[3].values[0]], ids=["bulk", "list"])
def test_the_warning_names_the_line_that_forgot(make: Callable[[WavixClient], object]) -> None:
    (warning,) = told(lambda client: make(client))
    code: Any = make
    assert (warning.filename, warning.lineno) == (__file__, code.__code__.co_firstlineno)
    assert "created at" not in str(warning.message)


def test_in_the_debug_mode_of_asyncio_it_has_the_stack() -> None:
    def caller_of_it(client: WavixClient) -> object:
        return client.numbers.bulk_update({1: ON})

    before = sys.get_coroutine_origin_tracking_depth()
    sys.set_coroutine_origin_tracking_depth(10)
    try:
        (warning,) = told(caller_of_it)
    finally:
        sys.set_coroutine_origin_tracking_depth(before)
    lines = str(warning.message).splitlines()
    assert lines[1] == "It was created at (most recent call last):"
    assert lines[-1].strip() == "return client.numbers.bulk_update({1: ON})"
    assert "in caller_of_it" in lines[-2]
    assert "wavix_async" not in "".join(line for line in lines[1:] if "File" in line and "site-packages" in line)


async def use_report(client: WavixClient) -> None:
    await client.numbers.bulk_update({1: ON})


async def use_loop(client: WavixClient) -> None:
    async for _ in client.numbers.bulk_update({1: ON}):
        break


async def use_task(client: WavixClient) -> None:
    await asyncio.create_task(client.numbers.bulk_update({1: ON}))


async def use_stop(client: WavixClient) -> None:
    client.numbers.bulk_update({1: ON}).stop()


async def use_close(client: WavixClient) -> None:
    client.numbers.bulk_update({1: ON}).close()


async def use_page(client: WavixClient) -> None:
    await client.numbers.list()


async def use_total(client: WavixClient) -> None:
    await client.numbers.list().total()


def test_what_was_used_does_not_warn() -> None:
    page = {"items": [], "pagination": {"total": 0, "total_pages": 1, "current_page": 1, "per_page": 25}}
    session = StubSession(lambda seen: Reply(body=page) if seen.method == "GET" else Reply())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for use in (use_report, use_loop, use_task, use_stop, use_close, use_page, use_total):
            run_virtual(use(fast_client(session)))
        gc.collect()
    # Each names its operation and its line.
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda client: client.numbers.bulk_update({1: ON}, concurrency=0),
        lambda client: client.numbers.bulk_update({0: ON}),
        lambda client: client.numbers.bulk_update({1: ON}, failures_to=3),
        lambda client: client.numbers.list(page=0),
    ],
)
def test_a_construction_that_failed_does_not_warn(wrong: Callable[[WavixClient], object]) -> None:
    def make(client: WavixClient) -> None:
        with pytest.raises((InputError, ConfigurationError)):
            wrong(client)

    assert told(make) == []


def test_a_program_that_forgot_it_says_so_even_if_it_ends_at_once() -> None:
    program = """
import asyncio
from wavix_async import NumberUpdate, WavixClient
async def main():
    async with WavixClient("key", base_url="http://127.0.0.1:1") as client:
        run = client.numbers.bulk_update({1: NumberUpdate(sms_enabled=True)})
        pages = client.numbers.list()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    # From 3.13 on, Python shows the line of the program below each warning.
    first, second = sorted(line for line in done.stderr.splitlines() if line.startswith("<string>"))
    assert first.startswith("<string>:6: RuntimeWarning: bulk run of PATCH /v1/numbers/{id} was never awaited")
    assert second.startswith("<string>:7: RuntimeWarning: GET /v1/numbers was never awaited")


@pytest.mark.parametrize("place", ["run", "kept[0]"])
def test_at_the_end_of_the_process_there_is_no_noise(place: str) -> None:
    program = f"""
from wavix_async import NumberUpdate, WavixClient
kept = [None]
client = WavixClient("key", base_url="http://127.0.0.1:1")
{place} = client.numbers.bulk_update({{1: NumberUpdate(sms_enabled=True)}})
pages = client.numbers.list()
"""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_keeps_nothing_of_the_frame_that_made_it() -> None:
    class Marker:
        pass

    def make(client: WavixClient) -> Any:
        local = Marker()
        return client.numbers.bulk_update({1: ON}), id(local)

    run, _ = make(fast_client(StubSession()))
    gc.collect()
    assert not any(isinstance(each, Marker) for each in gc.get_objects())
    assert run_virtual(finish(run)).updated == 1
