"""What the codes and words of the API mean: one table, from what the vendor has published, in our own words.

A meaning that the vendor has not published is not here. The vendor has a page for each code of messages.
"""

from typing import Final, NamedTuple

__all__ = ["CODES", "ERROR_GROUPS", "MESSAGES", "SMPP_OFFSET", "Code", "message_page"]

MESSAGES: Final = "messages"
SMPP_OFFSET: Final = 1000
"""What SMPP adds to a code of messages."""

_PAGES: Final = "https://docs.wavix.com/messaging/errors"
_WITH_PAGE: Final = frozenset(
    map(
        str,
        (5, 7, 9, *range(12, 16), *range(17, 20), *range(21, 27), 29, 31, 33, 34, 36, 37, 38, 41, *range(43, 48), 55),
    )
)


class Code(NamedTuple):
    """A code or a word of the API in one group of operations."""

    group: str
    """Where it occurs, such as `messages` or `number validation`."""
    code: str
    meaning: str
    remedy: str = ""
    """What to do; empty if nothing is wrong."""


def message_page(code: str | None) -> str | None:
    """Return the vendor's page about an error code of messages; None if there is none."""
    return f"{_PAGES}/{code}" if code in _WITH_PAGE else None


_REPEATED: Final = (
    "This number got five identical messages, or twenty from one sender, within an hour: it gets none for the next 60 "
    "minutes.",
    "Wait, or send another text from another sender.",
)
_VALIDATOR: Final = "number validation (error_code)"
ERROR_GROUPS: Final = frozenset({MESSAGES, _VALIDATOR})
"""The groups whose codes are those of errors; the numbers and words of the others mean something else."""
_DENIED: Final = (
    "Access is denied: the account or the key must not use this feature.",
    "Give the key the scope, or ask Wavix to enable the feature.",
)
_LOOKUP: Final = "Validate the number again later; it is charged again."
_STATUS: Final = "messages (status)"
_CALL: Final = "calls (event_type) and CDRs (disposition)"
_TRANSPORT: Final = "numbers (transport of a destination)"
_SIP: Final = "SIP (RFC 3261, in the log of a trunk's phone system)"
_TWO_FA: Final = "2FA (status of a session)"

CODES: Final = (
    Code(MESSAGES, "7", *_REPEATED),
    Code(MESSAGES, "25", "The callback URL must start with http:// or https://.", "Correct `callback_url`."),
    Code(
        MESSAGES,
        "26",
        "The account has reached its limit of messages per second.",
        "Send more slowly, or ask for a higher limit.",
    ),
    Code(MESSAGES, "47", *_REPEATED),
    Code(
        MESSAGES,
        "55",
        "A message with the same idempotency key was accepted within the last 12 hours. It was not sent again.",
        "Use a new key for a new message.",
    ),
    Code(_VALIDATOR, "000", "The number was validated."),
    Code(_VALIDATOR, "012", *_DENIED),
    Code(_VALIDATOR, "013", "The lookup failed: an internal error of the validator.", _LOOKUP),
    Code(
        _VALIDATOR,
        "021",
        "The format of the number is invalid.",
        "Write it with its country code, such as 12025550143.",
    ),
    Code(_VALIDATOR, "041", "The lookup failed: the remote system did not answer in time.", _LOOKUP),
    Code(_VALIDATOR, "042", "The lookup failed: the query of the remote system failed.", _LOOKUP),
    Code(_VALIDATOR, "091", "The balance does not cover the request.", "Top up the account."),
    Code("2FA (error_code)", "012", *_DENIED),
    Code(_TRANSPORT, "1", "The calls of the number go to a SIP URI."),
    Code(_TRANSPORT, "4", "The calls of the number go to a phone number (PSTN)."),
    Code(_TRANSPORT, "5", "The calls of the number go to a SIP trunk, which `trunk_id` names."),
    Code(_STATUS, "accepted", "Wavix took the message, to send it."),
    Code(_STATUS, "pending", "The message is in the queue; the carrier has not answered yet."),
    Code(_STATUS, "sent", "The carrier has the message."),
    Code(_STATUS, "delivered", "The carrier confirmed that the phone has the message."),
    Code(
        _STATUS,
        "undelivered",
        "The carrier reported that it could not deliver the message.",
        "Look at `error_message` of the message, and validate the number.",
    ),
    Code(
        _STATUS,
        "expired",
        "The validity of the message ended before it was sent.",
        "Give it a longer `validity`, in seconds, or send fewer messages at once.",
    ),
    Code(
        _STATUS,
        "rejected",
        "The message was rejected before it was sent.",
        "Look at `error_message`: the sender ID, the text, an opt-out or the 10DLC campaign may be the reason.",
    ),
    Code(
        _STATUS,
        "dlr_expired",
        "The carrier sent no delivery receipt in time; the phone may have the message.",
        "Do not send it again only because of that.",
    ),
    Code(_CALL, "answered", "The called party answered."),
    Code(_CALL, "completed", "The call ended normally."),
    Code(_CALL, "noanswer", "The called party did not answer while it rang."),
    Code(_CALL, "busy", "The called party was busy.", "Call again later."),
    Code(_CALL, "cancelled", "The call ended before the called party answered."),
    Code(_CALL, "rejected", "The called party declined the call."),
    Code(
        _CALL,
        "failed",
        "The call could not be routed.",
        "Check the number, the balance, the highest price of a minute (`whoami`) and the destination or trunk.",
    ),
    Code(_SIP, "403", "Forbidden: the other side refuses the call.", "Check the login and the addresses of the trunk."),
    Code(_SIP, "404", "Not found: the number does not exist there.", "Write it with its country code."),
    Code(
        _SIP, "408", "Request timeout: the other side did not answer.", "Check the network and the host of the trunk."
    ),
    Code(_SIP, "480", "Temporarily unavailable: the phone is not registered, or does not answer."),
    Code(_SIP, "486", "Busy here: the called party is busy.", "Call again later."),
    Code(_SIP, "487", "Request terminated: the caller hung up before the answer."),
    Code(_SIP, "488", "Not acceptable here: the two sides have no codec in common.", "Allow more codecs."),
    Code(
        _SIP, "503", "Service unavailable: the other side is overloaded, or has no free channel.", "Call again later."
    ),
    Code(_SIP, "603", "Decline: the called party declined the call."),
    Code(_TWO_FA, "pending", "The code was sent, and not checked yet."),
    Code(_TWO_FA, "verified", "The code was right."),
    Code(_TWO_FA, "expired", "The code was valid for 5 minutes, which are over.", "Create a new verification."),
    Code(_TWO_FA, "canceled", "The program cancelled the verification.", "Create a new verification."),
    Code(_TWO_FA, "failed", "The code was wrong too often: 5 checks are allowed.", "Create a new verification."),
)
