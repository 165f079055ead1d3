"""JSON to models, on cattrs.

The fast path comes first: hooks that cattrs generates check every type strictly and raise `_Mismatch` at the first
deviation. Only after a mismatch does the tolerant path read the answer again, field by field. It loses nothing
(`extra` and `_origin` of a model keep what its fields cannot), invents nothing, and reports deviations as
`Drift`.

An answer may be hostile: the tolerant path keeps a bounded number of drifts and counts the rest.
"""

import functools
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import inf
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs
import cattrs

from wavix_async._codec.drift import Drift, Drifts, drift_error
from wavix_async._codec.kinds import NO_EXTRA, AnswerBase, OpenIntBase, OpenStrBase
from wavix_async._codec.shapes import (
    EXACT,
    Field,
    is_dict,
    is_hidden,
    is_list,
    is_model,
    is_union,
    members,
    name_of,
    shape_of,
    without_none,
    write_datetime,
)
from wavix_async.errors import InputError

__all__ = ["NO_DRIFTS", "TooMuchDrift", "decode", "fits", "from_dict", "is_about"]

T = TypeVar("T")

_set = object.__setattr__


_KEPT: Final = 100
"""Drifts of one answer that are kept, plus as many of further kinds; the rest is counted."""
_LONGEST_NAME: Final = 1000
"""Characters of a key in a drift. Callers remove secrets and then cut further."""


class _Mismatch(Exception):  # noqa: N818 - a signal between the two paths, never seen outside
    pass


class TooMuchDrift(Exception):  # noqa: N818 - becomes a DecodeError, which says more
    """A payload has more drifts than `decode` was told to accept."""


# --- scalars ---


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _Mismatch
        return value

    return hook


def _float(value: Any, _: Any) -> Any:
    if type(value) is not float and type(value) is not int:
        raise _Mismatch
    return value


