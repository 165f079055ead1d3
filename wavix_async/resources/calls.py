"""Calls: `/v1/calls`."""

import builtins
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from wavix_async._http import BaseClient, EventSource, Operation
from wavix_async.errors import InputError, NotFoundError
from wavix_async.models.calls import (
    Call,
    CallAnswer,
    CallAudioPlay,
    CallCreate,
    CallDtmfCollect,
    CallStream,
    CallStreamCreate,
    CallUpdate,
    CallWebhook,
    CallWebhookCreate,
    CallWebhookType,
)
from wavix_async.models.common import Direction, Success
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId
from wavix_async.resources._unpack import unpack
from wavix_async.resources._waits import wait_until

if TYPE_CHECKING:
    from wavix_async.models.cdrs import CDR

__all__ = ["CallAudio", "CallStreams", "CallWebhooks", "Calls"]

LIST_WEBHOOKS: Final = Operation("GET", "/v1/calls/webhooks", list[CallWebhook], scope="webhooks:read")
CREATE_WEBHOOK: Final = Operation(
    "POST", "/v1/calls/webhooks", CallWebhook, scope="webhooks:write", echoes=("event_type",), proof="url"
)
DELETE_WEBHOOK: Final = Operation("DELETE", "/v1/calls/webhooks", Success, scope="webhooks:write")

# Of the two names of the id, the description's own example of this answer has only the older one.
CREATE: Final = Operation("POST", "/v1/calls", Call, scope="calls:write", echoes=("to",), proof=("id", "uuid"))
LIST: Final = Operation("GET", "/v1/calls", list[Call], scope="calls:read", unwrap="calls")
GET: Final = Operation("GET", "/v1/calls/{id}", Call, scope="calls:read", unwrap="call", reserved=("webhooks",))
END: Final = Operation("DELETE", "/v1/calls/{id}", Success, scope="calls:write", reserved=("webhooks",))
# Setting the tag twice changes nothing.
UPDATE: Final = Operation(
    "PATCH", "/v1/calls/{id}", Success, scope="calls:write", idempotent=True, reserved=("webhooks",)
)
ANSWER: Final = Operation("POST", "/v1/calls/{id}/answer", Success, scope="calls:write")
PLAY: Final = Operation("POST", "/v1/calls/{id}/play", Success, scope="calls:write")
COLLECT: Final = Operation("POST", "/v1/calls/{id}/collect", Success, scope="calls:write")
STOP_AUDIO: Final = Operation("DELETE", "/v1/calls/{id}/audio", Success, scope="calls:write")
CREATE_STREAM: Final = Operation(
    "POST", "/v1/calls/{call_id}/streams", CallStream, scope="calls:write", proof="stream_id"
)
STOP_STREAM: Final = Operation("DELETE", "/v1/calls/{call_id}/streams/{id}", Success, scope="calls:write")

_CALL_ID: Final = TextId("call_id", "Call.call_id")
_EVENT_TYPE: Final = TextId("event_type", "'on-call' or 'post-call'")
_CDR_LATE: Final = 120.0
"""Seconds for which a call that is over may have no CDR."""


class CallWebhooks(Resource):
    """URLs to which the events of all calls are posted: `/v1/calls/webhooks`."""

    async def list(self) -> builtins.list[CallWebhook]:
        """List the webhooks of the account (GET /v1/calls/webhooks): at most two. Scope: `webhooks:read`."""
        return await self._call(LIST_WEBHOOKS)

    @unpack(CallWebhookCreate)
    async def create(self, webhook: CallWebhookCreate) -> CallWebhook:
        """Post the events of all calls to a URL (POST /v1/calls/webhooks).

        The documentation does not say whether a second webhook of the same type replaces the first, so the client sends
        it once; after an unknown outcome, look with `list`. Scope: `webhooks:write`.

        Raises:
            InputError: A field has the wrong type, or the URL is not an http or https URL.
            BadRequestError: The API rejected the webhook.
            OutcomeUnknownError: There is no answer, or it does not show the webhook.
        """
        return await self._call(CREATE_WEBHOOK, body=webhook)

    async def delete(self, event_type: CallWebhookType | str) -> Success:
        """Delete the webhook of a type (DELETE /v1/calls/webhooks). It is idempotent. Scope: `webhooks:write`.

        Args:
            event_type: `on-call` or `post-call`.

        Raises:
            InputError: `event_type` is empty or not a string.
            APIError: The API knows no such webhook.
        """
        kind = CallWebhookType(_EVENT_TYPE.check(event_type))
        return await self._call(DELETE_WEBHOOK, query={"event_type": kind.value})


