"""`StreamCall`: a call whose answer is read piece by piece: a file or an export.

The exchange of each attempt opens the answer, follows one redirect, and passes the open body to a consumer. Whatever
fails in there is a failed attempt, which the machinery of all calls retries. If the consumer leaves the body open, the
call keeps its slots until the body is closed.

Only this file and the transport ever see the URL of a file: it is as good as a key, so no error, event or log has it.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import quote

from aiohttp import hdrs
from yarl import URL

from wavix_async import _codec
from wavix_async._http.admission import NO_DEADLINE, Slots, leave
from wavix_async._http.call import Call
from wavix_async._http.open_answer import OpenAnswer
from wavix_async._http.operation import Operation
from wavix_async._http.options import CallOptions
from wavix_async._http.receipts import receivers
from wavix_async._http.request import Request
from wavix_async._http.response import Response, read_request_id, refuse_stream
from wavix_async._http.state import ClientState, LoopState
from wavix_async._http.streams import Download, Stream
from wavix_async.config import Secret, is_loopback
from wavix_async.errors import APIError, ConnectError, DecodeError, TransportError, WavixError

__all__ = ["StreamCall"]

S = TypeVar("S")

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_WHOLE: Final = frozenset({200, 203})
"""Statuses of a whole body. A 206 is a part that the client did not ask for."""
_IN_A_LINE: Final = "".join(map(chr, range(0x21, 0x7F)))
"""Characters of a URL that a request line can contain."""
_LONGEST_ERROR: Final = 64 * 1024
"""Bytes of an error that are read."""


class StreamCall(Call[S]):
    """One call that opens a stream, with all its attempts."""

    __slots__ = ("_consume", "_follow")

    def __init__(
        self,
        state: ClientState,
        options: CallOptions,
        operation: Operation[Any],
        request: Request,
        consume: Callable[[Stream], Awaitable[S]],
        *,
        follow: bool,
    ) -> None:
        super().__init__(state, options, operation, request)
        self._consume = consume
        self._follow = follow

    async def _exchange(self, permit: float, slots: Slots, began: float) -> S:
        """Open the answer, and let the consumer read it."""
        state, options, timeouts = self._state, self._options, self._options.timeouts
        held = _Held(self._here, slots)
        try:
            skipped = state.clock.skipped
            until, deadline = min(began + timeouts.attempt, self._deadline) - skipped, self._deadline - skipped
            answer = await self._here.transport.open(
                self._request, until, deadline, timeouts.connect, timeouts.attempt, fresh=self._fresh
            )
        except BaseException as error:
            held.leave()
            if isinstance(error, WavixError):
                # Before observers see it.
                state.redactor.error(error)
            self._no_answer(permit, began, error)
            raise
        head = Response(answer.status, answer.headers, b"", self._request)
        self._admission.answered(permit, head)
        body, reached = _Body(self, answer, held), False
        try:
            await self._reach_the_file(body, until, deadline)
            reached = True
            value = await self._consume(body)
        except BaseException as error:
            body.close()
            if isinstance(error, WavixError):
                state.redactor.error(error)
            # After a break, or an answer that cannot be read, the next attempt opens a connection of its own.
            self._fresh = self._fresh or isinstance(error, TransportError | DecodeError)
            if reached:
                self._begin_deadline_again()
            outcome = error.outcome if isinstance(error, WavixError) else "unknown"
            self._note_failure(began, head)
            options.observers.notify(self._attempt_event(began, head.status, error, outcome))
            raise
        held.outlive_the_call()
        if options.observers.want_success():
            request_id = read_request_id(head.headers, state.redactor)
            options.observers.notify_success(self._attempt_event(began, head.status, request_id=request_id))
        if receivers.get():
            # Not the value: it may be an open stream.
            self._answer = head.status, head.headers
            self._give_receipt(None, began)
        return value

    def _begin_deadline_again(self) -> None:
        """Give the attempts after a broken body the whole time again: the body itself may have taken hours."""
        allowed = self._options.timeouts.deadline
        self._deadline = NO_DEADLINE if allowed is None else self._time() + allowed
        self._admission.move_deadline(self._deadline)

    async def _reach_the_file(self, body: "_Body", until: float, deadline: float) -> None:
        """Check the head of the answer, and follow a redirect, so that `body` has the file.

        Raises:
            WavixError: The answer is an error, or the file cannot be reached.
        """
        answer = body.answer
        location = await _location(answer, self._operation)
        if location is None:
            if answer.status not in _WHOLE or _is_talk(answer, self._operation):
                self.refuse(answer, await answer.read(_LONGEST_ERROR))
            return
        answer.close()
        target = _target(answer.request.url, location)
        body.location = Secret(str(target))
        if not self._follow:
            return
        body.answer = await self._open_file(target, until, deadline)

    async def _open_file(self, target: URL, until: float, deadline: float) -> OpenAnswer:
        timeouts, api = self._options.timeouts, self._request.url
        try:
            answer = await self._here.transport.open(
                Request("GET", target),
                until,
                deadline,
                timeouts.connect,
                timeouts.attempt,
                to_file_host=target.origin() != api.origin(),
            )
        except ConnectError as error:
            # Not "nothing was sent": the API has answered. Its file could not be reached.
            failure: WavixError = TransportError(f"The host of the file cannot be reached. {error.message}")
            failure.__cause__ = error.__cause__
        else:
            if answer.status in _WHOLE and not _is_talk(answer, self._operation):
                return answer
            answer.close()
            failure = _refused_by_host(answer)
        try:
            raise failure
        finally:
            del failure

    def refuse(self, answer: OpenAnswer, body: bytes) -> NoReturn:
        """Raise the usual error for an answer of the API that is an error, or that is not what was expected."""
        response = Response(answer.status, answer.headers, body, self._request)
        what = "a file was" if self._operation.result is Download else "rows were"
        error = refuse_stream(self._operation, response, self._state.redactor, what)
        self._add_wait(error, response)
        try:
            raise error
        finally:
            del error

    def report(self, drifts: _codec.Drifts) -> None:
        """Tell the observers what is not as documented; raise if the client is strict."""
        self._report(drifts, Response(200, {}, b"", self._request))

    def note(self, error: WavixError) -> None:
        """Add to an error of a body that outlives its call what only the call knows."""
        self._state.redactor.error(error)
        error.attempts, error.elapsed = self._sent, self._time() - self._started


class _Held:
    """The slots of a stream, and its place among the calls in progress."""

    __slots__ = ("_counted", "_here", "_slots")

    def __init__(self, here: LoopState, slots: Slots) -> None:
        self._here = here
        self._slots: Slots = slots
        self._counted = False

    def outlive_the_call(self) -> None:
        """Count the stream as a call in progress, unless it is closed already: `close(grace=)` waits for it."""
        if self._slots:
            self._counted = True
            # Not `begin_call`: the stream of a call that was in progress may go on when the client is about to close.
            self._here.count += 1

    def leave(self) -> None:
        """Release the slots, once."""
        slots, self._slots = self._slots, ()
        leave(slots)
        if self._counted:
            self._counted = False
            self._here.end()


class _Body:
    """The body of a stream: what `Download` and `Export` read. It is also what the protocol `Stream` describes."""

    __slots__ = ("_call", "_held", "answer", "location")

    def __init__(self, call: StreamCall[Any], answer: OpenAnswer, held: _Held) -> None:
        self._call = call
        self._held = held
        self.answer = answer
        self.location: Secret | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        return self.answer.headers

    @property
    def filename(self) -> str | None:
        return self.answer.filename

    @property
    def length(self) -> int | None:
        return self.answer.length

    @property
    def tells_its_end(self) -> bool:
        return self.answer.tells_its_end

    async def chunk(self) -> bytes:
        try:
            return await self.answer.chunk()
        except BaseException as error:
            self.close()
            if isinstance(error, WavixError):
                self._call.note(error)
            raise

    def close(self) -> None:
        self.answer.close()
        self._held.leave()

    def report(self, drifts: _codec.Drifts) -> None:
        self._call.report(drifts)

    def note(self, error: WavixError) -> None:
        self._call.note(error)

    def refuse(self, body: bytes) -> NoReturn:
        self._call.refuse(self.answer, body)


# --- redirects ---


def _is_talk(answer: OpenAnswer, operation: Operation[Any]) -> bool:
    """Return whether a body talks about the request (JSON, or a page of a proxy) and is not what was asked for."""
    if hdrs.CONTENT_DISPOSITION in answer.headers:
        return False
    kind = answer.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    return "html" in kind or (
        operation.result is Download and (kind == "text/json" or kind.endswith(("/json", "+json")))
    )


async def _location(answer: OpenAnswer, operation: Operation[Any]) -> str | None:
    """Return where the answer says that the file is; None: the answer itself is the file, or an error."""
    location = answer.headers.get(hdrs.LOCATION)
    if location is None or answer.status not in _REDIRECTS | _WHOLE:
        return None
    if answer.status in _WHOLE and not _is_talk(answer, operation) and await answer.peek():
        return None
    return location


def _target(api: URL, location: str) -> URL:
    """Return the URL of the file.

    Raises:
        DecodeError: It is not https; http is allowed only from loopback to loopback.
    """
    target, host = api, ""
    with suppress(ValueError):
        # As it came: a presigned URL is valid only in its exact spelling. But a blank would end the request line.
        target = api.join(URL(quote(location.encode("utf-8", "surrogateescape"), _IN_A_LINE), encoded=True))
        host = target.host or ""
    if not host:
        raise DecodeError("The answer redirects to something that is not a URL.")
    if target.user is not None or target.password is not None:
        raise DecodeError(f"The answer redirects to {host} with a login in the URL: it was not followed.")
    if target.scheme != "https" and not (target.scheme == "http" and is_loopback(host) and is_loopback(api.host or "")):
        raise DecodeError(f"The answer redirects to {host}, but not over https: it was not followed.")
    return target


def _refused_by_host(answer: OpenAnswer) -> APIError:
    """Return the error for an answer of the file's host. Its body and its headers may repeat the presigned URL."""
    host, status = answer.request.url.host, answer.status
    if status in _REDIRECTS:
        why = "it redirects again, and only one redirect is followed"
    elif status in _WHOLE:
        why = "it sent a page or JSON where a file was expected"
    else:
        why = "the link that the API gave may have expired"
    # Like the page of a proxy, this is no answer of the API: it is worth another attempt, with a new link.
    return APIError(
        f"HTTP {status} from {host}, the host of the file: {why}.",
        status=status,
        outcome="unknown",
        retryable=True,
        is_page=True,
    )
