"""What a 2xx answer must show before it is believed: pure functions, used in one place (`read_response`).

A 200 proves little. A proxy or an overloaded API may send an error under it, the old values, or the answer to another
request. So an answer must be about the record that was asked for, show the values that were set, and not say no.
`Operation` declares what that means for each call, mostly by its defaults. What an answer does not show (a change that
was not saved, although the answer shows it) only a later read can find.
"""

import enum
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from wavix_async import _codec
from wavix_async._http.details import DETAILS, bounded
from wavix_async._http.operation import Operation
from wavix_async._http.request import Request
from wavix_async.models.common import Success
from wavix_async.types import UNSET

__all__ = [
    "TALK",
    "Contradiction",
    "Difference",
    "denial",
    "denial_of_record",
    "describe",
    "find_contradiction",
    "find_id_field",
]

Excerpt: TypeAlias = Callable[[str, int], str]
"""Returns the beginning of a text, without the API key and without a part of it at the cut."""


@attrs.frozen(eq=False, repr=False)
class Contradiction:
    """How an answer contradicts its request."""

    words: str
    """A clause for a message: `it shows sms_enabled=False instead of True`."""
    differing: tuple[str, ...]
    """The fields in which it does, by their names on the wire."""
    other_record: bool
    """Whether it is about another record than the request."""


@attrs.frozen(eq=False, repr=False)
class Difference:
    """A field that an answer shows otherwise than the request asked for."""

    wire: str
    """Its name on the wire."""
    asked: Any
    shown: Any
    """Both are `UNSET` if only the field is known, and not its values."""
    is_id: bool = False
    """Whether it is the id of the record."""


# --- answers that say no ---

_NO: Final = frozenset(each for word in ("error", "failed", "failure") for each in (word, word.upper(), word.title()))
TALK: Final = frozenset(
    {"success", "status", "message", "error", "errors", "code", "error_code", "error_class", "detail", "details"}
    | {"title", "type", "instance", "reason", "timestamp", "path", "request_id"}
)
"""Keys of an answer that only talks about the request, and has no data."""
_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, "", [], {})
_YES: Final = (True, 1, "true", "1")
_READS: Final = frozenset({"GET", "HEAD"})


def denial(operation: Operation[Any], payload: dict[str, Any], excerpt: Excerpt) -> str | None:
    """Return how a 2xx answer says no, as a clause for a message; None if it does not.

    `success: false` and `error: true` are the API's own form of an error; `read_response` raises it before. Inside the
    key `unwrap` they are a doubt.

    Args:
        operation: The call.
        payload: The parsed answer, an object.
        excerpt: Shortens what the clause quotes.
    """
    status = payload.get("status")
    if (  # written out, because every success goes through it: `_is_quiet` costs a call
        operation.unwrap is None
        and payload.get("success", True) is True
        and "error" not in payload
        and "errors" not in payload
        and (status not in _NO if type(status) is str else type(status) is not int)
        and (operation.result is not Success or "success" in payload or not payload)
    ):
        return None
    inner = None if operation.unwrap is None else payload.get(operation.unwrap)
    is_wrapped = isinstance(inner, dict | list)
    words = None
    if not _is_quiet(payload):
        around = frozenset({operation.unwrap or ""}), False
        words = _denial(payload, around if is_wrapped else _data_keys(operation), excerpt)
    if words is None and type(inner) is dict and not _is_quiet(inner):
        words = _denial(inner, _data_keys(operation), excerpt)
    if words is None and operation.result is Success and payload and "success" not in payload:
        words = f"it does not say success, only {_brief(payload, excerpt)}"
    return words


def denial_of_record(record: object, excerpt: Excerpt) -> str | None:
    """Return how one record of an answer says no, as `denial` does. What its model documents is data.

    Args:
        record: A model, or plain JSON.
        excerpt: Shortens what the clause quotes.
    """
    if isinstance(record, _codec.AnswerBase):
        undocumented: Any = record.extra
        return _denial(undocumented, (frozenset(), False), excerpt) if undocumented else None
    if type(record) is not dict or _is_quiet(record):
        return None
    return _denial(record, (frozenset(), True), excerpt)


