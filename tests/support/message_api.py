"""A stub of the messages API without sockets: it sends as the test says, and lists what it has sent by tag."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.examples import MESSAGE
from tests.support.stub import Reply, Seen, StubSession, _Exchange

if TYPE_CHECKING:
    from collections.abc import Callable

    from yarl import URL

MESSAGES = "/v3/messages"
PRICE = "0.01"
LOST = Reply(error=aiohttp.ServerDisconnectedError())
REFUSED = Reply(error=aiohttp.ClientConnectorError(None, OSError("refused")), applied=False)  # type: ignore[arg-type]


def refusal(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    body = {"success": False, "message": message, **({} if code is None else {"error_code": code})}
    return Reply(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def lost(*, applied: bool) -> Reply:
    return Reply(error=aiohttp.ServerDisconnectedError(), applied=applied)


class MessageApi(StubSession):
    """Sends each message that the test lets pass, and shows it in lists.

    Args:
        fate: Says what becomes of a POST; None: it is sent and answered.
        latency: Seconds before each answer.
        shown_after: Seconds until a list shows what was sent.
    """

    def __init__(
        self,
        fate: Callable[[dict[str, Any]], Reply | None] = lambda _: None,
        *,
        latency: float = 0.01,
        shown_after: float = 0.0,
    ) -> None:
        super().__init__(self._reply, latency=latency)
        self._fate = fate
        self._shown_after = shown_after
        self._ids = itertools.count(1)
        self.messages: list[tuple[float, dict[str, Any]]] = []
        """What was sent, and when."""
        self.posts: Counter[str] = Counter()
        """How often each recipient was tried, by the number."""
        self.queries: list[dict[str, str]] = []

    @property
    def sent(self) -> Counter[str]:
        """How often each recipient got a message."""
        return Counter(message["to"] for _, message in self.messages)

    def add(self, *, age: float = 0.0, **fields: Any) -> None:
        """Add a message that another program has sent."""
        at = datetime.now(UTC) - timedelta(seconds=age)
        self.messages.append((-1e9, _message(next(self._ids), {"from": "Other", **fields}, at)))

    def request(self, method: str, url: URL, *, data: bytes | None = None, **options: Any) -> _Exchange:
        if method == "GET":
            now = asyncio.get_running_loop().time()
            return _Exchange(self, Seen(now, method, url.path, dict(url.query)))
        return super().request(method, url, data=data, **options)

    def _reply(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return self._list(seen.body)
        body = seen.body
        self.posts[body["to"]] += 1
        fate = self._fate(body)
        message = _message(next(self._ids), body, datetime.now(UTC))
        reply = Reply(201, message) if fate is None else fate
        carried_out = reply.applied if reply.applied is not None else reply.error is not None or reply.status < 300
        if carried_out:
            self.messages.append((asyncio.get_running_loop().time(), message))
        return reply

    def _list(self, query: dict[str, str]) -> Reply:
        self.queries.append(query)
        now = asyncio.get_running_loop().time()
        found = [
            message
            for at, message in self.messages
            if at + self._shown_after <= now
            and message["tag"] == query.get("tag")
            and query.get("to") in (None, message["to"])
        ]
        page = {"current_page": 1, "per_page": 100, "total": len(found), "total_pages": 1}
        return Reply(200, {"items": found, "pagination": page})


def _message(number: int, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    return {
        **MESSAGE,
        "message_id": f"m{number}",
        "from": body["from"],
        "to": body["to"],
        "tag": body.get("tag"),
        "message_body": body.get("message_body", {"text": ""}),
        "charge": PRICE,
        "carrier_fees": None,
        "submitted_at": at.isoformat(),
    }
