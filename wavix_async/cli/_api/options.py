"""The options of a method: one for each parameter, and one for each field of a body, made from the signature."""

import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs

from wavix_async import UNSET, InputError
from wavix_async.cli._api.kinds import Kind, kind_of, resolve
from wavix_async.cli._api.texts import docs_of_fields, option_help
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["Option", "Options", "field_kinds", "make", "python_names", "read_text", "with_options"]

_DEEPEST: Final = 4
"""Levels of an object that has options with dots; deeper ones are JSON."""


@attrs.frozen
class Option:
    """One option or argument of a command.

    Attributes:
        path: The names of the parameter and of the fields inside it, as in Python.
        name: What users write: `--message-body.text`, or the name of an argument.
        kind: How its text is read.
        required: Whether the call needs it.
        positional: Whether it is given without a name.
        secret: Whether its value is not repeated in a question.
        default: The value that is used without it, if it is worth showing.
        help: What it is.
    """

    path: tuple[str, ...]
    name: str
    kind: Kind
    required: bool = False
    positional: bool = False
    secret: bool = False
    default: Any = None
    help: str = ""

    @property
    def key(self) -> str:
        """The name of the parameter of the generated function."""
        return "__".join(self.path)

    def read(self, text: Any) -> Any:
        """Return the value of a text or of several, as the command line has split them.

        Raises:
            Quit: The text is no such value.
        """
        word = self.kind.word
        if word == "list":
            assert self.kind.item is not None
            item = attrs.evolve(self, kind=self.kind.item)
            return [item.read(each) for each in self._items(text)]
        if word == "objects":
            return [self._object(each) for each in self._items(text)]
        if word == "object":
            return self._object(text)
        if word in _READERS and isinstance(text, str):
            wanted, reader = _READERS[word]
            try:
                return reader(text)
            except (ValueError, InvalidOperation):
                self._wrong(f"must be {wanted}, got {text!r}")
        return text

    def _items(self, texts: Sequence[str]) -> list[Any]:
        found: list[Any] = []
        for text in texts:
            if text.startswith("@"):
                lines = read_text(self.name, text[1:]).lstrip()
                text = (
                    lines if lines.startswith("[") else json.dumps([x.strip() for x in lines.splitlines() if x.strip()])
                )
            if text.lstrip().startswith("["):
                value = self._json(text)
                if not isinstance(value, list):
                    self._wrong("must be a JSON list")
                found += [each if isinstance(each, str | dict) else json.dumps(each) for each in value]
            else:
                found.append(text)
        return found

    def _object(self, text: Any) -> Any:
        value = text
        if isinstance(text, str):
            value = self._json(read_text(self.name, text[1:]) if text.startswith("@") else text)
        if not isinstance(value, dict):
            self._wrong("must be a JSON object")
        return value

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            self._wrong(f"must be JSON: {error}")
        except RecursionError:
            self._wrong("must be JSON: it is nested too deeply")

    def _wrong(self, what: str) -> NoReturn:
        raise Quit(ExitCode.USAGE, f"{self.name} {what}.")


_READERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "int": ("a whole number", int),
    "float": ("a number", float),
    "number": ("a number", Decimal),
    "date": ("a day such as 2026-11-01", date.fromisoformat),
    "datetime": ("a time such as 2026-11-01T12:00:00Z", datetime.fromisoformat),
}


