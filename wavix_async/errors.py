"""Every exception this package raises.

    WavixError
    ├── InputError (ValueError)           an argument is wrong; nothing was sent
    │   └── ConfigurationError            a setting of the client is wrong or missing
    ├── ClientClosedError (RuntimeError)  the client was used after close()
    ├── StoppedError                      the signal of `with_options(stop=)` was set before the request was sent
    ├── TransportError                    no complete answer came
    │   ├── ConnectError                  never sent: refused, DNS, TLS, a closing connection
    │   ├── DisconnectedError             the connection broke before the answer was complete
    │   └── AttemptTimeoutError (TimeoutError)
    ├── DeadlineExceededError (TimeoutError)  the deadline of the whole call has passed
    ├── OutcomeUnknownError               sent, may have been carried out, and not repeated
    ├── WaitTimeoutError (TimeoutError)   a waiter gave up before the object had reached an end state
    ├── JournalError                      the journal of a run cannot be used
    ├── DecodeError                       an answer could not be read
    ├── APIError                          the API, or a proxy, answered with an error
    │   ├── BadRequestError               400
    │   ├── AuthenticationError           401
    │   ├── PaymentRequiredError          402
    │   ├── PermissionDeniedError         403
    │   ├── NotFoundError                 404
    │   ├── ConflictError                 409
    │   ├── ContentTooLargeError          413
    │   ├── UnprocessableEntityError      422
    │   ├── RateLimitError                429, or a wait for the rate that would exceed the deadline
    │   └── ServerError                   5xx
    └── BulkError                         some items of a bulk run did not succeed (`wavix_async.bulk` defines it)

All of them can be pickled, and all have the attributes `status`, `code`, `request_id`, `date`, `attempts`, `elapsed`,
`retry_after`, `retryable` and `outcome`.
"""

from datetime import datetime
from typing import ClassVar, Final

from wavix_async.types import Outcome

__all__ = [
    "APIError",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "ContentTooLargeError",
    "DeadlineExceededError",
    "DecodeError",
    "DisconnectedError",
    "InputError",
    "JournalError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "StoppedError",
    "TransportError",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "WavixError",
]


class WavixError(Exception):
    """The base of every exception this package raises.

    What to do: Catch a subclass where you can do something about it; `retryable` and `outcome` say what is possible.

    Attributes:
        message: What happened, and what to do about it if that is known.
        status: The HTTP status of the last answer, or None if there was none.
        code: The API's own error code, as a string, or None.
        request_id: The request id that the API or a proxy gave the last answer, or None.
        date: When the API answered, by its own clock (in UTC), or None. Wavix support needs it to find the request.
        attempts: How many times the request was sent.
        elapsed: Seconds from the start of the call to this error.
        retry_after: Seconds that the API asked to wait, or None.
        not_retried: Why the client did not repeat a call that it may repeat: its attempts, its retry budget or its
            deadline were used up, or a setting forbids it. The message ends with it. None if there is nothing to say.
        retryable: Whether the same call may succeed later, unchanged.
        outcome: `not_sent` (no byte reached the API), `rejected` (the API rejected the request and changed nothing) or
            `unknown` (the request may have been carried out).
        reason: The API's own reason, at most 500 characters; None if it gave none, or not in JSON.
        details: The parsed body of an API error, or its first 2,000 characters if it is not JSON; None if there was no
            body. A long or deeply nested body is shortened to about 2,000 characters: the reason comes first, and `…`
            marks what was left out.
    """

    default_outcome: ClassVar[Outcome] = "unknown"
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        date: datetime | None = None,
        retry_after: float | None = None,
        outcome: Outcome | None = None,
        retryable: bool | None = None,
        reason: str | None = None,
        details: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.date = date
        self.retry_after = retry_after
        self.outcome: Outcome = outcome or self.default_outcome
        self.retryable: bool = self.default_retryable if retryable is None else retryable
        self.reason = reason
        self.details = details
        self.attempts = 0
        self.elapsed: float = 0.0
        self.not_retried: str | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def help(self) -> str | None:
        """The meaning of the API's own error code, and what to do; None if there is no code, or no known meaning."""
        from wavix_async._codes import CODES, ERROR_GROUPS

        found = [each for each in CODES if each.code == self.code and each.group in ERROR_GROUPS]
        return f"{found[0].meaning} {found[0].remedy}".strip() if found else None

    @property
    def help_url(self) -> str | None:
        """The vendor's page about the API's own error code; None if there is none."""
        from wavix_async._codes import message_page

        return message_page(self.code)


class InputError(WavixError, ValueError):
    """An argument is wrong. Nothing was sent; the message names the argument.

    What to do: Correct the argument as the message says. The same call fails again.
    """

    default_outcome: ClassVar[Outcome] = "not_sent"


