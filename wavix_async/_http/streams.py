"""`Download` and `Export`: answers that are read piece by piece, because they may be larger than memory.

A stream keeps its slot and its connection until it is closed. As long as no piece has been handed out, a failure is
retried like that of any other call, from the beginning. After that it is raised: a caller that has some rows or chunks
would otherwise get them twice. `read()` and `save()` hand out nothing before the end, so they start again.

The deadline of the call ends with the head of the answer. From then on only idle time counts: a file may take hours.
"""

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, NoReturn, Protocol, Self, TypeVar

import attrs

from wavix_async import _codec
from wavix_async._aio import UnawaitedGuard
from wavix_async._codec import Value
from wavix_async._http.progress import Progress
from wavix_async._http.saving import Target, safe_name
from wavix_async.config import Secret
from wavix_async.errors import DecodeError, InputError, WavixError

__all__ = ["MAX_LINE", "Download", "Export", "SavedFile", "Stream"]

T = TypeVar("T")
S = TypeVar("S")

MAX_LINE: Final = 1024 * 1024
"""The longest line of an export, in bytes."""
_DEEPEST: Final = 100
"""Levels of a row, as of any answer."""


class Stream(Protocol):
    """An answer whose head has been read, and whose body has not. It holds a slot until it is closed."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer that has the body."""
        ...

    @property
    def location(self) -> Secret | None:
        """Where the file is, if the API redirects to it; as good as a key."""
        ...

    @property
    def filename(self) -> str | None:
        """The name that the answer gives the file."""
        ...

    @property
    def length(self) -> int | None:
        """The length of the body in bytes, as the answer tells it; None: it does not."""
        ...

    @property
    def tells_its_end(self) -> bool:
        """Whether the end of the body shows that it is whole."""
        ...

    async def chunk(self) -> bytes:
        """Return the next bytes; no bytes: the body has ended."""
        ...

    def close(self) -> None:
        """Close the stream, and its connection unless the body was read to its end."""
        ...

    def report(self, drifts: _codec.Drifts) -> None:
        """Tell the observers what is not as documented; raise `DecodeError` if the client is strict."""
        ...

    def note(self, error: WavixError) -> None:
        """Add to an error of a body that outlives its call what only the call knows."""
        ...

    def refuse(self, body: bytes) -> NoReturn:
        """Raise the usual error for a body, or a line of it, that is an error."""
        ...


class Opener(Protocol):
    """Makes the call, and passes each attempt's stream to `consume`; a failure in it is a failure of the attempt."""

    def __call__(self, consume: Callable[[Stream], Awaitable[S]], *, follow: bool = True) -> Awaitable[S]: ...


@attrs.frozen(eq=False, repr=False)
class SavedFile(Value):
    """A file that was written."""

    path: Path
    """Where it is. The name ends in `.part` if nothing told whether the file is whole."""
    size: int
    """Bytes."""
    content_type: str | None
    complete: bool | None
    """True: it is whole. None: the server did not tell the length, so a file that was cut off looks the same."""
    rows: int | None = None
    """Rows of an export; None for any other file."""


