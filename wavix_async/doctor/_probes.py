"""Look up a host and open a connection to it, without a request: what the network says before the API is asked."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

__all__ = ["Probe", "probe", "read_tls_error"]

_EXPIRED, _NOT_YET_VALID = 10, 9
_SELF_SIGNED: Final = frozenset({18, 19})
_UNKNOWN_ISSUER: Final = frozenset({2, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})


@frozen(kw_only=True)
class Probe:
    """How far a connection came."""

    failed_at: Literal["dns", "connect", "tls"] | None = None
    """None: it was opened, and closed again without a byte of content."""
    summary: str = ""
    """What the system said."""
    causes: tuple[str, ...] = ()
    remedy: str | None = None
    is_certain: bool = False
    """Whether another machine would fail in the same way."""
    addresses: tuple[str, ...] = ()
    facts: dict[str, object] = field(factory=dict)


async def probe(host: str, port: int, *, tls: ssl.SSLContext | None, seconds: float) -> Probe:
    """Look up a host, connect, and if `tls` is given shake hands and check the certificate. Nothing is sent after that.

    Args:
        host: A name or an address.
        port: The port.
        tls: The TLS settings; None: a plain connection.
        seconds: The limit for the look-up, and again for the connection.
    """
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        return _dns(host, error)
    looked_up = time.perf_counter()
    addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
    facts: dict[str, object] = {"addresses": [*addresses], "dns_ms": _ms(looked_up - began)}
    try:
        async with asyncio.timeout(seconds):
            connected = await _connect_first(found)
    except (OSError, TimeoutError) as error:
        failed = _connect(host, port, error)
        return evolve(failed, addresses=addresses, facts=facts)
    facts["connect_ms"] = _ms(time.perf_counter() - looked_up)
    if tls is None:
        connected.close()
        return Probe(addresses=addresses, facts=facts)
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(sock=connected, ssl=tls, server_hostname=host)
    except (OSError, TimeoutError) as error:
        # ssl.SSLError is an OSError.
        failed = read_tls_error(host, error)
        return evolve(failed, addresses=addresses, facts=facts | failed.facts)
    facts |= _tls_facts(writer)
    # An abort says nothing more, not even a TLS goodbye for which the other side could let us wait.
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Probe(addresses=addresses, facts=facts)


async def _connect_first(found: Sequence[tuple[Any, ...]]) -> socket.socket:
    """Connect to the first of some addresses that accepts.

    Raises:
        OSError: None does.
    """
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        try:
            trying = socket.socket(family, kind, protocol)
        except OSError as error:
            # A kernel without IPv6.
            failure = error
            continue
        try:
            trying.setblocking(False)
            await loop.sock_connect(trying, address)
        except OSError as error:
            trying.close()
            failure = error
        except BaseException:
            trying.close()
            raise
        else:
            return trying
    raise failure or OSError("no address")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _tls_facts(writer: asyncio.StreamWriter) -> dict[str, object]:
    certificate, object_ = writer.get_extra_info("peercert"), writer.get_extra_info("ssl_object")
    if object_ is None:
        return {}
    facts: dict[str, object] = {"tls": object_.version()}
    if certificate and "notAfter" in certificate:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
        facts["certificate_ends"] = ends.isoformat()
    return facts


def _dns(host: str, error: Exception) -> Probe:
    number = error.errno if isinstance(error, socket.gaierror) else None
    missing = number is not None and number in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
    said = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)
    if isinstance(error, UnicodeError):
        missing, said = True, "this cannot be the name of a host"
    causes = ("the name is misspelled, or does not exist", "this machine's DNS server does not know the outside")
    if not missing:
        causes = ("this machine has no network, or its DNS server does not answer", causes[0])
    return Probe(
        failed_at="dns",
        summary=f"{host} has no address: {said}.",
        causes=causes,
        remedy=f"Check the spelling, then try `getent hosts {host}` or `nslookup {host}` on this machine. In a "
        "container, check its DNS settings; in a company network, set the proxy.",
        is_certain=missing,
    )


def _connect(host: str, port: int, error: Exception) -> Probe:
    if isinstance(error, ConnectionRefusedError):
        said, causes = "the connection is refused", ("nothing listens on that port", "a firewall refuses it")
    elif isinstance(error, TimeoutError):
        said, causes = "no answer in time", ("a firewall drops the packets", "the host is down")
    elif isinstance(error, ConnectionResetError):
        said, causes = "the connection is reset", ("a firewall resets it", "the port speaks another protocol")
    else:
        said = getattr(error, "strerror", None) or type(error).__name__
        causes = ("this machine has no route to it: no network, or no IPv6", "a firewall rejects it")
    return Probe(
        failed_at="connect",
        summary=f"Cannot connect to {host} port {port}: {said}.",
        causes=causes,
        remedy="Allow outgoing connections to this host and port, or set the proxy of your network.",
    )


def read_tls_error(host: str, error: Exception) -> Probe:
    """Return what a failed handshake means."""
    code, said = None, "no answer to the handshake in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        code, said = error.verify_code, error.verify_message
    elif isinstance(error, ssl.SSLError):
        said = error.reason or "the answer is not TLS"
    elif not isinstance(error, TimeoutError):
        said = "the connection was closed in the handshake"
    inspected = "a proxy or virus scanner reads the traffic, and shows a certificate of its own"
    trust = (
        "Get the certificate of your company's authority, and set ca_file in the profile, or pass ssl= to the client."
    )
    if code == _EXPIRED:
        causes: tuple[str, ...] = ("the certificate has expired", "this machine's clock is ahead")
        remedy = "Compare the clock of this machine (`date -u`). If it is right, the owner must renew the certificate."
    elif code == _NOT_YET_VALID:
        causes, remedy = ("this machine's clock is behind",), "Set the clock of this machine (`timedatectl`)."
    elif code in _SELF_SIGNED:
        causes = (inspected, "the host is not the one you mean: a stranger answers for it", "it is a test server")
        remedy = f"Do not switch the check off: the server could read the key. {trust}"
    elif code in _UNKNOWN_ISSUER:
        causes = (inspected, "this machine's list of authorities is missing or old", "the server sends no intermediate")
        remedy = f"Install the package `ca-certificates`. {trust}"
    elif code in _OTHER_NAME:
        causes = ("another server answers for this name (DNS, a captive portal)", "the URL has the wrong host")
        remedy = "Check the host in base_url, and what the name resolves to."
    else:
        causes = ("the port speaks no TLS", "one side allows only TLS versions that the other refuses", inspected)
        remedy = "Check the port in the URL, and the proxy."
    return Probe(
        failed_at="tls",
        summary=f"No TLS connection with {host}: {said}.",
        causes=causes,
        remedy=remedy,
        is_certain=code is not None,
        facts={} if code is None else {"verify_code": code},
    )
