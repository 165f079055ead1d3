"""`doctor`: from the settings over the network to the account, each check with what it saw, its causes and a remedy."""

import asyncio
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Unpack, cast

import aiohttp
from attrs import define, evolve, field, frozen
from yarl import URL

from wavix_async._http import Receipt, Redactor, choose_proxy
from wavix_async._ratelimit import answered_at, rate_hint
from wavix_async.client import ClientOptions, WavixClient
from wavix_async.config import (
    DEFAULT_BASE_URL,
    ResolvedSettings,
    RetryPolicy,
    Timeouts,
    hide_secrets,
    is_loopback,
    read_api_key,
    resolve_settings,
)
from wavix_async.doctor._probes import Probe, probe, read_tls_error
from wavix_async.doctor._report import CheckStatus, Finding, Report
from wavix_async.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    DecodeError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    WavixError,
)

__all__ = ["doctor"]

_OK, _WARNING, _FAILED, _SKIPPED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED, CheckStatus.SKIPPED
_SECONDS: Final = 10.0
"""The limit for each connection and each call; a timeout of the caller that is shorter takes its place."""
_CLOCK_OFF: Final = 5.0
_SLOW: Final = 2.0
_MOST_WEBHOOKS: Final = 20
_SHORTEST_KEY: Final = 16
_PLACEHOLDER: Final = re.compile(
    r"<|>|\.\.\.|…|\byour\b|^\$|\$\{|^(api[_-]?key|key|secret|token|x+|changeme)$", re.IGNORECASE
)
# "Missing email address" speaks of another one.
_ABOUT_ADDRESS: Final = re.compile(r"\bips?\b|\byour address\b|\baddress (is )?not\b", re.IGNORECASE)
_VERSION: Final = re.compile(r"/v\d+$")
_WEBHOOK_REMEDIES: Final = {
    "dns": "Correct the host in the URL, or its DNS entry.",
    "connect": "Try it from another network. Start the server, open its firewall for Wavix "
    "(`wavix_async.webhooks.WAVIX_NETWORKS`), or set another URL.",
    "tls": "Give the server a certificate of a public authority for this name, with its intermediates, or correct the "
    "URL.",
}
_NO_READ: Final = ("two_fa", "validator")
"""Groups without a GET that is free of charge and needs no id."""


async def doctor(profile: str | None = None, /, *, webhooks: bool = True, **settings: Unpack[ClientOptions]) -> Report:
    """Examine the settings, the network, the key and the account, and say what is wrong and what to do.

        print(await doctor())

    It takes the settings as the command line does: from the arguments, the environment and a profile, and the proxy of
    the environment unless you pass `trust_env=False`. It changes nothing: to the API go about twelve GETs, each once.
    To a webhook URL it only opens a connection, without a request, because a GET could already start something there.

    Args:
        profile: The name of a profile. Default: the one in WAVIX_PROFILE, if any.
        webhooks: Whether to connect to the webhook URLs of the account.
        **settings: Arguments of `WavixClient`, in place of those of the profile.

    Returns:
        The findings. `print` shows one line for each; `to_json()` is for support. An error of the API or of the network
        is a finding, and is not raised.
    """
    found = None
    try:
        found = resolve_settings(profile, hide_secrets(cast("dict[str, Any]", settings)))
        found = evolve(found, arguments={"trust_env": not found.arguments.get("session"), **found.arguments})
        wavix = WavixClient(**found.arguments)
    except ConfigurationError as error:
        return Report(findings=(_wrong_setting(str(error), found),))
    examination = _Examination(wavix, found)
    async with wavix:
        with wavix.record(keep=100) as calls:
            examination.calls = calls
            await examination.run(webhooks=webhooks)
    redactor = Redactor(read_api_key(found.arguments.get("api_key")))
    return Report(findings=tuple(_hide(each, redactor) for each in examination.findings))


def _hide(finding: Finding, redactor: Redactor) -> Finding:
    return evolve(
        finding,
        summary=redactor.hide(finding.summary),
        causes=redactor.hide(finding.causes),
        facts=redactor.hide(dict(finding.facts)),
    )


