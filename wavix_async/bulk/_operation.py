"""`BulkOperation`: what a bulk run does with each item. The engine needs no other knowledge of the records."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypeVar

import attrs

from wavix_async._http import Difference, is_request_error
from wavix_async.bulk._results import KEY_REFUSED, BulkStatus
from wavix_async.errors import ClientClosedError, InputError, JournalError, StoppedError, WavixError
from wavix_async.types import UNSET

_OF_ALL: Final = (*KEY_REFUSED, ClientClosedError, StoppedError, JournalError)
"""Errors that all other items would get too. The `StoppedError` is that of a signal of the caller, not of the run."""

__all__ = ["BulkOperation", "Change", "Key", "OncePerKey", "Result"]

Key = TypeVar("Key")
Change = TypeVar("Change")
Result = TypeVar("Result")


@attrs.frozen(eq=False, repr=False, kw_only=True)
class OncePerKey(Generic[Change, Result]):
    """How a run sends each key once, and how it proves that an item was carried out whose answer is lost.

    A mark is a text that a change carries and that the API shows with the record, such as the tag of a message. A
    record with the mark of one item only proves that this item was carried out. That there is none proves nothing.

    Attributes:
        mark: Returns a change with a unique mark that the run makes, given the change and the mark; or the change as it
            is, if it has a mark of its own or must have none.
        mark_of: Returns the mark of a change; None: it has none, so nothing proves it.
        prove: Returns the one record that the API shows for a change with a mark; None if there is none. If the mark is
            the caller's own, the time at which the run met the item is given: an older record is no proof.
        save: Returns an answer as a text for the journal.
        load: Returns the answer of such a text.
    """

    mark: Callable[[Change, str], Change]
    mark_of: Callable[[Change], str | None]
    prove: Callable[[Any, Change, datetime | None], Awaitable[Result | None]]
    save: Callable[[Result], str]
    load: Callable[[str], Result]


@attrs.frozen(eq=False, repr=False, kw_only=True)
class BulkOperation(Generic[Key, Change, Result]):
    """Describe what a bulk run does with each item: a pair of a key (hashable) and a change.

    Without `read` and `once`, an unknown outcome stays `unknown`. Unless the operation is `idempotent`, the engine
    never repeats a request that the API may have carried out.

    Attributes:
        name: The operation, for observers and `repr`: `PATCH /v1/numbers/{id}`.
        check: Raises `InputError` for an invalid key or change. The engine calls it with both before it sends an item.
        send: Sends one change through the client that the run passes, and returns the API's answer.
        send_many: Sends one change to several keys and returns the values of the answer by key. None: no batches.
        read: Returns the current record. None: the API has no way to read it.
        differs: Returns the names of the fields in which a record differs from a change; empty if the change is
            applied. None: if the record can be read, the change is applied.
        values: Returns the value of a field that a change sets and the value that a record shows, given the change, the
            record and a name that `differs` returns. Messages quote them, and a record whose values are both true or
            false is known to be unchanged: there is no third value. None: messages name only the field.
        find: Returns the result of an item that is done already, so that the run sends nothing for it; None: the run
            must send it. The report counts what was found as `skipped`, too.
        reads_only: Whether a request changes nothing, as a download. Then no outcome is `unknown`: an item that did not
            succeed has failed.
        applied_late: Names returned by `differs` that the API may apply only some time after its answer.
        idempotent: Whether sending a change twice has the same effect as sending it once.
        once: For an operation that must not be repeated and can be proved, how. A second item of a key then fails, and
            the run can keep a journal. Such a key is a string or an integer. None: items of a key are sent one after
            the other.
        concerns: Returns whether an error concerns the whole `run`, which then stops, or one `item` only, which then
            fails; None: the engine decides by the class of the error.
        cost: Returns the price that an answer tells; None: it tells none.
        limit_group: The rate limit group of the operation, for progress and pauses.
        success: The status of a change that the API has confirmed: `updated`, `accepted` or `done`.
        change_type: The class of a change, for messages; the engine rejects an instance passed instead of the items.
        key_name: The name of a key in messages: `id`.
        noun: The name of a record in messages: `number`.
        argument: The name of the items in messages: the parameter of the method that starts the run.
    """

    name: str
    check: Callable[[Any, Any], object]
    # Any: a run hands in a client of the class that it was made with, so that its groups can be used.
    send: Callable[[Any, Key, Change], Awaitable[Result]]
    send_many: Callable[[Any, list[Key], Change], Awaitable[Mapping[Key, Result]]] | None = None
    read: Callable[[Any, Key], Awaitable[Result]] | None = None
    differs: Callable[[Change, Result], Collection[str]] | None = None
    values: Callable[[Change, Result, str], tuple[object, object]] | None = None
    find: Callable[[Key, Change], Awaitable[Result | None]] | None = None
    reads_only: bool = False
    applied_late: frozenset[str] = frozenset()
    idempotent: bool = False
    once: OncePerKey[Change, Result] | None = None
    concerns: Callable[[WavixError], Literal["run", "item"] | None] | None = None
    cost: Callable[[Result], Decimal | None] | None = None
    limit_group: str = "default"
    success: BulkStatus = BulkStatus.DONE
    change_type: type[Change]
    key_name: str = "id"
    noun: str = "record"
    argument: str = "updates"

    def __attrs_post_init__(self) -> None:
        if self.once is not None and (self.idempotent or self.read is not None or self.send_many is not None):
            raise InputError(f"{self.name}: with once, an operation has no read, no send_many, and is not idempotent.")
        if issubclass(self.change_type, dict | list | tuple | set):
            raise InputError(
                f"change_type must not be {self.change_type.__name__}: a change would look like a collection of "
                "changes. Use a Body, or a class of your own."
            )

    def concern_of(self, error: WavixError) -> Literal["run", "item"] | None:
        """Return whether an error concerns all items of a run, or certainly only its own; None: it is not known."""
        if isinstance(error, _OF_ALL):
            return "run"
        return None if self.concerns is None else self.concerns(error)

    def is_refused_always(self, error: WavixError | None) -> bool:
        """Return whether the API refuses an item with this error each time, so that no earlier attempt was carried out.

        An answer that depends on the account or on what was sent before may differ from that to an earlier attempt.
        """
        return error is not None and is_request_error(error) and self.concern_of(error) is None

    def differences(self, change: Change, value: Result, *, late: bool = True) -> list[Difference]:
        """Return the fields in which a record differs from a change.

        Args:
            change: The change.
            value: The record.
            late: Whether fields that the API may apply later count.
        """
        names = () if self.differs is None else self.differs(change, value)
        found: list[Difference] = []
        for name in names:
            if late or name not in self.applied_late:
                asked, shown = (UNSET, UNSET) if self.values is None else self.values(change, value, name)
                found.append(Difference(name, asked, shown))
        return found

    @property
    def pair(self) -> str:
        """The form of an item, for messages: `(id, NumberUpdate)`."""
        return f"({self.key_name}, {self.change_type.__name__})"