def _is_quiet(payload: dict[str, Any]) -> bool:
    """Return whether an object has no key that may say no; nearly all have none."""
    status = payload.get("status")
    return (
        payload.get("success", True) is True
        and "error" not in payload
        and "errors" not in payload
        and (status not in _NO if type(status) is str else type(status) is not int)
    )


def _denial(payload: Mapping[str, Any], known: tuple[frozenset[str], bool], excerpt: Excerpt) -> str | None:
    """Return how an object says no, given the keys that are data, and whether any key may be data (plain JSON)."""
    data, is_plain = known
    status = payload.get("status")
    escape = ". If that is data, make the Operation with error_flag_is_data=True" if is_plain else ""
    for key in ("error", "errors"):
        if key not in data and payload.get(key) not in _NOTHING:
            return f"it says {key}: {_brief(payload[key], excerpt)}{escape}"
    fails = status in _NO if type(status) is str else type(status) is int and status >= 400
    if fails and (payload.keys() <= TALK or not (is_plain or "status" in data)):
        return f"it says status: {_brief(status, excerpt)}{escape}"
    if "success" not in data and payload.get("success", True) not in _YES:
        return f"it says success: {_brief(payload['success'], excerpt)}{escape}"
    return None


def _data_keys(operation: Operation[Any]) -> tuple[frozenset[str], bool]:
    """Return the keys that are data because the result documents them, and whether any key may be data (plain JSON)."""
    if operation.result is Success:
        return frozenset(), False
    models = [kind for kind in _codec.members(operation.result) if _codec.is_model(kind) and kind is not Success]
    return frozenset(name for model in models for name in _codec.shape_of(model).names), not models


# --- answers that show another record, or other values ---


@attrs.frozen(eq=False, repr=False)
class _Echo:
    """A field of the body that the answer repeats."""

    key: str
    """Its name in the body: the attribute of a `Body`, or the key of a dict."""
    name: str
    """Its name in the answer."""
    wire: str
    is_hidden: bool
    """Whether its values must not be shown."""


@attrs.frozen(eq=False, repr=False)
class _Id:
    """An id in the path that the answer repeats."""

    placeholder: str
    name: str
    """Its name in the answer."""
    wire: str
    optional: bool
    """Whether the answer may leave it out."""

    def is_shown(self, shown: Any, asked: Any) -> bool:
        return (self.optional and shown is None) or _codec.is_same_id(shown, asked)


@attrs.frozen(eq=False, repr=False)
class _Evidence:
    """What the answers of an operation must show, worked out once for each class of bodies and results."""

    ids: tuple[_Id, ...]
    echoes: tuple[_Echo, ...]
    read_body: Callable[[Any, str], Any]
    read_answer: Callable[[Any, str], Any]
    supports: Callable[[Any, Any, Any], bool]
    """Whether an answer shows all that, given the ids in the path, the body and the answer."""

    def differences(self, request: Request, value: Any) -> Iterator[Difference]:
        """Give each field in which an answer contradicts its request."""
        path = request.path or {}
        for each in self.ids if path else ():
            asked, shown = path[each.placeholder], self.read_answer(value, each.name)
            if not each.is_shown(shown, asked):
                yield Difference(each.wire, asked, shown, is_id=True)
        for echo in self.echoes:
            asked, shown = self.read_body(request.asked, echo.key), self.read_answer(value, echo.name)
            if not _codec.shows(shown, asked):
                if echo.is_hidden:
                    asked = shown = "<hidden>"
                yield Difference(echo.wire, asked, shown)


def find_contradiction(
    operation: Operation[Any], request: Request, value: Any, excerpt: Excerpt
) -> Contradiction | None:
    """Return how a decoded answer contradicts its request; None if it does not.

    Args:
        operation: The call.
        request: The request, with the ids in its path and its body.
        value: The decoded answer.
        excerpt: Shortens what the message quotes.
    """
    if type(value) is Success:
        return _find_in_confirmation(operation, request, value, excerpt) if value.extra else None
    if operation.batch_ids is not None:
        return _find_in_batch(operation, operation.batch_ids, request, value, excerpt)
    if type(value) is list:
        return None if operation.method in _READS else _find_in_list(operation, value, excerpt)
    kinds = type(request.asked), type(value)
    evidence = operation._evidence.get(kinds) or _evidence(operation, *kinds)
    if evidence.supports(request.path, request.asked, value):
        return None
    proof = _proof(operation)
    if proof and not any(_shown(value, name) for name in proof):
        return Contradiction(f"it does not show the {' or '.join(proof)}", (), other_record=False)
    return describe(evidence.differences(request, value), excerpt)


