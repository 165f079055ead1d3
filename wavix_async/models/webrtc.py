"""Tokens of the WebRTC widget: the requests and answers of `/v2/webrtc/tokens`."""

from collections.abc import Mapping

from attrs import field, frozen

from wavix_async.models._base import Body, Model, PageQuery
from wavix_async.models.common import Page
from wavix_async.types import UNSET, UnsetType

__all__ = ["WebRTCToken", "WebRTCTokenCreate", "WebRTCTokenList", "WebRTCTokenPage", "WebRTCTokenUpdate"]


@frozen(kw_only=True)
class WebRTCToken(Model):
    """A token with which a browser makes and takes calls."""

    uuid: str = field(default=None)
    """The token's id, for `webrtc.tokens.get`."""
    sip_trunk: str = field(default=None)
    """The name of the SIP trunk that the token belongs to."""
    payload: dict[str, object] | None = None
    """Your own data."""
    ttl: int | None = None
    """The life of the token in seconds; None: it does not expire."""
    token: str | None = field(default=None, repr=False)
    """The token itself, which only `webrtc.tokens.create` returns. It is a credential, so repr does not show it."""


@frozen(kw_only=True)
class WebRTCTokenPage(Page[WebRTCToken]):
    """One page of tokens."""

    items: list[WebRTCToken] = field(default=None)


@frozen(kw_only=True)
class WebRTCTokenList(PageQuery):
    """Which tokens to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """


@frozen(kw_only=True)
class WebRTCTokenCreate(Body):
    """A token to create.

    Raises:
        InputError: A field has the wrong type.
    """

    sip_trunk: str
    """The name of the SIP trunk that the token belongs to."""
    ttl: int | None
    """The life of the token in seconds; None: it does not expire."""
    payload: Mapping[str, object] | UnsetType | None = UNSET
    """Your own data."""


@frozen(kw_only=True)
class WebRTCTokenUpdate(Body):
    """A change of a token.

    Raises:
        InputError: A field has the wrong type.
    """

    payload: Mapping[str, object]
    """Your own data; it replaces all that the token had."""