def _decimal(text: str) -> tuple[Decimal, bool]:
    """Return the number that a text shows, and whether writing the number gives the text."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Mismatch from None
    if not number.is_finite():
        raise _Mismatch
    return number, str(number) == text


def _from_number(value: Any) -> Decimal:
    """Return the number of a JSON number: the API sends money as texts or as numbers."""
    if type(value) is float:
        # The shortest text that gives it again: the API sent 0.1, not 0.1000000000000000055.
        return Decimal(repr(value))
    if type(value) is int:
        return Decimal(value)
    raise _Mismatch


def _datetime(text: str) -> tuple[datetime, bool]:
    """Return the time that a text shows, and whether writing the time gives the text."""
    if len(text) < 19:
        raise _Mismatch
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Mismatch from None
    if not moment.tzinfo:
        moment = moment.replace(tzinfo=UTC)
    # For most texts, comparing only the separators is six times as fast.
    return moment, (text[4:20:3] == "--T::." and text[23:] == "Z") or write_datetime(moment) == text


def _date(text: str) -> tuple[date, bool]:
    """Return the day that a text shows, and whether writing the day gives the text."""
    if len(text) != 10 and text[10:] not in {"T00:00:00.000Z", "T00:00:00Z"}:
        raise _Mismatch
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        raise _Mismatch from None
    return day, len(text) == 10 and text[4] == "-" == text[7]


_TEXTS: Final[dict[type, Callable[[str], tuple[Any, bool]]]] = {Decimal: _decimal, datetime: _datetime, date: _date}
# Many records have the same few prices and days.
_CACHED: Final = {kind: functools.lru_cache(1024)(_TEXTS[kind]) for kind in (Decimal, date)}
_LONGEST_CACHED: Final = 30  # characters, so that the caches stay small


def _textual(kind: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not str:
            if kind is Decimal:
                return _from_number(value)
            raise _Mismatch
        return _TEXTS[kind](value)[0]

    return hook


# --- the fast path ---

_reader: Final = cattrs.Converter(detailed_validation=False)


# In a union, members that read any string or any object are tried after the more specific ones.
_GREEDY: Final = (str, dict, object, Any)


def _union_hook(kind: Any) -> Callable[[Any, Any], Any]:
    is_optional = type(None) in members(kind)
    kinds = [member for member in members(kind) if member is not type(None)]
    if len(kinds) == 1 and kinds[0] in {int, str, bool}:
        (only,) = kinds

        def scalar(value: Any, _: Any) -> Any:
            if value is None or type(value) is only:
                return value
            raise _Mismatch

        return scalar
    kinds.sort(key=lambda member: member in _GREEDY or is_dict(member))
    hooks = [(member, _reader.get_structure_hook(member)) for member in kinds]

    def hook(value: Any, _: Any) -> Any:
        if value is None and is_optional:
            return None
        for member, read in hooks:
            try:
                return read(value, member)
            except _Mismatch:
                continue
        raise _Mismatch

    return hook


def _list_hook(kind: Any) -> Callable[[Any, Any], Any]:
    (item,) = typing.get_args(kind)
    inner = _reader.get_structure_hook(item)

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise _Mismatch
        return [inner(element, item) for element in value]

    return hook


def _dict_hook(kind: Any) -> Callable[[Any, Any], Any]:
    _, item = typing.get_args(kind)
    inner = _reader.get_structure_hook(item)

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise _Mismatch
        return {key: inner(element, item) for key, element in value.items()}

    return hook


def _enum_hook(base: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, kind: Any) -> Any:
        if type(value) is not base:
            raise _Mismatch
        return kind._value2member_map_.get(value) or kind(value)

    return hook


def _model_hook(model: Any) -> Callable[[Any, Any], Any]:
    """Generate the function that reads one model, as cattrs does, and that also sets `extra` and `_origin`.

    cattrs' own function calls a hook for every field and then `__init__`. This one checks most values inline, and sets
    the attributes of an unfrozen object, in a ninth of the time that a frozen one's slots take.
    """

    @functools.cache
    def reader_of_some() -> Callable[[Any], Any]:
        return _compile(model, whole=False, otherwise=None)

    return _compile(model, whole=True, otherwise=lambda payload: reader_of_some()(payload))


def _compile(model: Any, *, whole: bool, otherwise: Callable[[Any], Any] | None) -> Callable[..., Any]:
    """Compile a reader of a model.

    Args:
        model: The class.
        whole: Whether a payload has all keys of the model and no others. Most have, and need no test for each key.
        otherwise: Reads the payloads with more or fewer keys.
    """
    shape = shape_of(model)
    names: dict[str, Any] = {"new": object.__new__, "open": _unfrozen(model), "model": model, "Mismatch": _Mismatch,
                             "EXACT": EXACT, "no_extra": NO_EXTRA, "names": shape.names, "required": shape.required,
                             "keep_texts": shape.keep_texts, "otherwise": otherwise}  # fmt: skip
    fields: list[str] = []
    for i, field in enumerate(shape.fields):
        missing = field.optional and not whole
        fields.append(f"value = payload.get({field.wire!r})" if missing else f"value = payload[{field.wire!r}]")
        steps = _steps(field.kind, i, names)
        if field.holds_text:
            steps.append("plain = plain and value is None")
        fields += ["if value is not None:", *(f"    {step}" for step in steps)] if field.optional else steps
        fields.append(f"made.{field.name} = value")
    for hidden in filter(is_hidden, attrs.fields(model)):
        if hidden.name not in {"extra", "_origin"}:
            names[f"default_{hidden.name}"] = hidden.default
            fields.append(f"made.{hidden.name} = default_{hidden.name}")
    if whole:
        test, exact = f"if len(payload) != {len(shape.fields)}: return otherwise(payload)", "plain"
    else:
        test = "if not required <= payload.keys() <= names: raise Mismatch"
        exact = "plain and len(payload) == len(names)"
    lines = [
        "def read(payload, _=None):",
        "    if type(payload) is not dict: raise Mismatch",
        f"    {test}",
        "    made = new(open)",
        "    plain = True",
        "    try:",
        *(f"        {line}" for line in fields or ["pass"]),
        "    except KeyError:",
        "        raise Mismatch from None",
        "    made.extra = no_extra",
        f"    made._origin = EXACT if {exact} else keep_texts(made, payload, names - payload.keys())",
        "    made.__class__ = model",
        "    return made",
    ]
    exec("\n".join(lines), names)  # noqa: S102 - made of field names of our own classes, never of an answer
    return typing.cast("Callable[..., Any]", names["read"])


def _unfrozen(model: Any) -> type:
    """Return a class with the memory layout of a model whose attributes can be set: its objects become the model's."""
    layout = {"__slots__": model.__slots__} if "__slots__" in vars(model) else {}
    unfrozen = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    kind: type = type(model)(f"_{model.__name__}", model.__bases__, layout | unfrozen)
    return kind