def describe(differences: Iterable[Difference], excerpt: Excerpt) -> Contradiction:
    """Put the differences between an answer and its request into words.

    Args:
        differences: The differences.
        excerpt: Shortens what the words quote.
    """

    def brief(value: Any) -> str:
        return _brief(value, excerpt)

    found = list(differences)
    wires = tuple(each.wire for each in found)
    first = next((each for each in found if each.is_id), None)
    if first is None:
        values = (
            f"another {each.wire}"
            if each.asked is UNSET
            else f"{each.wire}={brief(each.shown)} instead of {brief(each.asked)}"
            for each in found
        )
        return Contradiction(f"it shows {' and '.join(values)}", wires, other_record=False)
    if first.shown is None:
        return Contradiction(f"it does not show the {first.wire} {brief(first.asked)}", wires, other_record=False)
    words = f"it is about {first.wire} {brief(first.shown)} instead of {brief(first.asked)}"
    return Contradiction(words, wires, other_record=True)


_SHORT: Final = 100


def _brief(value: Any, excerpt: Excerpt) -> str:
    """Write a value for a message. The key is hidden before the text is cut: a part of it would not be found."""
    told = excerpt(repr(bounded(value.value if isinstance(value, enum.Enum) else value, excerpt)), 2 * DETAILS)
    return told if len(told) <= _SHORT else f"{told[:_SHORT]}…"


# --- what an operation's answers must show ---


def _evidence(operation: Operation[Any], body: type, result: type) -> _Evidence:
    found: _Evidence | None = operation._evidence.get((body, result))
    if found is None:
        found = operation._evidence[body, result] = _make_evidence(operation, body, result)
    return found


def _make_evidence(operation: Operation[Any], body: type, result: type) -> _Evidence:
    if not _codec.is_model(result):
        return _make_evidence_of_json(operation, body, result)
    fields = {field.wire: field for field in _codec.shape_of(result).fields}
    ids = []
    for placeholder in operation.placeholders:
        wire = _id_field(operation, placeholder, fields.keys())
        if wire is not None:
            ids.append(_Id(placeholder, fields[wire].name, wire, fields[wire].optional))
    wanted: Iterable[str] = operation.echoes or ()
    if operation.echoes is None and operation.method in {"PUT", "PATCH"}:
        wanted = fields
    echoes = (
        _Echo(key, fields[wire].name, wire, _is_secret(body, key) or _is_secret(result, fields[wire].name))
        for wire, key in _keys(body, wanted)
        if wire in fields and wire not in operation.applied_late
    )
    proof = [fields[wire].name for wire in _proof(operation) if wire in fields]
    return _compile(tuple(ids), tuple(echoes), body, result, None if operation.proof is None else proof)


def _make_evidence_of_json(operation: Operation[Any], body: type, result: type) -> _Evidence:
    """Return what plain JSON must show: only what the operation declares, since no model documents its keys."""
    if not issubclass(result, dict):
        return _compile((), (), body, result, None if operation.proof is None else ())
    ids: tuple[_Id, ...] = ()
    if operation.answer_id and operation.placeholders:
        ids = (_Id(operation.placeholders[-1], operation.answer_id, operation.answer_id, optional=False),)
    echoes = (_Echo(key, wire, wire, _is_secret(body, key)) for wire, key in _keys(body, operation.echoes or ()))
    return _compile(ids, tuple(echoes), body, result, None if operation.proof is None else _proof(operation))


def _proof(operation: Operation[Any]) -> tuple[str, ...]:
    """Return the fields of which the answer must show one, by their names on the wire; none if it needs no proof."""
    proof = operation.proof
    return (proof,) if isinstance(proof, str) else tuple(proof or ())


