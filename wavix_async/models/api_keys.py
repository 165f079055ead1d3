"""API keys: the requests and answers of `/v1/api-keys`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, OpenStrEnum
from wavix_async.types import UNSET, UnsetType

__all__ = ["ApiKey", "ApiKeyCreate", "ApiKeyUpdate", "Permission", "ScopePermission", "ScopePermissionUpdate"]


class Permission(OpenStrEnum):
    """What an API key may do in a group of operations."""

    NONE = "none"
    READ = "read"
    """Reads only: GET, and the search of CDRs."""
    WRITE = "write"
    """Everything, reads included."""


@frozen(kw_only=True)
class ScopePermission(Model):
    """What an API key may do in one group of operations, in an answer (to set it, use `ScopePermissionUpdate`)."""

    allow: Permission | None = None


@frozen(kw_only=True)
class ApiKey(Model):
    """An API key of the account. repr does not show the key itself.

    The fields from `numbers` to `subaccounts` are its permissions; they count only if `scopes_enabled` is true.
    """

    id: int = field(default=None)
    """The record's id, for `api_keys.update` and `api_keys.delete`."""
    label: str = field(default=None)
    value: str | None = field(default=None, repr=False)
    """The key itself, which only `api_keys.create` returns. It is a credential: other answers mask it or leave it out,
    and repr does not show it."""
    active: bool = field(default=None)
    restricted: bool = field(default=None)
    """Whether the key works only from `permitted_ips`."""
    permitted_ips: list[str] = field(default=None)
    """IPv4 addresses. If `restricted` is true and the list is empty, the key works from nowhere."""
    scopes_enabled: bool = field(default=None)
    """Whether the permissions count; otherwise the key may do everything."""
    last_used_at: datetime | None = None
    """The latest request with the key; None: there was none."""
    numbers: ScopePermission | None = None
    trunks: ScopePermission | None = None
    calls: ScopePermission | None = None
    messages: ScopePermission | None = None
    recordings: ScopePermission | None = None
    campaigns: ScopePermission | None = None
    two_fa: ScopePermission | None = None
    validator: ScopePermission | None = None
    webhooks: ScopePermission | None = None
    embeddable: ScopePermission | None = None
    billing: ScopePermission | None = None
    account: ScopePermission | None = None
    subaccounts: ScopePermission | None = None
    created_at: datetime = field(default=None)


@frozen(kw_only=True)
class ScopePermissionUpdate(Body):
    """What an API key may do in one group of operations.

    Raises:
        InputError: A field has the wrong type.
    """

    allow: Permission | str
    """`none`, `read` or `write`."""


@frozen(kw_only=True)
class ApiKeyUpdate(Body):
    """A change of an API key; a field left out keeps its value.

    Raises:
        InputError: A field has the wrong type.
    """

    label: str | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    """Whether the key works."""
    restricted: bool | UnsetType = UNSET
    """Whether the key works only from `permitted_ips`; with an empty list there, it works from nowhere."""
    permitted_ips: Sequence[str] | UnsetType = UNSET
    """IPv4 addresses; replaces the whole list."""
    scopes_enabled: bool | UnsetType = UNSET
    """Whether the permissions below count; otherwise the key may do everything."""
    numbers: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Phone numbers, their stock and the cart: `{"allow": "read"}`."""
    trunks: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """SIP trunks."""
    calls: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Calls, CDRs and transcriptions."""
    messages: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Messages, sender IDs and opt-outs."""
    recordings: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Recordings of calls."""
    campaigns: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """10DLC, voice campaigns and short links."""
    two_fa: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Verifications by a code."""
    validator: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Validations of phone numbers."""
    webhooks: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Webhooks of calls."""
    embeddable: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Tokens of the WebRTC widget."""
    billing: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Transactions and statements."""
    account: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """The profile of the account."""
    subaccounts: ScopePermissionUpdate | Mapping[str, object] | UnsetType = UNSET
    """Sub-organizations."""


@frozen(kw_only=True)
class ApiKeyCreate(ApiKeyUpdate):
    """An API key to create. Without other fields it is active, works from everywhere, and may do everything.

    With `scopes_enabled`, a permission that is left out is `none`.

    Raises:
        InputError: A field has the wrong type, or `restricted` is true without `permitted_ips`.
    """

    label: str = field()  # so type checkers see that it has no default any more

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.restricted is True and not self.permitted_ips:
            raise InputError(
                "ApiKeyCreate.permitted_ips is missing: a restricted key without addresses works from nowhere. "
                "Pass the IPv4 addresses that may use it."
            )
