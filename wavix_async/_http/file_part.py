"""`FilePart`: a file on disk as a part of a multipart body, opened when an attempt sends it, and again for a retry."""

import asyncio
import os
from pathlib import Path
from typing import Any, BinaryIO, Final

import aiohttp
import attrs

from wavix_async._codec import Value
from wavix_async._http.progress import Progress, ProgressError

__all__ = ["FilePart", "FilePayload"]

_PIECE: Final = 64 * 1024


@attrs.frozen(eq=False, repr=False)
class FilePart(Value):
    """Where the content of a part comes from."""

    path: str
    size: int
    """Bytes, as they were checked before anything was sent."""
    progress: Progress | None = None
    """Called with the bytes sent so far, and the size."""


def _open(path: str) -> BinaryIO:
    """Open a file. Not in a thread: a cancelled task could leave it open."""
    return open(path, "rb")


class FilePayload(aiohttp.Payload):
    """Streams a file from disk: aiohttp makes one for each attempt."""

    _value: FilePart

    def __init__(self, part: FilePart, content_type: str | None) -> None:
        super().__init__(part, content_type=content_type)
        self._size = part.size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the content as text; for code that looks at requests, such as a test."""
        with open(self._value.path, "rb") as file:
            return file.read().decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002
        """Return the content; for code that looks at requests, such as a test."""
        return await asyncio.to_thread(Path(self._value.path).read_bytes)

    async def write(self, writer: Any) -> None:
        """Write the file.

        Raises:
            OSError: It cannot be read, or is not as long any more as it was when it was checked.
            ProgressError: The callback failed. The body stays incomplete, so the server cannot take it.
        """
        part, sent = self._value, 0
        file = _open(part.path)
        try:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                sent += len(piece)
                if sent > part.size:
                    break
                await writer.write(piece)
                if part.progress is not None:
                    try:
                        part.progress(sent, part.size)
                    except Exception as error:
                        raise ProgressError(error) from None
        finally:
            file.close()
        if sent != part.size:
            raise OSError(None, f"{os.path.basename(part.path)} has changed while it was sent")
