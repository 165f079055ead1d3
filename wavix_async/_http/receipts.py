"""Receipts: what a caller can know about a call beside its answer.

The coroutine of a call exists before `receipt` gets it, so the facts travel by a context variable: `receipt` and
`record` set it, the call reads it when it ends, and the tasks that a task starts inherit it. Without a receiver, a call
pays for one look at the variable.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, overload

import attrs
from multidict import CIMultiDict, CIMultiDictProxy

from wavix_async._codec import Value
from wavix_async.errors import InputError

__all__ = ["Receipt", "Receivers", "Recording", "get_receipt", "receivers"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Receipt(Value, Generic[T_co]):
    """What is known about a call that has ended.

    Attributes:
        operation: The operation, such as `PATCH /v1/numbers/{id}`.
        value: The result of the call. In a recording, None for a failed call, and for a file or an export.
        status: The HTTP status of the last answer; None if no answer came.
        headers: The headers of the last answer, by name in any case. Values that are secret by their name, and the API
            key in any value, are `<hidden>`.
        request_id: The API's id of the request; None if the API gave none.
        attempts: How many requests were sent.
        waited: Seconds in which no request was on the wire: waits for the rate, for a connection, and backoff.
        elapsed: Seconds from the start of the call to its end.
        error: The class name of the error of a failed call in a recording; None for a success.
    """

    operation: str
    value: T_co = attrs.field(repr=False)
    status: int | None
    headers: Mapping[str, str] = attrs.field(repr=False)
    request_id: str | None
    attempts: int
    waited: float
    elapsed: float
    error: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # The headers are a view, which cannot be pickled or copied.
        facts = {field.name: getattr(self, field.name) for field in attrs.fields(Receipt)}
        return _restore, ({**facts, "headers": [*self.headers.items()]},)


def _restore(facts: dict[str, Any]) -> Receipt[Any]:
    return Receipt(**{**facts, "headers": CIMultiDictProxy(CIMultiDict(facts["headers"]))})


class Recording(Sequence[Receipt[Any]]):
    """The receipts of the calls of one block, in the order in which the calls ended; see `WavixClient.record`.

    It has the last `keep` receipts; `total` counts all calls that ended in the block.
    """

    def __init__(self, owner: object, keep: int) -> None:
        self._owner = owner
        self._receipts: deque[Receipt[Any]] = deque(maxlen=keep)
        self._token: Token[Receivers] | None = None
        self._open = False
        self.total: int = 0
        """How many calls ended in the block."""

    def __enter__(self) -> Self:
        if self._token is not None:
            raise InputError("A recording can be entered once: call record() again.")
        self._open = True
        self._token = receivers.set((*receivers.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Tasks that the block has started may still run, with the variable as it was: they add nothing more.
        self._open = False
        if self._token is not None:
            # A fixture of a test may end in another context, which has no such value.
            with contextlib.suppress(ValueError):
                receivers.reset(self._token)

    def _add(self, owner: object, receipt: Receipt[Any]) -> None:
        if self._open and owner is self._owner:
            self.total += 1
            self._receipts.append(receipt)

    @overload
    def __getitem__(self, at: int) -> Receipt[Any]: ...
    @overload
    def __getitem__(self, at: slice) -> list[Receipt[Any]]: ...
    def __getitem__(self, at: int | slice) -> Receipt[Any] | list[Receipt[Any]]:
        return list(self._receipts)[at] if isinstance(at, slice) else self._receipts[at]

    def __iter__(self) -> Iterator[Receipt[Any]]:
        # A copy: calls may end while the caller awaits between two receipts.
        return iter(list(self._receipts))

    def __len__(self) -> int:
        return len(self._receipts)

    def __repr__(self) -> str:
        return f"<Recording of {self.total} calls>"


class _One:
    """Receives the receipt of the call of `receipt`."""

    __slots__ = ("receipt",)

    def __init__(self) -> None:
        self.receipt: Receipt[Any] | None = None

    def _add(self, _: object, receipt: Receipt[Any]) -> None:
        self.receipt = receipt


Receivers = tuple["Recording | _One", ...]

receivers: Final[ContextVar[Receivers]] = ContextVar("wavix_async_receivers", default=())
"""What gets the receipts of the calls in this context."""


async def get_receipt(call: Awaitable[T]) -> Receipt[T]:
    """Make a call and return its receipt; see `BaseClient.receipt`."""
    _check(call)
    one = _One()
    token = receivers.set((*receivers.get(), one))
    try:
        value = await call
    finally:
        receivers.reset(token)
    if one.receipt is None:
        raise InputError("receipt() got something that made no call of this library, so there is no receipt.")
    # A method may convert the answer of its call, so the receipt has the result of the method.
    return attrs.evolve(one.receipt, value=value)


def _check(call: Any) -> None:
    example = "await wavix.receipt(wavix.numbers.get(1001))"
    if isinstance(call, asyncio.Future):
        raise InputError(f"receipt() got a task or future, whose call may have begun: pass the call, as in {example}.")
    if getattr(call, "makes_many_calls", False):
        raise InputError(
            f"receipt() takes one call, and a {type(call).__name__} makes many: wrap it in "
            "`with wavix.record() as calls:`, which keeps a receipt of each call."
        )
    if not isinstance(call, Awaitable):
        raise InputError(f"receipt() takes a call that is not awaited yet, as in {example}; got {type(call).__name__}.")
