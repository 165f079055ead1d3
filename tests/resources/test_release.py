"""Releasing numbers: what a 404 means after an attempt without an answer."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.bulk import (
    client_of,
)
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    NotFoundError,
    RetryPolicy,
)


@pytest.mark.req_23
def test_several_numbers_are_not_gone_because_one_is() -> None:
    async def main() -> None:
        replies = iter([Reply(error=aiohttp.ServerDisconnectedError()), Reply(404)] * 2)
        client = client_of(StubSession(lambda _: next(replies)), retry=RetryPolicy(backoff=0.01))
        with pytest.raises(NotFoundError):
            await client.numbers.release(dids=["1", "2"])
        assert (await client.numbers.release(dids=["1"])).already_gone

    run_virtual(main())
