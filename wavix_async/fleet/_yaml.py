"""Reads YAML into rows, selectors and problems, entry by entry, with line and column, and with limits on its size.

The file is read as events, not as a document, so a million entries need no more memory than one. The reader stores the
values of anchors up to a limit, and counts them before it repeats them: a few lines cannot expand to a billion values.
"""

import codecs
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from wavix_async import InputError, NumberDestination
from wavix_async._files import (
    FIELDS,
    NOT_UTF8,
    ParsedChange,
    Place,
    Problem,
    Row,
    UnreadableError,
    ValueProblem,
    WrongValues,
    did_you_mean,
    digits_of,
    id_problem,
    is_id,
    parse_change,
    phone_problem,
    unpack,
)
from wavix_async.fleet._selectors import CRITERIA, Selector, check_criterion

if TYPE_CHECKING:
    from yaml.events import Event

__all__ = ["Entry", "read_yaml"]

Entry: TypeAlias = Row | Selector | Problem

_MOST_NODES: Final = 500_000
"""The most values in one entry, and the most values with an anchor."""
_MOST_REPEATED: Final = 10_000_000
"""The most values that all aliases together may expand to."""
_MOST_SELECTORS: Final = 10_000
_DEEPEST: Final = 40
_TOO_DEEP: Final = "is nested too deeply."
_READ_AHEAD: Final = 2
"""The number of chunks of text to keep: the scanner reads at most 1,024 characters ahead within a line."""
# Matches brackets, and also quoted text and comments, in which brackets have no meaning.
_FLOW: Final = re.compile(r"""(?P<open>[\[{])|(?P<close>[\]}])|"(?:[^"\\]|\\.)*"|'[^']*'|(?:^|(?<=\s))\#.*""")

_NULLS: Final = frozenset({"~", "null", "Null", "NULL"})
_BOOLS: Final = {
    spelled: value
    for word, value in (("true", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False))
    for spelled in (word, word.title(), word.upper())
}
# YAML 1.1 also reads octal, underscores and minutes (1:30) as integers; in this file users never mean that.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,999})", re.ASCII)
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS: Final = {"scalar": ("str", "int", "bool", "null"), "list": ("seq",), "mapping": ("map",)}

_EXCEPT: Final = "except"
_TARGETS: Final = ("select", "id", "number", "ids", "numbers")
_TEXTS: Final = frozenset(field.name for field in attrs.fields(NumberDestination) if field.type is str)


@attrs.define(eq=False)
class _Node:
    """A value in the file, and its place."""

    kind: Literal["scalar", "list", "mapping"]
    line: int
    column: int
    value: Any
    """A text, a list of nodes, or a list of pairs of nodes."""
    plain: bool = False
    """Whether a text is unquoted, so that it may be a number or a boolean."""
    size: int = 1
    """The number of nodes in this value, with aliases expanded."""
    depth: int = 1


_Pairs: TypeAlias = list[tuple[_Node, _Node]]


