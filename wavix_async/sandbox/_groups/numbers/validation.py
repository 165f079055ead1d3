"""Reading request bodies: the API's idea of right and wrong.

A wrong or unknown field is a 400 that names it. The live API may be more lenient with unknown fields; a sandbox that
swallowed a misspelled name would hide the mistake that it is there to show.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from wavix_async.sandbox._server.errors import ApiError, invalid

_TRANSPORTS = (1, 4, 5)
_DESTINATION_FIELDS = {"destination", "priority", "transport", "trunk_id"}


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return type(value) is int


def _is_threshold(value: Any) -> bool:
    return _is_int(value) and value >= 0


def _is_url_or_null(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "sms_enabled": _is_bool,
    "sms_relay_url": _is_url_or_null,
    "call_recording_enabled": _is_bool,
    "transcription_enabled": _is_bool,
    "transcription_threshold": _is_threshold,
    "call_status_url": _is_url_or_null,
}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = _decode(body.decode())
    except (ValueError, RecursionError):
        raise invalid("body", "malformed JSON") from None
    if not isinstance(value, dict):
        raise invalid("body", "a JSON object is needed")
    return value


def _check_destinations(value: Any) -> None:
    if not isinstance(value, list):
        raise invalid("destinations")
    for at, route in enumerate(value):
        where = f"destinations[{at}]"
        if not isinstance(route, dict):
            raise invalid(where)
        for name in route.keys() - _DESTINATION_FIELDS:
            raise invalid(f"{where}.{name}", "unknown field")
        if not isinstance(route.get("destination"), str) or not route["destination"].strip():
            raise invalid(f"{where}.destination")
        if not _is_int(route.get("priority")):
            raise invalid(f"{where}.priority")
        transport = route.get("transport")
        if not _is_int(transport) or transport not in _TRANSPORTS:
            raise invalid(f"{where}.transport")
        trunk_id = route.get("trunk_id")
        if not (trunk_id is None or _is_int(trunk_id)) or (transport == 5 and trunk_id is None):
            raise invalid(f"{where}.trunk_id")


def _changes(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in fields.items():
        if name == "destinations":
            _check_destinations(value)
            continue
        check = _CHECKS.get(name)
        if check is None:
            raise invalid(name, "unknown field")
        if not check(value):
            raise invalid(name)
    return fields


# A bulk change sends the same body over and over: it is read once, and all those numbers share one dict.
@lru_cache(maxsize=64)
def update_body(body: bytes) -> Mapping[str, Any]:
    """Read the body of `PATCH /v1/numbers/{id}`; the result is shared and must not be changed.

    Raises:
        ApiError: 400, naming what is wrong.
    """
    return _changes(_object(body)) if body else {}


def batch_body(body: bytes, limit: int | None) -> tuple[list[int], Mapping[str, Any]]:
    """Read the body of `PATCH /v1/numbers`: the ids, each once, and the changes.

    Raises:
        ApiError: 400, naming what is wrong; 422, more ids than `limit`.
    """
    fields = _object(body)
    ids = fields.pop("ids", None)
    if not isinstance(ids, list) or not ids or not all(_is_int(number_id) for number_id in ids):
        raise invalid("ids")
    if limit is not None and len(ids) > limit:
        raise ApiError(422, f"Too many ids: {len(ids)} given, at most {limit} allowed")
    return list(dict.fromkeys(ids)), _changes(fields)