class _Streamed:
    """What downloads and exports have in common: opening, closing, and the facts of the head."""

    _use: ClassVar[str]
    _first_step: ClassVar[str]
    """How to use it, and how to get its head, for messages."""

    def __init__(self, name: str, opener: Opener, max_bytes: int) -> None:
        unused = UnawaitedGuard(f"{name} was never used, so it read nothing: {self._use}.")

        def note_and_open(consume: Callable[[Stream], Awaitable[S]], *, follow: bool = True) -> Awaitable[S]:
            # Not `self`: a cycle would delay the warning to the next garbage collection.
            unused.cancel()
            return opener(consume, follow=follow)

        self._name = name
        self._unused = unused
        self._opener: Opener = note_and_open
        self._max_bytes = max_bytes
        self._stream: Stream | None = None
        self._seen: Stream | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = False
        self._reading = self._closed = False
        self._first = b""
        self._ended = False
        self._complete: bool | None = False

    @property
    def complete(self) -> bool | None:
        """Whether everything was read: False not (yet), True yes, None if the server did not tell the length."""
        return self._complete

    def _head(self) -> Stream:
        """Return the answer whose head was read last: it may be closed by now."""
        if self._seen is None:
            raise InputError(f"{self._name}: {self._first_step}.")
        return self._seen

    def _open_stream(self) -> Stream:
        if self._stream is None:
            raise InputError(f"{self._name}: {self._first_step}.")
        return self._stream

    @contextmanager
    def _opened_once(self, why: str) -> Generator[None, None, None]:
        """Let only one reader open the answer."""
        if self._stream is not None or self._opening:
            raise InputError(f"{self._name} {why}: make another call to read it again.")
        self._opening = True
        try:
            yield
        finally:
            self._opening = False

    async def _open(self) -> None:
        async def start(stream: Stream) -> tuple[Stream, bytes]:
            self._seen = stream
            # The first bytes belong to the attempt: until there are some, a failure is retried.
            return stream, await stream.chunk()

        with self._opened_once("is already open"):
            self._ended, self._complete = False, False
            self._stream, self._first = await self._opener(start)
            self._loop = asyncio.get_running_loop()

    def _close(self) -> None:
        self._closed = True
        if self._stream is not None:
            self._stream.close()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        stream = self._open_stream()
        if asyncio.get_running_loop() is not self._loop:
            raise InputError(f"{self._name} was opened in another event loop: read it there.")
        # Several readers may share the file: one that goes on after another gets what is left.
        while not self._ended:
            if self._closed:
                raise InputError(f"{self._name} was closed before its end: read it inside async with.")
            if self._reading:
                raise InputError(f"{self._name} is being read by another task.")
            piece, self._first, self._reading = self._first, b"", True
            try:
                piece = piece or await stream.chunk()
            finally:
                self._reading = False
            if piece:
                yield piece
            else:
                self._ended, self._complete = True, True if stream.tells_its_end else None

    async def _save(
        self, stream: Stream, target: Target, pieces: AsyncGenerator[bytes, None], name: str | None = None
    ) -> SavedFile:
        """Write the pieces of a stream to a file, close the stream, and give the file its name."""
        self._seen = stream
        try:
            written = await target.write(pieces, stream.length, name)
        finally:
            stream.close()
        complete = True if stream.tells_its_end else None
        final = written.give_name(whole=target.accepts(complete))
        self._complete = complete
        return SavedFile(final, written.size, stream.headers.get("Content-Type"), complete)


class Download(_Streamed):
    """A file that the API serves. Nothing is sent until you use it, in one of three ways.

        content = await wavix.recordings.download(call_id)             # the bytes, at most 16 MB
        saved = await wavix.recordings.download(call_id).save("a.mp3") # a file of any size
        async with wavix.recordings.download(call_id) as file:         # piece by piece
            async for chunk in file:
                ...

    The client follows one redirect to where the file is, over https, and never with the key to another host.
    """

    _use = "await it, save it, or open it with async with"
    _first_step = "open it first: async with ... as file"

    def __repr__(self) -> str:
        return f"<Download of {self._name}>"

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._read_all().__await__()

    async def url(self) -> str | None:
        """Return the URL of the file; None if the API itself serves it. Nothing of the file is read.

        Such a URL is valid for some time, for whatever program has it: treat it as a key. Its repr does not show it.

        Raises:
            WavixError: The call failed.
        """

        async def consume(stream: Stream) -> str | None:
            stream.close()
            return stream.location

        return await self._opener(consume, follow=False)

    async def _read_all(self) -> bytes:
        async def consume(stream: Stream) -> bytes:
            self._seen = stream
            try:
                content = await self._join(_pieces(stream))
            finally:
                stream.close()
            self._complete = True if stream.tells_its_end else None
            return content

        return await self._opener(consume)

    async def _join(self, pieces: AsyncGenerator[bytes, None]) -> bytes:
        content = bytearray()
        async with aclosing(pieces):
            async for piece in pieces:
                content += piece
                if len(content) > self._max_bytes:
                    raise DecodeError(
                        f"{self._name}: the file is longer than {self._max_bytes // 2**20} MB: use save(path), or read "
                        "it piece by piece."
                    )
        return bytes(content)

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._chunks()

    @property
    def filename(self) -> str | None:
        """The name that the server gives the file, without folders; None if it gives none. Known once it is open."""
        return safe_name(self._head().filename)

    @property
    def size(self) -> int | None:
        """The length in bytes; None if the server does not tell it. Known once it is open."""
        return self._head().length

    @property
    def content_type(self) -> str | None:
        """The media type, such as `audio/mpeg`; None if the server does not tell it. Known once it is open."""
        return self._head().headers.get("Content-Type")

    async def read(self) -> bytes:
        """Return the rest of an open file, at most 16 MB.

        Raises:
            DecodeError: The file is longer.
            WavixError: The connection broke.
        """
        stream = self._open_stream()
        try:
            return await self._join(self._chunks())
        except DecodeError as error:
            stream.note(error)
            raise

    async def save(
        self,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        accept_unknown_length: bool = False,
    ) -> SavedFile:
        """Write the file to disk. Under its name it is there as a whole, or not at all.

        The bytes go to a temporary name beside it, which is renamed at the end. If the connection breaks, the client
        starts again from the beginning, as often as its `RetryPolicy` allows.

        Args:
            path: The file to write, or a folder: then the file gets the name that the server gives it, and a number
                if there is such a file. A file that you name yourself is replaced.
            progress: Called with the bytes so far, and the length or None.
            accept_unknown_length: Whether a file whose length the server does not tell gets its name, too. By default
                it keeps a name that ends in `.part`, because it may have been cut off.

        Returns:
            Where the file is, and whether it is complete.

        Raises:
            InputError: The folder does not exist, `path` is a device or a pipe, or the server gives the file no name
                and `path` is a folder.
            OSError: The file cannot be written.
            WavixError: The download failed; no file is left.
        """
        self._unused.cancel()
        target = Target(path, progress=progress, accept_unknown_length=accept_unknown_length)

        async def consume(stream: Stream) -> SavedFile:
            name = None
            if target.is_folder and (name := safe_name(stream.filename)) is None:
                stream.close()
                raise InputError(f"{self._name}: the server gives the file no name: pass a file name in path.")

            return await self._save(stream, target, _pieces(stream), name)

        return await self._opener(consume)