class CallStreams(Resource):
    """Streams of the audio of a call: `/v1/calls/{call_id}/streams`."""

    _ids = (_CALL_ID, TextId("stream_id", "CallStream.stream_id"))

    @unpack(CallStreamCreate)
    async def create(self, call_id: str, stream: CallStreamCreate) -> CallStream:
        """Stream the audio of an answered call to a WebSocket (POST /v1/calls/{call_id}/streams).

        A call can have one two-way stream and five one-way streams. A second request would start a second stream, so
        the client sends it once. The documentation names no authentication for the WebSocket: put a secret into the
        path of `stream_url`. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            InputError: A field has the wrong type, or `stream_url` is not a ws or wss URL.
            BadRequestError: The call is not answered, or has too many streams.
            OutcomeUnknownError: There is no answer, or it does not show the stream's id: the stream may have started.
        """
        return await self._call(CREATE_STREAM, call_id, body=stream)

    async def stop(self, call_id: str, stream_id: str) -> Success:
        """Stop a stream (DELETE /v1/calls/{call_id}/streams/{id}). It is idempotent. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).
            stream_id: The stream's id (`CallStream.stream_id`).

        Raises:
            NotFoundError: There is no such call or stream.
        """
        return await self._call(STOP_STREAM, call_id, stream_id)


class CallAudio(Resource):
    """What is being played in a call: `/v1/calls/{id}/audio`."""

    _ids = (_CALL_ID,)

    async def stop(self, call_id: str) -> Success:
        """Stop what is being played (DELETE /v1/calls/{id}/audio). It is idempotent. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            NotFoundError: There is no such call, or it is over.
        """
        return await self._call(STOP_AUDIO, call_id)


