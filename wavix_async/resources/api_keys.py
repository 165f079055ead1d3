"""API keys: `/v1/api-keys`."""

import builtins
from typing import Final

from wavix_async._http import Operation
from wavix_async.models.api_keys import ApiKey, ApiKeyCreate, ApiKeyUpdate
from wavix_async.models.common import Success
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import IntId
from wavix_async.resources._unpack import unpack

__all__ = ["ApiKeys"]

LIST: Final = Operation("GET", "/v1/api-keys", list[ApiKey])
CREATE: Final = Operation("POST", "/v1/api-keys", ApiKey, proof="id")
# It sets fields to given values: twice is once.
UPDATE: Final = Operation("PATCH", "/v1/api-keys/{id}", ApiKey, idempotent=True)
DELETE: Final = Operation("DELETE", "/v1/api-keys/{id}", Success)


class ApiKeys(Resource):
    """API keys: `/v1/api-keys`. The API states no scope for these operations."""

    _ids = (IntId("key_id", "ApiKey.id, the record's id"),)

    async def list(self, *, label: str | None = None) -> builtins.list[ApiKey]:
        """List the API keys (GET /v1/api-keys), without the keys themselves; there are no pages.

        It only reads, so the client may repeat it.

        Args:
            label: A part of the label.
        """
        return await self._call(LIST, query={"label": label})

    @unpack(ApiKeyCreate)
    async def create(self, key: ApiKeyCreate) -> ApiKey:
        """Create an API key (POST /v1/api-keys); only this answer has the key itself, as `value`.

            key = await wavix.api_keys.create(label="billing", scopes_enabled=True, billing={"allow": "read"})

        A second request would make a second key, so the client sends it once. After an unknown outcome, look with
        `list(label=...)` and delete what you find: its key is lost.

        Raises:
            InputError: A field has the wrong type, or `restricted` is true without `permitted_ips`.
            UnprocessableEntityError: An address is not an IPv4 address.
            OutcomeUnknownError: There is no answer, or it does not show the key's id.
        """
        return await self._call(CREATE, body=key)

    @unpack(ApiKeyUpdate)
    async def update(self, key_id: int, changes: ApiKeyUpdate) -> ApiKey:
        """Change an API key (PATCH /v1/api-keys/{id}); a field left out keeps its value. It is idempotent.

        `active=False` switches the key off. `restricted=True` with no `permitted_ips` makes it useless everywhere: do
        not do that to the key that you use.

        Args:
            key_id: The record's id (`ApiKey.id`).

        Raises:
            InputError: A field has the wrong type, or none is given.
            NotFoundError: There is no such key.
            UnprocessableEntityError: An address is not an IPv4 address.
            OutcomeUnknownError: The answer shows other values.
        """
        return await self._call(UPDATE, key_id, body=changes)

    async def delete(self, key_id: int) -> Success:
        """Delete an API key for good (DELETE /v1/api-keys/{id}). It is idempotent.

        If you delete the key that you use, every later request is an `AuthenticationError`, a repetition of this one
        included.

        Args:
            key_id: The record's id (`ApiKey.id`).

        Raises:
            NotFoundError: There is no such key.
        """
        return await self._call(DELETE, key_id)
