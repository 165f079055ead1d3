"""`Operation`: one API call as data. It holds, in one place, everything that differs between operations."""

import string
import typing
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

import attrs

from wavix_async import _codec
from wavix_async._codec import Value
from wavix_async._http.streams import Download, Export
from wavix_async.errors import InputError
from wavix_async.models.common import Success

__all__ = ["Operation"]

T = TypeVar("T")

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
# Without PATCH: each operation says for itself whether setting fields twice is harmless.
_IDEMPOTENT_METHODS: Final = frozenset({"GET", "PUT", "DELETE", "HEAD"})


def _to_frozenset(words: Any) -> Any:
    # A string would become a set of its letters: leave it for the check, which reports it.
    return words if isinstance(words, str) or not isinstance(words, Iterable) else frozenset(words)


def _to_names(proof: Any) -> Any:
    return proof if isinstance(proof, str) or not isinstance(proof, Iterable) else tuple(proof)


@attrs.frozen(eq=False, repr=False)
class Operation(Value, Generic[T]):
    """One API call: where it goes, what it returns, and what the client may do when it fails.

    Use it to call an operation that the SDK has no method for:

        GET_CALL = Operation("GET", "/v1/calls/{id}", dict, unwrap="call")
        call = await wavix.call(GET_CALL, path={"id": "46a2"})

    Attributes:
        method: HTTP method, in capitals: GET, POST, PUT, PATCH, DELETE or HEAD.
        path: Path with placeholders: `/v1/numbers/{id}`.
        result: The type of a successful answer: a model, a list of models, `dict`, `list` or `object` for plain JSON,
            or None to ignore the body: then every 2xx is a success, even one that says `success: false`. `Download` is
            a file and `Export[Message]` one JSON object in each line: make their calls with `download()` and `export()`
            of the client. A union needs a cast, because type checkers cannot infer its type:
            `EITHER: Operation[A | B] = Operation("GET", "/v1/...", cast("Any", A | B))`.
        scope: The permission that the key needs (`numbers:write`), or None.
        idempotent: Whether sending it twice has the same effect as sending it once. The default is True for GET, HEAD,
            PUT and DELETE and False for all others: the client does not repeat a new operation until its author allows
            it.
        limit_group: Operations of one group share a rate limit.
        fail_fast_on_429: Whether a 429 is an error at once, because waiting does not help soon (once per 24 hours).
        fail_fast_codes: The API's own error codes with which a 429 is an error at once, because it concerns this one
            request: "too many messages to this number". Any other 429 is waited out.
        not_found_is_success: Whether a 404 after an attempt with an unknown outcome means that the attempt worked. The
            default is True for every DELETE whose result is `Success`.
        error_flag_is_data: Whether `success: false`, `error: true` or `error: "busy"` in a 2xx answer is part of the
            requested data. By default it is an error.
        unwrap: The key under which the answer holds the result, `{"call": {...}}`; an answer without that key is the
            result itself.
        wrap: The key under which the request body is sent: `{"voice_campaign": {...}}`.
        reserved: Words that a placeholder must not have as its value, because the path would be that of another
            operation: `("all",)` for `/v3/messages/{id}`.
        answer_id: The field of the answer, by its name on the wire, that repeats the last id of the path; an empty
            text: none does. An answer that shows another id, or none, is not believed. Default: if the result is a
            model, its field with the name of the placeholder; for a placeholder `id` at the end of the path, `id`, the
            noun before it (`message_id` for `/v3/messages/{id}`) or `uuid`.
        echoes: The fields of the body, by their names on the wire, that the answer repeats. An answer with another
            value is not believed. Default: for PUT and PATCH, if the result is a model, all fields that it shares with
            the body; otherwise none.
        applied_late: Fields that the API may apply after its answer, so that they prove nothing.
        batch_ids: The key of the body that lists the ids of several records, each of which the answer must show: `ids`;
            or the key of the query that lists ids, if the answer only confirms. The records are the answer, its `items`
            or its only list; each shows its id as `answer_id`, by default `id`.
        proof: The field of the answer, by its name on the wire, that shows that a POST has made something, such as the
            id of a new record; several names: any of them. An answer without it is not believed, nor is an empty list.
            Not with `batch_ids`.
        pending_202: Whether a 202 means that there is no result yet. The result then has `pending` set, a field of its
            model with `metadata={"wire": False}`, and all other fields that the answer lacks are None.
        gone_key: The key of the body of a 400 that says that the object was deleted before: `deleted_at`. After an
            attempt with an unknown outcome, such a 400 means that the attempt worked.

    Raises:
        InputError: The method, the path, the result or a setting is invalid.
    """

    method: str
    path: str
    result: type[T] | None
    scope: str | None = attrs.field(default=None, kw_only=True)
    idempotent: bool = attrs.field(
        default=attrs.Factory(lambda self: self.method in _IDEMPOTENT_METHODS, takes_self=True), kw_only=True
    )
    limit_group: str = attrs.field(default="default", kw_only=True)
    fail_fast_on_429: bool = attrs.field(default=False, kw_only=True)
    fail_fast_codes: Iterable[str] = attrs.field(default=frozenset(), converter=_to_frozenset, kw_only=True)
    not_found_is_success: bool = attrs.field(
        default=attrs.Factory(lambda self: self.method == "DELETE" and self.result is Success, takes_self=True),
        kw_only=True,
    )
    error_flag_is_data: bool = attrs.field(default=False, kw_only=True)
    unwrap: str | None = attrs.field(default=None, kw_only=True)
    wrap: str | None = attrs.field(default=None, kw_only=True)
    reserved: Iterable[str] = attrs.field(default=frozenset(), converter=_to_frozenset, kw_only=True)
    answer_id: str | None = attrs.field(default=None, kw_only=True)
    echoes: Iterable[str] | None = attrs.field(default=None, converter=_to_frozenset, kw_only=True)
    applied_late: Iterable[str] = attrs.field(default=frozenset(), converter=_to_frozenset, kw_only=True)
    batch_ids: str | None = attrs.field(default=None, kw_only=True)
    proof: str | Iterable[str] | None = attrs.field(default=None, converter=_to_names, kw_only=True)
    pending_202: bool = attrs.field(default=False, kw_only=True)
    gone_key: str | None = attrs.field(default=None, kw_only=True)

    is_stream: bool = attrs.field(init=False, repr=False, eq=False)
    """Whether the result is a `Download` or an `Export`."""
    placeholders: tuple[str, ...] = attrs.field(init=False, repr=False, eq=False)
    """The names of the placeholders in the path, from left to right."""
    # The path in pieces, so that filling it in needs no parsing: the text before the first placeholder, and for each
    # placeholder its name and the text after it.
    _start: str = attrs.field(init=False, repr=False, eq=False)
    _rest: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False, eq=False)
    # What answers must show, by the class of the body and of the result; `evidence.py` fills it in at the first answer.
    _evidence: dict[tuple[type, type], Any] = attrs.field(init=False, factory=dict, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.method not in _METHODS:
            raise InputError(f"The method of an operation must be one of {', '.join(_METHODS)}; got {self.method!r}.")
        start, rest = _split(self.path)
        object.__setattr__(self, "_start", start)
        object.__setattr__(self, "_rest", rest)
        object.__setattr__(self, "placeholders", tuple(name for name, _ in rest))
        for name in _SWITCHES:
            # A text such as "no" would count as true, and could send a message twice.
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{self.name}: {name} must be True or False, got {getattr(self, name)!r}.")
        for name in ("unwrap", "wrap"):
            key = getattr(self, name)
            if key is not None and (not isinstance(key, str) or not key):
                raise InputError(f"{self.name}: {name} must be a key such as 'call', or None; got {key!r}.")
        if self.reserved:
            _check_names(self.name, "reserved", "path words such as ['all']", self.reserved)
        if self.fail_fast_codes:
            _check_names(self.name, "fail_fast_codes", "error codes such as ['47']", self.fail_fast_codes)
        for name in ("echoes", "applied_late"):
            if getattr(self, name):
                _check_names(self.name, name, "fields of the body such as ['to']", getattr(self, name))
        for name in ("answer_id", "batch_ids", "gone_key"):
            if not isinstance(getattr(self, name), str | None):
                raise InputError(
                    f"{self.name}: {name} must be a key such as 'id', or None; got {getattr(self, name)!r}."
                )
        proofs = self.proof if isinstance(self.proof, tuple) and self.proof else (self.proof,)
        if self.proof is not None and not all(isinstance(name, str) and name for name in proofs):
            raise InputError(f"{self.name}: proof must be a key such as 'id', several, or None; got {self.proof!r}.")
        if self.proof is not None and self.batch_ids is not None:
            raise InputError(f"{self.name}: an operation with batch_ids has no proof: the ids are the proof.")
        is_stream = self.result is Download or self.result is Export or typing.get_origin(self.result) is Export
        object.__setattr__(self, "is_stream", is_stream)
        if is_stream:
            _check_stream(self)
        else:
            _check_result(self.name, self.result)
        if self.pending_202 and "pending" not in _unsent_fields(self.result):
            raise InputError(
                f'{self.name}: with pending_202, the result needs pending: bool, metadata={{"wire": False}}.'
            )

    def is_quota(self, code: str | None) -> bool:
        """Return whether a 429 with this code of the API says that a quota is used up, and nothing about the rate."""
        return self.fail_fast_on_429 or (code is not None and code in frozenset(self.fail_fast_codes))

    @property
    def name(self) -> str:
        """The name of the operation in messages and events: `PATCH /v1/numbers/{id}`."""
        return f"{self.method} {self.path}"


_SWITCHES: Final = ("idempotent", "fail_fast_on_429", "not_found_is_success", "error_flag_is_data", "pending_202")


def _split(path: object) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the text before the first placeholder, and each placeholder with the text after it."""
    wrong = f"The path of an operation must look like /v1/numbers/{{id}}; got {path!r}"
    if not isinstance(path, str) or not path.startswith("/"):
        raise InputError(f"{wrong}: it must begin with a slash.")
    if not path.isascii() or any(sign in path for sign in "?# \t\r\n"):
        raise InputError(
            f"{wrong}: it must be ASCII without blanks, a query or a fragment. Pass query={{...}} to call()."
        )
    literals, names = [""], list[str]()
    try:
        for literal, name, spec, conversion in string.Formatter().parse(path):
            literals[-1] += literal
            if name is not None:
                if not name.isidentifier() or spec or conversion or name in names:
                    raise InputError(f"{wrong}: a placeholder is a name in braces, each name once.")
                names.append(name)
                literals.append("")
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{wrong}: {error}.") from None
    if any("{" in literal or "}" in literal for literal in literals):
        raise InputError(f"{wrong}: a placeholder is a name in braces, each name once.")
    return literals[0], tuple(zip(names, literals[1:], strict=True))


def _check_names(operation: str, setting: str, what: str, names: object) -> None:
    if not isinstance(names, frozenset) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{operation}: {setting} must be a list of {what}; got {names!r}.")


def _check_stream(operation: "Operation[Any]") -> None:
    if operation.method != "GET":
        raise InputError(f"{operation.name}: a download or an export must be a GET.")
    if operation.result is not Download and not _codec.is_model(next(iter(typing.get_args(operation.result)), None)):
        raise InputError(f"{operation.name}: an export needs the model of its rows: Export[Message].")


def _unsent_fields(kind: Any) -> set[str]:
    return {field.name for field in attrs.fields(kind) if _codec.is_hidden(field)} if _codec.is_model(kind) else set()


def _check_result(operation: str, kind: object) -> None:
    """Check that an answer can be read as `kind`."""
    if kind is None or _can_be_an_answer(kind):
        return
    wanted = kind.__name__ if isinstance(kind, type) else kind
    raise InputError(
        f"{operation}: the result cannot be {wanted}. Use a model (a subclass of wavix_async.models.Model with "
        "@attrs.frozen and fields of such types) or list[...] of one, dict or list for plain JSON, or None to ignore "
        "the body."
    )


def _can_be_an_answer(kind: Any) -> bool:
    if kind in _ANY_JSON:
        return True
    if _codec.is_model(kind):
        return _is_readable(kind)
    if _codec.is_union(kind):
        return all(member is type(None) or _can_be_an_answer(member) for member in _codec.members(kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return _can_be_inside(arguments[0])
    if origin is dict:
        return arguments[0] is str and _can_be_inside(arguments[1])
    return False


def _is_readable(model: Any) -> bool:
    """Return whether every field of a model has a type that an answer can have. A test checks our own models."""
    if getattr(model, "__parameters__", ()) or "__attrs_attrs__" not in vars(model):
        return False
    if model.__module__.startswith("wavix_async."):
        return True
    return all(_can_be_inside(field.kind) for field in _codec.shape_of(model).fields)


def _can_be_inside(kind: Any) -> bool:
    """Return whether a list or a dict in an answer can hold a type: a type of whole answers, or of single values."""
    if kind in _VALUES or (isinstance(kind, type) and issubclass(kind, _codec.OpenEnum)):
        return True
    if _codec.is_union(kind):
        return all(map(_can_be_inside, _codec.members(kind)))
    return _can_be_an_answer(kind)


_ANY_JSON: Final[tuple[Any, ...]] = (dict, list, Any, object)
_VALUES: Final[tuple[Any, ...]] = (str, int, float, bool, type(None), Decimal, datetime, date)