def _wrong_setting(message: str, found: ResolvedSettings | None) -> Finding:
    """Return the finding for settings with which no client can be made; the message says what to do."""
    if message.startswith("api_key is missing"):
        others = ", ".join(found.others) if found else ""
        return Finding(
            check="key",
            status=_FAILED,
            summary="There is no API key.",
            causes=(
                "WAVIX_API_KEY is not set in this process, and no profile is named"
                + (f": the file has {others}" if others else ""),
            ),
            remedy="Set WAVIX_API_KEY, or write a profile and name it with --profile or WAVIX_PROFILE.",
        )
    name = message.partition(" ")[0]
    message = found.name_source(message) if found else message
    if name == "base_url" and "must use https" in message:
        return Finding(
            check="url",
            status=_FAILED,
            summary="The base URL uses http, and its host is not this machine.",
            causes=(f"the URL from {found.url_from if found else 'base_url'} has http:// instead of https://",),
            remedy=f"{message} Nothing was sent.",
        )
    check = {"base_url": "url", "api_key": "key"}.get(name, "proxy" if "proxy" in name.lower() else "settings")
    return Finding(check=check, status=_FAILED, summary="The settings cannot be used.", remedy=message)


@frozen(kw_only=True)
class _Group:
    """A group of operations with a scope of its own, and a read that shows whether the key may use it."""

    scope: str
    read: Callable[[WavixClient], Awaitable[object]]


_GROUPS: Final[Sequence[_Group]] = (
    _Group(scope="account", read=lambda wavix: wavix.profile.get()),
    _Group(scope="billing", read=lambda wavix: wavix.billing.invoices.list(per_page=1)),
    _Group(scope="numbers", read=lambda wavix: wavix.numbers.list(per_page=100)),
    _Group(scope="messages", read=lambda wavix: wavix.messages.sender_ids.list()),
    _Group(scope="calls", read=lambda wavix: wavix.calls.list()),
    _Group(scope="webhooks", read=lambda wavix: wavix.calls.webhooks.list()),
    _Group(scope="trunks", read=lambda wavix: wavix.trunks.list(per_page=1)),
    _Group(scope="recordings", read=lambda wavix: wavix.recordings.list(per_page=1)),
    _Group(scope="campaigns", read=lambda wavix: wavix.ten_dlc.subscriptions.list()),
    _Group(scope="embeddable", read=lambda wavix: wavix.webrtc.tokens.list(per_page=1)),
    _Group(scope="subaccounts", read=lambda wavix: wavix.sub_organizations.list(per_page=1)),
)


