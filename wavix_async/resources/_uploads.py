"""Files that callers upload: a path, bytes or a file object, checked before anything is sent."""

import os
from typing import Any, Final

from wavix_async.errors import InputError

__all__ = ["read_document"]

_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".tiff", ".tif", ".bmp", ".pdf")
_MAX_BYTES: Final = 10 * 1024 * 1024


def read_document(source: object, filename: str | None) -> tuple[bytes, str]:
    """Return the bytes and the name of a document of at most 10 MB.

    Args:
        source: A path, bytes, or a file object open for reading bytes.
        filename: The name to show; needed if the source has none.

    Raises:
        InputError: The document is missing, empty, too large or of another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        content, name = bytes(source), filename
    elif isinstance(source, str | os.PathLike):
        content, name = _read_path(source), filename or os.path.basename(source)
    elif hasattr(source, "read"):
        known = getattr(source, "name", None)
        content, name = _read_file(source), filename or (os.path.basename(known) if isinstance(known, str) else None)
    else:
        raise InputError(f"doc_attachment must be a path, bytes or a file object, got {source!r}.")
    if name is not None and not isinstance(name, str):
        raise InputError(f"filename must be a string, got {name!r}.")
    if not name:
        raise InputError("filename is missing: pass a file name for the document, for example filename='id.pdf'.")
    if not name.isprintable():
        raise InputError(f"filename has control characters, which a header cannot contain: {name!r}.")
    if not name.lower().endswith(_SUFFIXES):
        raise InputError(f"doc_attachment: {name} must be a PNG, JPG, JPEG, TIFF, TIF, BMP or PDF file.")
    if not content:
        raise InputError(f"doc_attachment: {name} is empty.")
    if len(content) > _MAX_BYTES:
        raise InputError(f"doc_attachment: {name} is larger than 10 MB, the API's limit.")
    return content, name


def _read_path(path: "str | os.PathLike[str]") -> bytes:
    try:
        with open(path, "rb") as file:
            return _read_file(file)
    except OSError as error:
        raise InputError(f"doc_attachment: cannot read {os.fspath(path)}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"doc_attachment: {path!r} is not a path: {error}.") from None


def _read_file(file: Any) -> bytes:
    """Read to the end, or just beyond the size limit; a raw stream may return less per read than requested."""
    content = b""
    try:
        while len(content) <= _MAX_BYTES and (chunk := file.read(_MAX_BYTES + 1 - len(content))):
            if not isinstance(chunk, bytes):
                raise InputError("doc_attachment: open the file for reading bytes: open(path, 'rb').")
            content += chunk
    except UnicodeDecodeError:
        raise InputError("doc_attachment: open the file for reading bytes: open(path, 'rb').") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"doc_attachment: the file cannot be read: {error}.") from error
    return content
