"""The operations of `wavix.api_keys`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import Row

GROUPS: Final = (
    *("numbers", "trunks", "calls", "messages", "recordings", "campaigns", "two_fa", "validator", "webhooks"),
    *("embeddable", "billing", "account", "subaccounts"),
)
KEY: Final = {
    "id": 123,
    "label": "billing",
    "value": "********yz01",
    "active": True,
    "restricted": True,
    "permitted_ips": ["192.0.2.1", "192.0.2.2"],
    "scopes_enabled": True,
    "last_used_at": "2026-04-20T15:42:11Z",
    **{name: {"allow": "none"} for name in GROUPS},
    "billing": {"allow": "read"},
    "created_at": "2026-01-15T10:30:00Z",
}
CREATED: Final = {**KEY, "value": "abc123def456ghi789jkl012mno345pqr678stu901vwx234yz01", "last_used_at": None}

ID_FIELDS: Final = {"PATCH /v1/api-keys/{id}": "id"}
ROWS: Final = [
    Row(
        lambda w: w.api_keys.list(label="bill"),
        "GET /v1/api-keys",
        [KEY, {**KEY, "id": 124, "value": None, "permitted_ips": [], "calls": None}],
        query={"label": "bill"},
    ),
    Row(
        lambda w: w.api_keys.create(
            label="billing",
            restricted=True,
            permitted_ips=["192.0.2.1", "192.0.2.2"],
            scopes_enabled=True,
            billing={"allow": "read"},
        ),
        "POST /v1/api-keys",
        CREATED,
        body={
            "label": "billing",
            "restricted": True,
            "permitted_ips": ["192.0.2.1", "192.0.2.2"],
            "scopes_enabled": True,
            "billing": {"allow": "read"},
        },
    ),
    Row(
        lambda w: w.api_keys.update(123, active=False, billing={"allow": "write"}),
        "PATCH /v1/api-keys/123",
        {**KEY, "active": False, "billing": {"allow": "write"}},
        body={"active": False, "billing": {"allow": "write"}},
    ),
    Row(lambda w: w.api_keys.delete(123), "DELETE /v1/api-keys/123", {"success": True}),
]
