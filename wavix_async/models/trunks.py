"""SIP trunks: the requests and answers of `/v1/trunks`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, OpenStrEnum, PageQuery
from wavix_async.models.common import Page
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "AllowedIP",
    "AllowedIPSettings",
    "SIPTrunk",
    "SIPTrunkEdit",
    "SIPTrunkList",
    "SIPTrunkPage",
    "SIPTrunkSettings",
    "SIPTrunkSummary",
    "TrunkAuthMethod",
    "TrunkHostRequest",
    "TrunkHostRequestSettings",
    "TrunkStatus",
]


class TrunkStatus(OpenStrEnum):
    """Whether a SIP trunk can place calls."""

    ACTIVE = "active"
    PENDING = "pending"
    """Wavix has not decided on the IP authentication yet."""
    REJECTED = "rejected"
    """Wavix has refused the IP authentication."""


class TrunkAuthMethod(OpenStrEnum):
    """How a SIP trunk authenticates itself: by its login and password, or by its IP address."""

    DIGEST = "Digest"
    IP_AUTH = "IP auth"


@frozen(kw_only=True)
class TrunkHostRequest(Model):
    """The request to authenticate a SIP trunk by its IP address."""

    host: str | None = None
    """The public static IP address."""
    status: TrunkStatus | None = None


@frozen(kw_only=True)
class AllowedIP(Model):
    """An IP address from which a SIP trunk may register."""

    id: int = field(default=None)
    ip: str = field(default=None)


@frozen(kw_only=True)
class _SIPTrunkBase(Model):
    """What the list and the reads of SIP trunks have in common."""

    id: int = field(default=None)
    """The record's id, for `trunks.get`."""
    name: str = field(default=None)
    """The login, five digits that the platform chooses; destinations of numbers and WebRTC tokens take it."""
    label: str = field(default=None)
    """Your own name for it."""
    callerid: str | None = None
    """The caller ID; None: none is set; an empty text: several are allowed."""
    multiple_numbers: bool | None = None
    """Whether every active or verified number of the account may be the caller ID."""
    passthrough: bool | None = None
    """Whether the caller ID is passed through."""
    call_recording_enabled: bool | None = None
    """Whether outbound calls are recorded."""
    machine_detection_enabled: bool | None = None
    """Whether voicemail is detected."""
    transcription_enabled: bool | None = None
    """Whether calls are transcribed."""
    transcription_threshold: int | None = None
    """Calls shorter than this many seconds are not transcribed."""
    encrypted_media: bool | None = None
    """Whether the media is encrypted (SRTP)."""
    access_token: str | None = field(default=None, repr=False)
    """The static token of the trunk. It is a credential, so repr does not show it."""


@frozen(kw_only=True)
class SIPTrunk(_SIPTrunkBase):
    """A SIP trunk with its settings. The API never returns its password."""

    ip_restrict: bool | None = None
    """Whether it registers only from `allowed_ips`."""
    allowed_ips: list[AllowedIP] = field(default=None)
    channels_restrict: bool | None = None
    """Whether `max_channels` counts."""
    max_channels: int | None = None
    """Outbound calls at once."""
    cost_limit: bool | None = None
    """Whether `max_call_cost` counts."""
    max_call_cost: Decimal | None = None
    """The most that an outbound call may cost, in USD."""
    call_restrict: bool | None = None
    """Whether `call_limit` counts."""
    call_limit: int | None = None
    """The longest call in seconds."""
    didinfo_enabled: bool | None = None
    """Whether inbound calls have the called number in the `To` header."""
    rewrite_enabled: bool | None = None
    """Whether the dial plan counts: `rewrite_cond` and `rewrite_prefix`."""
    rewrite_prefix: str | None = None
    """Digits to put before each dialed number."""
    rewrite_cond: str | None = None
    """Leading digits to remove from each dialed number."""
    created_at: datetime = field(default=None)
    host: str | None = None
    """`dynamic` if it registers with its password, or the IP address that authenticates it."""


@frozen(kw_only=True)
class SIPTrunkSummary(_SIPTrunkBase):
    """A SIP trunk in a list: its state and its use, without most of its settings."""

    auth_method: TrunkAuthMethod = field(default=None)
    host_request: TrunkHostRequest | None = None
    """The request to authenticate it by its IP address; None: there is none."""
    status: TrunkStatus = field(default=None)
    talk_time: int = field(default=None)
    """Seconds of outbound calls in this month."""
    charge: Decimal = field(default=None)
    """The price of the outbound calls of this month in USD."""