class Calls(Resource):
    """Calls: `/v1/calls`."""

    _ids = (_CALL_ID,)

    @cached_property
    def webhooks(self) -> CallWebhooks:
        """URLs to which the events of all calls are posted: `/v1/calls/webhooks`."""
        return CallWebhooks(self._client)

    @cached_property
    def streams(self) -> CallStreams:
        """Streams of the audio of a call: `/v1/calls/{call_id}/streams`."""
        return CallStreams(self._client)

    @cached_property
    def audio(self) -> CallAudio:
        """What is being played in a call: `/v1/calls/{id}/audio`."""
        return CallAudio(self._client)

    @unpack(CallCreate)
    async def create(self, call: CallCreate) -> Call:
        """Start a call (POST /v1/calls). It costs money, so it is never sent twice.

        After an unknown outcome, `find_started(tag=...)` may show that the call was started, if its tag is unique.
        Scope: `calls:write`.

        Raises:
            InputError: A field has the wrong type, or `callback_url` is not an http or https URL.
            BadRequestError: The API rejected the call; the message names the fields.
            OutcomeUnknownError: There is no answer, or one without the call's id or about another phone number: the
                call may have been started.
        """
        return await self._call(CREATE, body=call)

    async def list(self) -> builtins.list[Call]:
        """List the active calls (GET /v1/calls); there are no pages. Scope: `calls:read`.

        Calls that are over are in the account's CDRs.
        """
        return await self._call(LIST)

    async def get(self, call_id: str) -> Call:
        """Read an active call (GET /v1/calls/{id}). Scope: `calls:read`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            InputError: The id is empty or not a string.
            NotFoundError: There is no such call, or it is over: then read `wavix.cdrs.get`.
        """
        return await self._call(GET, call_id)

    async def find_started(self, *, tag: str) -> Call | None:
        """Find an active outbound call by its tag (GET /v1/calls), after an unknown outcome of `create`.

        A call that is found was started. None proves nothing: the call may not be listed yet, or may be over already.
        Scope: `calls:read`.

        Args:
            tag: The tag given to `create`. It must be unique, or another call is found.

        Returns:
            The call, of several with the tag the last in the list; None: no active call has the tag.

        Raises:
            InputError: The tag is empty or not a string.
        """
        if not isinstance(tag, str) or not tag:
            raise InputError(f"tag must be a string, not empty, got {tag!r}: pass the tag that create was given.")
        calls = await self.list()
        return next(
            (call for call in reversed(calls or []) if isinstance(call, Call) and _is_outbound(call, tag)), None
        )

    async def end(self, call_id: str) -> Success:
        """Hang up (DELETE /v1/calls/{id}). It is idempotent. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Returns:
            The confirmation; `already_gone` is True if an earlier attempt without an answer had already succeeded.

        Raises:
            NotFoundError: There is no such call, or it is over.
        """
        return await self._call(END, call_id)

    @unpack(CallUpdate)
    async def update(self, call_id: str, changes: CallUpdate) -> Success:
        """Replace the tag of an active call (PATCH /v1/calls/{id}). It is idempotent. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            NotFoundError: There is no such call, or it is over.
        """
        return await self._call(UPDATE, call_id, body=changes)

    @unpack(CallAnswer)
    async def answer(self, call_id: str, answer: CallAnswer) -> Success:
        """Answer an inbound call (POST /v1/calls/{id}/answer).

        It may start a stream, so the client sends it once. After an unknown outcome, `get` shows whether the call is
        answered. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            InputError: A field has the wrong type, or `stream_url` is not a ws or wss URL.
            BadRequestError: The call cannot be answered.
            NotFoundError: There is no such call, or it is over.
            OutcomeUnknownError: There is no answer of the API: the call may have been answered.
        """
        return await self._call(ANSWER, call_id, body=answer)

    @unpack(CallAudioPlay)
    async def play(self, call_id: str, audio: CallAudioPlay) -> Success:
        """Play an audio file in an answered call (POST /v1/calls/{id}/play).

        Two requests play it twice, so the client sends it once. The events of the call tell when the playback starts
        and ends, and its id. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            InputError: `audio_file` is not an http or https URL.
            BadRequestError: The call is not answered.
            NotFoundError: There is no such call, or it is over.
            OutcomeUnknownError: There is no answer of the API: the playback may have started.
        """
        return await self._call(PLAY, call_id, body=audio)

    @unpack(CallDtmfCollect)
    async def collect(self, call_id: str, collect: CallDtmfCollect) -> Success:
        """Collect the digits that the other side presses (POST /v1/calls/{id}/collect).

        Two requests ask twice, so the client sends it once. The digits come in an event of the call:
        `call.event_payload.digits`. Scope: `calls:write`.

        Args:
            call_id: The call's id (`Call.call_id`).

        Raises:
            InputError: A field has the wrong type, or a number is out of range.
            BadRequestError: The call is not answered.
            NotFoundError: There is no such call, or it is over.
            OutcomeUnknownError: There is no answer of the API: the prompt may have been played.
        """
        return await self._call(COLLECT, call_id, body=collect)

    async def wait(
        self,
        call_id: str,
        *,
        until: Literal["answered", "completed"] = "completed",
        every: tuple[float, float] = (1.0, 5.0),
        timeout: float | None = 7200.0,
        events: EventSource | None = None,
    ) -> "Call | CDR":
        """Wait until a call is answered, or until it is over (GET /v1/calls/{id}, then GET /v1/cdrs/{call_id}).

        A call that is over is no longer a call of the API: from then on the waiter reads its CDR. The reads are in the
        bulk lane: other calls go first. Scope: `calls:read`.

        Args:
            call_id: The call's id (`Call.call_id`).
            until: `answered`: until the call is answered, or is over without that. `completed`: until it is over.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.
            events: Where events of the call come in, such as a `wavix_async.webhooks.Webhooks`. Each makes the waiter
                read at once.

        Returns:
            The `Call` as it was read last, in whatever state; or the `CDR`, once the call is over.

        Raises:
            WaitTimeoutError: The time is over; `last` is the call as it was read last.
            InputError: The id is empty or not a string, or `until` is another word.
            NotFoundError: For two minutes, there was neither an active call with this id nor a CDR.
        """
        path = self._path(GET, (call_id,))
        if until not in ("answered", "completed"):
            raise InputError(f"until must be 'answered' or 'completed', got {until!r}.")
        from wavix_async.resources.cdrs import GET as GET_CDR

        latest: Call | None = None
        missing_since: float | None = None

        async def read(client: BaseClient) -> "Call | CDR | None":
            nonlocal latest, missing_since
            try:
                latest, missing_since = await client.call(GET, path=path), None
                return latest
            except NotFoundError:
                pass
            try:
                return await client.call(GET_CDR, path={"call_id": call_id})
            except NotFoundError:
                # A call may be listed, and a CDR written, a moment late.
                now = client.clock.time()
                missing_since = now if missing_since is None else missing_since
                if now - missing_since >= _CDR_LATE:
                    raise
                return latest

        def is_done(state: "Call | CDR | None") -> bool:
            if isinstance(state, Call):
                return state.is_over or (until == "answered" and state.is_answered)
            return state is not None

        state = await wait_until(
            self._client,
            read,
            is_done,
            what=f"call {call_id} is {until}",
            every=every,
            timeout=timeout,
            events=events,
            event="Call",
            id=call_id,
        )
        assert state is not None
        return state


def _is_outbound(call: Call, tag: str) -> bool:
    return call.tag == tag and call.direction != Direction.INBOUND