def _steps(kind: Any, i: int, names: dict[str, Any]) -> list[str]:
    """Return the lines that check and convert `value`, and add to `names` what they need."""
    names[f"kind{i}"] = kind
    if kind in _SCALARS:
        return [f"if type(value) is not kind{i}: raise Mismatch"]
    if kind in _TEXTS:
        names[f"read{i}"] = read = _TEXTS[kind]
        names[f"kept{i}"] = _CACHED.get(kind, read)
        if kind is Decimal:
            names["from_number"] = _from_number
            return [
                f"if type(value) is str: value, same = (kept{i} if len(value) < {_LONGEST_CACHED} else read{i})(value)",
                "else: value, same = from_number(value), False",
                "plain = plain and same",
            ]
        return [
            "if type(value) is not str: raise Mismatch",
            f"value, same = (kept{i} if len(value) < {_LONGEST_CACHED} else read{i})(value)",
            "plain = plain and same",
        ]
    if isinstance(kind, type) and issubclass(kind, OpenStrBase | OpenIntBase):
        names[f"base{i}"] = str if issubclass(kind, str) else int
        names[f"members{i}"] = kind._value2member_map_
        return [
            f"if type(value) is not base{i}: raise Mismatch",
            f"value = members{i}.get(value) or kind{i}(value)",
        ]
    if is_list(kind):
        (item,) = typing.get_args(kind)
        names[f"item{i}"] = item
        if item in _SCALARS:
            return [
                "if type(value) is not list: raise Mismatch",
                "for each in value:",
                f"    if type(each) is not item{i}: raise Mismatch",
                "value = value.copy()",
            ]
        names[f"read{i}"] = _reader.get_structure_hook(item)
        return [
            "if type(value) is not list: raise Mismatch",
            f"value = [read{i}(each, item{i}) for each in value]",
        ]
    names[f"read{i}"] = _reader.get_structure_hook(kind)
    return [f"value = read{i}(value, kind{i})"]


_SCALARS: Final = frozenset({int, str, bool})

# By default cattrs coerces these types ("false" -> True, None -> "None"). It looks for the hook of a class before it
# tries predicates, so only hooks registered for the classes themselves replace its own.
for _scalar in (int, str, bool, dict, list):
    _reader.register_structure_hook(_scalar, _exactly(_scalar))
_reader.register_structure_hook(float, _float)
for _text in _TEXTS:
    _reader.register_structure_hook(_text, _textual(_text))
_reader.register_structure_hook(OpenStrBase, _enum_hook(str))
_reader.register_structure_hook(OpenIntBase, _enum_hook(int))
_reader.register_structure_hook_func(lambda kind: kind is Any or kind is object, lambda value, _: value)
_reader.register_structure_hook_factory(is_union, _union_hook)
_reader.register_structure_hook_factory(is_dict, _dict_hook)
_reader.register_structure_hook_factory(is_list, _list_hook)
_reader.register_structure_hook_factory(is_model, _model_hook)