class ConfigurationError(InputError):
    """A setting of the client, the environment or a profile is missing or wrong. Nothing was sent.

    What to do: Correct the setting that the message names. `wavix-async doctor` shows where it comes from.
    """


class ClientClosedError(WavixError, RuntimeError):
    """The client was used after `close()`, or closed during the call; `outcome` says whether anything was sent.

    What to do: Keep the client open for as long as the program runs. `close(grace=)` lets calls in progress end.
    """

    default_outcome: ClassVar[Outcome] = "not_sent"


class StoppedError(WavixError):
    """The signal passed to `with_options(stop=...)` was set before this attempt could be sent.

    What to do: Nothing: your program stopped it. Call again if you want it after all.
    """

    default_outcome: ClassVar[Outcome] = "not_sent"


class TransportError(WavixError):
    """No complete answer came: the base of the errors of the network.

    What to do: Look at `outcome`: `not_sent` may be called again, `unknown` may have been carried out. If it lasts, run
    `wavix-async doctor`.
    """

    default_retryable = True


class ConnectError(TransportError):
    """The request never left this machine: refused, DNS, TLS, proxy, or a connection that was already closing.

    What to do: Call again. If it lasts, run `wavix-async doctor`, which tells DNS, TLS, proxy and firewall apart.

    Attributes:
        was_idle: Whether the connection came from the client's own pool and the server had closed it while idle.
        local_limit: Whether this machine had no file descriptor, port or memory for another connection.
    """

    default_outcome: ClassVar[Outcome] = "not_sent"

    def __init__(
        self, message: str = "", *, was_idle: bool = False, local_limit: bool = False, **facts: object
    ) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.was_idle = was_idle
        self.local_limit = local_limit


class DisconnectedError(TransportError):
    """The connection broke after the request was sent: the request may have been carried out.

    What to do: Read the record, and send the change again only if it is missing. The client has already repeated what
    may be repeated.
    """


class AttemptTimeoutError(TransportError, TimeoutError):
    """One attempt took longer than `Timeouts.attempt`: the request may have been carried out.

    What to do: Read the record, and send the change again only if it is missing. Raise `timeout` if the operation is
    slow.
    """


class DeadlineExceededError(WavixError, TimeoutError):
    """The deadline of the whole call has passed; `outcome` says whether anything was sent.

    What to do: Raise `deadline`, or call again later. If `outcome` is `unknown`, read the record first.
    """

    default_retryable = True


class OutcomeUnknownError(WavixError):
    """A call was sent and may have been carried out: it got no answer that can be believed, and was not repeated.

    Either no answer came, and the call must not be repeated: `__cause__` is the failure. Or the API answered 2xx, and
    the answer contradicts the request: it is about another record, shows another value, or reports an error. Then
    `answer` is that answer.

    What to do: Check the account (or wait for the webhook) before you send it again: what costs money would be charged
    twice.

    Attributes:
        answer: The answer that contradicts the request: the model if it is shorter than about 4,000 characters (2,000
            if it is not as documented), else the parsed JSON, shortened as `details` is. None if no answer came.
        contradiction: How the answer contradicts the request, such as `it shows sms_enabled=False instead of True`;
            None if no answer came.
        differing: The fields, by their names on the wire, in which the answer contradicts the request.
        other_record: Whether the answer is about another record. It may belong to an earlier request, so this one may
            still be in progress.
    """

    def __init__(
        self,
        message: str = "",
        *,
        answer: object = None,
        contradiction: str | None = None,
        differing: tuple[str, ...] = (),
        other_record: bool = False,
        **facts: object,
    ) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.answer = answer
        self.contradiction = contradiction
        self.differing = differing
        self.other_record = other_record

    @property
    def is_contradicted(self) -> bool:
        """Whether an answer came that contradicts the request: the API is up."""
        return self.contradiction is not None

    @property
    def shows_other_values(self) -> bool:
        """Whether that answer shows other values than the request set: the old ones, or the new ones in another form.

        False if it only reports an error, and shows nothing of the record.
        """
        return bool(self.differing)


