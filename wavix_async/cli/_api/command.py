"""Run a generated command: read its options, ask, call the method, and show what it returns."""

import asyncio
import inspect
import json
import os
import re
import sys
import typing
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import attrs

from wavix_async import (
    UNSET,
    BulkResult,
    Download,
    Export,
    InputError,
    Paginator,
    SavedFile,
    Success,
    WavixClient,
    WavixError,
)
from wavix_async._codec import is_model, shape_of
from wavix_async.cli._api.examples import command_help, example
from wavix_async.cli._api.kinds import members_of, resolve
from wavix_async.cli._api.operations import Requests, requests_of
from wavix_async.cli._api.options import Option, Options, make, read_text, with_options
from wavix_async.cli._api.rows import open_bodies
from wavix_async.cli._api.show import HIDDEN, facts_of, pick, plain, table
from wavix_async.cli._api.texts import summary
from wavix_async.cli._console import err, keep_exit_code, one_line, out, show_facts, suppress_broken_pipe, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_report, is_disk_full
from wavix_async.cli._options import Connection
from wavix_async.cli._output import (
    Display,
    alongside,
    quit_for_results,
    report_json,
    result_file,
    result_json,
    show_report,
    tick,
)
from wavix_async.cli._prompts import confirm
from wavix_async.cli._runner import run_bulk
from wavix_async.models import TwoFactorCheck

__all__ = ["Common", "Method"]

_TABLE_OF: Final = 1_000
"""Rows of a list that are collected before their table is printed."""


@attrs.frozen(kw_only=True)
class Common:
    """What every generated command takes.

    Attributes:
        as_json: Print NDJSON.
        fields: The fields to show.
        show_secrets: Whether to show secret values.
        verbose: Whether to tell of each request.
        yes: Whether the user has agreed.
        body: A file with the fields of the body.
        clear: Fields to set to null.
        every_page: Whether to read a whole list.
        output: The file to write.
        connection: How to reach the API.
    """

    as_json: bool = False
    fields: str | None = None
    show_secrets: bool = False
    verbose: bool = False
    yes: bool = False
    body: str | None = None
    clear: str | None = None
    every_page: bool = False
    output: str | None = None
    connection: Connection