def read_text(option: str, source: str) -> str:
    """Return the text of a file, or of stdin for `-`.

    Raises:
        Quit: The file cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Quit(ExitCode.USAGE, f"{option}: cannot read {source}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Quit(ExitCode.USAGE, f"{option}: {source} is not a text in UTF-8.") from None


class Options:
    """The options of a method.

    Args:
        function: The method, as its class has it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._names: Mapping[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
        self.model: Any = getattr(function, "unpacks", None)
        """The class of the body or the query whose fields are the method's keywords; None: it has none."""

    @cached_property
    def all(self) -> tuple[Option, ...]:
        """Every option: arguments, what the call needs, then the rest, each in the order of the signature."""
        return tuple(sorted(self._make(), key=lambda option: (not option.positional, not option.required)))

    def _make(self) -> Iterator[Option]:
        parameters = list(inspect.signature(self._function).parameters.values())[1:]
        docs = docs_of_fields(self._function)
        plain = {parameter.name for parameter in parameters}
        for parameter in parameters:
            annotation = resolve(parameter.annotation, self._names)
            kind = self._kind(annotation)
            if kind is None:
                continue
            fields: dict[str, Any] = {}
            if self.model is not None:
                fields = {field.name: field for field in attrs.fields(self.model)}
            yield from self._of(parameter, kind, fields.get(parameter.name), plain, docs.get(parameter.name, ""))

    def _kind(self, annotation: Any) -> Kind | None:
        kind = None if annotation is None else kind_of(annotation)
        if annotation is Any:
            # The overloads have the types.
            inner = typing.get_overloads(inspect.unwrap(self._function))
            first = [next(iter(list(inspect.signature(each).parameters.values())[1:]), None) for each in inner]
            kinds = [kind_of(resolve(each.annotation, self._names)) for each in first if each is not None]
            kind = next((each for each in kinds if each is not None and each.word == "rows"), None)
        return kind

    def _of(self, parameter: inspect.Parameter, kind: Kind, field: Any, taken: set[str], doc: str) -> Iterator[Option]:
        name, default = parameter.name, parameter.default
        required = default is parameter.empty
        positional = field is None and default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY
        if kind.model is not None and kind.word == "object":
            positional = False
        shown = None if default in (parameter.empty, None, UNSET) else default
        help_ = option_help(doc, name, kind, required=required and not positional, default=shown)
        yield Option(
            (name,),
            _argument(name) if positional else _option(name),
            kind,
            required=required,
            positional=positional,
            secret=field is not None and not field.repr,
            default=shown,
            help=help_,
        )
        if kind.word in {"object", "list"} and kind.model is not None:
            # The fields of an optional filter have names without a dot, unless another parameter has the name.
            is_filter = field is None and default is not parameter.empty
            yield from self._inner((name,), kind.model, taken if is_filter else None, 1)

    def _inner(self, path: tuple[str, ...], model: Any, free: set[str] | None, depth: int) -> Iterator[Option]:
        docs = docs_of_fields(model)
        for name, parameter in inspect.signature(model).parameters.items():
            kind = kind_of(parameter.annotation)
            if kind is None:
                continue
            (field,) = [each for each in attrs.fields(model) if each.name == name]
            inner = (*path, name)
            is_plain = free is not None and name not in free
            help_ = option_help(docs.get(name, ""), name, kind, required=False, default=None)
            yield Option(
                inner,
                _option(name) if is_plain else "--" + ".".join(map(_word, inner)),
                kind,
                secret=not field.repr,
                help=help_,
            )
            if kind.word == "object" and kind.model is not None and depth < _DEEPEST:
                yield from self._inner(inner, kind.model, None, depth + 1)

    def option_of(self, name: str) -> Option:
        """Return the option of a parameter."""
        return next(option for option in self.all if option.path == (name,))

    def build(self, given: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the method: by position, and by name.

        Args:
            given: The texts of the options, by key.
            body: The fields of a body from a file; options go before it.

        Raises:
            Quit: A value is wrong, or something is missing.
        """
        values: dict[str, Any] = dict(python_names(self.model, body)) if self.model is not None else {}
        parts: dict[str, dict[tuple[str, ...], Any]] = {}
        for option in self.all:
            text = given.get(option.key)
            if text is None:
                continue
            value = option.read(text)
            if len(option.path) == 1:
                values[option.path[0]] = value
            else:
                parts.setdefault(option.path[0], {})[option.path[1:]] = value
        for name, fields in parts.items():
            if isinstance(values.get(name), list):
                raise Quit(ExitCode.USAGE, f"{self.option_of(name).name} goes without other filters.")
            values[name] = self._object(self.option_of(name), values.get(name), fields)
        for option in self.all:
            if len(option.path) == 1 and isinstance(values.get(option.path[0]), dict) and option.path[0] not in parts:
                values[option.path[0]] = self._object(option, values[option.path[0]], {})
        missing = [option.name for option in self.all if option.required and option.path[0] not in values]
        if missing:
            raise Quit(ExitCode.USAGE, f"Missing: {', '.join(missing)}.")
        positional = [option.path[0] for option in self.all if option.positional]
        return [values.pop(name) for name in positional], values

    def _object(self, option: Option, whole: Any, fields: Mapping[tuple[str, ...], Any]) -> Any:
        """Return the value of an object: the JSON of the whole, with the options for single fields in it."""
        values: dict[str, Any] = dict(whole or {})
        model = option.kind.model
        if model is None:
            return values
        values = python_names(model, values)
        inner: dict[str, dict[tuple[str, ...], Any]] = {}
        for path, value in fields.items():
            if len(path) == 1:
                values[path[0]] = value
            else:
                inner.setdefault(path[0], {})[path[1:]] = value
        for name, more in inner.items():
            kind = kind_of(inspect.signature(model).parameters[name].annotation)
            assert kind is not None
            deeper = Option((*option.path, name), f"{option.name}.{_word(name)}", kind)
            values[name] = self._object(deeper, values.get(name), more)
        return make(model, values, option.name)


def make(model: Any, values: Mapping[str, Any], name: str) -> Any:
    """Return a body with these fields.

    Raises:
        Quit: A field is wrong, unknown or missing.
    """
    known = inspect.signature(model).parameters
    if unknown := [each for each in values if each not in known]:
        raise Quit(ExitCode.USAGE, f"{name} has no field {unknown[0]!r}: it has {', '.join(map(_word, known))}.")
    needed = [each for each, parameter in known.items() if parameter.default is parameter.empty and each not in values]
    if needed:
        raise Quit(ExitCode.USAGE, f"{name} needs {', '.join(map(_word, needed))}.")
    try:
        return model(**values)
    except InputError as error:
        raise Quit(ExitCode.USAGE, with_options(str(error), model, name)) from None


def field_kinds(model: Any) -> dict[str, Kind]:
    """Return how the fields of a body are read, by their names in Python."""
    kinds = ((name, kind_of(each.annotation)) for name, each in inspect.signature(model).parameters.items())
    return {name: kind for name, kind in kinds if kind is not None}


def with_options(message: str, model: Any, prefix: str = "") -> str:
    """Return a message about the fields of a body with the names of options: `--from`, not `MessageCreate.from_`."""
    before = f"{prefix}." if prefix else "--"
    return re.sub(rf"\b{model.__name__}\.([a-z]\w*)", lambda found: before + _word(found[1]), message)


def python_names(model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body by their names in Python (`from_`): a file may have those of the API (`from`)."""
    known = inspect.signature(model).parameters
    return {name if name in known or f"{name}_" not in known else f"{name}_": value for name, value in values.items()}


def _word(name: str) -> str:
    return name.strip("_").replace("_", "-")


def _option(name: str) -> str:
    word = _word(name)
    # The command line has options of these names.
    return f"--with-{word}" if word in {"help", "version"} else f"--{word}"


def _argument(name: str) -> str:
    return name.upper()
