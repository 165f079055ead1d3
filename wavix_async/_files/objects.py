"""Read JSON into rows and problems: one object per line, an array of objects, or objects over several lines."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final

import attrs

from wavix_async import Number
from wavix_async._files.fields import FIELDS
from wavix_async._files.problems import Place, Problem, did_you_mean, is_typing_mistake
from wavix_async._files.rows import (
    ALSO_A_FLAG,
    KEYS,
    NO_CHANGES,
    READ_ONLY,
    Item,
    Row,
    Rules,
    digits_of,
    id_problem,
    is_id,
    parse_change,
    phone_problem,
)
from wavix_async._files.unpacking import UnreadableError, text_chunks, text_lines
from wavix_async._files.values import KINDS, ValueProblem, WrongValues

__all__ = ["json_texts", "read_objects"]

_LONGEST: Final = 1_000_000
"""About the most characters of a value in an array, and of an object over several lines."""
_PEEK: Final = 4096
_OVER_LINES: Final = re.compile(rb"\{\s*[\r\n]")
_NOT_BLANK: Final = re.compile(r"[^ \t\r\n]")
_decode: Final = json.JSONDecoder().raw_decode
_ROUTE: Final = ("destination", "priority", "transport", "trunk_id")


def read_objects(stream: io.BufferedReader, rules: Rules) -> Iterator[Item]:
    """Read objects with `id` (or `number`) and fields, or bare ids if the rules allow that.

    Args:
        stream: The unpacked bytes.
        rules: What the file may contain.

    Yields:
        A row or a problem, in the order of the lines.

    Raises:
        UnreadableError: The file is not text, or is damaged.
    """
    empty = not rules.allow_bare_ids
    for line, text in json_texts(stream):
        empty = False
        yield from _read_object(line, text, rules)
    if empty:
        yield Problem(Place(rules.file), "the file is empty: write one object per line.")


def json_texts(stream: io.BufferedReader) -> Iterator[tuple[int, str]]:
    """Yield the text of each object with its line: one per line, of an array, or over several lines.

    Args:
        stream: The unpacked bytes.

    Raises:
        UnreadableError: The file is not text, or is damaged.
    """
    start = stream.peek(_PEEK)[:_PEEK].lstrip()
    if start.startswith(b"[") or _OVER_LINES.match(start):
        yield from _parts(text_chunks(stream))
        return
    for line, text in enumerate(text_lines(stream), start=1):
        if text.strip():
            yield line, text


def _parts(chunks: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Yield each value of a JSON array, or of values one after the other, as text, with the line where it begins."""
    cursor = _Cursor(chunks)
    is_array = cursor.peek() == "["
    if is_array:
        cursor.skip()
    is_first = True
    while (sign := cursor.peek()) and not (is_array and sign == "]"):
        if is_array and not is_first:
            if sign != ",":
                raise UnreadableError(f"is not a JSON array: expected a comma; got {sign!r}.", cursor.line)
            cursor.skip()
            cursor.peek()
        is_first = False
        yield cursor.value()
    if is_array:
        if not sign:
            raise UnreadableError("is not a whole JSON array: the ] at its end is missing.", cursor.line)
        cursor.skip()
        if cursor.peek():
            raise UnreadableError("has text after the end of the JSON array.", cursor.line)