class Method:
    """A method of the client as a command.

    Args:
        words: The words of the command: `("messages", "sender-ids", "create")`.
        names: The names of the groups, and of the method, in Python.
        group: The class of the group.
        function: The method, as its class has it.
    """

    def __init__(self, words: tuple[str, ...], names: tuple[str, ...], group: type, function: Callable[..., Any]):
        self.words = words
        self.names = names
        self._group = group
        self._function = function
        self.summary = summary(function.__doc__)
        self.options = Options(function)

    @cached_property
    def requests(self) -> Requests:
        """What the method sends."""
        return requests_of(self._group, self._function)

    @cached_property
    def _returns(self) -> list[Any]:
        names: Mapping[str, Any] = getattr(inspect.unwrap(self._function), "__globals__", {})
        annotation = inspect.signature(self._function).return_annotation
        known = {**names}
        if isinstance(annotation, str):
            for name in set(re.findall(r"\w+", annotation)) - known.keys():
                known |= {name: found} if (found := _public(name)) is not None else {}
        resolved = resolve(annotation, known)
        return [] if resolved is None else members_of(resolved)

    def returns(self, kind: type) -> bool:
        """Return whether the method returns such an object: a paginator, a file."""
        return any((typing.get_origin(each) or each) is kind for each in self._returns)

    @property
    def is_run(self) -> bool:
        """Whether the method returns a run over many items."""
        annotation = inspect.signature(self._function).return_annotation
        # The annotation is a text: only a method that makes a run imports the class of the run.
        return isinstance(annotation, str) and re.search(r"\w*Run\b", annotation) is not None

    @property
    def is_run_for_results(self) -> bool:
        """Whether the results of a run are what it is paid for: they are always written."""
        annotation = inspect.signature(self._function).return_annotation
        return isinstance(annotation, str) and annotation.strip("\"'") == "ValidationRun"

    @property
    def saves(self) -> str | None:
        """The file that an example of the command writes; None: it saves none."""
        if self.returns(Download):
            return "FILE"
        return f"{self.words[0]}.ndjson" if self.returns(Export) else None

    @property
    def takes_body(self) -> bool:
        """Whether the fields of the method are a body, which a file can hold."""
        return self.options.model is not None and any(not name.startswith("GET ") for name in self.requests.names)

    @property
    def clearable(self) -> list[str]:
        """The options of the fields of the body that can be null."""
        if not self.takes_body:
            return []
        own = {option.path[0] for option in self.options.all if option.positional}
        found = [each for each in self.options.all if len(each.path) == 1 and each.path[0] not in own]
        return [each.name.removeprefix("--") for each in found if each.kind.nullable]

    @property
    def example(self) -> str:
        """A command line that has everything which the method needs."""
        return example(self.words, self.options.all, self.saves, body=self.takes_body)

    @property
    def help(self) -> str:
        """The help above the options."""
        return command_help(self.summary, self.requests, self.example)

    def result_fields(self) -> frozenset[str] | None:
        """Return the names of the fields that rows of the result have; None: they are not known."""
        models = [model for each in self._returns for model in _row_models(each)]
        return frozenset(field.wire for model in models for field in shape_of(model).fields) or None

    def run(self, given: Mapping[str, Any], common: Common) -> ExitCode:
        """Run the command.

        Args:
            given: The texts of the options, by key; an option that was not given is missing or None.
            common: What every command takes.

        Returns:
            The exit code.

        Raises:
            Quit: The command line is wrong, or the user did not agree.
            WavixError: The call failed.
        """
        fields = self._fields(common.fields)
        rows = next((option for option in self.options.all if option.kind.word == "rows"), None)
        for word in (common.body, common.output, None if rows is None else given[rows.key]):
            if word is not None and word.startswith("-") and word != "-":
                raise Quit(ExitCode.USAGE, f"Unknown option: {word}. See wavix-async {' '.join(self.words)} --help.")
        if self.is_run_for_results and Path(common.output or "").suffix.lower() == ".csv":
            raise Quit(ExitCode.USAGE, f"--output {common.output}: it must end in .ndjson or .jsonl.")
        with ExitStack() as stack:
            read: dict[str, Any] = dict(given)
            if rows is not None:
                read[rows.key] = stack.enter_context(open_bodies(given[rows.key], rows.kind.model))
            positional, keywords = self._arguments(read, common)
            wavix = common.connection.client()
            self._confirm(wavix, read, common)
            running = _Running(self, wavix, common, fields)
            try:
                return asyncio.run(running.run(positional, keywords))
            except WavixError as error:
                if error.outcome != "unknown" or error.retryable:
                    raise
                # Not `TEMPORARY`: a script that runs the same command again may send it twice.
                raise Quit(ExitCode.FAILED, str(error)) from None
            except KeyboardInterrupt:
                if not self.requests.asks or running.ended:
                    raise
                what = "; ".join(self.requests.names)
                raise Quit(ExitCode.INTERRUPTED, f"Interrupted: {what} may have been carried out.") from None

    def _fields(self, text: str | None) -> list[str]:
        fields = [name.strip() for name in (text or "").split(",") if name.strip()]
        known = self.result_fields()
        wrong = [name for name in fields if known is not None and name.partition(".")[0] not in known]
        if wrong:
            raise Quit(
                ExitCode.USAGE, f"--fields: there is no {wrong[0]!r}: give some of {', '.join(sorted(known or ()))}."
            )
        return fields

    def _arguments(self, given: Mapping[str, Any], common: Common) -> tuple[list[Any], dict[str, Any]]:
        body: dict[str, Any] = {}
        if common.body is not None:
            try:
                body = json.loads(read_text("--body", common.body))
            except ValueError as error:
                raise Quit(ExitCode.USAGE, f"--body must be JSON: {error}.") from None
            except RecursionError:
                raise Quit(ExitCode.USAGE, "--body must be JSON: it is nested too deeply.") from None
            if not isinstance(body, dict):
                raise Quit(ExitCode.USAGE, "--body must be a JSON object.")
        for name in (each.strip() for each in (common.clear or "").split(",") if each.strip()):
            if name.removeprefix("--") not in self.clearable:
                raise Quit(ExitCode.USAGE, f"--clear: {name!r} must be one of {', '.join(self.clearable)}.")
            body[name.removeprefix("--").replace("-", "_")] = None
        positional, keywords = self.options.build(given, body)
        model = self.options.model
        if model is not None:
            known = inspect.signature(model).parameters
            try:
                make(model, {name: value for name, value in keywords.items() if name in known}, model.__name__)
            except Quit as quit_:
                message = with_options(quit_.message, model).replace(f"{model.__name__} has no", "--body has no")
                raise Quit(quit_.code, message.replace(f"{model.__name__} needs", "Missing:")) from None
            if unknown := [name for name in body if name not in known and f"{name}_" not in known]:
                raise Quit(
                    ExitCode.USAGE,
                    f"--body has no field {unknown[0]!r}: it has {', '.join(name.strip('_') for name in known)}.",
                )
        return positional, keywords

    def _confirm(self, wavix: WavixClient, given: Mapping[str, Any], common: Common) -> None:
        if self.requests.asks:
            shown = [
                f"{option.name.removeprefix('--')} {self._short(option, given[option.key])}"
                for option in self.options.all
                if given.get(option.key) is not None
            ]
            if common.body is not None:
                shown.append(f"the body in {'stdin' if common.body == '-' else common.body}")
            what = f"{self.summary[:-1]} at {wavix.base_url}{': ' * bool(shown)}{', '.join(shown)}."
            if not common.show_secrets and (hidden := self.secrets()):
                what += f" The answer has {', '.join(hidden)}, which only --show-secrets shows."
            confirm(one_line(what), yes=common.yes)
        if common.output not in (None, "-") and Path(common.output or "").is_file():
            confirm(f"{common.output} exists and will be replaced.", yes=common.yes)

    def _short(self, option: Option, text: Any) -> str:
        """Return the value of an option for a question; it is hidden if it is secret or JSON that can hold a secret."""
        depth = len(option.path)
        if any(each.secret for each in self.options.all if each.path[:depth] == option.path):
            return HIDDEN
        if isinstance(text, str):
            return text if len(text) <= 60 else f"{text[:57]}..."
        if option.kind.word == "rows":
            return f"({len(text):,})"
        if isinstance(text, list):
            return ", ".join(map(str, text[:5])) + f" and {len(text) - 5:,} more" * (len(text) > 5)
        return str(text)

    def secrets(self) -> list[str]:
        """Return the secret fields that only the answer to a creation has."""
        if not any(name.startswith("POST ") for name in self.requests.names):
            return []
        fields = [each for found in self._returns for model in _row_models(found) for each in attrs.fields(model)]
        return [field.name for field in fields if not field.repr and field.name not in {"extra", "_origin"}]