# --- the tolerant path ---


_CONTAINERS: Final = frozenset({dict, list})

Path: TypeAlias = "tuple[Path, str | int] | None"
"""The place of a value: the place of what holds it, and its key or index; None is the answer itself."""


class TolerantReader:
    """Read a payload field by field, keep values that do not fit, and note why they do not."""

    def __init__(self, most: float) -> None:
        self.drifts = Drifts()
        self._most = most
        self._kinds: set[tuple[str, str, str]] = set()

    def value(self, value: Any, kind: Any, owner: str, field: str, path: Path) -> Any:
        if is_union(kind) and type(value) in _CONTAINERS:
            kind = _closest(kind, value)
        if is_model(kind) and type(value) is dict:
            return self.model(value, kind, path)
        if is_dict(kind) and type(value) is dict:
            bare = without_none(typing.get_args(kind)[1])
            return {key: self.value(each, bare, owner, field, (path, key)) for key, each in value.items()}
        if is_list(kind) and type(value) is list:
            (item,) = typing.get_args(kind)
            bare = without_none(item)
            return [self.value(element, bare, owner, field, (path, i)) for i, element in enumerate(value)]
        try:
            return _reader.get_structure_hook(kind)(value, kind)
        except _Mismatch:
            self.note(owner, field, "type", path, kind, value)
            return value

    def model(self, payload: dict[str, Any], model: type[AnswerBase], path: Path) -> AnswerBase:
        shape = shape_of(model)
        extra: Mapping[str, Any] = NO_EXTRA
        if not payload.keys() <= shape.names:
            extra = {key: found for key, found in payload.items() if key not in shape.names}
            for key, found in extra.items():
                self.note(model.__name__, key, "unknown", (path, key), _NO_KEY, found)
            payload = {key: found for key, found in payload.items() if key in shape.names}
        try:
            # New keys are by far the most common drift: without them the fast path works again.
            made: AnswerBase = _reader.get_structure_hook(model)(payload, model)
        except _Mismatch:
            made = self.field_by_field(payload, model, path)
        _set(made, "extra", extra)
        return made

    def field_by_field(self, payload: dict[str, Any], model: type[AnswerBase], path: Path) -> AnswerBase:
        """Read the known keys of an object one by one."""
        shape, values, owner = shape_of(model), {}, model.__name__
        for field, read in _fields_with_hooks(typing.cast("Any", model)):
            value = payload.get(field.wire)
            if value is not None:
                try:
                    value = read(value, field.kind)
                except _Mismatch:
                    value = self.value(value, field.kind, owner, field.wire, (path, field.wire))
            elif not field.optional:
                missing = field.wire not in payload
                self.note(owner, field.wire, "missing" if missing else "null", (path, field.wire), field.kind, value)
            values[field.name] = value
        made: AnswerBase = typing.cast("Any", model)(**values)
        _set(made, "_origin", shape.keep_texts(made, payload, shape.names - payload.keys()))
        return made

    def note(
        self,
        owner: str,
        field: str,
        kind: Literal["missing", "null", "type", "unknown"],
        path: Path,
        expected: Any,
        found: object,
    ) -> None:
        drifts = self.drifts
        kept = len(drifts)
        if kept >= _KEPT and (kept >= 2 * _KEPT or not self._is_new_kind(owner, field, kind)):
            drifts.more += 1
            if drifts.more >= self._most:
                raise TooMuchDrift
            return
        seen = "nothing" if kind == "missing" else "null" if found is None else type(found).__name__
        wanted = expected if expected is _NO_KEY else name_of(expected)
        drifts.append(Drift(owner, field[:_LONGEST_NAME], kind, _written(path), wanted, seen))

    def _is_new_kind(self, owner: str, field: str, kind: str) -> bool:
        """Return whether an answer with many drifts has none of this kind yet."""
        kinds = self._kinds
        if not kinds:
            kinds.update((drift.model, drift.field, drift.kind) for drift in self.drifts)
        key = (owner, field, kind)
        if key in kinds:
            return False
        kinds.add(key)
        return True


