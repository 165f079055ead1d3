"""Options that several commands share, and their names in messages."""

import re
from typing import Annotated, Final

import attrs
from cyclopts import Parameter, validators

from wavix_async import ConfigurationError, WavixClient
from wavix_async.config import ResolvedSettings, resolve_settings

__all__ = [
    "CONNECTION",
    "AtLeastOne",
    "Connection",
    "DryRun",
    "Json",
    "Positive",
    "Share",
    "Yes",
    "with_option_names",
]

AtLeastOne = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Positive = Annotated[float, Parameter(validator=validators.Number(gt=0))]
Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))]

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", show_default=False)]


@Parameter(name="*", group="Connection")
@attrs.frozen(kw_only=True)
class Connection:
    """How to reach the API. There is no option for the key: the list of processes would show it."""

    profile: str | None = None
    """The profile in ~/.config/wavix/config.toml to take the key and other settings from [default: WAVIX_PROFILE]."""
    base_url: str | None = None
    """The URL of the API [default: WAVIX_BASE_URL, or https://api.wavix.com]."""
    rate: Positive | None = None
    """The rate limit of the account, in requests per second [default: learned from 429 responses]."""
    timeout: Positive | None = None
    """The time limit of each attempt of a request, in seconds [default: 30]."""

    def client(self) -> WavixClient:
        """Make the client.

        Raises:
            ConfigurationError: The key is missing, or an option is out of range.
        """
        found = self.resolve()
        if found.key_from == "nowhere":
            profiles = f", or use --profile ({', '.join(found.others)})" if found.others else ""
            raise ConfigurationError(f"The API key is missing: set the environment variable WAVIX_API_KEY{profiles}.")
        try:
            return WavixClient(**{"trust_env": True, **found.arguments})
        except ConfigurationError as error:
            raise ConfigurationError(found.name_source(str(error))) from None

    def resolve(self) -> ResolvedSettings:
        """Return the settings of the client, from these options, the environment and the profile.

        Raises:
            ConfigurationError: The profile cannot be used.
        """
        return resolve_settings(self.profile, {"base_url": self.base_url, "rate": self.rate, "timeout": self.timeout})


CONNECTION: Final = Connection()

# Messages name an argument at the beginning (`base_url must use https`), or with an equals sign (`layout=`).
_SUBJECT: Final = re.compile(
    r"^(balance|base_url|burst|cdrs|concurrency|faults|latency|numbers|port|rate|seed|timeout)(?= must )"
)
_ARGUMENT: Final = re.compile(r"(?<!\S)(layout(?==)|failures_to(?=:)|max_changes|max_fraction)(=?)(?=(\d?))")
_RENAMED: Final = {"layout": "format"}


def with_option_names(message: str) -> str:
    """Return a message of the library with the names of options instead of arguments: `--format`, not `layout=`."""

    def option(found: re.Match[str]) -> str:
        return f"--{_RENAMED.get(found[1], found[1]).replace('_', '-')}"

    def option_with_value(found: re.Match[str]) -> str:
        return f"{option(found)}{' ' * bool(found[2] and found[3])}"

    return _ARGUMENT.sub(option_with_value, _SUBJECT.sub(option, message))
