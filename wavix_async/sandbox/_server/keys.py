"""The API keys that the sandbox accepts, and what each may do."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from aiohttp import web
from attrs import define, field

_LEVELS = {"none": 0, "read": 1, "write": 2}


@define(eq=False)
class Key:
    """An API key."""

    value: str
    scopes: Mapping[str, str] | None = None
    """The access by group (`none`, `read`, `write`); None: full access."""
    active: bool = True
    permitted_ips: Collection[str] | None = None
    """Where it works; None: everywhere."""
    used_at: datetime | None = field(default=None, init=False)

    def permits(self, scope: str) -> bool:
        """Return whether the key may use operations with a scope such as `messages:read`; an empty one is for all."""
        if self.scopes is None or not scope:
            return True
        group, _, level = scope.partition(":")
        return _LEVELS[self.scopes.get(group, "none")] >= _LEVELS[level]


@define(eq=False)
class KeyRing:
    """All keys; groups of operations add those that they make."""

    date: Callable[[], datetime]
    _keys: dict[str, Key] = field(factory=dict, init=False)

    def add(self, key: Key) -> None:
        """Accept a key."""
        self._keys[f"Bearer {key.value}"] = key

    def remove(self, key: Key) -> None:
        """Accept a key no more."""
        self._keys.pop(f"Bearer {key.value}", None)

    def find(self, request: web.BaseRequest) -> Key | None:
        """Return the key of a request; None: it has none, or one that does not work there."""
        # The keys of a local sandbox protect nothing, so a plain look-up is enough.
        key = self._keys.get(request.headers.get("Authorization", ""))
        if key is None or not key.active:
            return None
        if key.permitted_ips is not None and request.remote not in key.permitted_ips:
            return None
        key.used_at = self.date()
        return key