def _compile(
    ids: tuple[_Id, ...], echoes: tuple[_Echo, ...], body: type, result: type, proof: Sequence[str] | None
) -> _Evidence:
    """Compile the test that every success goes through: one expression costs a third of a loop.

    `proof` has the fields of which the answer must show one; an empty list, if it cannot have any.
    """
    in_body = "body.{}" if issubclass(body, _codec.FieldsBase) else "body.get({!r}, UNSET)"
    in_answer = "answer.{}" if _codec.is_model(result) else "answer.get({!r})"
    tests = []
    names: dict[str, Any] = {"UNSET": UNSET, "shows": _codec.shows}
    for at, each in enumerate(ids):
        names[f"is_shown{at}"] = each.is_shown
        asked, shown = f"path[{each.placeholder!r}]", in_answer.format(each.name)
        tests.append(
            f"(path is None or (type(shown := {shown}) is type(asked := {asked}) and shown == asked)"
            f" or is_shown{at}(shown, asked))"
        )
    if proof is not None:
        shown = " or ".join(map(in_answer.format, proof))
        tests.append(f"(({shown}) and True)" if proof else "False")
    for echo in echoes:
        asked, shown = in_body.format(echo.key), in_answer.format(echo.name)
        tests.append(
            f"((asked := {asked}) is UNSET or (shown := {shown}) is asked"
            " or (type(shown) is type(asked) and shown == asked) or shows(shown, asked))"
        )
    supports = eval(f"lambda path, body, answer: {' and '.join(tests) or 'True'}", names)  # noqa: S307 - names of fields of our own classes, and of an operation
    return _Evidence(ids, echoes, _reader(body), getattr if _codec.is_model(result) else dict.get, supports)


def _keys(body: type, wires: Iterable[str]) -> list[tuple[str, str]]:
    """Return the fields of a body that have these names on the wire: (wire name, attribute or key)."""
    if issubclass(body, _codec.FieldsBase):
        names = {field.wire: field.name for field in _codec.shape_of(body).fields}
        return [(wire, names[wire]) for wire in wires if wire in names]
    return [(wire, wire) for wire in wires] if issubclass(body, Mapping) else []


def _reader(body: type) -> Callable[[Any, str], Any]:
    return getattr if issubclass(body, _codec.FieldsBase) else _get


def _get(body: Any, key: str) -> Any:
    return body.get(key, UNSET)


def _is_secret(kind: type, name: str) -> bool:
    """Return whether a class does not show a field in its repr."""
    fields: Any = attrs.fields_dict(kind) if attrs.has(kind) else {}
    return name in fields and fields[name].repr is False


def find_id_field(operation: Operation[Any]) -> str | None:
    """Return the field of the answer that repeats the last id of the path, by its name on the wire; None: none does."""
    if not operation.placeholders or not _codec.is_model(operation.result):
        return operation.answer_id or None
    return _id_field(operation, operation.placeholders[-1], _codec.shape_of(operation.result).names)


def _id_field(operation: Operation[Any], placeholder: str, fields: Collection[str]) -> str | None:
    """Return the field of the answer that repeats an id of the path, by its name on the wire."""
    if operation.answer_id is not None and placeholder == operation.placeholders[-1]:
        return operation.answer_id if operation.answer_id in fields else None
    if placeholder != "id":
        return placeholder if placeholder in fields else None
    if not operation.path.endswith("/{id}"):
        # The path goes on: the `id` of the answer is that of another object.
        return None
    noun = operation.path.split("/")[-2].removesuffix("s").replace("-", "_")
    return next((name for name in ("id", f"{noun}_id", "uuid") if name in fields), None)


def _find_in_confirmation(
    operation: Operation[Any], request: Request, value: Success, excerpt: Excerpt
) -> Contradiction | None:
    """Compare an id beside `success: true` with that of the request. After a POST it may be that of a new record."""
    wire = operation.answer_id or "id"
    shown = value.extra.get(wire)
    if shown is None or operation.method == "POST":
        return None
    asked: list[object] = []
    if operation.batch_ids is not None:
        # yarl parses the query only here: few answers repeat the id.
        asked = [*request.url.query.getall(operation.batch_ids, [])]
    elif request.path and operation.placeholders and operation.path.endswith(f"{{{operation.placeholders[-1]}}}"):
        asked = [request.path[operation.placeholders[-1]]]
    if not asked or any(_codec.is_same_id(shown, each) for each in asked):
        return None
    return describe([Difference(wire, asked[0] if len(asked) == 1 else asked, shown, is_id=True)], excerpt)


