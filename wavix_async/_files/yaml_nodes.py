"""Read YAML as values with their places, value by value, and with limits on its size.

The file is read as events, not as a document, so a million entries need no more memory than one. The reader stores the
values of anchors up to a limit, and counts them before it repeats them: a few lines cannot expand to a billion values.
"""

import codecs
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import IO, Any, Final, Literal, TypeAlias, TypeVar

import attrs

from wavix_async import InputError, NumberDestination
from wavix_async._files.problems import Place, Problem, did_you_mean
from wavix_async._files.unpacking import NOT_UTF8, UnreadableError, unpack

__all__ = ["INVALID", "Node", "YamlReader", "event_name", "key_text", "parse_yaml"]

T = TypeVar("T")

INVALID: Final = object()
"""In place of a value that has a problem."""

_MOST_NODES: Final = 500_000
"""The most values in one entry, and the most values with an anchor."""
_MOST_REPEATED: Final = 10_000_000
"""The most values that all aliases together may expand to."""
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

_TEXTS: Final = frozenset(field.name for field in attrs.fields(NumberDestination) if field.type is str)


@attrs.define(eq=False)
class Node:
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


_Pairs: TypeAlias = list[tuple[Node, Node]]


def parse_yaml(stream: IO[bytes], file: str, read: Callable[[Iterator[Any]], Iterator[T]]) -> Iterator[T | Problem]:
    """Read a file of YAML.

    Args:
        stream: The bytes, from the beginning.
        file: The file name in problems.
        read: Yields what the events of the file mean; they raise what ends the file with a problem.

    Raises:
        InputError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise InputError("Reading YAML needs PyYAML: pip install 'wavix-async[yaml]'.") from None

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = _Text(unpack(stream))
    except UnreadableError as error:
        yield error.problem(file)
        return
    try:
        yield from read(yaml.parse(text, Loader=loader))
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
            message = f"the character {found[0]!r} is not allowed in YAML: escape it."
            raise UnreadableError(message, self._line, self._column)
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


class YamlReader:
    """Builds nodes from events, and collects the problems of the entry that is being read.

    Args:
        events: The events of the file.
        file: The file name in problems.
    """

    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events = events
        self._file = file
        self._anchors: dict[str, Node | None] = {}
        self._anchored = 0
        self._repeated = 0
        self._nodes = 0
        self._problems: list[Problem] = []

    # --- nodes ---

    def _node(self, event: Any, depth: int = 1) -> Node:
        if depth > _DEEPEST:
            raise self._abort(event, _TOO_DEEP)
        kind = event_name(event)
        if kind == "Alias":
            return self._alias(event, depth)
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise self._abort(event, "this entry is too large: split it, or use CSV.")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if kind == "Scalar":
            node = Node("scalar", line, column, event.value, plain=event.implicit[0])
        elif kind == "SequenceStart":
            node = Node("list", line, column, [])
            while event_name(inner := next(self._events)) != "SequenceEnd":
                node.value.append(self._child(node, inner, depth))
        else:
            node = Node("mapping", line, column, [])
            while event_name(inner := next(self._events)) != "MappingEnd":
                key = self._child(node, inner, depth)
                node.value.append((key, self._child(node, next(self._events), depth)))
        self._check_tag(event, node)
        if event.anchor is not None:
            self._anchored += node.size
            if self._anchored > _MOST_NODES:
                raise self._abort(event, "too many values have an anchor.")
            self._anchors[event.anchor] = node
        return node

    def _child(self, node: Node, event: Any, depth: int) -> Node:
        inner = self._node(event, depth + 1)
        node.size += inner.size
        node.depth = max(node.depth, inner.depth + 1)
        return inner

    def _alias(self, event: Any, depth: int) -> Node:
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

    def _check_tag(self, event: Any, node: Node) -> None:
        tag = event.tag
        if tag is None or tag == "!":
            return
        known = tag.removeprefix("tag:yaml.org,2002:")
        if known == tag or known not in _TAGS[node.kind]:
            raise self._abort(event, f"the tag {tag} is not allowed here.")
        node.plain = node.kind == "scalar" and known != "str"

    # --- values ---

    def _mapping(self, node: Node, known: Collection[str], what: str) -> dict[str, tuple[Node, Node]]:
        """Return the keys and values of a mapping by name, with merge keys applied; add a problem for unknown keys."""
        made: dict[str, tuple[Node, Node]] = {}
        for key, value in self._merged(node):
            if key.kind != "scalar" or key.value not in known:
                hint = did_you_mean(key_text(key), known)
                self._add_problem(key, f"unknown key {key_text(key)} in {what}; the keys are {', '.join(known)}.{hint}")
            else:
                made[key.value] = (key, value)
        return made

    def _merged(self, node: Node) -> _Pairs:
        """Return the pairs of a mapping, each key once: first its own keys, then those of `<<`."""
        own: dict[Any, tuple[Node, Node]] = {}
        others: list[Node] = []
        for key, value in node.value:
            name = key.value if key.kind == "scalar" else key
            if key.kind == "scalar" and key.plain and name == "<<":
                others += value.value if value.kind == "list" else [value]
            elif name in own:
                self._add_problem(key, f"{key_text(key)} is already in line {own[name][0].line}.")
            else:
                own[name] = (key, value)
        for other in others:
            if other.kind != "mapping":
                self._add_problem(other, "<< must be followed by a mapping, or by a list of mappings.")
                continue
            for key, value in self._merged(other):
                own.setdefault(key.value if key.kind == "scalar" else key, (key, value))
        return list(own.values())

    def _scalar(self, node: Node) -> Any:
        """Return the value of a text by the rules of YAML; add a problem and return `INVALID` if it is invalid."""
        if node.kind != "scalar":
            self._add_problem(node, f"must be one value, not a {node.kind}.")
            return INVALID
        text = node.value
        if not node.plain:
            return text
        if not text:
            self._add_problem(node, "the value is empty: write null to clear it, or leave out the key.")
            return INVALID
        if text in _NULLS:
            return None
        if text in _BOOLS:
            return _BOOLS[text]
        return int(text) if _INTEGER.fullmatch(text) else text

    def _value(self, node: Node) -> Any:
        """Return a value in JSON form, or `INVALID`."""
        if node.kind == "scalar":
            return self._scalar(node)
        if node.kind == "list":
            items = [self._value(each) for each in node.value]
            return INVALID if INVALID in items else items
        made = {}
        for key, value in self._merged(node):
            name = key_text(key)
            data = self._value(value)
            made[name] = value.value if name in _TEXTS and type(data) is int else data
        return INVALID if INVALID in made.values() else made

    # --- problems ---

    def _add_problem(self, node: Node, message: str, field: str | None = None) -> None:
        self._problems.append(self._problem(node, message, field))

    def _problem(self, node: Node, message: str, field: str | None = None) -> Problem:
        return Problem(Place(self._file, node.line, node.column, field), message)

    def _problem_at(self, event: Any, message: str) -> Problem:
        return Problem(Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1), message)

    def _abort(self, event: Any, message: str) -> UnreadableError:
        return UnreadableError(message, event.start_mark.line + 1, event.start_mark.column + 1)


def key_text(key: Node) -> str:
    """Return the text of a key for messages."""
    return key.value if key.kind == "scalar" else f"a {key.kind}"


def event_name(event: Any) -> str:
    """Return the kind of an event of PyYAML."""
    return type(event).__name__.removesuffix("Event")
