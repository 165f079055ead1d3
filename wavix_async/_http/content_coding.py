"""`Inflater`: undoes the compression of a body that is read piece by piece, and knows whether its end came.

aiohttp takes a gzip body for whole when the body ends, even in the middle of the compressed stream. A proxy that cuts a
file and then announces the length of the rest would make half a file a whole one.
"""

import zlib
from typing import Final

from wavix_async.errors import DecodeError

__all__ = ["Inflater", "changes_the_body", "make_inflater"]

_MOST: Final = 256 * 1024
"""Bytes that one step gives, however far they were compressed."""
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_NONE: Final = frozenset({"", "identity", "aws-chunked"})
"""Codings that leave the body as it is; S3 keeps the last one, which names how a file was uploaded."""


def changes_the_body(coding: str) -> bool:
    """Return whether a body with this `Content-Encoding` is not the content itself."""
    return coding.strip().lower() not in _NONE


def make_inflater(coding: str) -> "Inflater":
    """Return what undoes a `Content-Encoding` that changes the body.

    Raises:
        DecodeError: The client does not know the coding.
    """
    name = coding.strip().lower()
    if name in _GZIP or name == "deflate":
        return Inflater(is_gzip=name in _GZIP)
    raise DecodeError(f"The answer is in the encoding {coding[:50]!r}, which the client did not ask for.")


class Inflater:
    """Undoes gzip, or deflate with or without the header of zlib."""

    __slots__ = ("_is_gzip", "_may_have_more", "_pending", "_started", "_zlib")

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._pending = b""
        self._zlib: zlib._Decompress | None = None
        self._started = False
        self._may_have_more = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        self._pending += data

    def next(self) -> bytes:
        """Return the next bytes of the content; none: more of the body is needed.

        Raises:
            DecodeError: The body is damaged.
        """
        while self._pending or self._may_have_more:
            inflate = self._zlib or self._begin()
            if inflate is None:
                break
            try:
                content = inflate.decompress(self._pending, _MOST)
            except zlib.error:
                raise _damaged() from None
            # A full step may have left something in the buffers of zlib.
            self._may_have_more = len(content) == _MOST and not inflate.eof
            if inflate.eof:
                self._zlib, self._pending = None, inflate.unused_data
            else:
                self._pending = inflate.unconsumed_tail
            if content:
                return content
        return b""

    def finish(self) -> None:
        """Check at the end of the body that the compressed content has ended, too.

        Raises:
            DecodeError: It has not: the body was cut off.
        """
        if self._zlib is not None:
            raise DecodeError("The compressed answer has no end: it was cut off, or is damaged.", retryable=True)

    def _begin(self) -> "zlib._Decompress | None":
        """Begin with the first bytes of the body, or with another part after the end of one; None: only padding."""
        if self._started:
            self._pending = self._pending.lstrip(b"\0")
            if not self._pending:
                return None
            if not self._is_gzip:
                raise _damaged()
        self._started = True
        bare = not self._is_gzip and self._pending[0] & 0x0F != zlib.DEFLATED
        self._zlib = zlib.decompressobj(31 if self._is_gzip else -zlib.MAX_WBITS if bare else zlib.MAX_WBITS)
        return self._zlib


def _damaged() -> DecodeError:
    return DecodeError("The compressed answer is damaged.", retryable=True)
