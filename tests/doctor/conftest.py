"""For all tests of the doctor: nothing leaves this machine, neither a look-up of a name nor a connection."""

from __future__ import annotations

import ipaddress
import math
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_watching: list[Any] = []
"""While a test runs, the list that gets each address outside of this machine. An audit hook cannot be removed."""
_hooked = False


def _is_here(host: object) -> bool:
    try:
        return host is None or host == "localhost" or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "socket.connect" and isinstance(arguments[1], tuple) and not _is_here(arguments[1][0]):
        _watching[-1].append(arguments[1])


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Names outside of this machine do not exist, as without DNS; yields the connections that went out: none."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    look_up = socket.getaddrinfo

    def look_up_here(host: Any, *arguments: Any, **options: Any) -> Any:
        if not _is_here(host):
            str(host).encode("idna")
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    # A busy machine is slow, and that is no fault of what a test examines.
    monkeypatch.setattr("wavix_async.doctor._checks._SLOW", math.inf)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    left: list[Any] = []
    _watching.append(left)
    yield left
    _watching.pop()
    assert left == []


@pytest.fixture
def closed_port() -> int:
    """A port of this machine at which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
