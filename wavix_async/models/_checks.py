"""Check the values that callers pass against the annotations of a body or a query, and convert them to one form.

`normalize` runs for every new body. A field whose value has exactly a type of its annotation costs one look-up. Any
other value goes through the converters of its rule, which accept what people write: a string for an enum, a mapping for
another body, a list for a tuple, a text for a date.
"""

import functools
import math
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from types import NoneType
from typing import Any, Final, TypeVar

import attrs

from wavix_async._codec.kinds import FieldsBase, OpenEnum, OpenIntBase
from wavix_async._codec.scalars import is_empty, plain_scalar
from wavix_async._codec.shapes import members
from wavix_async.errors import InputError
from wavix_async.types import UNSET, UnsetType

__all__ = ["check_url", "holds_mapping", "make_body", "normalize", "phone", "set_phones"]

B = TypeVar("B", bound=FieldsBase)

_set = object.__setattr__

Convert = Callable[[Any], Any]
"""Returns the converted value, or `_NO` if the value does not fit the type."""

_NO: Final[Any] = object()
_DEEPEST: Final = 100


class _InvalidError(Exception):
    """A value has the right type but is invalid; the text says what it must be."""


# --- the converters, one for each type ---


def _to_float(value: Any) -> Any:
    return value if type(value) is int or (type(value) is float and math.isfinite(value)) else _NO


def _to_int(value: Any) -> Any:
    return int(value) if isinstance(value, int) and not isinstance(value, bool | OpenEnum) else _NO


def _to_str(value: Any) -> Any:
    return value if isinstance(value, str) and not isinstance(value, OpenEnum) else _NO


def _to_decimal(value: Any) -> Any:
    if type(value) not in {int, str, Decimal}:
        return _NO
    try:
        number = Decimal(value)
    except InvalidOperation:
        return _NO
    return number if number.is_finite() else _NO


def _to_date(value: Any) -> Any:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value) if type(value) is str and len(value) == 10 else _NO
    except ValueError:
        return _NO


def _to_datetime(value: Any) -> Any:
    if type(value) is str and len(value) > 10:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _NO
        # The API reads a time without a zone as UTC.
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not isinstance(value, datetime):
        return _NO
    if value.tzinfo is None:
        raise _InvalidError("a datetime with a time zone, for example datetime(2026, 1, 31, 12, tzinfo=UTC)")
    return value


def _to_enum(kind: Any) -> Convert:
    base = int if issubclass(kind, OpenIntBase) else str

    def convert(value: Any) -> Any:
        if isinstance(value, OpenEnum):
            return value if isinstance(value, kind) else _NO
        return kind(base(value)) if isinstance(value, base) and not isinstance(value, bool) else _NO

    return convert


def _to_body(kind: Any) -> Convert:
    def convert(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping) or isinstance(value, FieldsBase):
            return _NO
        return kind(**_arguments(kind, value))

    return convert


def make_body(kind: type[B], fields: Mapping[str, object]) -> B:
    """Return the body of a mapping, whose keys are names on the wire or in Python.

    Raises:
        InputError: A key is unknown, one is missing, or a value is invalid.
    """
    return kind(**_arguments(kind, fields))


