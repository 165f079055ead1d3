"""The lies of the fault server: whole answers that are wrong, each with a carried-out and a not carried-out variant.

`name` answers a request that the server has not carried out, `name_after` one that it has. Most lies give themselves
away: the answer is about another record, shows another value, or is no answer of this API at all. A client must not
take those for a success, and not for a failure where they follow a change. The others convince any client. So the table
says of each lie in which answers it shows itself, by letter:

| letter | request |
|---|---|
| G | `GET /v1/numbers/{id}` |
| P | `PATCH /v1/numbers/{id}` |
| B | `PATCH /v1/numbers` for several ids |
| D | `DELETE` of a number |
| S | `POST`: something is sent or bought |

This module runs in the server's process, so it imports the standard library alone.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

JSON: Final = "application/json; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
PAGE: Final = "<html><head><title>Sorry</title></head><body>The gateway could not do that.</body></html>"
FAR: Final = 1_000_000
"""How far another id is from the right one; no test has so many numbers."""
NESTING: Final = 100_000
ALL: Final = "GPBDS"
LATE: Final = 0.02
"""Seconds from an answer to what the server sends after it on the same connection."""


@dataclass(frozen=True)
class Asked:
    """The request of a lie, and the truth.

    Attributes:
        letter: The kind of request, see above.
        honest: The honest answer after the change.
        before: The same before the change.
        sent: The body of the request.
    """

    letter: str
    honest: Any
    before: Any
    sent: dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What the client gets.

    Attributes:
        payload: Sent as JSON, unless it is text or bytes.
        status: The status.
        content_type: The content type.
        headers: More headers.
        missing: How many bytes the Content-Length leaves out.
        raw: Bytes in place of the status line and the headers.
        before: Bytes that come before the answer.
        then: What follows on the connection: `twice` (the answer again in the same packet), `late` (the same `LATE`
            seconds later), `late_deaf` (likewise, and the server reads no more requests), `408` (a 408, then the end).
    """

    payload: Any
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    missing: int = 0
    raw: bytes | None = None
    before: bytes = b""
    then: str = ""

    @property
    def body(self) -> bytes:
        if isinstance(self.payload, bytes):
            return self.payload
        return self.payload.encode() if isinstance(self.payload, str) else json.dumps(self.payload).encode()


@dataclass(frozen=True)
class Lie:
    """One lie.

    Attributes:
        tell: Makes the answer.
        shown: The answers in which it shows itself if nothing was carried out.
        shown_after: The same if the request was carried out; an honest answer in an odd form counts.
        store: What the server stores in place of the values sent.
        only_first: Without `_after`, only the first number of a batch is not carried out.
    """

    tell: Callable[[Asked], Told]
    shown: str = ALL
    shown_after: str = ALL
    store: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    only_first: bool = False


def _each(change: Callable[[dict[str, Any]], dict[str, Any]], answer: Any) -> Any:
    """Change every record of an answer."""
    return {"items": [change(item) for item in answer["items"]]} if "items" in answer else change(answer)


def _constant(payload: Any, **how: Any) -> Callable[[Asked], Told]:
    return lambda asked: Told(payload, **how)


def _honest(**how: Any) -> Callable[[Asked], Told]:
    return lambda asked: Told(asked.honest, **how)


def _other_id(asked: Asked) -> Told:
    if asked.letter == "D":
        return Told({"success": True, "id": FAR})
    return Told(_each(lambda record: {**record, "id": record["id"] + FAR}, asked.honest))


def _without_values(asked: Asked) -> Told:
    names = set(asked.sent) - {"ids"} or {"sms_enabled", "transcription_threshold", "call_status_url"}
    return Told(_each(lambda record: {k: v for k, v in record.items() if k not in names}, asked.honest))


def _as_text(asked: Asked) -> Told:
    sent = {name: json.dumps(value) for name, value in asked.sent.items() if name != "ids"}
    return Told(_each(lambda record: {**record, **sent}, asked.honest))


def _without_first(asked: Asked) -> Told:
    return Told({"items": asked.honest["items"][1:]})


def _second_twice(asked: Asked) -> Told:
    return Told({"items": [asked.honest["items"][-1], *asked.honest["items"][1:]]})


def _foreign_item(asked: Asked) -> Told:
    first, *others = asked.honest["items"]
    return Told({"items": [{**first, "id": first["id"] + FAR}, *others]})


def _with(**fields: Any) -> Callable[[Asked], Told]:
    return lambda asked: Told({**asked.honest, **fields})


def _in_text(old: str, new: str) -> Callable[[Asked], Told]:
    return lambda asked: Told(json.dumps(asked.honest).replace(old, new, 1))


def _normalised(sent: dict[str, Any]) -> dict[str, Any]:
    """Store the next even number, as an API that knows only some values does."""
    threshold = sent.get("transcription_threshold")
    return {**sent, "transcription_threshold": threshold + 1} if isinstance(threshold, int) else sent


def _half(sent: dict[str, Any]) -> dict[str, Any]:
    return dict([item for item in sent.items() if item[0] != "ids"][:1])


