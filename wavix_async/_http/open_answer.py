"""`OpenAnswer`: an answer whose head was read, and whose body comes piece by piece.

Facts about aiohttp that this file relies on; a canary test checks each:

- After a connection broke, `read_nowait` raises even if bytes are left in the buffer; `_read_nowait` returns them.
- The end of a body with a `Content-Length`, or in chunks, is checked: a cut raises. Of any other body it is not.
- Nor is the end of gzip: so the body is read as it comes, and `Inflater` undoes the compression.
"""

import email.message
import email.utils
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp import hdrs

from wavix_async._http.content_coding import Inflater, changes_the_body, make_inflater
from wavix_async._http.request import Request

__all__ = ["OpenAnswer"]


class OpenAnswer:
    """The head of an answer, and the way to its body."""

    __slots__ = ("_answer", "_inflater", "_on_close", "_peeked", "_read_on", "headers", "request", "status")

    def __init__(
        self,
        answer: aiohttp.ClientResponse,
        request: Request,
        read_on: Callable[[aiohttp.ClientResponse], Awaitable[bytes]],
        on_close: Callable[[], None],
    ) -> None:
        self._on_close: Callable[[], None] | None = on_close
        self._peeked = b""
        self._inflater: Inflater | None = None
        self._answer = answer
        self._read_on = read_on
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.request = request

    @property
    def length(self) -> int | None:
        """The bytes of the body, as its head tells them; None: it does not."""
        return None if self._is_encoded else self._answer.content_length

    @property
    def tells_its_end(self) -> bool:
        """Whether the end of the body shows that it is whole."""
        coding = self.headers.get(hdrs.TRANSFER_ENCODING, "").lower()
        return self._answer.content_length is not None or coding.endswith("chunked")

    @property
    def _coding(self) -> str:
        return self.headers.get(hdrs.CONTENT_ENCODING, "")

    @property
    def _is_encoded(self) -> bool:
        return changes_the_body(self._coding)

    @property
    def filename(self) -> str | None:
        """The file name in `Content-Disposition`, as it came."""
        header = email.message.Message()
        header["content-disposition"] = " ".join(self.headers.get(hdrs.CONTENT_DISPOSITION, "").split())
        # `filename*`, which is in UTF-8, comes last.
        found = [value for name, value in header.get_params([], "content-disposition") if name == "filename"]
        if not found:
            return None
        try:
            return email.utils.collapse_rfc2231_value(found[-1])
        except UnicodeError:
            # Some encodings of Python cannot replace what they cannot read.
            return email.utils.unquote(found[-1][-1])

    async def chunk(self) -> bytes:
        """Return the next bytes; no bytes: the body has ended.

        Raises:
            WavixError: The connection broke, or no byte came in time, or the compression is damaged.
        """
        if self._peeked:
            piece, self._peeked = self._peeked, b""
            return piece
        if not self._is_encoded:
            return await self._raw_chunk()
        if (inflater := self._inflater) is None:
            inflater = self._inflater = make_inflater(self._coding)
        while not (piece := inflater.next()):
            if not (raw := await self._raw_chunk()):
                inflater.finish()
                break
            inflater.feed(raw)
        return piece

    async def _raw_chunk(self) -> bytes:
        content = self._answer.content
        if content.at_eof():
            return b""
        return content._read_nowait(-1) or await self._read_on(self._answer)

    async def peek(self) -> bytes:
        """Return the next bytes, which `chunk` returns again."""
        self._peeked = await self.chunk()
        return self._peeked

    async def read(self, most: int) -> bytes:
        """Return the body up to about `most` bytes, and close the answer."""
        body = bytearray()
        try:
            while len(body) < most and (piece := await self.chunk()):
                body += piece
        finally:
            self.close()
        return bytes(body)

    def close(self) -> None:
        """Close the answer, and its connection unless the body was read to its end."""
        self._answer.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