def _arguments(kind: Any, given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the keywords of a body for a mapping, whose keys are names on the wire or in Python."""
    names: dict[Any, str] = {}
    for field in attrs.fields(kind):
        names[_rename_of(field.type) or field.name] = names[field.name] = field.alias
    if unknown := sorted(str(key) for key in given if key not in names):
        known = ", ".join(dict.fromkeys(names.values()))
        raise InputError(f"{kind.__name__} has no field {', '.join(unknown)}. Its fields are {known}.")
    required = {field.alias for field in attrs.fields(kind) if field.default is attrs.NOTHING}
    arguments = {names[key]: value for key, value in given.items()}
    if missing := sorted(required - arguments.keys()):
        is_secret = any(field.repr is False for field in attrs.fields(kind))
        got = f"the keys {', '.join(map(str, given))}" if is_secret else repr(dict(given))
        raise InputError(f"{kind.__name__}.{missing[0]} is missing; got {got}.")
    return arguments


def _to_list(item: Any) -> Convert:
    inner = _Rule.of(item)

    def convert(value: Any) -> Any:
        if type(value) not in {list, tuple}:
            return _NO
        converted = []
        for index, element in enumerate(value):
            try:
                made = inner.convert(element)
            except InputError as error:
                raise _ItemError(index, str(error)) from None
            except _InvalidError as error:
                raise _ItemError(index, f"must be {error}; got {element!r}.") from None
            if made is _NO:
                return _NO
            converted.append(made)
        return tuple(converted)

    return convert


class _ItemError(Exception):
    """One item of a list is wrong."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def _to_dict(value: Any) -> Any:
    return _to_json(value) if isinstance(value, Mapping) else _NO


def _to_json(value: Any, depth: int = 0) -> Any:
    """Return a copy of a JSON value, or `_NO`: JSON has no NaN (it would become null) and no times without a zone."""
    if value is None or type(value) in {str, bool, int} or isinstance(value, FieldsBase | OpenEnum):
        return value
    if depth > _DEEPEST:
        return _NO
    if isinstance(value, Mapping):
        made = {key: _to_json(each, depth + 1) for key, each in value.items()}
        return made if all(type(key) is str and each is not _NO for key, each in made.items()) else _NO
    if type(value) in {list, tuple}:
        items = [_to_json(each, depth + 1) for each in value]
        return _NO if any(item is _NO for item in items) else items
    for convert in (_to_float, _to_decimal, _to_date, _to_datetime, _to_str):
        if (made := convert(value)) is not _NO:
            return made
    return _NO


def _to_literal(choices: tuple[Any, ...]) -> Convert:
    return lambda value: value if value in choices else _NO


# --- phone numbers ---

_BARE_PHONE: Final = re.compile(r"(?!00)[0-9]+|\+[1-9][0-9]+")
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Marks that come with a number that is copied from an address book or a web page."""
_SPELLED_PHONE: Final = re.compile(
    r"(?:tel:)?\s*\(?\s*(?P<plus>[+\uff0b]?)(?P<rest>[\d\s().\-\u2010-\u2015\u2212\uff0d]+)", re.IGNORECASE
)
_TRUNK_ZERO: Final = re.compile(r"(?!39|378|379)(?P<country>[1-9]\d{0,2})\s*\(0\)")
"""The zero of `+44 (0)20 7946 0958`, which callers from abroad leave out. Italy and its neighbours dial it."""
_DECIMAL: Final = re.compile(r"[\d\s]*\.\d*|[^.]*\.\d{0,2}")
"""What a spreadsheet or pandas makes of a phone number: without the dot, it would be another number."""
_FEWEST_DIGITS: Final = 7
"""Fewer digits are a short code, or a name of digits."""
_MOST_DIGITS: Final = 15
_LONGEST_SPELLING: Final = 60


def phone(text: str, *, plus: bool = True) -> str:
    """Return a phone number without the signs that people write into it; return any other text as it is.

    `+1 (512) 555-0143`, `tel:+1-512-555-0143` and `001 512 555 0143` become `+15125550143`, and `512.555.0143` becomes
    `5125550143`. No digit is added and no country is guessed. `00` at the start is read as the plus sign, because no
    country code begins with a zero; `011` is not, because a national number may begin so. Names, short codes, SIP
    addresses, extensions, decimals and two numbers in one text stay as they are: then the API decides.

    Args:
        text: A phone number, or any other text.
        plus: Whether a plus sign stays; filters have none in the documentation of the API.
    """
    if _BARE_PHONE.fullmatch(text):
        return text if plus else text.removeprefix("+")
    if text.isalpha():  # most names: a short cut
        return text
    spelled = _INVISIBLE.sub("", text).strip() if len(text) <= _LONGEST_SPELLING else ""
    found = _SPELLED_PHONE.fullmatch(spelled)
    if found is None or _DECIMAL.fullmatch(found["rest"].strip()):
        return text
    # A digit of another script has one value, too: `int` knows it.
    rest = "".join(str(int(sign)) if sign.isdecimal() else sign for sign in found["rest"].strip())
    has_plus = bool(found["plus"])
    if not has_plus and rest.startswith("00"):
        rest, has_plus = rest[2:].strip(), True
    if has_plus:
        trunk = _TRUNK_ZERO.match(rest)
        rest = rest if trunk is None else trunk["country"] + rest[trunk.end() :]
    digits = "".join(filter(str.isdecimal, rest))
    if not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS or (has_plus and digits[0] == "0"):
        return text
    return f"+{digits}" if has_plus and plus else digits


def set_phones(body: Any, *names: str, plus: bool = True) -> None:
    """Write the phone numbers in some fields of a new body or query as `phone` does.

    Args:
        body: The body or query, after `normalize`.
        *names: The fields; those that hold no text stay as they are.
        plus: Whether a plus sign stays.
    """
    for name in names:
        value = getattr(body, name)
        if isinstance(value, str) and (made := phone(value, plus=plus)) is not value:
            _set(body, name, made)


# --- URLs ---

_URL: Final = re.compile(r"(?P<scheme>[a-z]+)://[^\s/?#]+\S*", re.IGNORECASE)
_NOT_IN_URL: Final = re.compile(rf"[\s\x00-\x20\x7f-\xa0\ud800-\udfff]|{_INVISIBLE.pattern}")


def check_url(body: Any, name: str, *schemes: str) -> None:
    """Check that a field of a new body, if it is set, is a URL with a scheme that the API can use.

    The message does not show the URL: its path may hold a secret.

    Args:
        body: The body, after `normalize`.
        name: The field.
        *schemes: The schemes in small letters; default: http and https.

    Raises:
        InputError: The text is not such a URL, or has a blank, a line break or an invisible character in it.
    """
    value = getattr(body, name)
    if not isinstance(value, str):
        return
    schemes = schemes or ("http", "https")
    if "://" in value and (odd := _NOT_IN_URL.search(value)):
        raise InputError(
            f"{type(body).__name__}.{name} must be a URL without blanks, line breaks and invisible characters; "
            f"character {odd.start() + 1} is {odd[0]!r}."
        )
    found = _URL.fullmatch(value)
    if found is None or found["scheme"].lower() not in schemes:
        kinds = " or ".join(f"{scheme}://" for scheme in schemes)
        raise InputError(f"{type(body).__name__}.{name} must be a URL that begins with {kinds}; got another text.")


# --- rules ---


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _rename_of(annotation: Any) -> str | None:
    if typing.get_origin(annotation) is not typing.Annotated:
        return None
    return next((note.rename for note in typing.get_args(annotation)[1:] if getattr(note, "rename", None)), None)


def _is_sequence(kind: Any) -> bool:
    return typing.get_origin(kind) in {list, tuple, Sequence}


def _is_mapping(kind: Any) -> bool:
    return kind is dict or typing.get_origin(kind) in {dict, Mapping}


_SIMPLE: Final[dict[Any, Convert]] = {
    int: _to_int,
    float: _to_float,
    str: _to_str,
    Decimal: _to_decimal,
    date: _to_date,
    datetime: _to_datetime,
}
_WORDS: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    NoneType: "None",
    Decimal: "a decimal number",
    date: "a date such as 2026-01-31",
    datetime: "a datetime or an ISO 8601 text",
    object: "any JSON value",
    Any: "any JSON value",
}


def _converter_of(kind: Any) -> Convert | None:
    """Return the converter of other values to this type; None if only the type itself is allowed."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind is object or kind is Any:
        return _to_json
    if _is_sequence(kind):
        return _to_list(typing.get_args(kind)[0])
    if _is_mapping(kind):
        return _to_dict
    if typing.get_origin(kind) is typing.Literal:
        return _to_literal(typing.get_args(kind))
    if _is_a(kind, OpenEnum):
        return _to_enum(kind)
    if _is_a(kind, FieldsBase):
        return _to_body(kind)
    return None


def _word(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    if _is_sequence(kind):
        return f"a list, each {_words(typing.get_args(kind)[0])}"
    if _is_mapping(kind):
        return "a mapping with strings as keys"
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if _is_a(kind, OpenEnum):
        known = ", ".join(f"{member.name} ({member.value})" for member in kind)
        return f"{_article(kind.__name__)} {kind.__name__}: {known}"
    return f"{_article(kind.__name__)} {kind.__name__}"


def _distinct(kinds: Collection[Any]) -> tuple[Any, ...]:
    """Return the members of a union without plain alternatives of others: `NumberStatus | str`, `Dot | Mapping`.

    The alternatives are there for type checkers; a value of the plain type is converted to the other type.
    """
    plain: set[Any] = {
        int if _is_a(kind, OpenIntBase) else str
        for kind in kinds
        if _is_a(kind, OpenEnum) or kind in {Decimal, date, datetime}
    }
    if any(_is_a(kind, FieldsBase) for kind in kinds):
        plain.update(filter(_is_mapping, kinds))
    return tuple(kind for kind in kinds if kind not in plain)


def _article(word: str) -> str:
    return "an" if word[0] in "AEIOU" else "a"


def _words(annotation: Any) -> str:
    kinds = [kind for kind in _distinct(members(_bare(annotation))) if kind is not UnsetType]
    # None comes first: `a list, each a string or None` would mean that items can be None.
    if any(map(_is_sequence, kinds)):
        kinds.sort(key=lambda kind: kind is not NoneType)
    return " or ".join(dict.fromkeys(map(_word, kinds)))


@attrs.frozen(eq=False, repr=False)
class _Rule:
    """What an annotation accepts."""

    exact: frozenset[Any]
    """Types whose values pass unchanged."""
    converters: tuple[Convert, ...]
    words: str

    @classmethod
    def of(cls, annotation: Any) -> "_Rule":
        """Return the rule of an annotation."""
        kinds = _distinct(members(_bare(annotation)))
        # Converters that accept only some strings or mappings come before those that accept all.
        ordered = sorted(kinds, key=lambda kind: kind is str or kind is object or kind is Any or _is_mapping(kind))
        # JSON cannot represent NaN and infinity: floats go through their converter, which rejects these.
        exact = frozenset({bool, int, str, NoneType, UnsetType}) & frozenset(kinds)
        exact |= frozenset(kind for kind in kinds if _is_a(kind, OpenEnum) or _is_a(kind, FieldsBase))
        found = (_converter_of(kind) for kind in ordered)
        return cls(exact, tuple(converter for converter in found if converter is not None), _words(annotation))

    def convert(self, value: Any) -> Any:
        """Return the converted value, or `_NO`."""
        if type(value) in self.exact:
            return value
        for converter in self.converters:
            made = converter(value)
            if made is not _NO:
                return made
        return _NO


def _is_a(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


@attrs.frozen(eq=False, repr=False)
class _FieldRule:
    name: str
    exact: frozenset[Any]
    rule: _Rule
    can_be_left_out: bool
    is_secret: bool
    """Whether the class does not show the field in its repr: then no error shows it either."""


def _make_rules(kind: Any) -> tuple[_FieldRule, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    rules = []
    for field in attrs.fields(kind):
        annotation = hints[field.name]
        rule = _Rule.of(annotation)
        can_be_left_out = field.default is UNSET or UnsetType in members(_bare(annotation))
        exact = rule.exact | {UnsetType} if can_be_left_out else rule.exact
        rules.append(_FieldRule(field.name, exact, rule, can_be_left_out, field.repr is False))
    return tuple(rules)


def _make_test(kind: Any) -> Callable[[Any], bool]:
    """Compile a test whether all fields have exactly a type of their annotation: it runs for every body, most pass."""
    names: dict[str, Any] = {"type": type}
    tests = []
    for at, rule in enumerate(_rules(kind)):
        names[f"exact{at}"] = rule.exact
        tests.append(f"type(body.{rule.name}) in exact{at}")
    made: Callable[[Any], bool] = eval(f"lambda body: {' and '.join(tests) or 'True'}", names)  # noqa: S307 - field names of our own classes
    return made


_rules: Final[Callable[[Any], tuple[_FieldRule, ...]]] = functools.cache(_make_rules)
_is_exact: Final[Callable[[Any], Callable[[Any], bool]]] = functools.cache(_make_test)


def normalize(body: Any) -> None:
    """Check the fields of a body or a query against their annotations, and convert them to one form.

    Args:
        body: The new body or query.

    Raises:
        InputError: A field has another type; the message names it.
    """
    if _is_exact(type(body))(body):
        return
    for rule in _rules(type(body)):
        value = getattr(body, rule.name)
        if type(value) in rule.exact:
            continue
        value = plain_scalar(value)
        if rule.can_be_left_out and body.EMPTY_IS_LEFT_OUT and is_empty(value):
            _set(body, rule.name, UNSET)
            continue
        where = f"{type(body).__name__}.{rule.name}"
        words = rule.rule.words
        try:
            made = rule.rule.convert(value)
        except InputError as error:
            if rule.is_secret:
                raise InputError(f"{where} must be {words}.") from None
            raise InputError(f"{where}: {error}") from None
        except _ItemError as error:
            if rule.is_secret:
                raise InputError(f"{where}[{error.index}] is not valid: {where} must be {words}.") from None
            raise InputError(f"{where}[{error.index}]: {error}") from None
        except _InvalidError as error:
            made, words = _NO, str(error)
        if made is _NO:
            hint = body.LEFT_OUT if rule.can_be_left_out else ""
            got = f"a value of type {type(value).__name__}, which is not shown" if rule.is_secret else repr(value)
            raise InputError(f"{where} must be {words}{hint}; got {got}.")
        if made is not getattr(body, rule.name):
            _set(body, rule.name, made)


def holds_mapping(kind: Any) -> bool:
    """Return whether a field of a body may hold a dict at any depth; a dict cannot be hashed."""
    return any(
        _may_hold_mapping(each) for field in attrs.fields(kind) for each in _distinct(members(_bare(field.type)))
    )


def _may_hold_mapping(kind: Any) -> bool:
    if _is_mapping(kind) or kind is object or kind is Any:
        return True
    if _is_sequence(kind):
        return any(map(_may_hold_mapping, _distinct(members(_bare(typing.get_args(kind)[0])))))
    return _is_a(kind, FieldsBase) and holds_mapping(kind)
