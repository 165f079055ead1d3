"""Make a flag for each field of `NumberUpdate`; a new field becomes a flag without an edit here."""

import json
import types
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import attrs
import docstring_parser
from cyclopts import Parameter, Token

from wavix_async import UNSET, NumberUpdate
from wavix_async._files import FIELDS, KINDS, WrongValues, from_text, is_list, make_update
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["NO_CHANGES", "Changes", "flag_values", "update_from_flags"]


def _json_token(_: Any, tokens: Sequence[Token]) -> Any:
    try:
        return json.loads(tokens[0].value)
    except ValueError as error:
        raise ValueError(f"it must be a JSON list: {error}") from None


class _SkipPydantic:
    """Makes pydantic accept `UNSET`: cyclopts validates with pydantic if pydantic is installed."""

    def __get_pydantic_core_schema__(self, *_: object) -> dict[str, str]:
        return {"type": "any"}


def _flag(name: str, text: str) -> Any:
    kinds = KINDS[name]
    if any(map(is_list, kinds)):
        parameter = Parameter(help=f"{text} Give a JSON list.", converter=_json_token)
        return attrs.field(default=UNSET, type=cast("type", Annotated[str, parameter, _SkipPydantic()]))
    parameter = Parameter(help=text, negative_none="clear-" if types.NoneType in kinds else ())
    return attrs.field(default=UNSET, type=cast("type", Annotated[reduce(or_, kinds), parameter, _SkipPydantic()]))


def _make_flags() -> type:
    documented = docstring_parser.parse_from_object(NumberUpdate).params
    # The docstrings mention None; on the command line it is the flag `--clear-...`.
    texts = {param.arg_name: (param.description or "").replace("None:", "if cleared:") for param in documented}
    flags = {name: _flag(name, texts.get(name) or f"{name.replace('_', ' ').capitalize()}.") for name in FIELDS}
    made = attrs.make_class("Changes", flags, kw_only=True)
    return Parameter(name="*", group="Changes", show_default=False)(made)


if TYPE_CHECKING:

    class Changes:
        """The changes given as flags."""
else:
    Changes = _make_flags()

NO_CHANGES: Final = Changes()


def flag_values(changes: Changes) -> dict[str, Any]:
    """Return the values of the given flags, as JSON values.

    Raises:
        Quit: A value is invalid.
    """
    values = {name: value for name in FIELDS if (value := getattr(changes, name)) is not UNSET}
    # Text has the same meaning as in a file.
    values = {name: from_text(name, value) if isinstance(value, str) else value for name, value in values.items()}
    try:
        make_update(values)
    except WrongValues as wrong:
        raise Quit(ExitCode.USAGE, f"--{'; --'.join(map(str, wrong.problems))}") from None
    return values


def update_from_flags(changes: Changes) -> NumberUpdate:
    """Return the update that the flags describe.

    Raises:
        Quit: A value is invalid, or no flag was given.
    """
    values = flag_values(changes)
    if not values:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in FIELDS)
        raise Quit(ExitCode.USAGE, f"There is nothing to change: give at least one of {flags}.")
    return make_update(values)
