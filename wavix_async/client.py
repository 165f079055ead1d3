"""`WavixClient`: the groups of operations, one lazy property each, on top of `BaseClient`."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack, cast

from wavix_async._http import BaseClient
from wavix_async.config import hide_secrets, read_profile

if TYPE_CHECKING:
    import ssl as _ssl

    import aiohttp
    from yarl import URL

    from wavix_async._instrumentation import Observer
    from wavix_async._ratelimit import RateSource
    from wavix_async.config import RetryPolicy, Timeouts
    from wavix_async.resources.api_keys import ApiKeys
    from wavix_async.resources.billing import Billing
    from wavix_async.resources.buy import Buy
    from wavix_async.resources.calls import Calls
    from wavix_async.resources.cdrs import CDRs
    from wavix_async.resources.messages import Messages
    from wavix_async.resources.numbers import Numbers
    from wavix_async.resources.profile import AccountProfile
    from wavix_async.resources.recordings import Recordings
    from wavix_async.resources.short_links import ShortLinks
    from wavix_async.resources.speech_analytics import SpeechAnalytics
    from wavix_async.resources.sub_organizations import SubOrganizations
    from wavix_async.resources.ten_dlc import TenDLC
    from wavix_async.resources.trunks import Trunks
    from wavix_async.resources.two_fa import TwoFactor
    from wavix_async.resources.validation import Validation
    from wavix_async.resources.voice_campaigns import VoiceCampaigns
    from wavix_async.resources.webrtc import WebRTC

__all__ = ["ClientOptions", "WavixClient"]


class ClientOptions(TypedDict, total=False):
    """The arguments of `WavixClient`, for functions that pass them on."""

    api_key: str | None
    base_url: str | None
    rate: "float | RateSource | None"
    retry: "RetryPolicy | None"
    timeout: "Timeouts | float | None"
    max_connections: int
    session: "aiohttp.ClientSession | None"
    proxy: "str | URL | None"
    ssl: "_ssl.SSLContext | None"
    trust_env: bool
    app_info: tuple[str, str] | None
    strict: bool
    observers: "Iterable[Observer]"
    bulk_share: float


class WavixClient(BaseClient):
    """The asyncio client of the Wavix API.

    Use it with `async with`, or call `close()`. One client serves any number of tasks, event loops and threads. Each
    loop has its own connections, which are closed when it ends; all share the limit and the retry budget.

    Args:
        api_key: The API key; default: the environment variable WAVIX_API_KEY. Errors never show it, even if an answer
            repeats it. (Keys shorter than 8 characters are not hidden; no real key is that short.)
        base_url: Default: WAVIX_BASE_URL, or https://api.wavix.com. http is accepted for loopback hosts only.
        rate: Requests per second that the account allows. None: send as fast as the API accepts, and learn the limit
            from the first 429. Clients do not share what they learn: use one client per key, and for several processes
            `wavix_async.redis.RedisRateLimit`.
        retry: When to retry a failed attempt.
        timeout: How long to wait, in seconds; a number sets the time of one attempt.
        max_connections: How many connections, and so requests on the wire, are allowed at once, in each event loop.
        session: Your own aiohttp session. The client does not close it, and switches off its hidden replay of GET, PUT
            and DELETE. Only calls of its event loop can use it. Default: the client creates a session in each loop, and
            closes it. For a proxy or TLS settings, `proxy` and `ssl` are enough.
        proxy: The URL of an HTTP proxy, such as `http://user:password@proxy.example.com:8080`. The password shows
            nowhere.
        ssl: The TLS settings, for example `ssl.create_default_context(cafile="company.pem")`. Default: the certificates
            of the system.
        trust_env: Take the proxy from the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY) when the client is created.
            `~/.netrc` is never read, and requests to this machine use no such proxy.
        app_info: The name and version of your program, such as `("my-service", "1.2")`, to add to the User-Agent.
        strict: Raise `DecodeError` if an answer is not as documented, instead of keeping the values as received.
        observers: Called with every event: attempts, retries, pauses, rate changes, drift, bulk runs; in the thread in
            which it happens.
        bulk_share: The share of the rate and of the connections that bulk runs keep while other calls wait, too. Other
            calls go first, so a run of any size delays none of them by more than a few requests.

    Raises:
        ConfigurationError: A setting is missing or wrong; the message names it and says what to do.
    """

    @classmethod
    def from_profile(cls, profile: str | None = None, /, **settings: Unpack[ClientOptions]) -> Self:
        """Make a client from a profile: a table of settings, by its name, in the user's file.

            async with WavixClient.from_profile("eu") as wavix:
                number = await wavix.numbers.get(1001)

        The file is the one in WAVIX_CONFIG, else `wavix/config.toml` in XDG_CONFIG_HOME or `~/.config`. A profile has
        `api_key` or `api_key_command`, and may have `base_url`, `rate`, `proxy`, `trust_env`, `ca_file`, `timeout`,
        `deadline`, `max_connections`, `bulk_share` and `strict`. Each setting comes from the first that has it:
        `settings`, the environment (WAVIX_API_KEY, WAVIX_BASE_URL), the profile, the default. It reads the file, and
        runs `api_key_command` (at most 30 seconds), before it returns: call it before the event loop is busy.

        Args:
            profile: The name of the profile. Default: the one in WAVIX_PROFILE, or `default`.
            **settings: Arguments of `WavixClient`, in place of those of the profile.

        Raises:
            ConfigurationError: There is no such file or profile, a setting is wrong, other users can read a key in the
                file, `api_key_command` failed, or you name a profile with a key while WAVIX_API_KEY has another.
        """
        return cls(**read_profile(profile, hide_secrets(cast("dict[str, Any]", settings))).arguments)

    # A group and its models are imported on first use: a program that uses one group does not load twenty.

    @cached_property
    def api_keys(self) -> "ApiKeys":
        """API keys: `/v1/api-keys`."""
        from wavix_async.resources.api_keys import ApiKeys

        return ApiKeys(self)

    @cached_property
    def billing(self) -> "Billing":
        """Transactions and statements of the account: `/v1/billing`."""
        from wavix_async.resources.billing import Billing

        return Billing(self)

    @cached_property
    def buy(self) -> "Buy":
        """Phone numbers to buy, and the cart: `/v1/buy`."""
        from wavix_async.resources.buy import Buy

        return Buy(self)

    @cached_property
    def calls(self) -> "Calls":
        """Calls: `/v1/calls`."""
        from wavix_async.resources.calls import Calls

        return Calls(self)

    @cached_property
    def cdrs(self) -> "CDRs":
        """Call detail records: `/v1/cdrs`."""
        from wavix_async.resources.cdrs import CDRs

        return CDRs(self)

    @cached_property
    def messages(self) -> "Messages":
        """SMS and MMS messages: `/v3/messages`."""
        from wavix_async.resources.messages import Messages

        return Messages(self)

    @cached_property
    def numbers(self) -> "Numbers":
        """Phone numbers: `/v1/numbers`."""
        from wavix_async.resources.numbers import Numbers

        return Numbers(self)

    @cached_property
    def profile(self) -> "AccountProfile":
        """The account's profile, balance and limits: `/v1/profile`."""
        from wavix_async.resources.profile import AccountProfile

        return AccountProfile(self)

    @cached_property
    def recordings(self) -> "Recordings":
        """Recordings of calls: `/v1/recordings`."""
        from wavix_async.resources.recordings import Recordings

        return Recordings(self)

    @cached_property
    def short_links(self) -> "ShortLinks":
        """Short links and their clicks: `/v1/short-links`."""
        from wavix_async.resources.short_links import ShortLinks

        return ShortLinks(self)

    @cached_property
    def speech_analytics(self) -> "SpeechAnalytics":
        """Transcriptions of uploaded files: `/v1/speech-analytics`."""
        from wavix_async.resources.speech_analytics import SpeechAnalytics

        return SpeechAnalytics(self)

    @cached_property
    def sub_organizations(self) -> "SubOrganizations":
        """Sub-organizations (sub-accounts): `/v1/sub-organizations`."""
        from wavix_async.resources.sub_organizations import SubOrganizations

        return SubOrganizations(self)

    @cached_property
    def ten_dlc(self) -> "TenDLC":
        """10DLC, the registration of senders in the US: `/v3/10dlc`."""
        from wavix_async.resources.ten_dlc import TenDLC

        return TenDLC(self)

    @cached_property
    def trunks(self) -> "Trunks":
        """SIP trunks: `/v1/trunks`."""
        from wavix_async.resources.trunks import Trunks

        return Trunks(self)

    @cached_property
    def two_fa(self) -> "TwoFactor":
        """Two-factor authentication: `/v1/two-fa`."""
        from wavix_async.resources.two_fa import TwoFactor

        return TwoFactor(self)

    @cached_property
    def validation(self) -> "Validation":
        """Validations of phone numbers: `/v1/validation`."""
        from wavix_async.resources.validation import Validation

        return Validation(self)

    @cached_property
    def voice_campaigns(self) -> "VoiceCampaigns":
        """Outbound calls that run an approved call flow: `/v1/voice-campaigns`."""
        from wavix_async.resources.voice_campaigns import VoiceCampaigns

        return VoiceCampaigns(self)

    @cached_property
    def webrtc(self) -> "WebRTC":
        """Calls in browsers: `/v2/webrtc`."""
        from wavix_async.resources.webrtc import WebRTC

        return WebRTC(self)

    # Type checkers report wrong names by themselves; they must not see a method that accepts any name.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            kind = type(self)
            if name.startswith("_"):
                raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}", name=name)
            if hasattr(kind, name):
                # The property exists, but its code raised AttributeError: show that error.
                return object.__getattribute__(self, name)
            # Without `obj`: with it, Python would add a second "Did you mean".
            raise AttributeError(_no_such_name(kind, name), name=name)


def _no_such_name(client: type, name: str) -> str:
    """Return the error message for a missing attribute: what the client has, and how to call other operations."""
    import difflib

    groups = [key for key in dir(client) if isinstance(getattr(client, key), cached_property)]
    # Do not suggest `call`: the text names it anyway, and it is close to `calls`, a group of the API.
    names = [key for key in dir(client) if not key.startswith("_") and key != "call"]
    close = difflib.get_close_matches(name, names, n=1)
    return (
        f"{client.__name__} has no {name!r}."
        + (f" Did you mean {close[0]!r}?" if close else "")
        + f" Its groups of operations: {', '.join(groups)}."
        + " To call an operation without a method:"
        + ' await wavix.call(Operation("GET", "/v1/...", dict)), with Operation from wavix_async.'
    )
