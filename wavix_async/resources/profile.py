"""The account's profile and settings: `/v1/profile`."""

from functools import cached_property
from typing import Final

from wavix_async._http import Operation
from wavix_async.models.profile import Profile, ProfileConfig, ProfileUpdate
from wavix_async.resources._base import Resource, refuse_empty
from wavix_async.resources._unpack import unpack

__all__ = ["AccountConfig", "AccountProfile"]

GET: Final = Operation("GET", "/v1/profile", Profile, scope="account:read")
UPDATE: Final = Operation("PUT", "/v1/profile", Profile, scope="account:write")
GET_CONFIG: Final = Operation("GET", "/v1/profile/config", ProfileConfig, scope="account:read")


class AccountConfig(Resource):
    """The balance and the limits of the account: `/v1/profile/config`."""

    async def get(self) -> ProfileConfig:
        """Read the balance and the limits of the account (GET /v1/profile/config).

        It is also the cheapest way to see whether a key works. Scope `account:read`; it only reads, so the client may
        repeat it.

        Raises:
            AuthenticationError: The key does not work.
        """
        return await self._call(GET_CONFIG)


class AccountProfile(Resource):
    """The account's profile and settings: `/v1/profile`."""

    @cached_property
    def config(self) -> AccountConfig:
        """The balance and the limits of the account: `/v1/profile/config`."""
        return AccountConfig(self._client)

    async def get(self) -> Profile:
        """Read the account's profile (GET /v1/profile); any field may be None.

        Scope `account:read`; it only reads, so the client may repeat it.
        """
        return await self._call(GET)

    @unpack(ProfileUpdate)
    async def update(self, changes: ProfileUpdate) -> Profile:
        """Change the account's profile (PUT /v1/profile); a field left out keeps its value.

        Some names differ from those of the answer: see each field. Scope `account:write`; it is idempotent.

        Raises:
            InputError: A field has the wrong type, or none is given.
            UnprocessableEntityError: The API rejects a value.
            OutcomeUnknownError: The answer shows other values.
        """
        refuse_empty(changes)
        return await self._call(UPDATE, body=changes)