_NO_KEY: Final = "no such key"


def _written(path: Path) -> str:
    """Return a place as a JSON path: `$.items[3].status`."""
    steps = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if type(step) is int else f".{str(step)[:_LONGEST_NAME]}")
    return "$" + "".join(reversed(steps))


@functools.cache
def _fields_with_hooks(model: Any) -> tuple[tuple[Field, Callable[[Any, Any], Any]], ...]:
    return tuple((field, _reader.get_structure_hook(field.kind)) for field in shape_of(model).fields)


def _closest(kind: Any, value: Any) -> Any:
    """Return the member of a union that an object or a list fits best; the union itself if none fits."""
    if type(value) is list:
        return next((member for member in members(kind) if is_list(member)), kind)
    models = [member for member in members(kind) if is_model(member)]
    if not models:
        return next((member for member in members(kind) if is_dict(member)), kind)
    return max(models, key=lambda model: _likeness(model, value))


def _likeness(model: Any, payload: dict[str, Any]) -> tuple[int, int]:
    shape, keys = shape_of(model), payload.keys()
    return len(keys & shape.names), -len(shape.required - keys)


# --- public API of the package ---


def decode(kind: type[T], payload: object, most: float = inf) -> tuple[T, Drifts]:
    """Read a payload as `kind` (a model, or a list of models), and list what is not as documented.

    Args:
        kind: The type of the operation's result.
        payload: The parsed JSON.
        most: How many drifts to accept.

    Returns:
        The value, and its drifts; an empty list if there are none.

    Raises:
        TooMuchDrift: The payload has more than `most` drifts.
    """
    try:
        return _reader.get_structure_hook(kind)(payload, kind), NO_DRIFTS
    except _Mismatch:
        pass
    salvage = TolerantReader(most)
    value = salvage.value(payload, kind, name_of(kind), "", None)
    return value, salvage.drifts


NO_DRIFTS: Final = Drifts()


def from_dict(kind: type[T], payload: object, *, strict: bool = False) -> T:
    """Read a dict or list in wire form as a model, as the client reads an answer.

    Args:
        kind: A model class such as `Number`, or a list of one.
        payload: The parsed JSON.
        strict: Raise an error for anything that is not as documented, instead of keeping it.

    Returns:
        The model. `to_dict` returns the same payload.

    Raises:
        InputError: `kind` is not the model of an answer.
        DecodeError: `strict` is true and something is not as documented, or the payload is not an object at all.
    """
    if not any(map(is_model, typing.get_args(kind) if is_list(kind) else members(kind))):
        raise InputError(f"from_dict reads models of answers, such as Number or list[Number]; got {name_of(kind)}.")
    value, drifts = decode(kind, payload)
    if drifts and (strict or not fits(kind, value)):
        raise drift_error(drifts, more=drifts.more)
    return value


def is_about(kind: Any, payload: Any) -> bool:
    """Return whether a payload has at least one field of a model: a JSON error has no field of a `Number`."""
    return any(
        not is_model(member) or (type(payload) is dict and bool(payload.keys() & shape_of(member).names))
        for member in members(kind)
        if member is not type(None)
    )


def fits(kind: Any, value: object) -> bool:
    """Return whether a decoded value has the requested type: the model, or a list if `kind` is a list."""
    return any(_fits(member, value) for member in members(kind))


def _fits(kind: Any, value: object) -> bool:
    if kind is Any or kind is object:
        return True
    if kind is list or is_list(kind):
        return isinstance(value, list)
    return type(value) is (kind if is_model(kind) else typing.get_origin(kind) or kind)
