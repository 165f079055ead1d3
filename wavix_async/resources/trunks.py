"""SIP trunks: `/v1/trunks`."""

from collections.abc import Mapping
from typing import Any, Final

from wavix_async._http import Operation
from wavix_async.models.common import Success
from wavix_async.models.trunks import (
    SIPTrunk,
    SIPTrunkEdit,
    SIPTrunkList,
    SIPTrunkPage,
    SIPTrunkSettings,
    SIPTrunkSummary,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._edits import merged
from wavix_async.resources._ids import IntId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack

__all__ = ["Trunks"]

LIST: Final = Operation("GET", "/v1/trunks", SIPTrunkPage, scope="trunks:read")
CREATE: Final = Operation("POST", "/v1/trunks", SIPTrunk, scope="trunks:write", proof="id")
GET: Final = Operation("GET", "/v1/trunks/{id}", SIPTrunk, scope="trunks:read")
# The answer does not repeat the caller ID if several are allowed, nor limits that are switched off.
UPDATE: Final = Operation(
    "PUT",
    "/v1/trunks/{id}",
    SIPTrunk,
    scope="trunks:write",
    echoes=(
        *("label", "multiple_numbers", "ip_restrict", "allowed_ips", "didinfo_enabled", "call_restrict", "cost_limit"),
        *("channels_restrict", "rewrite_enabled", "call_recording_enabled", "transcription_enabled"),
        *("transcription_threshold", "machine_detection_enabled", "encrypted_media"),
    ),
)
DELETE: Final = Operation("DELETE", "/v1/trunks/{id}", Success, scope="trunks:write")

_DEFAULTS: Final[Mapping[str, object]] = {
    "ip_restrict": False,
    "didinfo_enabled": True,
    "call_restrict": False,
    "channels_restrict": False,
    "rewrite_enabled": False,
    "transcription_enabled": False,
    "transcription_threshold": 6,
}
"""The documented values of settings that an answer leaves out, and a request requires."""


class Trunks(Resource):
    """SIP trunks: `/v1/trunks`."""

    _ids = (IntId("trunk_id", "SIPTrunk.id, not its login"),)

    @unpack(SIPTrunkList)
    def list(self, query: SIPTrunkList) -> Paginator[SIPTrunkPage, SIPTrunkSummary]:
        """List the SIP trunks (GET /v1/trunks): `await` gives one page, `async for` all of them.

        The list shows the status of each trunk; `get` shows its settings. Scope `trunks:read`; it only reads, so the
        client may repeat it.
        """
        return self._pages(LIST, query=query)

    @unpack(SIPTrunkSettings)
    async def create(self, settings: SIPTrunkSettings) -> SIPTrunk:
        """Create a SIP trunk (POST /v1/trunks).

        With `host_request` it authenticates itself by its IP address, once Wavix has agreed: see `status` in `list`.
        Scope `trunks:write`. A second request would make a second trunk, so the client sends it once; after an unknown
        outcome, look for the label in `list`.

        Raises:
            InputError: A field has the wrong type.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: There is no answer, or it does not show the trunk's id.
        """
        return await self._call(CREATE, body=settings)

    async def get(self, trunk_id: int) -> SIPTrunk:
        """Read the settings of a SIP trunk (GET /v1/trunks/{id}), without its password.

        Scope `trunks:read`; it only reads, so the client may repeat it.

        Args:
            trunk_id: The record's id (`SIPTrunk.id`).

        Raises:
            NotFoundError: There is no such trunk, or the account has none at all.
        """
        return await self._call(GET, trunk_id)

    @unpack(SIPTrunkSettings)
    async def update(self, trunk_id: int, settings: SIPTrunkSettings) -> SIPTrunk:
        """Replace all settings of a SIP trunk (PUT /v1/trunks/{id}).

        **A field that you leave out gets the API's default, whatever the trunk had**: limits end, and calls are not
        recorded any more. `edit` keeps what you leave out. Scope `trunks:write`; it is idempotent.

        Args:
            trunk_id: The record's id (`SIPTrunk.id`).

        Raises:
            InputError: A field has the wrong type.
            NotFoundError: There is no such trunk.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: The answer shows other settings.
        """
        return await self._call(UPDATE, trunk_id, body=settings)

    @unpack(SIPTrunkEdit)
    async def edit(self, trunk_id: int, changes: SIPTrunkEdit) -> SIPTrunk:
        """Change some settings of a SIP trunk: read them, and write them back with the changes.

            await wavix.trunks.edit(3107, password=password, call_recording_enabled=True)

        It reads with GET /v1/trunks/{id} and writes with PUT /v1/trunks/{id}; scopes `trunks:read` and `trunks:write`.
        Both are idempotent. The password must be given, because the API does not return it and a write without it is
        refused.

        **Two edits at once can undo each other**: the API has no version that a write could ask for. What another
        program changes between the read and the write of this one is lost, without an error. Let only one program edit
        a trunk at a time. A setting that this version of the package does not know is not kept either. A `host` that
        is an IP address is sent as `host_request`, so that the trunk stays authenticated by it.

        Args:
            trunk_id: The record's id (`SIPTrunk.id`).

        Raises:
            InputError: A field has the wrong type, or the API did not show a setting that a write requires.
            NotFoundError: There is no such trunk.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: The answer to the write shows other settings.
        """
        trunk = await self.get(trunk_id)
        return await self._call(UPDATE, trunk_id, body=merged(SIPTrunkSettings, trunk, _settings_of(trunk), changes))

    async def delete(self, trunk_id: int) -> Success:
        """Delete a SIP trunk for good, with its routes (DELETE /v1/trunks/{id}).

        Scope `trunks:write`; it is idempotent.

        Args:
            trunk_id: The record's id (`SIPTrunk.id`).

        Raises:
            NotFoundError: There is no such trunk.
        """
        return await self._call(DELETE, trunk_id)


def _settings_of(trunk: SIPTrunk) -> dict[str, Any]:
    """Return what the settings of a trunk are called, or look like, in a request."""
    shown: dict[str, Any] = {name: getattr(trunk, name) for name in _DEFAULTS}
    shown = {name: _DEFAULTS[name] if value is None else value for name, value in shown.items()}
    shown["callerid"] = trunk.callerid or ""  # null and an empty text both say that there is no single caller ID
    shown["allowed_ips"] = None
    if addresses := trunk.allowed_ips:
        # In a form that is not known, they are left for the check of the body to refuse.
        is_list: bool = isinstance(addresses, list)
        shown["allowed_ips"] = [{"ip": getattr(each, "ip", each)} for each in addresses] if is_list else addresses
    if trunk.host not in (None, "", "dynamic"):
        shown["host_request"] = {"host": trunk.host}
    return shown
