"""A call that is over, as the group of calls gives it to the groups of CDRs and recordings."""

from collections.abc import Callable
from datetime import datetime

from attrs import frozen


@frozen(kw_only=True)
class EndedCall:
    """Everything that a CDR, a recording and a post-call event say of a call."""

    call_id: str
    direction: str
    """`inbound` or `outbound`."""
    from_: str
    to: str
    started: datetime
    answered: datetime | None
    """None: it was not answered."""
    ended: datetime
    disposition: str
    """`answered`, `noanswer`, `busy` or `failed`."""
    duration: int
    """Seconds from the answer to the end, rounded up; 0 without an answer."""
    destination: str
    per_minute: str
    """USD."""
    charge: str
    """USD, for the minutes that were begun."""
    recorded: bool
    """Whether the call was to be recorded; there is a recording only if it was answered, too."""
    transcribed: bool
    """Whether the call was to be transcribed."""
    answered_by: str | None
    """`human` or `machine`; None: not known, because nothing tried to find out, or the call was not answered."""
    tag: str


OnEnd = Callable[[EndedCall], None]
"""Called under the sandbox's lock when a call is over, before its post-call event; its clock shows the end."""


def ignore(call: EndedCall) -> None:
    """Leave nothing of a call."""