class Export(_Streamed, Generic[T]):
    """Rows that the API streams, one JSON object in each line. Nothing is sent until you use it.

        async for message in wavix.messages.export(type="outbound"):  # in constant memory
            ...
        await wavix.messages.export(type="outbound").save("messages.ndjson")  # or "messages.csv"

    If the connection breaks in the middle, the loop raises after the rows before it; the error says how many they were.
    `complete` says whether the rows are all of them.
    """

    _use = "save it, or iterate over it with async for"
    _first_step = "read a row first, or save it"

    def __init__(self, name: str, opener: Opener, max_bytes: int, kind: type[T]) -> None:
        super().__init__(name, opener, max_bytes)
        self._kind = kind
        self._holds_plain = _codec.holds_plain(kind)
        self._rows = 0

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self._rows

    @property
    def etag(self) -> str | None:
        """The `ETag` of the answer; None if it has none. Known from the first row on."""
        return self._head().headers.get("ETag")

    @property
    def last_modified(self) -> str | None:
        """The `Last-Modified` of the answer; None if it has none. Known from the first row on."""
        return self._head().headers.get("Last-Modified")

    def __repr__(self) -> str:
        return f"<Export of {self._name}>"

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async def start(stream: Stream) -> tuple[Stream, _Lines, list[bytes], list[T]]:
            self._seen = stream
            # The first row belongs to the attempt: until there is one, a failure is retried.
            lines = _Lines(stream)
            batch = await lines.next()
            return stream, lines, batch, [self._decode(stream, batch[0], 1)] if batch else []

        with self._opened_once("was read already"):
            stream, lines, batch, first = await self._opener(start)
            self._stream = stream
        try:
            async with aclosing(self._rows_of(stream, lines, batch, first)) as rows:
                async for row in rows:
                    yield row
        finally:
            self._close()

    async def _rows_of(
        self, stream: Stream, lines: "_Lines", batch: list[bytes], first: list[T]
    ) -> AsyncGenerator[T, None]:
        self._complete, self._rows = False, 0
        try:
            while batch:
                for lines.line in batch:
                    row = first.pop() if first else self._decode(stream, lines.line, self._rows + 1)
                    self._rows += 1
                    yield row
                batch = await lines.next()
        except WavixError as error:
            if self._rows:
                error.message = f"{self._name} ended after {self._rows:,} rows: {error.message}"
                error.args = (error.message,)
                stream.note(error)
            raise
        self._complete = True if stream.tells_its_end else None

    def _decode(self, stream: Stream, line: bytes, number: int) -> T:
        try:
            payload = _codec.loads(line)
        except (ValueError, RecursionError):
            payload = _loads_odd(line, number)
        value, drifts = _codec.decode(self._kind, payload)
        if drifts:
            if not _codec.fits(self._kind, value) or not _codec.is_about(self._kind, payload):
                if isinstance(payload, dict) and ("error" in payload or payload.get("success") is False):
                    stream.refuse(line)
                raise DecodeError(f"line {number:,} is not a row.", retryable=True)
            # Rows are sparse: an export leaves out fields that a single answer always has.
            told = [drift for drift in drifts if drift.kind not in {"missing", "null"}]
            if told:
                stream.report(_codec.Drifts(told))
        if (drifts or self._holds_plain) and _codec.is_nested(payload, _DEEPEST):
            raise DecodeError(f"line {number:,} is nested deeper than {_DEEPEST} levels.", retryable=True)
        return value

    async def save(
        self,
        path: "str | os.PathLike[str]",
        *,
        progress: Progress | None = None,
        accept_unknown_length: bool = False,
    ) -> SavedFile:
        """Write the rows to a file: as they came to `*.ndjson`, as a table to `*.csv`.

        A CSV file has a column for each field of the model, and a last one, `extra`, with other keys as JSON. Text that
        a spreadsheet would take for a formula gets an apostrophe before it. If the connection breaks, the client starts
        again from the beginning, as often as its `RetryPolicy` allows.

        Args:
            path: The file to write; its name ends in `.ndjson`, `.jsonl` or `.csv`.
            progress: Called with the bytes so far, and the length or None.
            accept_unknown_length: Whether an export whose end does not show that it is whole gets its name, too. By
                default it keeps a name that ends in `.part`.

        Returns:
            Where the file is, how many rows it has, and whether it is complete.

        Raises:
            InputError: The name has another ending, the folder does not exist, or `path` is a device or a pipe.
            OSError: The file cannot be written.
            WavixError: The export failed; no file is left.
        """
        self._unused.cancel()
        target = Target(path, progress=progress, accept_unknown_length=accept_unknown_length)
        ending = Path(path).suffix.lower()
        if ending not in {".ndjson", ".jsonl", ".csv"} or target.is_folder:
            raise InputError(f"path must end in .ndjson, .jsonl or .csv, got {str(path)!r}.")
        as_csv = ending == ".csv"

        async def consume(stream: Stream) -> SavedFile:
            lines = _Lines(stream)

            async def pieces() -> AsyncGenerator[bytes, None]:
                table = _Table(self._kind) if as_csv else None
                if table is not None:
                    yield table.head()
                async with aclosing(self._rows_of(stream, lines, await lines.next(), [])) as rows:
                    async for row in rows:
                        yield table.line(row) if table is not None else lines.line + b"\n"

            saved = await self._save(stream, target, pieces())
            return attrs.evolve(saved, rows=self._rows)

        return await self._opener(consume)


