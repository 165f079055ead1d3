"""`whoami`: the account of a key, its balance and its limits."""

import time
from decimal import Decimal

from attrs import frozen

from wavix_async._ratelimit import rate_hint
from wavix_async.client import WavixClient
from wavix_async.errors import PermissionDeniedError

__all__ = ["Account", "whoami"]


@frozen(kw_only=True)
class Account:
    """The account that a key belongs to. A value that the key must not read is None."""

    base_url: str
    """The API that answered."""
    id: int | None = None
    """The account's id."""
    email: str | None = None
    name: str | None = None
    """First and last name of its owner."""
    company: str | None = None
    balance: Decimal | None = None
    """USD."""
    max_call_duration: int | None = None
    """The longest outbound call in seconds."""
    max_sip_channels: int | None = None
    """Outbound calls at once."""
    max_call_rate: Decimal | None = None
    """The highest price of an outbound minute, in US cents."""
    last_statement: str | None = None
    """The days and the amount in USD of the latest statement."""
    rate: float | None = None
    """Requests per second that the client allows; None: it has not learned a limit."""
    rate_source: str = "unlimited"
    """Where that rate comes from, such as `configured` or `learned`."""
    remaining: float | None = None
    """Requests left in the window, by the headers of the last answer; None: the API sends no such headers."""
    refused: tuple[str, ...] = ()
    """The scopes that the key lacks for these values."""

    def __str__(self) -> str:
        seconds, price = self.max_call_duration, self.max_call_rate
        lines = {
            "Account": " ".join(filter(None, (str(self.id or ""), self.company, self.name, self.email))),
            "API": self.base_url,
            "Balance": None if self.balance is None else f"{self.balance} USD",
            "Calls": None
            if seconds is None
            else f"{self.max_sip_channels} at once, {seconds} s each, {price} cents a minute at most",
            "Statement": self.last_statement,
            "Rate": f"{'no limit learned' if self.rate is None else f'{self.rate:g} requests/s'} ({self.rate_source})"
            + ("" if self.remaining is None else f", {self.remaining:g} requests left"),
            "Refused": ", ".join(self.refused),
        }
        return "\n".join(f"{name:<9}  {' '.join(value.split())}" for name, value in lines.items() if value)


async def whoami(wavix: WavixClient) -> Account:
    """Read the account of a client's key: profile, balance, limits and the latest statement, with three GETs.

    Args:
        wavix: The client.

    Returns:
        The account. What the key must not read (HTTP 403) is None, and its scope is in `refused`.

    Raises:
        AuthenticationError: The key does not work.
        PermissionDeniedError: A firewall answered with a page instead of the API.
        WavixError: The API cannot be reached, or has a fault.
    """
    refused: list[str] = []
    profile = config = statement = None
    with wavix.record() as calls:
        try:
            profile = await wavix.profile.get()
            config = await wavix.profile.config.get()
        except PermissionDeniedError as error:
            _note_refusal(error, "account:read", refused)
        try:
            statement = await wavix.billing.invoices.list(limit=1).first()
        except PermissionDeniedError as error:
            _note_refusal(error, "billing:read", refused)
    limit = wavix.limits.snapshot()
    hint = rate_hint(calls[-1].headers, time.time())
    limits = None if config is None else config.global_limits
    company = None if profile is None else profile.company_info
    names = () if profile is None else (profile.first_name, profile.last_name)
    return Account(
        base_url=wavix.base_url,
        id=None if profile is None else profile.id,
        email=None if profile is None else profile.email,
        name=" ".join(filter(None, names)) or None,
        company=None if company is None else company.name,
        balance=None if config is None else config.balance,
        max_call_duration=None if limits is None else limits.max_call_duration,
        max_sip_channels=None if limits is None else limits.max_sip_channels,
        max_call_rate=None if limits is None else limits.max_call_rate,
        last_statement=None
        if statement is None
        else f"{statement.from_date} to {statement.to_date}, {statement.amount} USD",
        rate=limit.rate,
        rate_source=limit.source,
        remaining=None if hint is None else hint.remaining,
        refused=tuple(refused),
    )


def _note_refusal(error: PermissionDeniedError, scope: str, refused: list[str]) -> None:
    # A page is the answer of a firewall, and says nothing about the key.
    if error.is_page:
        raise error
    refused.append(scope)
