"""`compare`: hold an API description against this package.

Two comparisons make one. The first holds the description against the operations and models of this package: it finds
what callers cannot do, or read. The second holds it against the description that the package was made with: it finds
what models do not express (a length, another integer format, a status). What both find is reported once, with what it
means to callers.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

from attrs import evolve, frozen

from wavix_async.spec._document import Described, host_of, load_document, read_document, server_of
from wavix_async.spec._package import Place, operations_of_package, places_of_package, subject_of
from wavix_async.spec._result import ChangeKind, Comparison, Effect, SpecChange, clean
from wavix_async.spec._shape import Shape

__all__ = ["compare", "known_deviations"]

Side = Literal["operation", "request", "answer"]
_PLACEHOLDER: Final = re.compile(r"\{[^}]*\}")


def compare(spec: Mapping[str, Any] | str | bytes) -> Comparison:
    """Hold an OpenAPI 3 document against this package: its operations and its models.

    Nothing is fetched, and no operation is called. It takes under a second.

    Args:
        spec: The document: parsed JSON, or its text, of at most 16 MB.

    Returns:
        All differences, except those that the package chose (`known.json`); what breaks callers comes first.

    Raises:
        InputError: It is not JSON, no OpenAPI 3 document, or too large; a `$ref` does not resolve, is circular or leads
            to another file.
    """
    document = load_document(spec)
    new, old, ours = read_document(document), _shipped(), operations_of_package()
    chosen = _chosen()
    found = {each.key: each for each in _all_differences(ours, new, old, by_document=False)}
    for each in _all_differences(old, new, old, by_document=True):
        # A description that has come to what this package chose is no difference.
        if each.key not in found and each.key not in chosen:
            found[each.key] = _as_seen_by_callers(each)
    server, before = host_of(server_of(document)), host_of(server_of(_shipped_document()))
    if server and server != before:
        moved = _of_operation("the API", ChangeKind.SERVER, Effect.BREAKS_CALLS, before, server)
        found[moved.key] = moved
    known = {_fingerprint(each, name) for each in known_deviations() for name in each["operations"]}
    differences = {each: _fingerprint(_plain(each), each.operation) in known for each in found.values()}
    return Comparison(
        changes=_grouped(each for each, is_known in differences.items() if not is_known),
        known=_grouped(each for each, is_known in differences.items() if is_known),
    )


@cache
def _chosen() -> frozenset["_Key"]:
    """Return the changes with which a description would come to what this package does otherwise."""
    old = _shipped()
    return frozenset(map(_settled_by, _all_differences(operations_of_package(), old, old, by_document=False)))


def _as_seen_by_callers(difference: "_Difference") -> "_Difference":
    """Return a difference of two descriptions with the package's name of the place, and what it means there."""
    places = places_of_package()
    operation, side, path = difference.place
    if side == "operation":
        return difference
    if difference.place not in places:
        parent, _, name = path.rpartition(".")
        above = places.get((operation, side, parent))
        if above is None:
            return difference
        return evolve(difference, subject=subject_of(above[1].owner or above[0], name, path))
    subject, shape = places[difference.place]
    is_read = side == "answer" and shape.nullable and difference.kind in _ABOUT_PRESENCE
    # The comparison with the package has not found that its type does not fit, or that it omits what is required.
    is_fine = difference.kind in (ChangeKind.RETYPED, ChangeKind.NEWLY_REQUIRED) and not shape.is_open
    return evolve(difference, subject=subject, effect=Effect.HARMLESS if is_read or is_fine else difference.effect)


_ABOUT_PRESENCE: Final = (ChangeKind.NULLABLE, ChangeKind.NO_LONGER_REQUIRED)


@cache
def _shipped_document() -> Mapping[str, Any]:
    return load_document(resources.files("wavix_async").joinpath("spec", "openapi.json").read_bytes())


@cache
def _shipped() -> Mapping[str, Described]:
    return read_document(_shipped_document())


@cache
def known_deviations() -> tuple[Mapping[str, Any], ...]:
    """Return the deviations from the API's description that this package chose, each with its source."""
    text = resources.files("wavix_async").joinpath("spec", "known.json").read_text(encoding="utf-8")
    deviations = json.loads(text)["deviations"]
    # Several values of one enum have one source.
    return tuple(
        {**each, "expected": value}
        for each in deviations
        for value in (each["expected"] if isinstance(each["expected"], list) else [each["expected"]])
    )


def _plain(difference: "_Difference") -> Mapping[str, str]:
    return {name: str(getattr(difference, name)) for name in _FINGERPRINT}


_FINGERPRINT: Final = ("side", "subject", "kind", "expected", "found")


