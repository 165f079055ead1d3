"""Reads the entries of a fleet in YAML: rows, selectors and problems, with line and column."""

from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, TypeAlias

from wavix_async._files import (
    FIELDS,
    INVALID,
    Node,
    ParsedChange,
    Place,
    Problem,
    Row,
    UnreadableError,
    ValueProblem,
    WrongValues,
    YamlReader,
    did_you_mean,
    digits_of,
    event_name,
    id_problem,
    is_id,
    key_text,
    parse_change,
    parse_yaml,
    phone_problem,
)
from wavix_async.fleet._selectors import CRITERIA, Selector, check_criterion

__all__ = ["Entry", "read_yaml"]

Entry: TypeAlias = Row | Selector | Problem

_MOST_SELECTORS: Final = 10_000
_EXCEPT: Final = "except"
_TARGETS: Final = ("select", "id", "number", "ids", "numbers")


def read_yaml(stream: IO[bytes], file: str) -> Iterator[Entry]:
    """Yield a row for each named number, a selector or a problem, in the order of the file.

    Args:
        stream: The bytes, from the beginning.
        file: The file name in problems.

    Raises:
        InputError: PyYAML is not installed.
    """
    return parse_yaml(stream, file, lambda events: _Reader(events, file).entries())


class _Reader(YamlReader):
    """Builds rows and selectors from nodes."""

    _selectors = 0

    # --- the whole file ---

    def entries(self) -> Iterator[Entry]:
        """Yield the entries and problems of the file."""
        next(self._events)
        document = next(self._events)
        if event_name(document) != "DocumentStart":
            yield Problem(Place(self._file), "the file is empty: add the key numbers, with a list of entries.")
            return
        root = next(self._events)
        if event_name(root) != "MappingStart":
            raise self._abort(root, "must be a mapping with the key numbers, which has a list of entries.")
        seen: dict[str, int] = {}
        while event_name(event := next(self._events)) != "MappingEnd":
            yield from self._section(event, seen)
        if "numbers" not in seen:
            yield self._problem_at(root, "the key numbers is missing: add it, with a list of entries.")
        next(self._events)
        if event_name(more := next(self._events)) == "DocumentStart":
            yield self._problem_at(more, "a second document: only one is allowed.")

    def _section(self, event: Any, seen: dict[str, int]) -> Iterator[Entry]:
        """Read a top-level key and its value."""
        self._nodes = 0
        key = self._node(event)
        name = key_text(key)
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
        if event_name(start) != "SequenceStart":
            yield self._problem_at(start, "numbers must be a list of entries.")
            self._node(start)
            return
        while event_name(event := next(self._events)) != "SequenceEnd":
            self._nodes = 0
            made = list(self._entry(self._node(event)))
            self._problems.sort(key=lambda problem: (problem.place.line or 0, problem.place.column or 0))
            yield from self._problems or made
            self._problems = []

    # --- entries ---

    def _entry(self, node: Node) -> Iterator[Entry]:
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

    def _row(self, given: "Mapping[str, tuple[Node, Node]]", change: ParsedChange | None) -> Iterator[Row]:
        number_id = self._id(given["id"][1]) if "id" in given else None
        number = self._phone(given["number"][1]) if "number" in given else None
        node = given["id" if "id" in given else "number"][1]
        if change is not None:
            yield Row(node.line, node.column, number_id, number, change)

    def _rows(self, node: Node, name: str, change: ParsedChange | None) -> Iterator[Row]:
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

    def _id(self, node: Node) -> int | None:
        value = self._scalar(node)
        if is_id(value):
            return value
        if value is not INVALID:
            self._add_problem(node, id_problem(value))
        return None

    def _phone(self, node: Node) -> str | None:
        # YAML reads a phone number without quotes as an integer: use the text as it is written.
        if self._scalar(node) is INVALID:
            return None
        digits = digits_of(node.value.strip())
        if digits is None:
            self._add_problem(node, phone_problem(node.value))
        return digits

    def _selector(
        self, node: Node, given: "Mapping[str, tuple[Node, Node]]", change: ParsedChange | None
    ) -> Iterator[Selector]:
        key, chosen = given["select"]
        self._selectors += 1
        if self._selectors > _MOST_SELECTORS:
            message = f"there are more than {_MOST_SELECTORS:,} selectors: list ids instead."
            raise UnreadableError(message, key.line, key.column)
        if change is not None and not change.values:
            self._add_problem(given["set"][1], "no changes: give at least one field a value.")
        criteria = self._criteria(chosen) if chosen.kind == "mapping" else {}
        if chosen.kind == "list" or (chosen.kind == "scalar" and chosen.value != "all") or chosen.value == []:
            self._add_problem(chosen, f"select must be all, or a mapping with some of {', '.join(CRITERIA)}.")
        exceptions = [*self._exceptions(given[_EXCEPT][1])] if _EXCEPT in given else []
        if change is not None:
            yield Selector(criteria, change, Place(self._file, node.line, node.column), tuple(exceptions))

    def _exceptions(self, node: Node) -> Iterator[tuple[dict[str, tuple[Any, ...]], Place]]:
        each = node.value if node.kind == "list" else [node]
        for one in each:
            if one.kind == "mapping" and one.value:
                yield self._criteria(one), Place(self._file, one.line, one.column)
        if not each or any(one.kind != "mapping" or not one.value for one in each):
            message = f"{_EXCEPT} must be a mapping with some of {', '.join(CRITERIA)}, or a list of such mappings."
            self._add_problem(node, message)

    def _criteria(self, node: Node) -> dict[str, tuple[Any, ...]]:
        given = self._mapping(node, CRITERIA, "a selector")
        return {name: tuple(self._criterion(name, value)) for name, (_, value) in given.items()}

    def _criterion(self, name: str, node: Node) -> Iterator[Any]:
        if node.kind == "list" and not node.value:
            self._add_problem(node, "the list is empty, so it matches no number.", name)
        for each in node.value if node.kind == "list" else [node]:
            value = self._scalar(each)
            if value is INVALID:
                continue
            if value is not None and CRITERIA[name] in {"text", "phone"}:
                # Use the text as it is written: NO is a country, and 1415 is a part of a phone number.
                value = each.value
            try:
                yield check_criterion(name, value)
            except ValueProblem as problem:
                self._add_problem(each, problem.message, name)

    def _change(self, node: Node) -> ParsedChange | None:
        if node.kind != "mapping":
            self._add_problem(node, "set must be a mapping of fields and values.")
            return None
        before = len(self._problems)
        given = self._mapping(node, FIELDS, "set")
        values = {name: self._value(value) for name, (_, value) in given.items()}
        try:
            # Invalid values have a problem already.
            made = parse_change({name: value for name, value in values.items() if value is not INVALID})
        except WrongValues as unfit:
            for problem in unfit.problems:
                self._add_problem(given[problem.field][1], problem.message, problem.field)
            return None
        return made if len(self._problems) == before else None
