"""Short links, and the clicks on them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.filters import exact, iso, phone, since, until
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import json_object
from wavix_async.sandbox._server import Call, Reply, Route, invalid

_HOST = "https://wx.example.com/"
_PRICE, _TYPE = "0.01", 46
_ACCOUNT = 100_017


class ShortLinks:
    """The short links of the account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._hashes = Uuids(context.seed, "short_links")
        self.links = Collection(context, key=lambda record: record["short_link"], record=dict)
        self.clicks = Collection(
            context,
            id_field=None,
            record=dict,
            list_key="metrics",
            filters={
                "from": since("created_at"),
                "to": until("created_at"),
                "phone": phone("phone"),
                "utm_campaign": exact("utm_campaign"),
            },
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        return (
            Route("POST", "/v1/short-links", "campaigns:write", self._create, charged=True),
            Route("GET", "/v1/short-links/metrics", "campaigns:read", self.clicks.list),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.links.reset()
        self.clicks.reset()

    def _create(self, call: Call) -> Reply:
        given = json_object(call.body)
        for name in ("link", "fallback_url"):
            if not given.get(name, "https://").startswith("https://"):
                raise invalid(name, "an https URL is needed")
        self._context.charge(_PRICE, _TYPE, "Short link")
        link = _HOST + self._hashes.make(len(self.links)).replace("-", "")[:9]
        self.links.add({**given, "short_link": link})
        return Reply.of(200, {"short_link": link})

    def click(self, link: str) -> str | None:
        """Open a short link, and return where it leads: to its fallback, or nowhere, if it has expired.

        Raises:
            KeyError: There is no such link.
        """
        if link not in self.links:
            raise KeyError(link)
        record, now = self.links.find(link), self._context.date()
        if "expiration_time" in record and _time(record["expiration_time"]) <= now:
            fallback: str | None = record.get("fallback_url")
            return fallback
        self.clicks.add(
            {
                "latitude": 59.3247,
                "longitude": 18.056,
                "operating_system": "Mac OS X 10.15",
                "browser": "Firefox",
                "language": "English",
                "phone": record.get("phone"),
                "utm_campaign": record.get("utm_campaign"),
                "created_at": iso(now).replace("T", " "),
                "link_hash": link.removeprefix(_HOST),
                "user_id": _ACCOUNT,
            }
        )
        target: str = record["link"]
        return target


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
