"""Make any file that people have into lines of text: gzip, UTF-16, byte order marks, the line ends of all systems."""

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import IO, Any, Final

from wavix_async import InputError
from wavix_async._files.problems import Place, Problem

__all__ = ["NOT_UTF8", "UnreadableError", "text_chunks", "text_lines", "unpack"]

NOT_UTF8: Final = 'is not UTF-8: save the file as UTF-8 (in Excel: "CSV UTF-8").'
_SIZE: Final = 65_536
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
# What Python's `surrogateescape` makes of bytes that are not UTF-8.
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")


class UnreadableError(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    def problem(self, file: str) -> Problem:
        """Return this error as a problem of a file."""
        return Problem(Place(file, self.line, self.column), self.message)


class _Chunks(io.RawIOBase):
    """A stream of chunks of bytes; closing it leaves the caller's file open."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next((chunk for chunk in self._chunks if chunk), b"")
        some, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)


def unpack(stream: IO[bytes]) -> io.BufferedReader:
    """Return the bytes of a file: of a gzip file its contents, of text UTF-8 without a byte order mark.

    Reading from the result raises `UnreadableError` if the file is damaged.
    """
    head, chunks = _peek(_chunks_of(stream), 2)
    if head.startswith(_GZIP):
        chunks = _gunzip(chunks)
    head, chunks = _peek(chunks, 4)
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        chunks = _recode(chunks, "utf-16")
    elif len(head) >= 4 and head[1] == head[3] == 0:
        chunks = _recode(chunks, "utf-16-le")
    elif len(head) >= 4 and head[0] == head[2] == 0:
        chunks = _recode(chunks, "utf-16-be")
    while True:
        head, chunks = _peek(chunks, len(_BOM))
        if not head.startswith(_BOM):
            return io.BufferedReader(_Chunks(chunks), _SIZE)
        # Some programs write a second mark in front of the first.
        next(chunks)
        chunks = chain([head[len(_BOM) :]], chunks)


def text_lines(stream: io.BufferedReader) -> Iterator[str]:
    r"""Yield the lines of unpacked bytes with their ends, which may be \n, \r\n or \r.

    Raises:
        UnreadableError: A line is not UTF-8, or the file is damaged.
    """
    return _checked(io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline=""))


def text_chunks(stream: io.BufferedReader) -> Iterator[str]:
    """Yield the text of unpacked bytes in parts of limited length.

    Raises:
        UnreadableError: A part is not UTF-8, or the file is damaged.
    """
    text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
    return _checked(iter(partial(text.read, _SIZE), ""))


def _checked(texts: Iterable[str]) -> Iterator[str]:
    line = 1
    for text in texts:
        if not text.isascii() and (found := _NOT_UTF8.search(text)):
            before = text[: found.start()]
            line, column = line + before.count("\n"), found.start() - before.rfind("\n")
            raise UnreadableError(NOT_UTF8, line, column)
        yield text
        line += text.endswith("\r") or text.count("\n")


def _chunks_of(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(_SIZE):
        if not isinstance(chunk, bytes):
            raise InputError('The file must be open in binary mode: open(path, "rb").')
        yield chunk


def _peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return at least so many of the first bytes, if there are so many, and all chunks, the first with these bytes."""
    head = b""
    while len(head) < size and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head, chain([head], chunks)


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=io.BufferedReader(_Chunks(chunks), _SIZE)) as unzipped:
            while chunk := unzipped.read(_SIZE):
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnreadableError(f"is not a whole gzip file: {error}.") from None


def _recode(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    text = io.TextIOWrapper(io.BufferedReader(_Chunks(chunks)), encoding, newline="")
    try:
        while some := text.read(_SIZE):
            yield some.encode()
    except UnicodeError:
        raise UnreadableError(f"is not {encoding.upper()}: save the file as UTF-8.") from None