@define
class _Examination:
    wavix: WavixClient
    settings: ResolvedSettings
    findings: list[Finding] = field(factory=list)
    calls: Sequence[Receipt[Any]] = ()
    read: dict[str, Any] = field(factory=dict)
    """What the reads returned, by scope."""
    refused: dict[str, WavixError] = field(factory=dict)
    unclear: dict[str, WavixError] = field(factory=dict)
    before: float = 0.0
    proxy: URL | None = None
    knows_names: bool = False
    """Whether the DNS of this machine has found a name of the outside."""

    def add(self, check: str, status: CheckStatus, summary: str, **more: Any) -> None:
        self.findings.append(Finding(check=check, status=status, summary=summary, **more))

    @property
    def url(self) -> URL:
        return URL(self.wavix.base_url)

    @property
    def seconds(self) -> float:
        return min(_SECONDS, self.wavix.timeouts.attempt)

    @property
    def is_local(self) -> bool:
        """Whether the API is on this machine, as a sandbox is."""
        return is_loopback(self.url.host or "")

    def tls(self, url: URL) -> ssl.SSLContext | None:
        context: ssl.SSLContext | None = self.settings.arguments.get("ssl")
        return (context or ssl.create_default_context()) if url.scheme == "https" else None

    async def run(self, *, webhooks: bool) -> None:
        self.say_settings()
        connected = await self.connect()
        if connected and await self.ask():
            await self.read_groups()
            self.judge_groups()
        if len(self.calls) and self.calls[-1].status is not None:
            self.judge_clock()
            self.judge_rate()
        if self.read and webhooks:
            await self.check_webhooks()

    # --- settings and key ---

    def say_settings(self) -> None:
        found = self.settings
        profile = f"Profile {found.profile!r}. " if found.profile else ""
        summary = f"{profile}The key is from {found.key_from}, the URL {self.url} from {found.url_from}."
        self.add("settings", _OK, summary, facts={"profile": found.profile, "base_url": str(self.url)})
        if _VERSION.search(self.url.path):
            self.add(
                "url",
                _WARNING,
                f"The base URL ends with {self.url.name}, and each call adds its version to it.",
                causes=("the URL was copied from the documentation of one call",),
                remedy=f"Use {_VERSION.sub('', str(self.url))}.",
            )
        problem = _key_problem(read_api_key(found.arguments.get("api_key")), is_live=not self.is_local)
        if problem is not None:
            self.add(
                "key",
                _WARNING,
                f"The key does not look like one: {problem}.",
                causes=("it was not copied as a whole, or with something around it",),
                remedy=f"Copy the key again, into {found.key_from.removeprefix('the ')}.",
            )

    # --- network ---

    async def connect(self) -> bool:
        """Check the proxy or the way to the API; return whether calls can be tried."""
        arguments = self.settings.arguments
        if arguments.get("session") is not None:
            self.add("proxy", _SKIPPED, "Your own session connects: its proxy and TLS settings are not examined.")
            return True
        trust_env = bool(arguments.get("trust_env"))
        proxy = choose_proxy(arguments.get("proxy"), self.url, trust_env=trust_env)
        host, port = self.url.raw_host or "", self.url.port or 443
        if proxy is None:
            self.add("proxy", _OK, "No proxy is set; the connection is direct.")
            return self.judge_probe(await probe(host, port, tls=self.tls(self.url), seconds=self.seconds))
        self.proxy = proxy.url
        found = await probe(proxy.url.host or "", proxy.url.port or 80, tls=self.tls(proxy.url), seconds=self.seconds)
        if found.failed_at is None:
            summary = f"The proxy {proxy.url} accepts connections."
            if arguments.get("proxy") is None:
                summary += " It is from the environment: a client uses it with trust_env=True only."
            self.add("proxy", _OK, summary, facts=found.facts)
            return True
        self.add(
            "proxy",
            _FAILED,
            f"The proxy {proxy.url} cannot be used. {found.summary}",
            causes=("its URL has https:// instead of http://", *found.causes)
            if found.failed_at == "tls"
            else ("the proxy is down", "its host or port is wrong", "the environment names a proxy of another network"),
            remedy="Check the setting `proxy`, or HTTPS_PROXY and ALL_PROXY. If this network needs no proxy, unset "
            f"them, or add {host} to NO_PROXY.",
            facts=found.facts,
        )
        return False

    def judge_probe(self, found: Probe) -> bool:
        host = self.url.host
        more = {"causes": found.causes, "remedy": found.remedy, "facts": found.facts}
        if found.failed_at == "dns":
            self.add("dns", _FAILED, found.summary, **more)
            return False
        self.knows_names = not self.is_local and host not in found.addresses
        self.add("dns", _OK, f"{host} is {', '.join(found.addresses[:4])}.", facts=found.facts)
        if found.failed_at is not None:
            self.add(found.failed_at, _FAILED, found.summary, **more)
            return False
        if "tls" in found.facts:
            ends = found.facts.get("certificate_ends")
            self.add(
                "tls", _OK, f"{found.facts['tls']}; the certificate is trusted, and ends {ends}.", facts=found.facts
            )
        else:
            self.add("tls", _OK, "None: http, to this machine only.")
        return True

    # --- the API ---

    async def call(self, read: Callable[[WavixClient], Awaitable[object]]) -> object:
        times = Timeouts(attempt=self.seconds, connect=self.seconds, deadline=2 * self.seconds)
        self.before = time.time()
        return await read(self.wavix.with_options(retry=RetryPolicy.none(), timeout=times))

    async def ask(self) -> bool:
        """Make the first call, which shows whether the key works; return whether more calls make sense."""
        try:
            await self.call(lambda wavix: wavix.profile.config.get())
        except PermissionDeniedError as error:
            self.refused["account"] = error
            about_address = _is_about_address(error)
            if error.is_page:
                self.blame_page(error)
            elif about_address:
                self.blame_address(error)
            if error.is_page or about_address:
                return False
        except WavixError as error:
            self.judge_failure(error)
            return False
        first = self.calls[-1]
        status = f"HTTP {first.status} for GET /v1/profile/config after {first.elapsed * 1000:.0f} ms"
        slow = first.elapsed > _SLOW
        self.add(
            "api",
            _WARNING if slow else _OK,
            f"{status}, with the connection.",
            causes=("the network or a proxy is slow", "the API is busy") if slow else (),
            remedy="Run it again later, and from another network." if slow else None,
            facts={"status": first.status, "request_id": first.request_id, "first_ms": round(first.elapsed * 1000, 1)},
        )
        return True

    def blame_page(self, error: APIError) -> None:
        is_outage = (error.status or 0) >= 500
        self.add(
            "api",
            _FAILED,
            f"HTTP {error.status} with a page instead of JSON: something between this machine and the API answered.",
            causes=(
                *(("an outage of the API",) if is_outage else ()),
                "a firewall before the API blocks this machine's address",
                "a company proxy or a captive portal answers in place of the API",
                "base_url names a host that is not the API",
            ),
            remedy="Wait and try again. " * is_outage
            + f"Open {self.url} from another network; ask the administrator of this one; check base_url.",
            temporary=is_outage,
            facts=_facts(error),
        )

    def judge_failure(self, error: WavixError) -> None:
        """Add the finding for a first call that failed."""
        facts = _facts(error)
        said = _said(error)
        if isinstance(error, APIError) and error.is_page and not isinstance(error, RateLimitError):
            self.blame_page(error)
        elif isinstance(error, AuthenticationError):
            self.judge_401(error)
        elif isinstance(error, RateLimitError):
            self.blame_rate(error)
        elif isinstance(error, ServerError):
            self.add(
                "api",
                _FAILED,
                f"{said} The API or a proxy before it has a fault.",
                causes=("an outage of the API", "a proxy cannot reach it"),
                remedy="Wait and try again. If it lasts, give the request id to Wavix support.",
                temporary=True,
                facts=facts,
            )
        elif isinstance(error, ConnectError):
            self.judge_connect_error(error, facts)
        elif isinstance(error, NotFoundError | DecodeError) or 300 <= (error.status or 0) < 400:
            self.add(
                "url",
                _FAILED,
                f"{said} This is not an answer of the API to GET /v1/profile/config.",
                causes=(
                    "base_url names another host or path",
                    "a captive portal answers in place of the API",
                    *(("the answer was cut on its way",) if isinstance(error, DecodeError) else ()),
                ),
                remedy=f"Set base_url to {DEFAULT_BASE_URL}, or leave it out (it is from {self.settings.url_from}).",
                facts=facts,
            )
        elif isinstance(error, APIError):
            cause, remedy = "the API rejects a plain read", "Give the request id to Wavix support."
            if error.status == 402:
                cause, remedy = "the balance does not cover the call", "Top up the account."
            self.add("api", _FAILED, said, causes=(cause,), remedy=remedy, facts=facts)
        else:
            self.judge_no_answer(error, facts)

    def judge_no_answer(self, error: WavixError, facts: dict[str, object]) -> None:
        proxied = () if self.proxy is None else (f"the proxy {self.proxy} does not pass on what it gets",)
        if "not valid HTTP" in str(error):
            self.add(
                "url",
                _FAILED,
                f"{_without_outcome(error)}.",
                causes=("the port in base_url is that of another service", *proxied, "a firewall answers for the API"),
                remedy=f"Check the port in {self.url} (it is from {self.settings.url_from}), and the proxy.",
                facts=facts,
            )
            return
        short = (f"the time limit of {self.seconds:g} s is too short",) if self.seconds < _SECONDS else ()
        causes = (*short, *proxied, "the network loses packets", "the API is overloaded", "a firewall cuts connections")
        self.add(
            "api",
            _FAILED,
            f"No answer: {_without_outcome(error)}.",
            causes=causes,
            remedy="Try again; then try another network.",
            temporary=True,
            facts=facts,
        )

    def blame_address(self, error: APIError) -> None:
        self.add(
            "ip",
            _FAILED,
            f"{_said(error)} The API refuses this machine's address.",
            causes=("the key is restricted to IP addresses, and this machine's public address is not among them",),
            remedy="Add the public address of this machine to the key's IP list: `wavix-async api-keys update`.",
            facts=_facts(error),
        )

    def judge_401(self, error: AuthenticationError) -> None:
        if _is_about_address(error):
            self.blame_address(error)
            return
        self.add(
            "key",
            _FAILED,
            f"{_said(error)} The API does not accept the key.",
            causes=(
                f"the key from {self.settings.key_from} is wrong, incomplete, switched off or deleted",
                "the key is restricted to IP addresses, and this machine's public address is not among them",
                "it is the key of another system, of the sandbox, or of a suspended sub-organization",
            ),
            remedy="Compare the key with the portal. List the keys with one that works (`wavix-async api-keys list`), "
            "and compare `permitted_ips` with the public address of this machine.",
            facts=_facts(error),
        )
        self.add("ip", _SKIPPED, "The API answers 401 to a wrong key and to a wrong address alike: see the line above.")

    def judge_connect_error(self, error: ConnectError, facts: dict[str, object]) -> None:
        cause = error.__cause__
        if isinstance(cause, aiohttp.ClientConnectorCertificateError) and isinstance(
            cause.certificate_error, ssl.SSLError
        ):
            found = read_tls_error(self.url.host or "", cause.certificate_error)
            self.add("tls", _FAILED, found.summary, causes=found.causes, remedy=found.remedy, facts=found.facts)
            return
        through = self.proxy is not None or "through the proxy" in str(error)
        self.add(
            "proxy" if through else "connect",
            _FAILED,
            f"{_without_outcome(error)}.",
            causes=(
                "the proxy wants a login, or another one",
                "the proxy does not allow this host",
                "the proxy cannot reach or look up this host",
            )
            if through
            else ("the connection broke while it was made",),
            remedy="Check the login in the URL of the proxy, and ask its administrator to allow this host."
            if through
            else "Try again; then try another network.",
            facts=facts,
        )

    # --- scopes ---

    async def read_groups(self) -> None:
        for group in _GROUPS:
            try:
                self.read[group.scope] = await self.call(group.read)
            except PermissionDeniedError as error:
                # A page is the answer of a firewall, and says nothing about the key.
                (self.unclear if error.is_page else self.refused)[group.scope] = error
            except (RateLimitError, AuthenticationError) as error:
                self.judge_failure(error)
                return
            except WavixError as error:
                self.unclear[group.scope] = error

    def judge_groups(self) -> None:
        if not any(each.check == "key" and each.status is _FAILED for each in self.findings):
            self.add("key", _OK, "The API accepts the key.")
            self.add("ip", _OK, "The API accepts the key from this machine's address.")
        scopes = [group.scope for group in _GROUPS]
        tried = [scope for scope in scopes if scope in self.read or scope in self.refused]
        untried = [scope for scope in scopes if scope not in tried and scope not in self.unclear]
        facts: dict[str, object] = {
            "read": sorted(self.read),
            "refused": {scope: error.reason for scope, error in self.refused.items()},
            "unclear": {scope: type(error).__name__ for scope, error in self.unclear.items()},
        }
        note = f"Not tried: {', '.join((*untried, *_NO_READ))}. Whether it may write, only a write would show."
        if self.unclear:
            # No text of an answer: it may have data of the account.
            unclear = (f"{scope} (HTTP {error.status or 'none'})" for scope, error in self.unclear.items())
            note = f"No clear answer: {', '.join(unclear)}. {note}"
        if not self.refused:
            self.add(
                "scopes",
                _WARNING if self.unclear else _OK,
                f"The key may read {len(tried)} of {len(_GROUPS)} groups. {note}",
                causes=("the API has a fault there", "a proxy or the network breaks answers") if self.unclear else (),
                remedy="Try again. If it lasts, give the request ids to Wavix support." if self.unclear else None,
                facts=facts,
            )
            return
        said = next((f" ({error.reason})" for error in self.refused.values() if error.reason), "")
        refused = ", ".join(f"{scope}:read" for scope in self.refused)
        nothing = not self.read
        causes = [
            f"the key lacks the scope{'s' * (len(self.refused) > 1)} {refused}",
            "the account lacks the feature: numbers, trunks, 10DLC and others need a Flex Pro account",
        ]
        if nothing:
            causes.append("the account is blocked, or the address of this machine is not allowed")
        self.add(
            "scopes",
            _FAILED if nothing else _WARNING,
            f"HTTP 403{said} for {len(self.refused)} of {len(tried)} groups: {', '.join(self.refused)}. {note}",
            causes=tuple(causes),
            remedy="If you need these groups, give the key their scopes in the portal (or with `wavix-async api-keys "
            "update` and another key), or ask Wavix to enable the feature.",
            facts=facts,
        )

    # --- what the headers say ---

    def judge_clock(self) -> None:
        last = self.calls[-1]
        date = answered_at(last.headers)
        if date is None:
            self.add("clock", _SKIPPED, "The answer has no Date.")
            return
        # The server cuts its time to a second.
        then = date.timestamp()
        off = min(0.0, then + 1 - self.before) if then < self.before else max(0.0, then - time.time())
        facts = {"off_seconds": round(off, 1)}
        if abs(off) < _CLOCK_OFF:
            self.add("clock", _OK, "This machine's clock agrees with the API's.", facts=facts)
            return
        self.add(
            "clock",
            _WARNING,
            f"This machine's clock is {abs(off):,.0f} s {'behind' if off > 0 else 'ahead of'} the API's.",
            causes=(
                "this machine does not set its clock by the network",
                "a proxy sends an old answer with an old Date",
            ),
            remedy="Switch on NTP (`timedatectl set-ntp true`). A wrong clock makes certificates invalid, and dates in "
            "filters and reports wrong.",
            facts=facts,
        )

    def blame_rate(self, error: RateLimitError) -> None:
        wait = "" if error.retry_after is None else f" It asks to wait {error.retry_after:,.0f} s."
        said = f"HTTP {error.status}: the API takes no more requests for now.{wait}"
        self.add(
            "rate",
            _FAILED,
            said if error.status is not None else f"No request left in time: {error}",
            causes=(
                "other programs use the same account at the same time",
                "`rate` is not set, or is above what the account allows",
                "a proxy on the way limits the rate",
            ),
            remedy="Wait, and set `rate` to what your account allows. Several processes share one limit with "
            "wavix_async.redis.RedisRateLimit. Ask Wavix for a higher limit.",
            temporary=True,
            facts={**_facts(error), "retry_after": error.retry_after},
        )

    def judge_rate(self) -> None:
        if any(each.check == "rate" for each in self.findings):
            return
        last, limit = self.calls[-1], self.wavix.limits.snapshot()
        hint = rate_hint(last.headers, time.time())
        rate = "no rate is set: the client learns it from the first 429"
        if limit.rate is not None:
            rate = f"the client sends at most {limit.rate:g} requests per second ({limit.source})"
        facts: dict[str, object] = {"rate": limit.rate, "source": limit.source}
        if hint is None:
            self.add("rate", _OK, f"The API sends no rate headers; {rate}.", facts=facts)
            return
        facts |= {"remaining": hint.remaining, "limit": hint.limit, "reset": hint.reset, "window": hint.window}
        parts = {"limit": hint.limit, "left": hint.remaining, "seconds until the reset": hint.reset}
        shown = ", ".join(f"{name} {value:g}" for name, value in parts.items() if value is not None)
        self.add("rate", _OK, f"Rate headers: {shown}; {rate}.", facts=facts)

    # --- webhooks ---

    async def check_webhooks(self) -> None:
        places: dict[str, set[str]] = {}
        bad: list[str] = []
        for use, text in self.webhook_urls():
            origin = _origin(text)
            if origin is not None:
                places.setdefault(origin, set()).add(use)
            elif text.strip():
                bad.append(use)
        if bad:
            self.add(
                "webhook",
                _FAILED,
                f"{len(bad)} webhook URL{'s are' if len(bad) > 1 else ' is'} not an http or https URL "
                f"({', '.join(sorted({*bad}))}).",
                remedy="Set them again: `wavix-async profile update`, `wavix-async numbers update`.",
            )
        if not places and not bad:
            self.add("webhook", _OK, "No webhook URL is set in what this key may read (the first 100 numbers).")
        chosen = sorted(places)[:_MOST_WEBHOOKS]
        found = await asyncio.gather(*(self.check_webhook(origin, sorted(places[origin])) for origin in chosen))
        self.findings.extend(found)
        if len(places) > len(chosen):
            self.add("webhook", _SKIPPED, f"{len(places) - len(chosen)} more hosts are not tried.")

    def webhook_urls(self) -> Iterator[tuple[str, str]]:
        """Yield each URL for events, and what it is for."""
        for each in getattr(self.read.get("account"), "default_destinations", None) or ():
            yield "account", str(each.value or "")
        for each in self.read.get("webhooks") or ():
            yield "calls", each.url or ""
        for each in self.read.get("campaigns") or ():
            yield "10DLC", each.url or ""
        for number in getattr(self.read.get("numbers"), "items", None) or ():
            for url in (number.sms_relay_url, number.call_status_url):
                if url:
                    yield "numbers", url

    async def check_webhook(self, origin: str, uses: Iterable[str]) -> Finding:
        url = URL(origin)
        tls = ssl.create_default_context() if url.scheme == "https" else None
        found = await probe(url.raw_host or "", url.port or 443, tls=tls, seconds=self.seconds)
        for_ = f"{origin} ({', '.join(uses)})"
        local = not any(map(_is_public, found.addresses))
        causes, is_certain = found.causes, found.is_certain
        if found.failed_at == "dns":
            is_certain &= self.knows_names
            causes = causes[:1] if is_certain else causes
        elif found.failed_at == "tls" and is_certain:
            causes = ("its certificate is not one that the public trusts for this name", *causes)
        elif found.failed_at == "connect":
            causes = (*causes, "it admits only Wavix's addresses, and works")
        if found.failed_at is not None:
            return Finding(
                check="webhook",
                status=_FAILED if is_certain else _WARNING,
                summary=f"{for_} is not reachable from this machine. {found.summary}",
                causes=causes,
                remedy=_WEBHOOK_REMEDIES[found.failed_at],
                facts=found.facts,
            )
        if local and not self.is_local:
            # A name may have another address elsewhere.
            is_certain = url.host in (*found.addresses, "localhost")
            inside = () if is_certain else ("the name has another address inside of this network, and works",)
            return Finding(
                check="webhook",
                status=_FAILED if is_certain else _WARNING,
                summary=f"{for_} is {found.addresses[0]}, an address that only this network can reach.",
                causes=("the URL is that of a test machine", *inside),
                remedy="Set a public URL, or use a tunnel to this machine.",
                facts=found.facts,
            )
        if url.scheme == "http" and not self.is_local:
            return Finding(
                check="webhook",
                status=_WARNING,
                summary=f"{for_} accepts connections, but without encryption.",
                causes=("the URL begins with http://",),
                remedy="Use https: messages and phone numbers travel in the clear.",
                facts=found.facts,
            )
        return Finding(
            check="webhook",
            status=_OK,
            summary=f"{for_} accepts connections from this machine. No request was sent, so nothing tells whether it "
            "answers an event with 2xx, and whether Wavix reaches it.",
            facts=found.facts,
        )


