"""`Ledger`: the balance of the account."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from wavix_async.sandbox._server import ApiError

_ENOUGH = Decimal(1_000_000)

Charge = tuple[Decimal | str, int, str]
"""An amount in USD, the type of its transaction, and its details."""


class Ledger:
    """The balance of the account; it makes a transaction of every charge.

    Args:
        balance: USD at the start; None: more than enough, and no charge is refused.
    """

    def __init__(self, balance: Decimal | None = None) -> None:
        self._start = balance
        self.balance = _ENOUGH if balance is None else balance
        self.book: Callable[[dict[str, Any]], object] = lambda _: None
        """Gets each transaction, without its id and its date."""

    def reset(self) -> None:
        """Restore the balance of the start."""
        self.balance = _ENOUGH if self._start is None else self._start

    def can_pay(self, amount: Decimal) -> bool:
        """Return whether the balance is enough."""
        return self._start is None or amount <= self.balance

    def require(self, amount: Decimal) -> None:
        """Refuse what may cost this amount later, if the balance is not enough.

        Raises:
            ApiError: 422, the balance is not enough.
        """
        if not self.can_pay(amount):
            raise ApiError(422, "Insufficient funds")

    def charge(self, charges: Iterable[Charge], *, refuse: bool = True) -> None:
        """Charge some amounts: all of them, or none.

        Args:
            charges: The amounts; one of 0 makes no transaction.
            refuse: Whether a balance that is too low refuses the charges; otherwise it gets negative.

        Raises:
            ApiError: 422, the balance is not enough.
        """
        wanted = [(Decimal(amount), kind, details) for amount, kind, details in charges]
        if refuse:
            self.require(sum((amount for amount, _, _ in wanted), Decimal(0)))
        for amount, kind, details in wanted:
            if amount:
                self.move(-amount, kind, details)

    def move(self, amount: Decimal, kind: int, details: str) -> None:
        """Add an amount to the balance, or take it away."""
        self.balance += amount
        self.book({"amount": float(amount), "balance_after": float(self.balance), "type": kind, "details": details})
