"""`event_key`: the key by which a receiver knows an event that it has had before."""

import hashlib
import json
from typing import Any, Final
from urllib.parse import quote

from wavix_async._codec.encoder import to_dict
from wavix_async._codec.kinds import AnswerBase

__all__ = ["BODY", "body_hash", "event_key"]

BODY: Final = ":#"
"""What follows the kind in a key that is a hash of the whole body; no other key has it."""
_LONGEST: Final = 200
"""Characters; a sender may put anything into an id."""


def event_key(kind: str, event: AnswerBase, *names: str, hashed: str | None = None) -> str:
    """Return the key of an event: its kind, and the values of these fields.

    Without one of the values, or with one that is not plain, the key is a hash of the whole body: then only an event
    that is equal in everything counts as the same.

    Args:
        kind: The name of the kind.
        event: The event.
        names: The wire names of the fields.
        hashed: The wire name of a field of which the key has a hash.
    """
    body = to_dict(event)
    values = [body.get(name) for name in names]
    if any(type(value) not in {str, int} or value == "" for value in values):
        return f"{kind}{BODY}{body_hash(body)}"
    parts = [quote(str(value), safe="", errors="surrogatepass") for value in values]
    if hashed is not None:
        parts.append(body_hash(body.get(hashed)))
    key = ":".join([kind, *parts])
    return key if len(key) <= _LONGEST else f"{kind}:{body_hash(values)}"


def body_hash(value: Any) -> str:
    """Return a hash of a JSON value that does not depend on the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]