class _Cursor:
    """A place in JSON text, of which only a part is in memory."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self.line = 1
        self._chunks = chunks
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """Skip blanks, and return the character after them, or an empty string at the end of the file."""
        while True:
            found = _NOT_BLANK.search(self._text, self._at)
            self._advance(found.start() if found else len(self._text))
            if found:
                return found[0]
            if not self._read_on():
                return ""

    def skip(self) -> None:
        """Skip one character."""
        self._advance(self._at + 1)

    def value(self) -> tuple[int, str]:
        """Skip a value, and return its line and its text.

        Raises:
            UnreadableError: It is not JSON, or too long.
        """
        while True:
            try:
                _, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at < _LONGEST and self._read_on():
                    continue
                line = self.line + self._text.count("\n", self._at, error.pos)
                raise UnreadableError(f"is not JSON: {error.msg}.", line, error.colno) from None
            except (ValueError, RecursionError) as error:
                raise UnreadableError(f"cannot be read: {error}.", self.line) from None
            # A number may go on in the next chunk.
            if end < len(self._text) or not self._read_on():
                break
        line, text = self.line, self._text[self._at : end]
        self._advance(end)
        return line, text

    def _advance(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to

    def _read_on(self) -> bool:
        chunk = next(self._chunks, "")
        if chunk:
            self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)


def _read_object(line: int, text: str, rules: Rules) -> Iterator[Item]:
    def wrong(field: str | None, message: str, column: int | None = None) -> Problem:
        return Problem(Place(rules.file, line, column, field), message)

    try:
        given = json.loads(text.rstrip(), object_pairs_hook=_refuse_repeated_keys)
    except json.JSONDecodeError as error:
        yield wrong(None, f"is not JSON: {error.msg}.", error.colno)
        return
    except ValueProblem as twin:
        yield wrong(twin.field, twin.message)
        return
    except (ValueError, RecursionError) as error:
        yield wrong(None, f"cannot be read: {error}.")
        return
    if not isinstance(given, dict):
        if not rules.allow_bare_ids:
            yield wrong(None, f"must be an object with {rules.columns}; got {text.strip()[:40]!r}.")
            return
        given = {"id": given}
    if "items" in given and "id" not in given:
        yield wrong("items", "is a page of the API: write its items, for example with jq -c '.items[]'.")
        return
    if "destination" in given and "id" in given:
        given = _change_of_listed(given, rules)
    problems: list[Problem] = []
    number_id, number = given.pop("id", None), None
    written = given.pop("number", None)
    if written is not None:
        number = _digits(written)
        if number is None:
            problems.append(wrong("number", phone_problem(written)))
    if number_id is None and (written is None or rules.needs_id):
        problems.append(wrong(None, rules.missing_key))
    elif number_id is not None and not is_id(number_id):
        problems.append(wrong("id", id_problem(number_id)))
    for name in given:
        if name not in FIELDS and name not in READ_ONLY:
            hint = did_you_mean(name, (*KEYS, *FIELDS))
            problems.append(wrong(name, f"unknown field; the fields are {rules.columns}.{hint}"))
        if name in rules.common:
            problems.append(wrong(name, ALSO_A_FLAG))
    values = {**rules.common, **{name: value for name, value in given.items() if name in FIELDS}}
    try:
        change = parse_change(values)
    except WrongValues as unfit:
        problems += [wrong(problem.field, problem.message) for problem in unfit.problems]
    else:
        if not problems and (values or rules.allow_no_changes):
            yield Row(line, None, number_id, number, change)
            return
    yield from problems or [wrong(None, NO_CHANGES)]


_LISTED: Final = frozenset((*FIELDS, *(field.name for field in attrs.fields(Number))))


def _change_of_listed(given: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Return the object for a number as the API lists it: its settings, or only its id if flags say what to change.

    The API names the destinations `destination`, adds what no request can set, and shows a setting without a value as
    null or as an empty text. A setting with a typing mistake stays, so that it is refused: it would change nothing.
    """
    made = {name: given[name] for name in KEYS if name in given}
    made |= {name: value for name, value in given.items() if name not in _LISTED and is_typing_mistake(name, FIELDS)}
    if rules.common:
        return made
    for name in FIELDS:
        value = given.get(name)
        if value is not None and value != "":
            made[name] = value
        elif name in given and NoneType in KINDS[name]:
            made[name] = None
    routes = given["destination"]
    if "destinations" not in made and routes is not None:
        made["destinations"] = (
            [
                {name: route[name] for name in _ROUTE if route.get(name) is not None}
                if isinstance(route, dict)
                else route
                for route in routes
            ]
            if isinstance(routes, list)
            else routes
        )
    return made


def _digits(value: object) -> str | None:
    if type(value) is int:
        return str(value) if value > 0 else None
    return digits_of(value.strip()) if isinstance(value, str) else None


def _refuse_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueProblem(next(name for name in names if names.count(name) > 1), "duplicate field: remove one.")
    return made
