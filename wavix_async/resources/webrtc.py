"""Tokens of the WebRTC widget: `/v2/webrtc/tokens`."""

from functools import cached_property
from typing import Final

from wavix_async._http import Operation
from wavix_async.models.common import Success
from wavix_async.models.webrtc import (
    WebRTCToken,
    WebRTCTokenCreate,
    WebRTCTokenList,
    WebRTCTokenPage,
    WebRTCTokenUpdate,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack

__all__ = ["WebRTC", "WebRTCTokens"]

LIST: Final = Operation("GET", "/v2/webrtc/tokens", WebRTCTokenPage, scope="embeddable:read")
CREATE: Final = Operation("POST", "/v2/webrtc/tokens", WebRTCToken, scope="embeddable:write", proof="uuid")
GET: Final = Operation("GET", "/v2/webrtc/tokens/{id}", WebRTCToken, scope="embeddable:read")
UPDATE: Final = Operation("PUT", "/v2/webrtc/tokens/{id}", WebRTCToken, scope="embeddable:write")
DELETE: Final = Operation("DELETE", "/v2/webrtc/tokens/{id}", Success, scope="embeddable:write")


class WebRTCTokens(Resource):
    """Tokens with which browsers make and take calls: `/v2/webrtc/tokens`."""

    _ids = (TextId("token_id", "WebRTCToken.uuid, not the token itself"),)

    @unpack(WebRTCTokenList)
    def list(self, query: WebRTCTokenList) -> Paginator[WebRTCTokenPage, WebRTCToken]:
        """List the active tokens (GET /v2/webrtc/tokens): `await` gives one page, `async for` all of them.

        The list has everything but the tokens themselves. Scope: `embeddable:read`.
        """
        return self._pages(LIST, query=query)

    @unpack(WebRTCTokenCreate)
    async def create(self, token: WebRTCTokenCreate) -> WebRTCToken:
        """Create a token for one browser (POST /v2/webrtc/tokens); only this answer has the token itself.

        A second request would make a second token, so the client sends it once. After an unknown outcome, look with
        `list` and delete what you find: its token is lost. Scope: `embeddable:write`.

        Raises:
            InputError: A field has the wrong type.
            NotFoundError: The account has no such SIP trunk.
            OutcomeUnknownError: There is no answer, or it does not show the token's id.
        """
        return await self._call(CREATE, body=token)

    async def get(self, token_id: str) -> WebRTCToken:
        """Read a token's record (GET /v2/webrtc/tokens/{id}), without the token itself. Scope: `embeddable:read`.

        Args:
            token_id: The record's id (`WebRTCToken.uuid`).

        Raises:
            NotFoundError: There is no such token, or it has expired.
        """
        return await self._call(GET, token_id)

    @unpack(WebRTCTokenUpdate)
    async def update(self, token_id: str, changes: WebRTCTokenUpdate) -> WebRTCToken:
        """Replace the data of a token (PUT /v2/webrtc/tokens/{id}). It is idempotent. Scope: `embeddable:write`.

        Args:
            token_id: The record's id (`WebRTCToken.uuid`).

        Raises:
            NotFoundError: There is no such token, or it has expired.
            OutcomeUnknownError: The answer shows other data.
        """
        return await self._call(UPDATE, token_id, body=changes)

    async def delete(self, token_id: str) -> Success:
        """Delete a token, and end the session that uses it (DELETE /v2/webrtc/tokens/{id}).

        It is idempotent. Scope: `embeddable:write`.

        Args:
            token_id: The record's id (`WebRTCToken.uuid`).

        Raises:
            NotFoundError: There is no such token.
        """
        return await self._call(DELETE, token_id)


class WebRTC(Resource):
    """Calls in browsers: `/v2/webrtc`."""

    @cached_property
    def tokens(self) -> WebRTCTokens:
        """Tokens with which browsers make and take calls: `/v2/webrtc/tokens`."""
        return WebRTCTokens(self._client)