class WaitTimeoutError(WavixError, TimeoutError):
    """A waiter gave up: the object had not reached an end state in time.

    What to do: Wait again, with a longer `timeout`: waiting changes nothing.

    Attributes:
        last: The object as it was read last; None if no read succeeded. If the last read failed, `__cause__` is its
            error.
    """

    default_retryable = True

    def __init__(self, message: str = "", *, last: object = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.last = last


class JournalError(WavixError):
    """A journal cannot be used: another process uses it, it belongs to another plan or API, or it is not a journal.

    What to do: Wait until the other process has ended (`retryable` is True then), or name the right file.
    """

    default_outcome: ClassVar[Outcome] = "not_sent"


class DecodeError(WavixError):
    """An answer could not be read: not JSON, cut off, too large, or, with `strict=True`, not as documented.

    What to do: Check `base_url`. If a proxy cuts answers, call again; of a change, read the record first. If the API
    has changed, leave out `strict`, and update this package.

    Attributes:
        paths: JSON paths of values that are not as documented (`$.items[3].status: expected str, found int`).
    """

    def __init__(self, message: str = "", *, paths: tuple[str, ...] = (), **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.paths = paths


class APIError(WavixError):
    """The API answered with an error status, or with an error inside a 2xx answer.

    A subclass tells the status. This class itself is raised for any other 4xx of the API, and for an answer that is not
    the API's own or does not show what the API did: 1xx, 3xx, 408, 499, and a 4xx whose body is neither JSON nor empty,
    such as the 404 page of a proxy. Then `is_refusal` is False, and `outcome` is `unknown`.

    What to do: Read `reason`, `code` and `help`. After a 3xx, check `base_url`. If `outcome` is `unknown`, read the
    record before you send a change again. Support needs `request_id` and `date`.

    Attributes:
        is_refusal: Whether this answer rejects the request, so that it changed nothing. `outcome` may still be
            `unknown`, because of an earlier attempt. False if there was no answer.
        is_page: Whether the body was neither JSON nor empty, as in an HTML page: a proxy may have sent it.
    """

    default_outcome: ClassVar[Outcome] = "rejected"

    def __init__(self, message: str = "", *, is_page: bool = False, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.is_page: bool = is_page
        self.is_refusal: bool = self.status is not None and self.outcome != "unknown"


class BadRequestError(APIError):
    """400: a parameter is missing or invalid. The API itself says so, in JSON or with an empty body.

    What to do: Correct the parameter that `reason` names. The same call fails again.
    """


class AuthenticationError(APIError):
    """401: the key is wrong, revoked, or restricted to other IP addresses.

    With a page instead of JSON, a firewall blocks the client; the message then does not doubt the key.

    What to do: Run `wavix-async doctor`. Compare the key with the portal, and its IP list with the public address of
    this machine.
    """


class PaymentRequiredError(APIError):
    """402: the balance does not cover the call; with a page instead of JSON, a proxy blocks the client.

    What to do: Top up the account (`wavix-async whoami` shows the balance), then call again.
    """


class PermissionDeniedError(APIError):
    """403: the key lacks the scope that the message names, or the account lacks the feature.

    With a page instead of JSON, a firewall blocks the client; the message then names no scope.

    What to do: Give the key the scope in the portal, or ask Wavix to enable the feature: some groups need a Flex Pro
    account. `wavix-async doctor` shows which groups the key may read.
    """


class NotFoundError(APIError):
    """404: there is no such object on this account. The API itself says so, in JSON or with an empty body.

    What to do: Check the id: it is the record's id, not the phone number. Check that the key is of this account.
    """


class ConflictError(APIError):
    """409: the object's state does not allow the call. The API itself says so, in JSON or with an empty body.

    What to do: Read the object, and call again when its state allows it.
    """


class ContentTooLargeError(APIError):
    """413: the body is larger than the API, or a proxy before it, accepts.

    What to do: Send a smaller file, or fewer items in one call.
    """


class UnprocessableEntityError(APIError):
    """422: the parameters are well-formed, but the API cannot apply them; said in JSON or with an empty body.

    What to do: Read `reason`: a value, the object's state, or the balance ("Insufficient funds") does not allow it.
    """


class RateLimitError(APIError):
    """429, or a wait for the rate that would exceed the deadline; `retry_after` is its length in seconds.

    A 429 counts whatever its body is: proxies limit rates, too.

    What to do: Call again after `retry_after` seconds, or raise `deadline`, and the client waits. Set `rate` to what
    the account allows. Processes share a limit with `wavix_async.redis.RedisRateLimit`.
    """

    default_retryable = True


class ServerError(APIError):
    """5xx, those of proxies (520 to 530) too: the API failed, but it may have carried out the change.

    What to do: Call again later; of a change, read the record first if `outcome` is `unknown`. If it lasts, give
    `request_id` to Wavix support.
    """

    default_outcome: ClassVar[Outcome] = "unknown"
    default_retryable = True


_BY_STATUS: Final[dict[int, type[APIError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: ContentTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def error_for_status(status: int) -> type[APIError]:
    """Return the error class for an HTTP status that the API itself answered with.

    Args:
        status: An HTTP status; a status below 400 gives `APIError`.

    Returns:
        The class to raise.
    """
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, APIError)