def _public(name: str) -> Any:
    import wavix_async
    from wavix_async import models

    return getattr(wavix_async, name, None) or getattr(models, name, None)


def _row_models(annotation: Any) -> list[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Paginator:
        return [each for each in members_of(arguments[1]) if is_model(each)]
    if origin in {Export, list}:
        return [each for each in members_of(arguments[0]) if is_model(each)]
    return [annotation] if is_model(annotation) else []


class _Running:
    """One run of a command.

    Args:
        method: The method.
        wavix: The client.
        common: What every command takes.
        fields: The fields to show.
    """

    def __init__(self, method: Method, wavix: WavixClient, common: Common, fields: Sequence[str]) -> None:
        self._method = method
        self._wavix = wavix
        self._common = common
        if method.is_run_for_results and common.output is None:
            self._common = attrs.evolve(common, output="-")
        self._shown = fields
        self._limited = False
        self._journaled = False
        self._told = "Waiting for the API"
        self.ended = False
        """Whether the API has answered."""

    async def run(self, positional: list[Any], keywords: dict[str, Any]) -> ExitCode:
        """Call the method and show what it returns."""
        self._limited = keywords.get("limit") is not None
        self._journaled = keywords.get("journal") is not None
        async with AsyncExitStack() as stack:
            wavix = await stack.enter_async_context(self._wavix)
            target: Any = wavix
            for name in self._method.names[:-1]:
                target = getattr(target, name)
            calls = stack.enter_context(wavix.record()) if self._common.verbose else []
            try:
                value = getattr(target, self._method.names[-1])(*positional, **keywords)
                if getattr(value, "makes_many_calls", False):
                    return await self._bulk(value)
                async with alongside(tick(err(), lambda: self._told)):
                    found = await self._resolve(value)
                self.ended = True
                # What a command has changed or sent is so, whether or not its answer can be shown. A list is a search.
                reads = self._method.requests.only_reads or isinstance(found, list)
                with suppress_broken_pipe() if reads else keep_exit_code():
                    self._show(found)
                return _code_of(found)
            except InputError as error:
                model = self._method.options.model
                raise Quit(ExitCode.USAGE, with_options(str(error), model) if model else str(error)) from None
            except OSError as error:
                if isinstance(error, BrokenPipeError) or error.filename is None:
                    raise
                code = ExitCode.TEMPORARY if is_disk_full(error) else ExitCode.USAGE
                raise Quit(code, f"Cannot write {error.filename}: {error.strerror}.") from None
            finally:
                for call in calls:
                    self._tell(call)

    def _tell(self, call: Any) -> None:
        """Print the receipt of a request to stderr."""
        status = call.status if call.error is None else f"{call.status or 'no answer'} ({call.error})"
        request = f", request {call.request_id}" if call.request_id else ""
        attempts = f"{call.attempts} attempt{'s' * (call.attempts != 1)}"
        text = f"{call.operation}: {status}{request}, {attempts}, {call.elapsed:.2f} s"
        err().print(one_line(text), style="dim", soft_wrap=True)

    async def _resolve(self, value: Any) -> Any:
        if isinstance(value, Download):
            return await self._download(value)
        if isinstance(value, Export):
            if self._common.output not in (None, "-"):
                return await value.save(self._common.output or "", progress=self._saved)
            return await self._stream(value, as_json=True)
        if isinstance(value, Paginator):
            return await self._list(value)
        if isinstance(value, Awaitable):
            return await value
        if isinstance(value, AsyncIterable):
            return await self._stream(value, as_json=self._common.as_json)
        return value

    async def _download(self, file: Download) -> Any:
        if self._common.output != "-":
            return await file.save(self._common.output or os.curdir, progress=self._saved)
        async with file as opened:
            async for piece in opened:
                sys.stdout.buffer.write(piece)
        return UNSET

    def _saved(self, done: int, size: int | None) -> None:
        of = f" of {size / 1e6:,.1f}" if size else ""
        self._told = f"{done / 1e6:,.1f}{of} MB"

    async def _list(self, pages: Paginator[Any, Any]) -> Any:
        if self._common.every_page or self._limited:
            return await self._stream(pages, as_json=self._common.as_json)
        page = await pages
        rows = page.items or []
        total = getattr(page.pagination, "total", None)
        if isinstance(total, int) and total > len(rows):
            text = f"{len(rows):,} of {total:,}: --limit N shows more, --all shows all."
            err().print(text, style="dim", soft_wrap=True)
        return list(rows)

    async def _stream(self, rows: AsyncIterable[Any], *, as_json: bool) -> Any:
        """Write rows as they come; those of a table are collected, so that the columns fit."""
        collected: list[Any] = []
        count = 0
        async for row in rows:
            count += 1
            self._told = f"{count:,} rows"
            if as_json:
                write_json(self._row(row))
                continue
            collected.append(row)
            if len(collected) >= _TABLE_OF:
                self._table(collected)
                collected = []
        return UNSET if as_json or (count and not collected) else collected

    def _row(self, row: Any) -> Any:
        return pick(plain(row, secrets=self._common.show_secrets), self._shown)

    def _table(self, rows: Sequence[Any]) -> None:
        console = out(wide=True)
        console.print(table(console, [plain(row, secrets=self._common.show_secrets) for row in rows], self._shown))

    def _show(self, value: Any) -> None:
        if value is UNSET:
            return
        if value is None:
            if self._common.as_json:
                write_json(None)
            else:
                err().print("Nothing was found.")
            return
        if isinstance(value, list):
            if self._common.as_json:
                for row in value:
                    write_json(self._row(row))
            elif value:
                self._table(value)
            else:
                err().print("There are none.")
            return
        row = self._row(value)
        if self._common.as_json:
            write_json(row)
        elif isinstance(value, Success):
            out().print("It was gone already." if value.already_gone else "Done.")
        elif isinstance(value, SavedFile):
            count = "" if value.rows is None else f"{value.rows:,} rows, "
            whole = "" if value.complete else " Nothing tells whether the file is whole."
            out().print(f"Saved {value.path} ({count}{value.size:,} bytes).{whole}", soft_wrap=True)
        else:
            show_facts(out(wide=True), " ".join(self._method.words), facts_of(row))
        if not self._common.show_secrets and (hidden := self._method.secrets()):
            err().print(f"Hidden: {', '.join(hidden)}. --show-secrets shows such fields.", style="dim")

    async def _bulk(self, run: Any) -> ExitCode:
        title = " ".join(self._method.words).replace("-", " ").capitalize()
        output = self._common.output
        with result_file(None if output is None else Path(output), self._result_row) as write:
            outcome = await run_bulk(run, Display(err()), write, label=title)
        self.ended = True
        with keep_exit_code():
            if self._common.as_json and self._common.output != "-":
                write_json(report_json(outcome.report, interrupted=outcome.interrupted))
            else:
                console = err() if self._common.output == "-" else out()
                show_report(console, outcome.report, interrupted=outcome.interrupted, title=title, label="Items")
        if isinstance(outcome.input_error, WavixError):
            raise outcome.input_error
        if outcome.input_error is not None:
            raise Quit(ExitCode.USAGE, str(outcome.input_error))
        # Without a journal, the same command would send again what was sent.
        is_safe = self._journaled or not self._method.requests.asks
        if outcome.output_error is not None:
            hint = "Free space, then run the same command again."
            if not is_safe:
                hint = "The same command would send again what was sent: with --journal FILE, it does not."
            quit_ = quit_for_results(output, outcome.output_error, hint)
            raise quit_ if is_safe else Quit(ExitCode.FAILED, quit_.message)
        if outcome.interrupted:
            return ExitCode.INTERRUPTED
        code = code_for_report(outcome.report)
        return code if is_safe or code is not ExitCode.TEMPORARY else ExitCode.FAILED

    def _result_row(self, result: BulkResult) -> dict[str, Any]:
        return {**result_json(result), "value": plain(result.value, secrets=self._common.show_secrets)}


def _code_of(value: Any) -> ExitCode:
    """Return the exit code of a result: one that reports on several items may have failures."""
    if value is None:
        return ExitCode.FAILED
    if isinstance(value, TwoFactorCheck):
        return ExitCode.DONE if value.is_valid else ExitCode.FAILED
    if is_model(type(value)):
        return ExitCode.DONE
    is_open = any(getattr(value, name, None) for name in ("refused", "failed", "unknown"))
    return ExitCode.FAILED if is_open else ExitCode.DONE