def _fingerprint(deviation: Mapping[str, str], operation: str) -> tuple[str, ...]:
    return (operation, *(deviation.get(name, "") for name in _FINGERPRINT))


# --- differences ---

_Key = tuple[str, str, str, str, str]


@frozen(kw_only=True)
class _Difference:
    operation: str
    side: Side
    path: str
    kind: ChangeKind
    effect: Effect
    subject: str
    expected: str = ""
    found: str = ""

    @property
    def place(self) -> Place:
        """Where it is."""
        return (self.operation, self.side, self.path)

    @property
    def key(self) -> _Key:
        """What identifies it in both comparisons: a value that was added or removed, too."""
        value = self.found if self.kind == ChangeKind.VALUE_ADDED else ""
        value = self.expected if self.kind == ChangeKind.VALUE_REMOVED else value
        return (self.operation, self.side, self.path, self.kind, value)


_SETTLED_BY: Final[Mapping[ChangeKind, ChangeKind]] = {
    ChangeKind.ADDED: ChangeKind.REMOVED,
    ChangeKind.REMOVED: ChangeKind.ADDED,
    ChangeKind.NEWLY_REQUIRED: ChangeKind.NO_LONGER_REQUIRED,
    ChangeKind.NO_LONGER_REQUIRED: ChangeKind.NEWLY_REQUIRED,
    ChangeKind.NULLABLE: ChangeKind.NOT_NULLABLE,
    ChangeKind.NOT_NULLABLE: ChangeKind.NULLABLE,
    ChangeKind.VALUE_ADDED: ChangeKind.VALUE_REMOVED,
    ChangeKind.VALUE_REMOVED: ChangeKind.VALUE_ADDED,
    ChangeKind.OPERATION_ADDED: ChangeKind.OPERATION_REMOVED,
    ChangeKind.OPERATION_REMOVED: ChangeKind.OPERATION_ADDED,
}


def _settled_by(difference: _Difference) -> _Key:
    """Return the key of the change of the description that ends a difference."""
    *place, kind, value = difference.key
    return (place[0], place[1], place[2], _SETTLED_BY.get(difference.kind, ChangeKind(kind)), value)


def _all_differences(
    ours: Mapping[str, Described], new: Mapping[str, Described], old: Mapping[str, Described], *, by_document: bool
) -> Iterator[_Difference]:
    pairs = _paired(ours, new, old)
    for name, one in ours.items():
        other = new.get(pairs.get(name, ""))
        if other is None:
            yield _of_operation(name, ChangeKind.OPERATION_REMOVED, Effect.BREAKS_CALLS, "", "")
            continue
        if other.name != name:
            is_renamed = _bare(name) == _bare(other.name)
            effect = Effect.HARMLESS if is_renamed else Effect.BREAKS_CALLS
            yield _of_operation(name, ChangeKind.OPERATION_MOVED, effect, name, other.name)
        yield from _Pair(one, other, by_document).differences()
    matched = set(pairs.values())
    for name in new:
        if name not in matched:
            yield _of_operation(name, ChangeKind.OPERATION_ADDED, Effect.NOT_COVERED, "", "")


def _of_operation(name: str, kind: ChangeKind, effect: Effect, expected: str, found: str) -> _Difference:
    return _Difference(
        operation=name,
        side="operation",
        path="",
        kind=kind,
        effect=effect,
        subject=clean(name),
        expected=clean(expected),
        found=clean(found),
    )


def _paired(
    ours: Mapping[str, Described], new: Mapping[str, Described], old: Mapping[str, Described]
) -> Mapping[str, str]:
    """Return our operations, mapped to those of the document: by name, by a path with other placeholders, by id."""
    pairs = {name: name for name in ours if name in new}
    left = {name: each for name, each in new.items() if name not in pairs}
    ids = {each.id: name for name, each in left.items() if each.id}
    bare = {_bare(name): name for name in left}
    for name, each in ours.items():
        if name in pairs:
            continue
        known = each.id or (old[name].id if name in old else "")
        found = bare.get(_bare(name)) or ids.get(known)
        if found in left:
            pairs[name] = found
            del left[found]
    return pairs


def _bare(name: str) -> str:
    return _PLACEHOLDER.sub("{}", name)