async def _pieces(stream: Stream) -> AsyncGenerator[bytes, None]:
    while piece := await stream.chunk():
        yield piece


# --- lines and tables ---


class _Lines:
    """Cuts a body into lines."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._rest = bytearray()
        self.line = b""
        """The line of the row that was handed out last."""

    async def next(self) -> list[bytes]:
        """Return the next lines, without blank ones; none: the body has ended."""
        rest = self._rest
        while piece := await self._stream.chunk():
            rest += piece
            if b"\n" in piece:
                lines = bytes(rest).split(b"\n")
                rest[:] = lines.pop()
                _check_line(rest)
                if found := [line for line in lines if line and not line.isspace()]:
                    _check_line(max(found, key=len))
                    return found
            _check_line(rest)
        last = bytes(rest)
        rest.clear()
        return [last] if last and not last.isspace() else []


def _check_line(line: bytes | bytearray) -> None:
    if len(line) > MAX_LINE:
        raise DecodeError(f"a line is longer than {MAX_LINE // 2**20} MB.")


def _loads_odd(line: bytes, number: int) -> Any:
    try:
        return _codec.loads_odd(line)
    except (ValueError, RecursionError):
        raise DecodeError(
            f"line {number:,} is not JSON: the export was cut off, or is damaged.", retryable=True
        ) from None


class _Table:
    """Writes rows of a model as CSV."""

    def __init__(self, kind: Any) -> None:
        self._fields = [field.wire for field in _codec.shape_of(kind).fields] if _codec.is_model(kind) else []
        self._text = io.StringIO()
        # With its own line ends: it quotes a cell with a part of these, such as a lone carriage return.
        self._writer = csv.writer(self._text)

    def head(self) -> bytes:
        return self._line([*self._fields, "extra"])

    def line(self, row: Any) -> bytes:
        found = _codec.to_dict(row)
        cells = [_cell(found.pop(name, None)) for name in self._fields]
        return self._line([*cells, json.dumps(found, ensure_ascii=False) if found else ""])

    def _line(self, cells: list[str]) -> bytes:
        self._writer.writerow(cells)
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text.encode("utf-8", "backslashreplace")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if _codec.is_formula(value) else value
