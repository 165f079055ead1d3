"""Options that several commands share."""

from typing import Annotated, Final

import attrs
from cyclopts import Parameter, validators

from wavix_async import WavixClient

__all__ = ["CONNECTION", "AtLeastOne", "Connection", "DryRun", "Json", "Yes"]

AtLeastOne = Annotated[int, Parameter(validator=validators.Number(gte=1))]

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", show_default=False)]


@Parameter(name="*", group="Connection")
@attrs.frozen(kw_only=True)
class Connection:
    """How to reach the API. The key is WAVIX_API_KEY's: an option would show it in the list of processes."""

    base_url: str | None = None
    """Where the API is [default: WAVIX_BASE_URL, or https://api.wavix.com]."""
    rate: float | None = None
    """Requests per second that the account allows [default: learned from refusals]."""
    timeout: float | None = None
    """Seconds for one attempt of a request [default: 30]."""

    def client(self) -> WavixClient:
        """Make the client.

        Raises:
            ConfigurationError: There is no key, or an option is out of range.
        """
        return WavixClient(base_url=self.base_url, rate=self.rate, timeout=self.timeout)


CONNECTION: Final = Connection()
