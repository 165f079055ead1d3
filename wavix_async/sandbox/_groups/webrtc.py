"""Tokens of the WebRTC widget. The sandbox has no calls from browsers, and any name of a SIP trunk will do."""

from collections.abc import Sequence

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.filters import Record
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import TEXT, json_object
from wavix_async.sandbox._server import Call, Reply, Route


class WebRTC:
    """Tokens with which browsers make and take calls."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.tokens = Collection(
            context,
            ids=Uuids(context.seed, "webrtc_tokens"),
            id_field="uuid",
            record=lambda given: {
                "sip_trunk": given["sip_trunk"],
                "payload": given.get("payload"),
                "ttl": given["ttl"],
            },
            rules={"sip_trunk": TEXT},
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        tokens, one = "/v2/webrtc/tokens", "/v2/webrtc/tokens/{id}"
        read, write = "embeddable:read", "embeddable:write"
        return (
            Route("GET", tokens, read, self.tokens.list),
            Route("POST", tokens, write, self._create),
            Route("GET", one, read, self.tokens.get),
            Route("PUT", one, write, self._update),
            Route("DELETE", one, write, self.tokens.delete),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.tokens.reset()

    def _create(self, call: Call) -> Reply:
        record = self.tokens.insert(self.tokens.read(call.body))
        key = record["uuid"]
        if record["ttl"] is not None:
            self._context.timers.after(record["ttl"], lambda: self._expire(key, record))
        # The token is not kept: the list and the reads do not have it.
        return Reply.of(201, {"token": f"sandbox-token-of-{key}", **record})

    def _expire(self, key: str, record: Record) -> None:
        if key in self.tokens and self.tokens.find(key) is record:
            self.tokens.remove(key)

    def _update(self, call: Call) -> Reply:
        record = self.tokens.find(call.ids[-1])
        record["payload"] = json_object(call.body)["payload"]
        return Reply.of(200, record)
