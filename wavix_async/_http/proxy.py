"""The proxy and the TLS settings of a client: given by the caller, or a proxy from the environment."""

import ssl
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from aiohttp import hdrs
from yarl import URL

from wavix_async.config import Secret, is_loopback
from wavix_async.errors import ConfigurationError

__all__ = ["Proxy", "check_ssl", "choose_proxy", "proxy_of_environment"]

_EXAMPLE: Final = "http://proxy.example.com:8080"


class Proxy:
    """A proxy: its URL without the login, and the login as a header whose repr hides it."""

    __slots__ = ("headers", "url")

    def __init__(self, url: URL) -> None:
        self.headers: dict[str, str] | None = None
        if url.user is not None or url.password is not None:
            login = aiohttp.encode_basic_auth(Secret(url.user or ""), Secret(url.password or ""), "utf-8")
            self.headers = {hdrs.PROXY_AUTHORIZATION: Secret(login)}
        self.url: URL = url.with_user(None)

    def __repr__(self) -> str:
        return f"<Proxy {self.url}>"


def choose_proxy(given: Any, base_url: URL, *, trust_env: bool) -> Proxy | None:
    """Return the proxy of a client: the given one, or with `trust_env` the environment's; None: no proxy.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy. The message never repeats it, since it may hold a
            password.
    """
    if type(trust_env) is not bool:
        raise ConfigurationError(f"trust_env must be True or False, got {trust_env!r}.")
    if given is not None:
        return _read(given, "proxy")
    return proxy_of_environment(base_url) if trust_env else None


def proxy_of_environment(url: URL) -> Proxy | None:
    """Return the proxy that the environment sets for a URL; None: it sets none, or excepts the host.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    host = url.host or ""
    # A proxy cannot reach this machine, and would see the key: `http` is allowed for this machine only.
    if is_loopback(host):
        return None
    proxies = urllib.request.getproxies_environment()
    name = url.scheme if proxies.get(url.scheme) else "all"
    # The type checkers do not know this function of the standard library, which is as old as the other one.
    is_bypassed: Callable[[str, dict[str, str]], bool] = getattr(urllib.request, "proxy_bypass_environment")  # noqa: B009
    if not proxies.get(name) or is_bypassed(f"{host}:{url.port}", proxies):
        return None
    given = Secret(proxies.pop(name))
    proxies.clear()
    return _read(given if "://" in given else Secret(f"http://{given}"), f"{name.upper()}_PROXY")


def _read(given: Any, setting: str) -> Proxy:
    if isinstance(given, str | URL):
        given = Secret(str(given).strip())
    else:
        raise ConfigurationError(f"{setting} must be the URL of a proxy, such as {_EXAMPLE}; got a {_kind(given)}.")
    try:
        url: URL | None = URL(str(given))
        url = url if url is not None and url.host and url.port else None
    except (ValueError, IndexError):
        # The message of the parser repeats a part of the text, so it is dropped.
        url = None
    if url is not None and url.scheme.startswith("socks"):
        del url
        raise ConfigurationError(
            f"{setting} must be an HTTP proxy, such as {_EXAMPLE}. For SOCKS, pass session= with the connector of a "
            "SOCKS library."
        )
    if url is None or url.scheme not in {"http", "https"} or url.path != "/" or url.query_string or url.fragment:
        del url
        raise ConfigurationError(
            f"{setting} must be the URL of an HTTP proxy: http:// or https://, a host and a port, such as {_EXAMPLE}."
        )
    if ":" in (url.user or ""):
        del url
        raise ConfigurationError(f"{setting} has a user with a colon, which a proxy cannot read.")
    return Proxy(url)


def _kind(given: object) -> str:
    return type(given).__name__


def check_ssl(given: Any) -> ssl.SSLContext | None:
    """Return the TLS settings of a caller.

    Raises:
        ConfigurationError: `given` is not an `ssl.SSLContext`.
    """
    if given is None or isinstance(given, ssl.SSLContext):
        return given
    raise ConfigurationError(
        "ssl must be an ssl.SSLContext, for example ssl.create_default_context(cafile=...), or None; "
        f"got {given!r}. Without a check of its certificate, any server could read the API key."
    )
