"""`BulkOperation`: what a bulk run does with each item. The engine knows nothing else of the records it changes."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Generic, TypeVar

import attrs

from wavix_async.bulk._results import BulkStatus
from wavix_async.errors import InputError

__all__ = ["BulkOperation", "Change", "Key", "Result"]

Key = TypeVar("Key")
Change = TypeVar("Change")
Result = TypeVar("Result")


@attrs.frozen(eq=False, repr=False, kw_only=True)
class BulkOperation(Generic[Key, Change, Result]):
    """What a bulk run does with each item: a pair of a key (hashable) and a change.

    Without `read` an outcome that is unknown stays `unknown`. Without `idempotent` the engine sends nothing a second
    time that the API may have carried out.

    Attributes:
        name: The operation, for observers and `repr`: `PATCH /v1/numbers/{id}`.
        check: Raise `InputError` for a bad key or change; called with both before anything is sent.
        send: Send one change through the client that is passed; return what the API answers.
        send_many: Send one change to several keys; return what the answer holds, by key. None: there are no batches.
        read: Return the record as it is now. None: the API cannot tell.
        differs: Name the fields of a change that a record does not have as the change wants them; nothing to name
            means that the change is there. None: a record that can be read proves the change.
        applied_late: Names that `differs` gives for fields which the API applies some time after its answer.
        idempotent: Whether sending a change twice does the same as sending it once.
        limit_group: The group of the operation's rate limit, for progress and pauses.
        success: The status of a change that the API has confirmed: `updated`, `accepted` or `done`.
        change_type: The class of a change, for messages; an instance in place of the items is refused.
        key_name: What a key is called in messages: `id`.
        noun: What a record is called in messages: `number`.
        argument: What the items are called in messages: the parameter of the method that starts the run.
    """

    name: str
    check: Callable[[Any, Any], object]
    # Any: a run hands in a client of the class that it was made with, so that its groups can be used.
    send: Callable[[Any, Key, Change], Awaitable[Result]]
    send_many: Callable[[Any, list[Key], Change], Awaitable[Mapping[Key, Result]]] | None = None
    read: Callable[[Any, Key], Awaitable[Result]] | None = None
    differs: Callable[[Change, Result], Collection[str]] | None = None
    applied_late: frozenset[str] = frozenset()
    idempotent: bool = False
    limit_group: str = "default"
    success: BulkStatus = BulkStatus.DONE
    change_type: type[Change]
    key_name: str = "id"
    noun: str = "record"
    argument: str = "updates"

    def __attrs_post_init__(self) -> None:
        if issubclass(self.change_type, dict | list | tuple | set):
            raise InputError(
                f"change_type must not be {self.change_type.__name__}: a change could not be told from a collection of "
                "them. Use a Body, or a class of your own."
            )

    @property
    def pair(self) -> str:
        """What an item looks like, for messages: `(id, NumberUpdate)`."""
        return f"({self.key_name}, {self.change_type.__name__})"