class _Pair:
    """One operation on both sides."""

    def __init__(self, ours: Described, new: Described, by_document: bool) -> None:
        self.ours = ours
        self.new = new
        self.by_document = by_document
        """Whether `ours` is a document, too: then every detail counts."""

    def differences(self) -> Iterator[_Difference]:
        ours, new = self.ours, self.new
        has_other_content = bool(new.content and ours.content and ours.content.isdisjoint(new.content))
        if not ours.name.startswith("WEBHOOK"):
            if ours.scope != new.scope:
                yield self.operation(ChangeKind.SCOPE, Effect.BREAKS_CALLS, ours.scope or "", new.scope or "")
            if has_other_content:
                yield self.operation(
                    ChangeKind.CONTENT, Effect.BREAKS_READING, _joined(ours.content), _joined(new.content)
                )
            if self.by_document:
                yield from self.of_documents()
        if not ours.request.is_open:
            yield from self.of_fields("request", "", ours.request, new.request, ours.name)
        answer = ours.answer
        if answer.owner in answer.fields and answer.owner not in new.answer.fields and not self.by_document:
            # The description has the answer without the key around it.
            answer = answer.fields[answer.owner]
        if not has_other_content:
            yield from self.of_values("answer", "", answer, new.answer, ours.name)

    def of_documents(self) -> Iterator[_Difference]:
        ours, new = self.ours, self.new
        for status in sorted(set(ours.statuses) ^ set(new.statuses)):
            is_new = status in new.statuses
            yield _Difference(
                operation=ours.name,
                side="operation",
                path=status,
                kind=ChangeKind.STATUSES,
                effect=Effect.HARMLESS,
                subject=f"status {status}",
                expected="" if is_new else status,
                found=status if is_new else "",
            )
        if new.deprecated and not ours.deprecated:
            yield self.operation(ChangeKind.DEPRECATED, Effect.HARMLESS, "", "")
        for (name, was), (_, now) in zip(ours.path, new.path, strict=False):
            make = _Maker(ours.name, "operation", f"{{{name}}}", f"{ours.name} {name}")
            if was.types != now.types:
                yield make(ChangeKind.RETYPED, Effect.BREAKS_CALLS, _text(was), _text(now))
            yield from self.of_limits(make, was, now)

    def operation(self, kind: ChangeKind, effect: Effect, expected: str, found: str) -> _Difference:
        return _of_operation(self.ours.name, kind, effect, expected, found)

    # --- shapes ---

    def of_fields(self, side: Side, path: str, ours: Shape, new: Shape, owner: str) -> Iterator[_Difference]:
        owner = ours.owner or owner
        before = f"{path}." if path else ""
        for name in (*ours.fields, *(name for name in new.fields if name not in ours.fields)):
            place = f"{before}{name}"
            subject = subject_of(owner, name, place)
            make = _Maker(self.ours.name, side, place, subject)
            one, other = ours.fields.get(name), new.fields.get(name)
            if one is None and other is not None:
                if not ours.is_open:
                    is_needed = name in new.required and side == "request"
                    text = _text(other) + (", required" if is_needed else "")
                    yield make(ChangeKind.ADDED, Effect.BREAKS_CALLS if is_needed else Effect.NOT_COVERED, found=text)
            elif other is None and one is not None:
                if not new.is_open or new.fields:
                    effect = Effect.BREAKS_CALLS if side == "request" else Effect.BREAKS_READING
                    yield make(ChangeKind.REMOVED, effect, _text(one))
            elif one is not None and other is not None:
                yield from self.of_presence(make, name in ours.required, name in new.required, one, other)
                yield from self.of_values(side, place, one, other, subject)

    def of_presence(
        self, make: "_Maker", was_required: bool, is_required: bool, ours: Shape, new: Shape
    ) -> Iterator[_Difference]:
        if make.side == "request":
            if is_required and not was_required:
                yield make(ChangeKind.NEWLY_REQUIRED, Effect.BREAKS_CALLS)
            if was_required and not is_required:
                yield make(ChangeKind.NO_LONGER_REQUIRED, Effect.HARMLESS)
            if ours.nullable and not new.nullable and new.types is not None:
                yield make(ChangeKind.NOT_NULLABLE, Effect.BREAKS_CALLS)
            if self.by_document and new.nullable and not ours.nullable:
                yield make(ChangeKind.NULLABLE, Effect.NOT_COVERED)
            if self.by_document and ours.place != new.place:
                yield make(ChangeKind.MOVED, Effect.BREAKS_CALLS, ours.place, new.place)
        else:
            if was_required and not is_required and self.by_document:
                yield make(ChangeKind.NO_LONGER_REQUIRED, Effect.BREAKS_READING)
            if is_required and not was_required and self.by_document:
                yield make(ChangeKind.NEWLY_REQUIRED, Effect.HARMLESS)
            if new.nullable and not ours.nullable and not ours.is_open:
                yield make(ChangeKind.NULLABLE, Effect.BREAKS_READING)
            if self.by_document and ours.nullable and not new.nullable:
                yield make(ChangeKind.NOT_NULLABLE, Effect.HARMLESS)
        if self.by_document and new.deprecated and not ours.deprecated:
            yield make(ChangeKind.DEPRECATED, Effect.HARMLESS)

    def of_values(self, side: Side, path: str, ours: Shape, new: Shape, subject: str) -> Iterator[_Difference]:
        make = _Maker(self.ours.name, side, path, subject)
        if self.is_retyped(side, ours, new):
            yield make(ChangeKind.RETYPED, self.effect_of_type(side, ours, new), _text(ours), _text(new))
        if ours.values is not None and new.values is not None:
            for value in sorted(new.values - ours.values, key=str):
                yield make(ChangeKind.VALUE_ADDED, Effect.NOT_COVERED, found=_value(value))
            for value in sorted(ours.values - new.values, key=str):
                effect = Effect.BREAKS_CALLS if side == "request" else Effect.HARMLESS
                yield make(ChangeKind.VALUE_REMOVED, effect, _value(value))
        if self.by_document:
            yield from self.of_limits(make, ours, new)
        if _may_be_object(ours) and _may_be_object(new):
            yield from self.of_fields(side, path, ours, new, subject)
        if ours.items is not None and new.items is not None:
            yield from self.of_values(side, f"{path}[]", ours.items, new.items, f"{subject}[]")

    def of_limits(self, make: "_Maker", ours: Shape, new: Shape) -> Iterator[_Difference]:
        was, now = _limits(ours, new), _limits(new, ours)
        come = [each for each in now if each not in was]
        is_same_type = (ours.types, ours.format) == (new.types, new.format)
        gone = [each for each in was if each not in now] if is_same_type else []
        if gone or come:
            is_stricter = come and make.side != "answer"
            effect = Effect.BREAKS_CALLS if is_stricter else Effect.HARMLESS
            yield make(ChangeKind.LIMITS, effect, ", ".join(gone), ", ".join(come))

    def is_retyped(self, side: Side, ours: Shape, new: Shape) -> bool:
        if self.by_document:
            return ours.types != new.types or ours.format != new.format
        return self.effect_of_type(side, ours, new) != Effect.HARMLESS

    @staticmethod
    def effect_of_type(side: Side, ours: Shape, new: Shape) -> Effect:
        """Return what the types mean to callers. In a request one of them must fit, in an answer all of them."""
        if ours.types is None or new.types is None:
            return Effect.HARMLESS
        send, take = set(ours.types), set(new.types)
        if side == "request":
            take |= {"integer"} if "number" in take else set()
            return Effect.HARMLESS if not take or send & take else Effect.BREAKS_CALLS
        send |= {"integer"} if "number" in send else set()
        if take <= send:
            is_time = new.format in _TIMES and ours.format not in _TIMES and "string" in send
            return Effect.BREAKS_READING if is_time and ours.values is None and not ours.is_open else Effect.HARMLESS
        return Effect.BREAKS_READING