class _AbortError(Exception):
    """The reader cannot continue."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__()
        self.line = line
        self.column = column
        self.message = message


def read_yaml(stream: IO[bytes], file: str) -> Iterator[Entry]:
    """Read a fleet from YAML.

    Args:
        stream: The bytes, from the beginning.
        file: The file name in problems.

    Yields:
        A row for each named number, a selector or a problem, in the order of the file.

    Raises:
        InputError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise InputError("Reading YAML needs PyYAML: pip install 'wavix-async[yaml]'.") from None

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = _Text(unpack(stream))
    try:
        yield from _Reader(yaml.parse(text, Loader=loader), file).entries()
    except _AbortError as stop:
        yield Problem(Place(file, stop.line, stop.column), stop.message)
    except UnreadableError as error:
        yield error.problem(file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and (column := text.too_deep_before(mark.line + 1, mark.column + 1)):
            # Within a line the scanner reads ahead of the events, so it can reach its own nesting limit before ours.
            yield Problem(Place(file, mark.line + 1, column), _TOO_DEEP)
            return
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        yield Problem(place, f"is not YAML: {', '.join(filter(None, (error.context, error.problem)))}.")
    except yaml.YAMLError as error:
        yield Problem(Place(file), f"is not YAML: {error}.")


class _Text:
    """Decodes the bytes for the parser, which does not report the line of an invalid byte."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._line = self._column = 1
        self._recent: deque[tuple[int, int, str]] = deque(maxlen=_READ_AHEAD)

    def read(self, size: int = -1, /) -> str:
        chunk = self._stream.read(size)
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            self._advance(error.object[: error.start].decode("utf-8", "replace"))
            raise UnreadableError(NOT_UTF8, self._line, self._column) from None
        if found := _UNPRINTABLE.search(text):
            self._advance(text[: found.start()])
            raise _AbortError(
                self._line, self._column, f"the character {found[0]!r} is not allowed in YAML: escape it."
            )
        self._recent.append((self._line, self._column, text))
        self._advance(text)
        # The parser treats an empty text as the end of the file, but a chunk may hold only half a character.
        return text if text or not chunk else self.read(size)

    def too_deep_before(self, line: int, column: int) -> int | None:
        """Return the column at which a line nests flow collections too deeply, or None if it does not.

        Args:
            line: The line, counted from 1, at which the parser stopped.
            column: The column, counted from 1, at which it stopped.
        """
        start, text = 1, ""
        for first_line, first_column, chunk in self._recent:
            lines = chunk.split("\n")
            if 0 <= line - first_line < len(lines):
                if not text:
                    start = first_column if line == first_line else 1
                text += lines[line - first_line]
        depth = 0
        for found in _FLOW.finditer(text[: max(column - start, 0)]):
            depth += (found["open"] is not None) - (found["close"] is not None)
            if depth > _DEEPEST:
                return start + found.start()
        return None

    def _advance(self, text: str) -> None:
        lines = text.count("\n")
        self._line += lines
        self._column = len(text) - text.rfind("\n") if lines else self._column + len(text)


class _Reader:
    """Builds nodes from events, and rows and selectors from nodes."""

    def __init__(self, events: "Iterator[Event]", file: str) -> None:
        self._events: Iterator[Any] = events
        self._file = file
        self._anchors: dict[str, _Node | None] = {}
        self._anchored = 0
        self._repeated = 0
        self._nodes = 0
        self._selectors = 0
        self._problems: list[Problem] = []

    # --- the whole file ---

    def entries(self) -> Iterator[Entry]:
        """Yield the entries and problems of the file."""
        next(self._events)
        document = next(self._events)
        if _event_name(document) != "DocumentStart":
            yield Problem(Place(self._file), "the file is empty: add the key numbers, with a list of entries.")
            return
        root = next(self._events)
        if _event_name(root) != "MappingStart":
            raise self._abort(root, "must be a mapping with the key numbers, which has a list of entries.")
        seen: dict[str, int] = {}
        while _event_name(event := next(self._events)) != "MappingEnd":
            yield from self._section(event, seen)
        if "numbers" not in seen:
            yield self._problem_at(root, "the key numbers is missing: add it, with a list of entries.")
        next(self._events)
        if _event_name(more := next(self._events)) == "DocumentStart":
            yield self._problem_at(more, "a second document: only one is allowed.")

    def _section(self, event: Any, seen: dict[str, int]) -> Iterator[Entry]:
        """Read a top-level key and its value."""
        self._nodes = 0
        key = self._node(event)
        name = _key_text(key)
        if name in seen:
            yield self._problem(key, f"{name} is already in line {seen[name]}.")
        elif name == "numbers":
            seen[name] = key.line
            yield from self._list()
            return
        elif not name.startswith("x-"):
            hint = did_you_mean(name, ["numbers"])
            yield self._problem(
                key, f"unknown key {name}: the keys are numbers and, for anchors, any that begin with x-.{hint}"
            )
        seen[name] = key.line
        self._node(next(self._events))

    def _list(self) -> Iterator[Entry]:
        start = next(self._events)
        if _event_name(start) != "SequenceStart":
            yield self._problem_at(start, "numbers must be a list of entries.")
            self._node(start)
            return
        while _event_name(event := next(self._events)) != "SequenceEnd":
            self._nodes = 0
            made = list(self._entry(self._node(event)))
            self._problems.sort(key=lambda problem: (problem.place.line or 0, problem.place.column or 0))
            yield from self._problems or made
            self._problems = []

    # --- nodes ---

    def _node(self, event: Any, depth: int = 1) -> _Node:
        if depth > _DEEPEST:
            raise self._abort(event, _TOO_DEEP)
        kind = _event_name(event)
        if kind == "Alias":
            return self._alias(event, depth)
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise self._abort(event, "this entry is too large: split it, or use CSV.")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind == "Scalar":
            node = _Node("scalar", line, column, event.value, plain=event.implicit[0])
        elif kind == "SequenceStart":
            node = _Node("list", line, column, [])
            while _event_name(inner := next(self._events)) != "SequenceEnd":
                node.value.append(self._child(node, inner, depth))
        else:
            node = _Node("mapping", line, column, [])
            while _event_name(inner := next(self._events)) != "MappingEnd":
                key = self._child(node, inner, depth)
                node.value.append((key, self._child(node, next(self._events), depth)))
        self._check_tag(event, node)
        if event.anchor is not None:
            self._anchored += node.size
            if self._anchored > _MOST_NODES:
                raise self._abort(event, "too many values have an anchor.")
            self._anchors[event.anchor] = node
        return node

    def _child(self, node: _Node, event: Any, depth: int) -> _Node:
        inner = self._node(event, depth + 1)
        node.size += inner.size
        node.depth = max(node.depth, inner.depth + 1)
        return inner

    def _alias(self, event: Any, depth: int) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            if event.anchor in self._anchors:
                raise self._abort(event, f"the alias *{event.anchor} refers to a value that contains it.")
            raise self._abort(
                event,
                f"there is no anchor &{event.anchor} before this alias; put a text that begins with * in quotes.",
            )
        self._repeated += node.size
        if self._repeated > _MOST_REPEATED:
            raise self._abort(event, f"the aliases expand to more than {_MOST_REPEATED:,} values.")
        if depth + node.depth > _DEEPEST:
            raise self._abort(event, _TOO_DEEP)
        return node

    def _check_tag(self, event: Any, node: _Node) -> None:
        tag = event.tag
        if tag is None or tag == "!":
            return
        known = tag.removeprefix("tag:yaml.org,2002:")
        if known == tag or known not in _TAGS[node.kind]:
            raise self._abort(event, f"the tag {tag} is not allowed here.")
        node.plain = node.kind == "scalar" and known != "str"

    # --- entries ---

    def _entry(self, node: _Node) -> Iterator[Entry]:
        if node.kind != "mapping":
            self._add_problem(
                node, "must be an entry: a mapping with set, and with select, id, number, ids or numbers."
            )
            return
        given = self._mapping(node, (*_TARGETS, _EXCEPT, "set"), "an entry")
        targets = [name for name in _TARGETS if name in given]
        if not targets:
            self._add_problem(node, f"the numbers are missing: give one of {', '.join(_TARGETS)}.")
        elif len(targets) > 1 and targets != ["id", "number"]:
            self._add_problem(given[targets[1]][0], f"an entry cannot have both {targets[0]} and {targets[1]}.")
        if _EXCEPT in given and "select" not in given:
            self._add_problem(given[_EXCEPT][0], f"{_EXCEPT} needs select beside it.")
        if "set" not in given:
            self._add_problem(node, "set is missing: give a mapping of fields and values.")
            return
        change = self._change(given["set"][1])
        if not targets:
            return
        if targets[0] == "select":
            yield from self._selector(node, given, change)
        elif targets[0] in {"id", "number"}:
            yield from self._row(given, change)
        else:
            yield from self._rows(given[targets[0]][1], targets[0], change)

    def _row(self, given: "Mapping[str, tuple[_Node, _Node]]", change: ParsedChange | None) -> Iterator[Row]:
        number_id = self._id(given["id"][1]) if "id" in given else None
        number = self._phone(given["number"][1]) if "number" in given else None
        node = given["id" if "id" in given else "number"][1]
        if change is not None:
            yield Row(node.line, node.column, number_id, number, change)

    def _rows(self, node: _Node, name: str, change: ParsedChange | None) -> Iterator[Row]:
        if node.kind != "list" or not node.value:
            self._add_problem(node, f"{name} must be a list.")
            return
        seen: dict[int | str | None, int] = {}
        for each in node.value:
            number_id = self._id(each) if name == "ids" else None
            number = self._phone(each) if name == "numbers" else None
            key = number_id or number
            if key is None:
                continue
            if key in seen:
                self._add_problem(each, f"{each.value} is already in this list, in line {seen[key]}.")
            elif change is not None:
                yield Row(each.line, each.column, number_id, number, change)
            seen.setdefault(key, each.line)

    def _id(self, node: _Node) -> int | None:
        value = self._scalar(node)
        if is_id(value):
            return value
        if value is not _INVALID:
            self._add_problem(node, id_problem(value))
        return None

    def _phone(self, node: _Node) -> str | None:
        # YAML reads a phone number without quotes as an integer: use the text as it is written.
        if self._scalar(node) is _INVALID:
            return None
        digits = digits_of(node.value.strip())
        if digits is None:
            self._add_problem(node, phone_problem(node.value))
        return digits

    def _selector(
        self, node: _Node, given: "Mapping[str, tuple[_Node, _Node]]", change: ParsedChange | None
    ) -> Iterator[Selector]:
        key, chosen = given["select"]
        self._selectors += 1
        if self._selectors > _MOST_SELECTORS:
            raise _AbortError(
                key.line, key.column, f"there are more than {_MOST_SELECTORS:,} selectors: list ids instead."
            )
        if change is not None and not change.values:
            self._add_problem(given["set"][1], "no changes: give at least one field a value.")
        criteria = self._criteria(chosen) if chosen.kind == "mapping" else {}
        if chosen.kind == "list" or (chosen.kind == "scalar" and chosen.value != "all") or chosen.value == []:
            self._add_problem(chosen, f"select must be all, or a mapping with some of {', '.join(CRITERIA)}.")
        exceptions = [*self._exceptions(given[_EXCEPT][1])] if _EXCEPT in given else []
        if change is not None:
            yield Selector(criteria, change, Place(self._file, node.line, node.column), tuple(exceptions))

    def _exceptions(self, node: _Node) -> Iterator[tuple[dict[str, tuple[Any, ...]], Place]]:
        each = node.value if node.kind == "list" else [node]
        for one in each:
            if one.kind == "mapping" and one.value:
                yield self._criteria(one), Place(self._file, one.line, one.column)
        if not each or any(one.kind != "mapping" or not one.value for one in each):
            message = f"{_EXCEPT} must be a mapping with some of {', '.join(CRITERIA)}, or a list of such mappings."
            self._add_problem(node, message)

    def _criteria(self, node: _Node) -> dict[str, tuple[Any, ...]]:
        given = self._mapping(node, CRITERIA, "a selector")
        return {name: tuple(self._criterion(name, value)) for name, (_, value) in given.items()}

    def _criterion(self, name: str, node: _Node) -> Iterator[Any]:
        if node.kind == "list" and not node.value:
            self._add_problem(node, "the list is empty, so it matches no number.", name)
        for each in node.value if node.kind == "list" else [node]:
            value = self._scalar(each)
            if value is _INVALID:
                continue
            if value is not None and CRITERIA[name] in {"text", "phone"}:
                # Use the text as it is written: NO is a country, and 1415 is a part of a phone number.
                value = each.value
            try:
                yield check_criterion(name, value)
            except ValueProblem as problem:
                self._add_problem(each, problem.message, name)

    def _change(self, node: _Node) -> ParsedChange | None:
        if node.kind != "mapping":
            self._add_problem(node, "set must be a mapping of fields and values.")
            return None
        before = len(self._problems)
        given = self._mapping(node, FIELDS, "set")
        values = {name: self._value(value) for name, (_, value) in given.items()}
        try:
            # Invalid values have a problem already.
            made = parse_change({name: value for name, value in values.items() if value is not _INVALID})
        except WrongValues as unfit:
            for problem in unfit.problems:
                self._add_problem(given[problem.field][1], problem.message, problem.field)
            return None
        return made if len(self._problems) == before else None

    # --- values ---

    def _mapping(self, node: _Node, known: Collection[str], what: str) -> dict[str, tuple[_Node, _Node]]:
        """Return the keys and values of a mapping by name, with merge keys applied; add a problem for unknown keys."""
        made: dict[str, tuple[_Node, _Node]] = {}
        for key, value in self._merged(node):
            if key.kind != "scalar" or key.value not in known:
                hint = did_you_mean(_key_text(key), known)
                self._add_problem(
                    key, f"unknown key {_key_text(key)} in {what}; the keys are {', '.join(known)}.{hint}"
                )
            else:
                made[key.value] = (key, value)
        return made

    def _merged(self, node: _Node) -> _Pairs:
        """Return the pairs of a mapping, each key once: first its own keys, then those of `<<`."""
        own: dict[Any, tuple[_Node, _Node]] = {}
        others: list[_Node] = []
        for key, value in node.value:
            name = key.value if key.kind == "scalar" else key
            if key.kind == "scalar" and key.plain and name == "<<":
                others += value.value if value.kind == "list" else [value]
            elif name in own:
                self._add_problem(key, f"{_key_text(key)} is already in line {own[name][0].line}.")
            else:
                own[name] = (key, value)
        for other in others:
            if other.kind != "mapping":
                self._add_problem(other, "<< must be followed by a mapping, or by a list of mappings.")
                continue
            for key, value in self._merged(other):
                own.setdefault(key.value if key.kind == "scalar" else key, (key, value))
        return list(own.values())

    def _scalar(self, node: _Node) -> Any:
        """Return the value of a text by the rules of YAML; add a problem and return `_INVALID` if it is invalid."""
        if node.kind != "scalar":
            self._add_problem(node, f"must be one value, not a {node.kind}.")
            return _INVALID
        text = node.value
        if not node.plain:
            return text
        if not text:
            self._add_problem(node, "the value is empty: write null to clear it, or leave out the key.")
            return _INVALID
        if text in _NULLS:
            return None
        if text in _BOOLS:
            return _BOOLS[text]
        return int(text) if _INTEGER.fullmatch(text) else text

    def _value(self, node: _Node) -> Any:
        """Return a value in JSON form, or `_INVALID`."""
        if node.kind == "scalar":
            return self._scalar(node)
        if node.kind == "list":
            items = [self._value(each) for each in node.value]
            return _INVALID if _INVALID in items else items
        made = {}
        for key, value in self._merged(node):
            name = _key_text(key)
            data = self._value(value)
            made[name] = value.value if name in _TEXTS and type(data) is int else data
        return _INVALID if _INVALID in made.values() else made

    # --- problems ---

    def _add_problem(self, node: _Node, message: str, field: str | None = None) -> None:
        self._problems.append(self._problem(node, message, field))

    def _problem(self, node: _Node, message: str, field: str | None = None) -> Problem:
        return Problem(Place(self._file, node.line, node.column, field), message)

    def _problem_at(self, event: Any, message: str) -> Problem:
        return Problem(Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1), message)

    def _abort(self, event: Any, message: str) -> _AbortError:
        return _AbortError(event.start_mark.line + 1, event.start_mark.column + 1, message)


_INVALID: Final = object()


def _key_text(key: _Node) -> str:
    return key.value if key.kind == "scalar" else f"a {key.kind}"


def _event_name(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")
