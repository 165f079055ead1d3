"""The settings of a number: the fields of a response that a request can set."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from wavix_async import InboundCallDestination, InputError, Number, NumberDestination, NumberUpdate
from wavix_async._files.values import KINDS, WrongValues, make_update

__all__ = ["FIELDS", "is_text", "settable_of", "settings_of", "to_json", "update_from", "update_from_json"]

FIELDS: Final = tuple(field.name for field in attrs.fields(NumberUpdate))
"""The fields that a request can set, in the order of `NumberUpdate`."""

_URLS: Final = frozenset({"sms_relay_url", "call_status_url"})


def settings_of(number: Number) -> dict[str, Any]:
    """Return the settings of a number, in wire form: a request with these values would change nothing.

    Two numbers with the same settings give equal values: destinations are sorted and hold only what a request can set,
    and a cleared URL is None. An undocumented value is returned unchanged.
    """
    settings: dict[str, Any] = {}
    for name in FIELDS:
        if name == "destinations":
            settings[name] = _routes(number.destination)
        else:
            value = getattr(number, name)
            settings[name] = None if value == "" and name in _URLS else value
    return settings


def _routes(destination: Any) -> Any:
    if not isinstance(destination, list):
        return destination
    if not all(type(each) is InboundCallDestination for each in destination):
        return [_route(each) if isinstance(each, InboundCallDestination) else each for each in destination]
    return sorted((_route(each) for each in destination), key=_rank)


def _route(destination: InboundCallDestination) -> dict[str, Any]:
    transport: Any = destination.transport
    route = {
        "destination": destination.destination,
        "priority": destination.priority,
        "transport": int(transport) if isinstance(transport, int) and type(transport) is not bool else transport,
    }
    if destination.trunk_id:
        route["trunk_id"] = destination.trunk_id
    return route


def _rank(route: dict[str, Any]) -> tuple[Any, ...]:
    priority = route["priority"]
    return (
        priority if type(priority) is int else 0,
        *(str(route.get(name)) for name in ("destination", "transport", "trunk_id")),
    )


def settable_of(number: Number) -> dict[str, Any]:
    """Return the settings of a number that a request can set, in wire form."""
    return {name: value for name, value in settings_of(number).items() if _is_settable(name, value)}


def _is_settable(name: str, value: Any) -> bool:
    if not isinstance(value, list | str):
        return type(value) in KINDS[name]
    try:
        return _round_trips(name, json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return False


# Most numbers of an account have the same few destinations and URLs.
@lru_cache(maxsize=1024)
def _round_trips(name: str, text: str) -> bool:
    try:
        make_update({name: json.loads(text)})
    except WrongValues:
        return False
    return is_text(text)


def update_from(settings: Mapping[str, Any]) -> NumberUpdate:
    """Return an update with these settings, which are in wire form.

    A URL may be any text: the account has had it, so a roll-back must be able to set it again.

    Raises:
        InputError: A request cannot set a value, such as the None of a flag that the response left out.
    """
    values = dict(settings)
    if isinstance(values.get("destinations"), list):
        try:
            values["destinations"] = [NumberDestination(**each) for each in values["destinations"]]
        except TypeError as error:
            raise InputError(f"destinations: {error}") from None
    urls = {name: values.pop(name) for name in _URLS & values.keys() if isinstance(values[name], str)}
    update = NumberUpdate(**values)
    for name, url in urls.items():
        object.__setattr__(update, name, url)
    return update


@lru_cache(maxsize=1024)
def update_from_json(text: str) -> NumberUpdate:
    """Return an update with the settings of a JSON object; cached, because most fleets repeat a few changes."""
    return update_from(json.loads(text))


def to_json(settings: Any) -> str:
    """Return settings as one line of JSON, equal for equal settings."""
    text = json.dumps(settings, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # Half a character has no bytes, so no database or file takes it: it stays an escape, as the API sent it.
    return text if is_text(text) else json.dumps(settings, separators=(",", ":"), sort_keys=True)


def is_text(value: str) -> bool:
    """Return whether a text can be written: the API may send half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
