"""Read and validate request bodies as the API does.

A wrong or unknown field gets a 400 that names it. The live API may accept unknown fields, but a sandbox that accepts a
misspelled name would hide the caller's mistake.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from wavix_async.sandbox._groups.reading import is_bool, is_int, is_url, json_object
from wavix_async.sandbox._server import ApiError, invalid

_TRANSPORTS = (1, 4, 5)
_DESTINATION_FIELDS = {"destination", "priority", "transport", "trunk_id"}


def _is_threshold(value: Any) -> bool:
    return is_int(value) and value >= 0


def _is_url_or_null(value: Any) -> bool:
    return value is None or is_url(value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "sms_enabled": is_bool,
    "sms_relay_url": _is_url_or_null,
    "call_recording_enabled": is_bool,
    "transcription_enabled": is_bool,
    "transcription_threshold": _is_threshold,
    "call_status_url": _is_url_or_null,
}


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
        if not is_int(route.get("priority")):
            raise invalid(f"{where}.priority")
        transport = route.get("transport")
        if not is_int(transport) or transport not in _TRANSPORTS:
            raise invalid(f"{where}.transport")
        trunk_id = route.get("trunk_id")
        if not (trunk_id is None or is_int(trunk_id)) or (transport == 5 and trunk_id is None):
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


# A bulk change sends the same body many times, so read it once and share one dict between all those numbers.
@lru_cache(maxsize=64)
def update_body(body: bytes) -> Mapping[str, Any]:
    """Read the body of `PATCH /v1/numbers/{id}`; the result is shared, so callers must not change it.

    Raises:
        ApiError: 400 with the field that is wrong.
    """
    return _changes(json_object(body)) if body else {}


def batch_body(body: bytes, limit: int | None) -> tuple[list[int], Mapping[str, Any]]:
    """Read the body of `PATCH /v1/numbers`: the ids, each once, and the changes.

    Raises:
        ApiError: 400 with the field that is wrong; 422, there are more ids than `limit`.
    """
    fields = json_object(body)
    ids = fields.pop("ids", None)
    if not isinstance(ids, list) or not ids or not all(is_int(number_id) for number_id in ids):
        raise invalid("ids")
    if limit is not None and len(ids) > limit:
        raise ApiError(422, f"Too many ids: {len(ids)} given, at most {limit} allowed")
    return list(dict.fromkeys(ids)), _changes(fields)
