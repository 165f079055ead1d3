"""Two-factor authentication: `/v1/two-fa`."""

import builtins
from functools import cached_property
from typing import Final

from wavix_async._http import Operation
from wavix_async.models.common import Success
from wavix_async.models.two_fa import (
    TwoFactorCheck,
    TwoFactorResend,
    TwoFactorSession,
    TwoFactorSessionList,
    TwoFactorVerification,
    TwoFactorVerificationCheck,
    TwoFactorVerificationCreate,
    TwoFactorVerificationEvent,
    TwoFactorVerificationResend,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._unpack import unpack

__all__ = [
    "TwoFactor",
    "TwoFactorEvents",
    "TwoFactorService",
    "TwoFactorSessionNamespace",
    "TwoFactorSessions",
    "TwoFactorVerifications",
]

CREATE: Final = Operation(
    "POST",
    "/v1/two-fa/verification",
    TwoFactorVerification,
    scope="two_fa:write",
    echoes=("service_id",),
    proof="session_id",
)
RESEND: Final = Operation(
    "POST", "/v1/two-fa/verification/{session_id}", TwoFactorResend, scope="two_fa:write", echoes=("channel",)
)
# A 429 says that the attempts of this session are used up: to wait does not help.
CHECK: Final = Operation(
    "POST",
    "/v1/two-fa/verification/{session_id}/check",
    TwoFactorCheck,
    scope="two_fa:write",
    fail_fast_on_429=True,
)
CANCEL: Final = Operation(
    "PATCH", "/v1/two-fa/verification/{session_id}/cancel", Success, scope="two_fa:write", idempotent=True
)
SESSIONS: Final = Operation(
    "GET", "/v1/two-fa/service/{service_id}/sessions", list[TwoFactorSession], scope="two_fa:read"
)
EVENTS: Final = Operation(
    "GET", "/v1/two-fa/session/{session_id}/events", list[TwoFactorVerificationEvent], scope="two_fa:read"
)

_SESSION: Final = TextId("session_id", "TwoFactorVerification.session_id")


class TwoFactorVerifications(Resource):
    """Verifications: `/v1/two-fa/verification`."""

    _ids = (_SESSION,)

    @unpack(TwoFactorVerificationCreate)
    async def create(self, verification: TwoFactorVerificationCreate) -> TwoFactorVerification:
        """Send a code to a person (POST /v1/two-fa/verification). It costs money, so it is never sent twice.

        The code is valid for five minutes. Scope `two_fa:write`.

        Raises:
            InputError: A field has the wrong type.
            PermissionDeniedError: The key lacks the scope, or the service refuses the number.
            OutcomeUnknownError: There is no answer, or it does not show the session. Look with `service.sessions.list`.
        """
        return await self._call(CREATE, body=verification)

    @unpack(TwoFactorVerificationResend)
    async def resend(self, session_id: str, how: TwoFactorVerificationResend) -> TwoFactorResend:
        """Send a new code (POST /v1/two-fa/verification/{session_id}); the earlier ones are void.

        It costs money, so it is never sent twice. The sixth code of a session fails it. Scope `two_fa:write`.

        Args:
            session_id: `TwoFactorVerification.session_id`.

        Raises:
            BadRequestError: The session has ended.
            OutcomeUnknownError: The code may have been sent: `session.events.list` shows it.
        """
        return await self._call(RESEND, session_id, body=how)

    @unpack(TwoFactorVerificationCheck)
    async def check(self, session_id: str, attempt: TwoFactorVerificationCheck) -> TwoFactorCheck:
        """Check the code that a person has entered (POST /v1/two-fa/verification/{session_id}/check).

            result = await wavix.two_fa.verification.check(session_id, code=form["code"])
            if result.is_valid: ...

        A wrong code is a result with `is_valid` False, not an error. Each check uses one of five attempts, so it is
        never sent twice. Nothing shows the code: not repr, not an error, not a log. Scope `two_fa:write`.

        Args:
            session_id: `TwoFactorVerification.session_id`.

        Raises:
            RateLimitError: The attempts of the session are used up; it is raised at once. Begin a new verification.
            BadRequestError: The session has ended.
            OutcomeUnknownError: The attempt may be used up: `service.sessions.list` shows whether it was verified.
        """
        return await self._call(CHECK, session_id, body=attempt)

    async def cancel(self, session_id: str) -> Success:
        """Cancel a verification (PATCH /v1/two-fa/verification/{session_id}/cancel). It is idempotent.

        Scope `two_fa:write`.

        Args:
            session_id: `TwoFactorVerification.session_id`.

        Raises:
            NotFoundError: There is no such session, or it has ended.
        """
        return await self._call(CANCEL, session_id)


class TwoFactorSessions(Resource):
    """Verifications of a service: `/v1/two-fa/service/{service_id}/sessions`."""

    _ids = (TextId("service_id", "the id of the 2FA service, from the portal"),)

    @unpack(TwoFactorSessionList)
    async def list(self, service_id: str, query: TwoFactorSessionList) -> builtins.list[TwoFactorSession]:
        """List the verifications of some days (GET /v1/two-fa/service/{service_id}/sessions); there are no pages.

        Scope `two_fa:read`; it only reads, so the client may repeat it.

        Args:
            service_id: The id of the 2FA service, from the portal.

        Raises:
            NotFoundError: There is no such service, or it has no verifications on these days: the API answers both
                alike.
        """
        return await self._call(SESSIONS, service_id, query=query)


class TwoFactorService(Resource):
    """2FA services: `/v1/two-fa/service`. They are made in the portal."""

    @cached_property
    def sessions(self) -> TwoFactorSessions:
        """Verifications of a service."""
        return TwoFactorSessions(self._client)


class TwoFactorEvents(Resource):
    """Steps of a verification: `/v1/two-fa/session/{session_id}/events`."""

    _ids = (_SESSION,)

    async def list(self, session_id: str) -> builtins.list[TwoFactorVerificationEvent]:
        """List the steps of a verification (GET /v1/two-fa/session/{session_id}/events); there are no pages.

        Scope `two_fa:read`; it only reads, so the client may repeat it.

        Args:
            session_id: `TwoFactorVerification.session_id`.

        Raises:
            NotFoundError: There is no such session.
        """
        return await self._call(EVENTS, session_id)


class TwoFactorSessionNamespace(Resource):
    """One verification: `/v1/two-fa/session`."""

    @cached_property
    def events(self) -> TwoFactorEvents:
        """Steps of a verification."""
        return TwoFactorEvents(self._client)


class TwoFactor(Resource):
    """Two-factor authentication: `/v1/two-fa`."""

    @cached_property
    def verification(self) -> TwoFactorVerifications:
        """Send codes, and check them."""
        return TwoFactorVerifications(self._client)

    @cached_property
    def service(self) -> TwoFactorService:
        """2FA services."""
        return TwoFactorService(self._client)

    @cached_property
    def session(self) -> TwoFactorSessionNamespace:
        """One verification."""
        return TwoFactorSessionNamespace(self._client)