def _cut_gzip(asked: Asked) -> Told:
    packed = gzip.compress(json.dumps(asked.honest).encode())
    return Told(packed[: len(packed) // 2], headers=(("Content-Encoding", "gzip"),))


LIES: Final[dict[str, Lie]] = {
    # About another record, or not with the change.
    "old_value": Lie(lambda asked: Told(asked.before), "PB", "PB"),
    "other_id": Lie(_other_id, "GPBD", "GPBD"),
    "half_record": Lie(_without_values, "GPB", "GPB"),
    "value_as_text": Lie(_as_text, "PB", "PB"),
    "missing_item": Lie(_without_first, "B", "B", only_first=True),
    "item_twice": Lie(_second_twice, "B", "B", only_first=True),
    "foreign_item": Lie(_foreign_item, "B", "B", only_first=True),
    "normalised": Lie(_honest(), "P", "P", store=_normalised),
    "half_done": Lie(_honest(), "P", "P", store=_half),
    # An error under a 200.
    "status_is_error": Lie(_constant({"status": "error", "message": "db down"})),
    "status_is_500": Lie(_constant({"status": 500, "error": "Internal Server Error"})),
    "success_is_0": Lie(lambda asked: Told({"success": 0, "id": asked.honest.get("id", 1)})),
    "null_id_and_errors": Lie(_constant({"id": None, "errors": ["no"]})),
    "error_is_text": Lie(_constant({"error": "db down"})),
    "record_and_error": Lie(_with(error="It was not saved")),
    "record_and_errors": Lie(_with(errors=["It was not saved"])),
    "refused_with_200": Lie(_constant({"success": False, "message": "It cannot be changed"}), ALL, "G"),
    # No answer of this API.
    "empty_object": Lie(_constant({}), "GPB"),
    "null": Lie(_constant("null")),
    "list": Lie(_constant(["hello"])),
    "text": Lie(_constant('"hello"')),
    "page": Lie(_constant(PAGE, content_type=HTML)),
    "page_as_json": Lie(_constant(PAGE)),
    "text_plain": Lie(_honest(content_type="text/plain")),
    "no_body": Lie(_constant(""), "GPB"),
    "nothing_204": Lie(_constant("", status=204), "GPB"),
    "nested": Lie(_constant('{"a":' * NESTING + "1" + "}" * NESTING)),
    "nested_500": Lie(_constant('{"errors":' + "[" * NESTING + "]" * NESTING + "}", status=500)),
    "cut_gzip": Lie(_cut_gzip),
    "bad_status_line": Lie(_honest(raw=b"HTTX/one 200 fine\r\n\r\n")),
    "bad_length": Lie(_honest(raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: few\r\n\r\n")),
    "short_length": Lie(_honest(missing=7)),
    # Honest answers in an odd form: only `_after` is one.
    "lone_surrogate": Lie(_in_text('"label": null', r'"label": "cut emoji \ud83d"'), "", "GPB"),
    "not_a_number": Lie(_in_text('"monthly_fee": "0.99"', '"monthly_fee": NaN'), "", "GPB"),
    "byte_order_mark": Lie(lambda asked: Told(b"\xef\xbb\xbf" + json.dumps(asked.honest).encode()), "", ALL),
    "early_hints": Lie(_honest(before=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), "", ALL),
    "answer_twice": Lie(_honest(then="twice"), "", "GPB"),
    "late_answer": Lie(_honest(then="late"), "", "GPB"),
    "late_answer_deaf": Lie(_honest(then="late_deaf"), "", "GPB"),
    "late_408": Lie(_honest(then="408"), "", ALL),
    # Nothing was carried out, and the answer says that it was.
    "silent_loss": Lie(_honest(), "", ""),
}

REFUSALS: Final = (
    *(f"status_{code}" for code in (400, 404, 409, 413, 422, 431)),
    *("html_413", "html_431", "refused_with_200"),
)
"""The API refuses. Dealt as a card it comes only before the change: a refusal after it convinces any client."""
_UNKNOWN: Final = (101, 300, 302, 303, 304, 307, 308, 408, 499, 500, 502, 504, 506, *range(520, 531), 599)
_PAGES: Final = (200, 400, 404, 405, 409, 418, 499, 503, 520)
STATUSES: Final[dict[str, tuple[str, str]]] = {
    **{f"status_{code}": (ALL, ALL) for code in _UNKNOWN},
    # A 404 under a DELETE says that the number is gone.
    **{kind: ("PBS" if kind == "status_404" else "PBDS", "") for kind in REFUSALS if kind not in LIES},
    **{f"html_{code}": (ALL, ALL) for code in _PAGES},
}
"""Kinds of the fault server that are statuses, and in which answers they show themselves, as in `Lie`."""
STOPPING: Final[dict[str, str]] = {f"html_{code}": "PDS" for code in (401, 402, 403)}
"""A firewall's page that ends a whole bulk run, with the requests in whose answer it shows that nothing was done."""

CONVINCING: Final[dict[str, str]] = {
    "silent_loss": "GPBDS",
    **{f"{kind}_after": "PBDS" for kind in (*REFUSALS, *STOPPING)},
    "old_value": "G",
    "status_404": "GD",
    "empty_object": "DS",
    "no_body": "DS",
    "nothing_204": "DS",
    "other_id": "S",
}
"""What no client can know for a lie, by kind and letter; docs/failures.md says so of each."""

KIND: Final = re.compile(rf"(?P<name>{'|'.join(LIES)})(?P<after>_after)?")


def shown(letters: str) -> dict[str, str]:
    """Return every kind that gives itself away in the answers to these requests, and to which of them."""
    table = {name: (lie.shown, lie.shown_after) for name, lie in LIES.items()} | STATUSES
    kinds = {name: undone for name, (undone, _) in table.items()}
    kinds |= {f"{name}_after": done for name, (_, done) in table.items()}
    found = {kind: "".join(letter for letter in where if letter in letters) for kind, where in kinds.items()}
    return {kind: where for kind, where in found.items() if where}
