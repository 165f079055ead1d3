"""Files that callers upload: a path, bytes or a file object, checked before anything is sent."""

import mimetypes
import os
import stat
from typing import Any, Final

from wavix_async._http import FilePart, Part, Progress, check_progress
from wavix_async.errors import InputError

__all__ = ["DOCUMENTS", "RECORDINGS", "file_part"]

DOCUMENTS: Final = (".png", ".jpg", ".jpeg", ".tiff", ".tif", ".bmp", ".pdf")
"""The types of documents that activate numbers."""
RECORDINGS: Final = (".wav", ".mp3", ".mp4")
"""The types of files that can be transcribed."""
_MB: Final = 1024 * 1024


def file_part(
    name: str,
    source: object,
    filename: str | None,
    *,
    suffixes: tuple[str, ...] = (),
    most: int = 10,
    progress: Progress | None = None,
) -> Part:
    """Return the part of a multipart body that holds a file. A path is only checked: each attempt reads it from disk.

    Args:
        name: The name of the part, and of the caller's argument.
        source: A path, bytes, or a file object open for reading bytes, which is read now.
        filename: The name to show; needed if the source has none.
        suffixes: The endings of allowed names, in lower case; none: all.
        most: The API's limit in MB.
        progress: Called with the bytes sent so far, and the size.

    Raises:
        InputError: The file is missing, empty, too large, of another type or no file, or `progress` cannot be called.
    """
    check_progress(progress)
    content: bytes | FilePart
    if isinstance(source, bytes | bytearray | memoryview):
        content, shown = bytes(source), filename
    elif isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        content, shown = FilePart(path, _size_of(name, path), progress), filename or os.path.basename(path)
    elif hasattr(source, "read"):
        known = getattr(source, "name", None)
        shown = filename or (os.path.basename(known) if isinstance(known, str) else None)
        content = _read_file(name, source, most * _MB)
    else:
        raise InputError(f"{name} must be a path, bytes or a file object, got {source!r}.")
    if shown is not None and not isinstance(shown, str):
        raise InputError(f"filename must be a string, got {shown!r}.")
    if not shown:
        example = f"file{suffixes[-1]}" if suffixes else "file.pdf"
        raise InputError(f"filename is missing: pass a file name, for example filename={example!r}.")
    if not shown.isprintable():
        raise InputError(f"filename has control characters, which a header cannot contain: {shown!r}.")
    if suffixes and not shown.lower().endswith(suffixes):
        words = [suffix[1:].upper() for suffix in suffixes]
        raise InputError(f"{name}: {shown} must be a {', '.join(words[:-1])} or {words[-1]} file.")
    size = content.size if isinstance(content, FilePart) else len(content)
    if not size:
        raise InputError(f"{name}: {shown} is empty.")
    if size > most * _MB:
        raise InputError(f"{name}: {shown} is larger than {most} MB, the API's limit.")
    return Part(name, content, shown, mimetypes.guess_type(shown)[0] or "application/octet-stream")


def _size_of(name: str, path: str) -> int:
    if not path:
        raise InputError(f"{name} is empty: pass the path of a file.")
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            # To open it shows that it can be read. Opening a pipe would wait for its writer.
            with open(path, "rb") as file:
                return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InputError(f"{name}: cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{name}: {path!r} is not a path: {error}.") from None
    raise InputError(f"{name}: cannot read {path}: Not a file. Pass the path of a file, or its bytes.")


def _read_file(name: str, file: Any, most: int) -> bytes:
    """Read to the end, or just beyond the size limit; a raw stream may return less per read than requested."""
    content = b""
    try:
        while len(content) <= most and (chunk := file.read(most + 1 - len(content))):
            if not isinstance(chunk, bytes):
                raise InputError(f"{name}: open the file for reading bytes: open(path, 'rb').")
            content += chunk
    except UnicodeDecodeError:
        raise InputError(f"{name}: open the file for reading bytes: open(path, 'rb').") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: the file cannot be read: {error}.") from error
    return content
