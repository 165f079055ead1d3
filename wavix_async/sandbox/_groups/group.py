"""The interface between the sandbox and a group of operations."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from threading import RLock
from typing import Protocol

from attrs import define, field, frozen

from wavix_async.sandbox._groups.ledger import Charge, Ledger
from wavix_async.sandbox._server import FileHost, KeyRing, Outbox, Route, SandboxStats, Timers

END_STATES = {"0007": "undelivered", "0008": "rejected", "0009": "dlr_expired"}
"""The final status of a message by its sender, or by the last digits of its recipient; all others are delivered."""


@define
class Relays:
    """Where the account has events posted that nothing more specific has a URL for; a test may change it."""

    sms: str | None = None
    """Inbound messages to numbers without an `sms_relay_url`."""
    dlr: str | None = None
    """Delivery reports of messages without a `callback_url`."""


@frozen(kw_only=True)
class Context:
    """What the sandbox gives to every group: the lock, the clocks, the counters and the sandbox's arguments."""

    lock: RLock
    """A caller holds it while it reads or changes state, but never across an `await`."""
    clock: Callable[[], float]
    """Seconds, for delays."""
    date: Callable[[], datetime]
    """The sandbox's date and time in UTC, for the times in responses; it moves with `clock`."""
    stats: SandboxStats
    timers: Timers
    """What happens later: `context.timers.after(2.0, action)`."""
    outbox: Outbox
    """Where events go: `context.outbox.post("dlr", record["callback_url"], body)`."""
    seed: int = 0
    numbers: int = 0
    foreign: float = 0.0
    apply_delay: float = 0.0
    batch_limit: int | None = None
    delivery_delay: float = 0.0
    end_states: Mapping[str, str] = END_STATES
    message_rate: int | None = None
    daily_messages: int | None = None
    relays: Relays = field(factory=Relays)
    call_delay: float = 0.0
    call_duration: float = 600.0
    cdrs: int = 0
    transcription_delay: float = 0.0
    registry_delay: float = 0.0
    validation_delay: float = 0.0
    trunk_delay: float = 0.0
    api_key: str = ""
    keys: KeyRing = field(factory=lambda: KeyRing(lambda: datetime.now(UTC)))
    """The keys that the sandbox accepts."""
    ledger: Ledger = field(factory=Ledger)
    """The balance of the account."""
    files: FileHost = field(factory=FileHost)
    """How the API answers with a file, and the host of the files: `await context.files.reply(name, media, content)`."""

    def charge(self, amount: Decimal | str, type: int, details: str) -> None:  # noqa: A002 - the name on the wire
        """Charge the account for what a request is about to do, and make a transaction of it.

        Args:
            amount: USD; 0 makes no transaction.
            type: The type of the transaction, such as 15 (an SMS).
            details: What it is for, in words.

        Raises:
            ApiError: 422, the balance is not enough.
        """
        self.ledger.charge([(amount, type, details)])

    def charge_all(self, *charges: Charge) -> None:
        """Charge several amounts, or none of them; see `charge`."""
        self.ledger.charge(charges)


class Group(Protocol):
    """A group of operations and their state."""

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        ...

    def reset(self) -> None:
        """Restore the initial state."""
        ...