def _find_in_list(operation: Operation[Any], records: list[Any], excerpt: Excerpt) -> Contradiction | None:
    """Check that each item of the answer to a change is a record, has its proof, and does not say no."""
    of_models = any(map(_codec.is_model, _item_kinds(operation.result)))
    proof = _proof(operation)
    if not records and proof:
        return Contradiction("it is an empty list", (), other_record=False)
    for record in records:
        words = None if operation.error_flag_is_data else denial_of_record(record, excerpt)
        if words is None and of_models and not _is_record(record):
            words = f"it holds {_brief(_codec.to_dict(record) if _codec.is_model(type(record)) else record, excerpt)}"
            words += " in place of a record"
        if words is None and proof and not any(_shown(record, name) for name in proof):
            words = f"it holds a record without {' or '.join(proof)}"
        if words is not None:
            return Contradiction(words, (), other_record=False)
    return None


def _item_kinds(result: Any) -> list[Any]:
    lists = filter(_codec.is_list, _codec.members(result))
    return [kind for each in lists for kind in _codec.members(typing.get_args(each)[0])]


def _is_record(item: object) -> bool:
    """Return whether an item of a list of models is one, with at least one field that the model documents."""
    if not isinstance(item, _codec.AnswerBase):
        return False
    return any(getattr(item, field.name) is not None for field in _codec.shape_of(type(item)).fields)


def _shown(record: object, wire: str) -> Any:
    """Return a field of a record, by its name on the wire; None if the record has none."""
    if isinstance(record, dict):
        return record.get(wire)
    if not _codec.is_model(type(record)):
        return None
    name = next((field.name for field in _codec.shape_of(type(record)).fields if field.wire == wire), None)
    return None if name is None else getattr(record, name)


def _find_in_batch(
    operation: Operation[Any], key: str, request: Request, value: Any, excerpt: Excerpt
) -> Contradiction | None:
    """Compare the records of an answer to a batch with the ids and the values of the request."""
    body = request.asked
    ids = body.get(key) if isinstance(body, Mapping) else None
    if not isinstance(ids, list | tuple):
        return None
    # One id may come twice; then each of its records must show the change.
    found: dict[str, list[Any]] = {}
    wire = operation.answer_id or "id"
    for record in _records(value):
        shown = record.id if wire == "id" and hasattr(record, "id") else _shown(record, wire)
        if shown is not None:
            found.setdefault(str(shown), []).append(record)
    missing = [each for each in ids if str(each) not in found]
    if missing:
        listed = ", ".join(_brief(each, excerpt) for each in missing[:10])
        more = f" and {len(missing) - 10} more" if missing[10:] else ""
        return Contradiction(f"it does not show {listed}{more}", ("id",), other_record=False)
    for each in ids:
        for record in found[str(each)]:
            words = None if operation.error_flag_is_data else denial_of_record(record, excerpt)
            if words is not None:
                return Contradiction(f"{words} for id {_brief(each, excerpt)}", (), other_record=False)
            evidence = _evidence(operation, type(body), type(record))
            if not evidence.supports(None, body, record):
                told = describe(evidence.differences(attrs.evolve(request, path=None), record), excerpt)
                return attrs.evolve(told, words=f"{told.words} for id {_brief(each, excerpt)}")
    return None


def _records(value: Any) -> list[Any]:
    """Return the records of an answer to a batch: the answer itself, its `items`, or its only list."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        values = value
    elif _codec.is_model(type(value)):
        values = {field.wire: getattr(value, field.name) for field in _codec.shape_of(type(value)).fields}
    else:
        return []
    lists = [each for each in values.values() if isinstance(each, list)]
    records = values.get("items")
    return records if isinstance(records, list) else lists[0] if len(lists) == 1 else []