def _facts(error: WavixError) -> dict[str, object]:
    return {
        "error": type(error).__name__,
        "status": error.status,
        "code": error.code,
        "reason": error.reason,
        "request_id": error.request_id,
    }


def _said(error: WavixError) -> str:
    return f"HTTP {error.status}: {error.reason.rstrip('. ')}." if error.reason else f"HTTP {error.status}."


def _without_outcome(error: WavixError) -> str:
    """Return what went wrong without what it means for a change: the doctor only reads, and tries once."""
    return re.split(r"\.? Nothing was sent|; the request may|\.? Not retried", str(error))[0].rstrip(".")


def _is_about_address(error: APIError) -> bool:
    return bool(_ABOUT_ADDRESS.search(error.reason or ""))


def _key_problem(key: str, *, is_live: bool) -> str | None:
    """Say what is wrong with the shape of a key, without showing any of it; None: nothing that a look can find."""
    if key[:7].lower() == "bearer ":
        return "it begins with `Bearer `"
    if key[:1] in "\"'`" or key[-1:] in "\"'`":
        return "it has quotes around it"
    if any(map(str.isspace, key)):
        return "it has a space in it"
    if "://" in key:
        return "it is a URL"
    if _PLACEHOLDER.search(key):
        return "it is a placeholder, or a variable that no shell has replaced"
    if is_live and key == "sandbox-key":
        return "it is the key of the sandbox, and the URL is not the sandbox's"
    if is_live and len(key) < _SHORTEST_KEY:
        return "it is very short"
    return None


def _origin(text: str) -> str | None:
    """Return scheme, host and port of a webhook URL: its path, query and login may hold a secret."""
    try:
        url = URL(text)
        return str(url.origin()) if url.scheme in {"http", "https"} and url.host else None
    except ValueError:
        return None


def _is_public(address: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(address.partition("%")[0]).is_global
