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
        return None if self.code is None else _MEANINGS.get(self.code)

    @property
    def help_url(self) -> str | None:
        """The vendor's page about the API's own error code; None if there is none."""
        return f"{_CODE_PAGES}/{self.code}" if self.code in _CODES_WITH_PAGE else None


class InputError(WavixError, ValueError):
    """An argument is wrong. Nothing was sent; the message names the argument and says what to do."""

    default_outcome: ClassVar[Outcome] = "not_sent"


class ConfigurationError(InputError):
    """A setting of the client is missing or wrong. Nothing was sent."""


class ClientClosedError(WavixError, RuntimeError):
    """The client was used after `close()`, or closed during the call; `outcome` says whether anything was sent."""

    default_outcome: ClassVar[Outcome] = "not_sent"


class StoppedError(WavixError):
    """The signal passed to `with_options(stop=...)` was set before this attempt could be sent."""

    default_outcome: ClassVar[Outcome] = "not_sent"


class TransportError(WavixError):
    """No complete answer came."""

    default_retryable = True


class ConnectError(TransportError):
    """The request never left this machine: refused, DNS, TLS, or a connection that was already closing.

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
    """The connection broke after the request was sent: the request may have been carried out."""


class AttemptTimeoutError(TransportError, TimeoutError):
    """One attempt took longer than `Timeouts.attempt`: the request may have been carried out."""


class DeadlineExceededError(WavixError, TimeoutError):
    """The deadline of the whole call has passed; `outcome` says whether anything was sent."""

    default_retryable = True


class OutcomeUnknownError(WavixError):
    """A call was sent and may have been carried out: it got no answer that can be believed, and was not repeated.

    Either no answer came, and the call must not be repeated: `__cause__` is the failure. Or the API answered 2xx, and
    the answer contradicts the request: it is about another record, shows another value, or reports an error. Then
    `answer` is that answer. Check the account (or wait for the webhook) before you send it again.

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
    """A waiter gave up: the object had not reached an end state in time. Waiting changes nothing, so wait again.

    Attributes:
        last: The object as it was read last; None if no read succeeded. If the last read failed, `__cause__` is its
            error.
    """

    default_retryable = True

    def __init__(self, message: str = "", *, last: object = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.last = last


class JournalError(WavixError):
    """A journal cannot be used: another process uses it, it belongs to another plan or API, or it is not a journal."""

    default_outcome: ClassVar[Outcome] = "not_sent"


class DecodeError(WavixError):
    """An answer could not be read: not JSON, cut off, too large, or, with `strict=True`, not as documented.

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
    """400: a parameter is missing or invalid. The API itself says so, in JSON or with an empty body."""


class AuthenticationError(APIError):
    """401: the key is wrong, revoked, or restricted to other IP addresses.

    With a page instead of JSON, a firewall blocks the client; the message then does not doubt the key.
    """


class PaymentRequiredError(APIError):
    """402: the balance does not cover the call; with a page instead of JSON, a proxy blocks the client."""


class PermissionDeniedError(APIError):
    """403: the key lacks the scope that the message names, or the account lacks the feature.

    With a page instead of JSON, a firewall blocks the client; the message then names no scope.
    """


class NotFoundError(APIError):
    """404: there is no such object on this account. The API itself says so, in JSON or with an empty body."""


class ConflictError(APIError):
    """409: the object's state does not allow the call. The API itself says so, in JSON or with an empty body."""


class ContentTooLargeError(APIError):
    """413: the body is larger than the API, or a proxy before it, accepts."""


class UnprocessableEntityError(APIError):
    """422: the parameters are well-formed, but the API cannot apply them; said in JSON or with an empty body."""


class RateLimitError(APIError):
    """429, or a wait for the rate that would exceed the deadline; `retry_after` is its length in seconds.

    A 429 counts whatever its body is: proxies limit rates, too.
    """

    default_retryable = True


class ServerError(APIError):
    """5xx, those of proxies (520 to 530) too: the API failed, but it may have carried out the change."""

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


# Only meanings that the vendor has published. The vendor has a page for each code of messages; codes of three digits
# belong to the number validator and two-factor authentication.
_CODE_PAGES: Final = "https://docs.wavix.com/messaging/errors"
_CODES_WITH_PAGE: Final = frozenset(
    map(
        str,
        (
            5,
            7,
            9,
            12,
            13,
            14,
            15,
            17,
            18,
            19,
            21,
            22,
            23,
            24,
            25,
            26,
            29,
            31,
            33,
            34,
            36,
            37,
            38,
            41,
            43,
            *range(44, 48),
            55,
        ),
    )
)
_REPEATED_TEXT: Final = (
    "This number got five identical messages, or twenty from one sender, within an hour: it gets none for the next 60 "
    "minutes. Wait, or send another text from another sender."
)
_MEANINGS: Final = {
    "7": _REPEATED_TEXT,
    "25": "The callback URL must start with http:// or https://.",
    "26": "The account has reached its limit of messages per second. Send more slowly, or ask for a higher limit.",
    "47": _REPEATED_TEXT,
    "55": "A message with the same idempotency key was accepted within the last 12 hours. It was not sent again.",
    "012": "Access is denied: the account or the key must not use this feature.",
    "091": "The balance does not cover the request. Top up the account.",
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
