"""`Networks`: whether a request comes from one of a list of networks, directly or through trusted proxies."""

import ipaddress
from collections.abc import Iterable
from typing import Final, TypeAlias

from wavix_async.errors import ConfigurationError

__all__ = ["WAVIX_NETWORKS", "Networks"]

WAVIX_NETWORKS: Final = ("62.212.73.112/32",)
"""Where Wavix says that its webhooks come from, in its documentation of 2026."""

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """Some networks.

    Args:
        name: The setting, for error messages.
        networks: Networks or addresses, such as `62.212.73.112/32`; `unix` for a proxy that connects by a Unix socket.

    Raises:
        ConfigurationError: One of them is none.
    """

    def __init__(self, name: str, networks: Iterable[str]) -> None:
        if isinstance(networks, str | bytes):
            raise ConfigurationError(f"{name} must be a list of networks such as ['10.0.0.0/8'], got {networks!r}.")
        given = list(networks)
        self._unix = "unix" in given
        try:
            self._networks = [ipaddress.ip_network(each, strict=False) for each in given if each != "unix"]
        except (ValueError, TypeError):
            raise ConfigurationError(f"{name} must be networks such as '10.0.0.0/8', got {given!r}.") from None

    def __contains__(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)

    def allow(self, peer: str | None, forwarded: str | None, proxies: "Networks") -> bool:
        """Return whether a request comes from these networks.

        Args:
            peer: The address of the other end of the connection.
            forwarded: The header `X-Forwarded-For`, all its lines in one.
            proxies: The proxies whose header is believed.
        """
        # The nearest proxy added the last address; what comes before an untrusted address may be invented.
        hops = [] if forwarded is None else forwarded.split(",")
        if not peer and proxies._unix and hops:
            peer = hops.pop()
        sender = _address(peer or "")
        while sender is not None and sender in proxies and hops:
            sender = _address(hops.pop())
        return sender is not None and sender in self


def _address(text: str) -> _Address | None:
    """Return an address; some proxies add a port, and an IPv6 socket shows IPv4 addresses in IPv6."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
