"""The account's profile, balance and limits.

The vendor's documentation leaves some questions open. We assume: a field that a change leaves out keeps its value, also
in the company. The country of a company has only its code as its name, because no documentation has the ids.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy

from wavix_async.sandbox._groups.filters import Record
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._server import Call, Reply, Route, json_object

ACCOUNT_ID = 4001
_RENAMED = {"contacts": "contact_email", "time_zone": "timezone"}
"""Fields that have another name in the answer."""
_RELAYS = {"sms_relay_url": "sms", "dlr_relay_url": "dlr"}
"""The fields with the account's URLs for events, and what the answer calls each."""
_PROFILE: Record = {
    "id": ACCOUNT_ID,
    "email": "owner@example.com",
    "first_name": "Sam",
    "last_name": "Sandbox",
    "phone": "+15125550100",
    "additional_info": None,
    "contact_email": None,
    "timezone": "UTC",
    "job_title": None,
    "default_short_link_endpoint": None,
    "company_info": {
        "name": "Sandbox Ltd",
        "industry": None,
        "address": None,
        "attn_contact_name": None,
        "vat_number": None,
        "country": {"country_name": "United States", "country_id": 1},
    },
}
_LIMITS = {"max_call_duration": 3600, "max_sip_channels": 8, "max_call_rate": "99.0"}


class Profile:
    """The account.

    Args:
        context: What the sandbox gives to every group.
    """

    def __init__(self, context: Context) -> None:
        self._relays = context.relays
        self._ledger = context.ledger
        self._profile = deepcopy(_PROFILE)
        self._first_relays: dict[str, str | None] = {}
        """The URLs that a request has replaced."""

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        return (
            Route("GET", "/v1/profile", "account:read", self._get),
            Route("PUT", "/v1/profile", "account:write", self._update),
            Route("GET", "/v1/profile/config", "account:read", self._config),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self._profile = deepcopy(_PROFILE)
        for transport, url in self._first_relays.items():
            setattr(self._relays, transport, url)
        self._first_relays.clear()

    def _get(self, _: Call) -> Reply:
        urls = {transport: getattr(self._relays, transport) for transport in _RELAYS.values()}
        destinations = [{"transport": transport, "value": url} for transport, url in urls.items() if url]
        return Reply.of(200, {**self._profile, "default_destinations": destinations})

    def _config(self, _: Call) -> Reply:
        return Reply.of(200, {"balance": str(self._ledger.balance), "global_limits": _LIMITS})

    def _update(self, call: Call) -> Reply:
        for name, value in json_object(call.body).items():
            if name in _RELAYS:
                transport = _RELAYS[name]
                self._first_relays.setdefault(transport, getattr(self._relays, transport))
                setattr(self._relays, transport, value or None)
            elif name == "company_info":
                self._profile["company_info"] |= _company(value)
            else:
                self._profile[_RENAMED.get(name, name)] = value
        return self._get(call)


def _company(given: Mapping[str, str]) -> Record:
    shown: Record = {("address" if name == "billing_address" else name): value for name, value in given.items()}
    if "country_code" in shown:
        shown["country"] = {"country_name": shown.pop("country_code"), "country_id": None}
    return shown