def _limits(shape: Shape, other: Shape) -> list[str]:
    """Return the limits of a shape; the values of an enum are one if the other side is no enum."""
    is_enum = shape.values is not None and other.values is None
    values = sorted(map(_value, shape.values or ())) if is_enum else []
    return [*shape.limits, *([f"one of {' '.join(values)}"] if values else [])]


def _may_be_object(shape: Shape) -> bool:
    return shape.types is None or "object" in shape.types


_TIMES: Final = ("date-time", "date")


@frozen
class _Maker:
    operation: str
    side: Side
    path: str
    subject: str

    def __call__(self, kind: ChangeKind, effect: Effect, expected: str = "", found: str = "") -> _Difference:
        return _Difference(
            operation=self.operation,
            side=self.side,
            path=self.path,
            kind=kind,
            effect=effect,
            subject=clean(self.subject),
            expected=clean(expected),
            found=clean(found),
        )


def _joined(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))


def _text(shape: Shape) -> str:
    """Return the type of a shape for people."""
    if shape.types is None:
        return "anything"
    names = _joined(shape.types) or "null"
    return f"{names} ({shape.format})" if shape.format else names


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- the same change of several operations ---

_ORDER: Final = tuple(Effect)


def _grouped(found: Iterable[_Difference]) -> tuple[SpecChange, ...]:
    groups = dict[tuple[object, ...], SpecChange]()
    for each in found:
        key = (each.side, each.subject, each.kind, each.effect, each.expected, each.found)
        if key in groups:
            names = dict.fromkeys((*groups[key].operations, each.operation))
            groups[key] = evolve(groups[key], operations=tuple(names))
        else:
            groups[key] = SpecChange(
                kind=each.kind,
                effect=each.effect,
                side=each.side,
                subject=each.subject,
                operations=(clean(each.operation),),
                expected=each.expected,
                found=each.found,
            )
    return tuple(sorted(groups.values(), key=lambda each: _ORDER.index(each.effect)))