@frozen(kw_only=True)
class SIPTrunkPage(Page[SIPTrunkSummary]):
    """One page of SIP trunks."""

    # The API may write an empty list as null.
    items: Annotated[list[SIPTrunkSummary] | None, override(rename="sip_trunks")] = None  # type: ignore[assignment]


@frozen(kw_only=True)
class SIPTrunkList(PageQuery):
    """Which SIP trunks to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """


@frozen(kw_only=True)
class AllowedIPSettings(Body):
    """An IP address from which a SIP trunk may register.

    Raises:
        InputError: A field has the wrong type.
    """

    ip: str
    """A public static IP address."""


@frozen(kw_only=True)
class TrunkHostRequestSettings(Body):
    """A request to authenticate a SIP trunk by its IP address, on which Wavix decides.

    Raises:
        InputError: A field has the wrong type.
    """

    host: str
    """The public static IP address; Wavix accepts all SIP traffic from it."""


@frozen(kw_only=True)
class SIPTrunkEdit(Body):
    """A change of a SIP trunk for `trunks.edit`; a field left out keeps its value.

    Raises:
        InputError: A field has the wrong type.
    """

    password: str = field(repr=False)
    """The password. Send it each time: the API does not return it. repr does not show it."""
    label: str | UnsetType = UNSET
    """Your own name for it."""
    callerid: str | UnsetType = UNSET
    """The caller ID: an active or verified number of the account."""
    multiple_numbers: bool | UnsetType = UNSET
    """Whether every active or verified number of the account may be the caller ID."""
    host_request: TrunkHostRequestSettings | Mapping[str, object] | UnsetType = UNSET
    """For authentication by IP address: `{"host": "203.0.113.7"}`."""
    ip_restrict: bool | UnsetType = UNSET
    """Whether it registers only from `allowed_ips`."""
    allowed_ips: Sequence[AllowedIPSettings | Mapping[str, object]] | UnsetType | None = UNSET
    """Where it may register from: `[{"ip": "203.0.113.7"}]`; replaces the whole list."""
    didinfo_enabled: bool | UnsetType = UNSET
    """Whether inbound calls have the called number in the `To` header."""
    call_restrict: bool | UnsetType = UNSET
    """Whether `call_limit` counts."""
    call_limit: int | UnsetType = UNSET
    """The longest call in seconds."""
    cost_limit: bool | UnsetType = UNSET
    """Whether `max_call_cost` counts."""
    max_call_cost: Decimal | float | UnsetType = UNSET
    """The most that an outbound call may cost, in USD."""
    channels_restrict: bool | UnsetType = UNSET
    """Whether `max_channels` counts."""
    max_channels: int | UnsetType = UNSET
    """Outbound calls at once."""
    rewrite_enabled: bool | UnsetType = UNSET
    """Whether the dial plan counts: `rewrite_cond` and `rewrite_prefix`."""
    rewrite_prefix: str | UnsetType = UNSET
    """Digits to put before each dialed number."""
    rewrite_cond: str | UnsetType = UNSET
    """Leading digits to remove from each dialed number."""
    call_recording_enabled: bool | UnsetType = UNSET
    """Whether outbound calls are recorded."""
    transcription_enabled: bool | UnsetType = UNSET
    """Whether calls are transcribed (Flex Pro only)."""
    transcription_threshold: int | UnsetType = UNSET
    """Calls shorter than this many seconds are not transcribed (Flex Pro only)."""
    machine_detection_enabled: bool | UnsetType = UNSET
    """Whether voicemail is detected (Flex Pro only)."""
    encrypted_media: bool | UnsetType = UNSET
    """Whether the media is encrypted (SRTP)."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if isinstance(self.max_call_cost, Decimal):
            # The API takes a number here, although it answers with a text.
            object.__setattr__(self, "max_call_cost", float(self.max_call_cost))


@frozen(kw_only=True)
class SIPTrunkSettings(SIPTrunkEdit):
    """All settings of a SIP trunk, to create it or to replace what it had.

    A field left out gets the API's default, also if the trunk had another value: see `trunks.edit`.

    Raises:
        InputError: A field has the wrong type.
    """

    # With `field()`, type checkers see that these have no default any more.
    label: str = field()
    callerid: str = field()
    ip_restrict: bool = field()
    """Whether it registers only from `allowed_ips`, which must then be given."""
    didinfo_enabled: bool = field()
    call_restrict: bool = field()
    channels_restrict: bool = field()
    rewrite_enabled: bool = field()
    transcription_enabled: bool = field()
    transcription_threshold: int = field()
