"""Responses written as raw bytes.

aiohttp's own responses cannot be cut in the middle of a body or replaced by a dropped connection. Writing the bytes
directly makes both simple, and it costs half as much per request.
"""

import json
import socket
import struct
import time
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Self

from aiohttp import web

from wavix_async.sandbox._server.errors import ApiError

JSON = "application/json"
NDJSON = "application/x-ndjson"
_CHUNK = 16 * 1024

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":")).encode
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# Formatting a date costs more than the rest of the headers, and the date changes only once a second.
_date: tuple[int, str] = (0, "")


def _http_date() -> str:
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]


class Reply(web.StreamResponse):
    """A complete response, or one that ends half-way (`cut`).

    Args:
        status: The HTTP status.
        body: The body.
        content_type: The media type of the body.
        headers: Additional header lines, each with CRLF at the end.
    """

    def __init__(self, status: int, body: bytes, content_type: str = JSON, headers: str = "") -> None:
        # Do not call StreamResponse.__init__: it builds headers and cookies that are never used. This class overrides
        # everything that aiohttp uses of a response (prepare, write_eof, keep_alive).
        self.code = status
        self.payload = body
        self.media = content_type
        self.lines = headers
        self.cut = False
        self._stays_open = True

    @classmethod
    def of(cls, status: int, value: Any, headers: str = "") -> Self:
        """Return `value` as a JSON response."""
        try:
            body = _encode(value).encode()
        except UnicodeEncodeError:
            # Half of a character (a test may set one) has no bytes: the API sends it as an escape.
            body = _encode_ascii(value).encode()
        return cls(status, body, JSON, headers)

    @classmethod
    def error(cls, error: ApiError, headers: str = "") -> Self:
        """Return an error of the API as a response."""
        return cls.of(error.status, error.body, error.headers + headers)

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open for more requests; aiohttp reads this after the response."""
        return self._stays_open

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the response; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._stays_open = request.keep_alive and not self.cut
        body = self.payload
        closing = "" if self._stays_open or self.cut else "Connection: close\r\n"
        about = "" if self.code == 204 else f"Content-Type: {self.media}\r\nContent-Length: {len(body)}\r\n"
        head = (
            f"HTTP/1.1 {self.code} {_REASONS.get(self.code, 'Unknown')}\r\n{about}"
            f"Date: {_http_date()}\r\n{self.lines}{closing}\r\n"
        ).encode("latin-1")
        if request.method == "HEAD":
            body = b""
        elif self.cut:
            body = body[: len(body) // 2]
        transport.write(head + body)
        if self.cut:
            transport.close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has written everything."""


class Rows(Reply):
    """Rows in NDJSON, sent in chunks; one that is cut ends in the middle of a row, without the last chunk."""

    def __init__(self, rows: Sequence[Any], headers: str = "") -> None:
        super().__init__(200, b"".join(_encode_ascii(row).encode() + b"\n" for row in rows), NDJSON, headers)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write the response; aiohttp calls this once."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._stays_open = request.keep_alive and not self.cut
        body = self.payload[: len(self.payload) // 2] if self.cut else self.payload
        closing = "" if self._stays_open else "Connection: close\r\n"
        transport.write(
            f"HTTP/1.1 {self.code} {_REASONS.get(self.code, 'Unknown')}\r\nContent-Type: {self.media}\r\n"
            f"Transfer-Encoding: chunked\r\nDate: {_http_date()}\r\n{self.lines}{closing}\r\n".encode("latin-1")
        )
        for start in range(0, len(body), _CHUNK):
            piece = body[start : start + _CHUNK]
            transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if self.cut:
            transport.close()
        else:
            transport.write(b"0\r\n\r\n")


class ConnectionReset(Reply):
    """No response: reset the connection.

    The socket is closed with SO_LINGER 0, so that the client gets a TCP reset and not a clean end of the stream.
    """

    def __init__(self) -> None:
        super().__init__(0, b"")
        self._stays_open = False

    async def prepare(self, request: web.BaseRequest) -> None:
        """Reset the connection; aiohttp calls this once."""
        transport = request.transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
