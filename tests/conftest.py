"""For all tests: the marker `scale`, an API faked by aioresponses and its client, the bounds of a bulk run."""

from __future__ import annotations

import functools
import importlib
import json
import re
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import Mock

import aiohttp
import aioresponses.core
import attrs
import pytest
from aioresponses import CallbackResult
from aioresponses import aioresponses as Mocked
from hypothesis import HealthCheck, settings

from wavix_async import RetryPolicy, WavixClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from yarl import URL

BASE: Final = "https://api.wavix.test"
KEY: Final = "key-0f9c-that-no-one-may-see"

# aioresponses 0.7.9 does not know the argument `stream_writer` that aiohttp 3.14 requires. The test
# `test_the_shim_for_aioresponses_is_still_needed` (tests/client/test_client.py) fails when this can go.
SHIM: Final = functools.partial(aiohttp.ClientResponse, stream_writer=Mock(output_size=0))


# The same examples in every run, and no limit on time: a busy machine, or an unlucky draw, must not refuse a change.
# `pytest --hypothesis-profile=explore` draws new examples.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the proofs at full size, unless `-m` names their marker, as in `-m scale` or `-m "req_07 or scale"`."""
    if "scale" not in config.option.markexpr:
        full_size = [item for item in items if item.get_closest_marker("scale")]
        config.hook.pytest_deselected(items=full_size)
        items[:] = [item for item in items if item not in full_size]


@attrs.frozen
class Sent:
    """One request as it was handed to aiohttp."""

    method: str
    url: URL
    headers: Mapping[str, str]
    data: Any
    options: Mapping[str, Any]

    @property
    def path(self) -> str:
        return self.url.path

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded pairs, sorted by aioresponses."""
        return list(self.url.query.items())

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@attrs.define
class Api:
    """Answers requests below `BASE`, and keeps what was asked."""

    mock: Mocked = attrs.field(repr=False)
    sent: list[Sent] = attrs.field(factory=list, repr=False)

    @property
    def last(self) -> Sent:
        return self.sent[-1]

    def answer(
        self,
        method: str,
        path: str,
        payload: Any = None,
        *,
        status: int = 200,
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        repeat: bool | int = False,
    ) -> None:
        """Answer requests of this method and path, whatever their query, with a JSON payload or with raw bytes."""
        content = json.dumps(payload).encode() if body is None else body

        def record(url: URL, **options: Any) -> CallbackResult:
            sent = {name: options.pop(name, None) for name in ("headers", "data")}
            self.sent.append(Sent(method, url, sent["headers"], sent["data"], options))
            return CallbackResult(status=status, body=content, content_type=content_type, headers=dict(headers or {}))

        pattern = re.compile(rf"{re.escape(BASE + path)}(\?.*)?\Z")
        self.mock.add(pattern, method=method, callback=record, repeat=repeat)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API, faked by aioresponses: use it for the shapes of requests and answers, never for transport."""
    monkeypatch.setattr(aioresponses.core, "ClientResponse", SHIM)
    with Mocked() as mock:
        yield Api(mock)


@pytest.fixture
async def wavix() -> AsyncIterator[WavixClient]:
    """A client that sends everything once."""
    async with WavixClient(KEY, base_url=BASE, retry=RetryPolicy.none()) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAVIX_API_KEY", "WAVIX_BASE_URL", "WAVIX_PROFILE", "WAVIX_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=[100, pytest.param(1_000, marks=pytest.mark.scale)])
def bound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many failures a report keeps, and how many changes wait to be read. A thousand without this fixture."""
    if request.param != 1_000:
        for module, name in (("_reconciler", "_MOST_UNRESOLVED"), ("_failure_log", "KEPT"), ("_run", "KEPT")):
            owner = importlib.import_module(f"wavix_async.bulk.{module}")
            assert getattr(owner, name) == 1_000
            monkeypatch.setattr(owner, name, request.param)
    most: int = request.param
    return most
