"""The groups of the client as commands: found by their properties, so that a new group appears by itself.

Only the group that is called is imported, and only the command that is called is made in full.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Group, Parameter

from wavix_async import WavixClient
from wavix_async.cli._api.texts import group_help, summary
from wavix_async.cli._options import Connection, Positive

if TYPE_CHECKING:
    from wavix_async.cli._api.command import Method
    from wavix_async.cli._api.options import Option

__all__ = ["add_groups", "methods"]

_BODY: Final = Group("Body", sort_key=5)
_OUTPUT: Final = Group("Output", sort_key=10)
_CONNECTION: Final = Group("Connection", sort_key=20)
_SHARED: Final = "shared_"
"""What the names of shared parameters begin with: a method may have a field of the same name."""
_TYPES: Final[dict[str, Any]] = {
    "flag": bool,
    "int": int,
    "float": float,
    "pair": tuple[float, float],
    "list": list[str],
    "objects": list[str],
}


def add_groups(app: App, argv: Sequence[str], written: dict[str, App]) -> None:
    """Add the groups of the client to the application.

    Args:
        app: The application.
        argv: The words of the command line: the group that they name is made, others only have a name and a summary.
            `completion` needs all of them.
        written: Groups that have commands written by hand; their other methods are added.
    """
    # The words before the first option name the command.
    words = [word for word in argv if not word.startswith("-")] if argv else []
    everything = words[:1] == ["completion"]
    for name, found in _groups(WavixClient):
        word = _word(name)
        group = written.get(word)
        if group is None:
            group = App(name=word, help=summary(found.__doc__))
            app.command(group)
        if everything or words[:1] == [word]:
            # A group needs no client to tell what it has.
            instance = found.func(None)
            if len(words) == 1 and word not in written:
                group.help = group_help(found.__doc__, _example(instance, (name,)))
            _fill(group, instance, (name,), None if everything else words[1:])


def _example(instance: Any, path: tuple[str, ...]) -> str:
    """Return the example of the first command of a group."""
    return next(_methods_of(instance, path)).example


def methods(names: Sequence[str] = ()) -> Iterator["Method"]:
    """Yield every method of the client's groups as a command.

    Args:
        names: Only these groups, by their names in Python; none: all.
    """
    for name, found in _groups(WavixClient):
        if not names or name in names:
            yield from _methods_of(found.func(None), (name,))


def _methods_of(instance: Any, path: tuple[str, ...]) -> Iterator["Method"]:
    for name, function in _functions(type(instance)):
        yield _method(path, name, type(instance), function)
    for name, found in _groups(type(instance)):
        yield from _methods_of(found.func(instance), (*path, name))


def _method(path: tuple[str, ...], name: str, kind: type, function: Callable[..., Any]) -> "Method":
    from wavix_async.cli._api.command import Method

    return Method(tuple(map(_word, (*path, name))), (*path, name), kind, function)


def _groups(kind: type) -> Iterator[tuple[str, Any]]:
    for each in reversed(kind.__mro__):
        for name, found in vars(each).items():
            if isinstance(found, cached_property) and not name.startswith("_"):
                yield name, found


def _functions(kind: type) -> Iterator[tuple[str, Any]]:
    for each in reversed(kind.__mro__):
        for name, found in vars(each).items():
            if inspect.isfunction(found) and not name.startswith("_"):
                yield name, found


def _word(name: str) -> str:
    return name.strip("_").replace("_", "-")


def _fill(app: App, instance: Any, path: tuple[str, ...], words: Sequence[str] | None) -> None:
    """Add the commands of a group. With `words`, only the one that they name gets its options."""
    known = set(app)
    for name, function in _functions(type(instance)):
        word = _word(name)
        if word in known:
            continue
        if words is None or words[:1] == [word]:
            app.command(_command(_method(path, name, type(instance), function)), name=word)
        else:
            app.command(App(name=word, help=summary(function.__doc__)))
    for name, found in _groups(type(instance)):
        word = _word(name)
        inner = App(name=word, help=summary(found.__doc__))
        app.command(inner)
        if words is None or words[:1] == [word]:
            under = found.func(instance)
            if words is not None and len(words) == 1:
                inner.help = group_help(found.__doc__, _example(under, (*path, name)))
            _fill(inner, under, (*path, name), None if words is None else words[1:])


def _command(method: "Method") -> Callable[..., int]:
    """Return the function of a command, with a signature for cyclopts."""
    from wavix_async.cli._api.command import Common

    shared = {name: _free(option, method) for name, option in _shared(method).items()}

    def command(*args: Any, **given: Any) -> int:
        bound = signature.bind(*args, **given).arguments
        mine = {name: value for name, value in bound.items() if not name.startswith(_SHARED)}
        common = {name.removeprefix(_SHARED): value for name, value in bound.items() if name.startswith(_SHARED)}
        places = {name: common.pop(name, None) for name in ("profile", "base_url", "rate", "timeout")}
        return method.run(mine, Common(connection=Connection(**places), **common))

    own = [_parameter(option) for option in method.options.all]
    own.sort(key=lambda parameter: parameter.kind)
    parameters = [*own, *shared.values()]
    signature = inspect.Signature(parameters)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = method.help
    return command


def _parameter(option: "Option") -> inspect.Parameter:
    kind: Any = _TYPES.get(option.kind.word, str)
    several = option.kind.word in {"list", "objects", "pair"}
    details: dict[str, Any] = {"help": option.help, "show_default": False}
    if several:
        details["negative"] = ""
    if option.positional:
        place = inspect.Parameter.POSITIONAL_ONLY
        annotation: Any = Annotated[kind, Parameter(**details, allow_leading_hyphen=option.kind.word == "rows")]
        return inspect.Parameter(option.key, place, annotation=annotation)
    optional: Any = Annotated[kind | None, Parameter(name=option.name, **details)]
    return inspect.Parameter(option.key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=optional)


def _free(parameter: inspect.Parameter, method: "Method") -> inspect.Parameter:
    """Return a shared option under a name that no field of the method has."""
    kind, details = parameter.annotation.__origin__, parameter.annotation.__metadata__[-1]
    names = [str(name) for name in details.name]
    taken = {option.name for option in method.options.all}
    if taken.isdisjoint(names):
        return parameter
    free = [name for name in names if name not in taken] or [f"--client-{names[0].removeprefix('--')}"]
    # `attrs.evolve` does not work: a Parameter of cyclopts tells apart what was given and what was not.
    given = {"help": details.help, "group": details.group, "negative": "", "show_default": False}
    given["allow_leading_hyphen"] = details.allow_leading_hyphen
    return parameter.replace(annotation=Annotated[kind, Parameter(name=free, **given)])


def _shared(method: "Method") -> dict[str, inspect.Parameter]:
    """Return the options that a method has beside its own."""
    from wavix_async import Download, Export, Paginator

    found: dict[str, inspect.Parameter] = {}

    def add(name: str, kind: Any, names: Sequence[str], text: str, group: Group = _OUTPUT) -> None:
        # A single hyphen is stdin or stdout.
        hyphen = name in {"body", "output"}
        parameter = Parameter(
            name=list(names), help=text, negative="", show_default=False, group=group, allow_leading_hyphen=hyphen
        )
        found[name] = inspect.Parameter(
            f"{_SHARED}{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, parameter]
        )

    if method.takes_body:
        text = "A JSON file with these fields, or - for stdin; options go before it."
        add("body", str | None, ["--body"], text, _BODY)
    if method.clearable:
        add("clear", str | None, ["--clear"], f"Fields to set to null, such as {method.clearable[0]}.", _BODY)
    if method.returns(Paginator):
        add("every_page", bool | None, ["--all"], "Read the whole list, and not one page.")
    text = ""
    if method.returns(Download):
        text = "The file or the folder [default: this folder]; - for stdout."
    elif method.returns(Export):
        text = "A file *.ndjson or *.csv; without it, NDJSON goes to stdout."
    elif method.is_run_for_results:
        text = "A file *.ndjson for the results [default: - for stdout]."
    elif method.is_run:
        text = "A file *.ndjson or *.csv for every result; - for stdout."
    if text:
        add("output", str | None, ["--output", "-o"], text)
    if method.requests.asks or text:
        what = "Do not ask. Required without a terminal." if method.requests.asks else "Replace a file without asking."
        add("yes", bool | None, ["--yes", "-y"], what)
    add("as_json", bool | None, ["--json"], "Print JSON, one object a line.")
    if not method.is_run and not method.returns(Download):
        add("fields", str | None, ["--fields"], "Show only these, such as id,status.")
        add("show_secrets", bool | None, ["--show-secrets"], "Show keys, tokens, codes, texts and URLs of files.")
    add("verbose", bool | None, ["--verbose"], "Tell of each request on stderr, with its id.")
    add("profile", str | None, ["--profile"], "The profile with the key [default: WAVIX_PROFILE].", _CONNECTION)
    add("base_url", str | None, ["--base-url"], "The URL of the API [default: WAVIX_BASE_URL].", _CONNECTION)
    add("rate", Positive | None, ["--rate"], "Requests per second that the account allows.", _CONNECTION)
    add("timeout", Positive | None, ["--timeout"], "Seconds for each attempt of a request.", _CONNECTION)
    return found
