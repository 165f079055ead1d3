"""`Target`: the file that a download or an export becomes. Under its name it is there as a whole, or not at all.

The bytes go to a temporary name beside the target. The target is renamed only at the end, so it must be a file, or not
exist: a rename would replace a device, a pipe or a link by a file.
"""

import asyncio
import errno
import itertools
import os
import re
import secrets
import stat
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from wavix_async._http.progress import Progress, check_progress
from wavix_async.errors import InputError, WavixError

__all__ = ["Target", "safe_name"]

_LONGEST_NAME: Final = 180
"""Bytes of a file name from a server: most file systems allow 255, and the temporary name is longer."""
_LONGEST_BASE: Final = 220
"""Bytes of a name before `.part` and the like."""
_WRITE_AT: Final = 256 * 1024
"""Bytes that are collected before they are written: each write is a hop to a thread."""


class Target:
    """Where `save` writes to, checked before anything is sent."""

    __slots__ = ("_accept_unknown_length", "_path", "_progress", "is_folder")

    def __init__(self, path: object, *, progress: Progress | None, accept_unknown_length: object) -> None:
        """Check the arguments of `save`.

        Raises:
            InputError: An argument is wrong, there is no such folder, or the path is no file.
            OSError: The folder cannot be written to.
        """
        check_progress(progress)
        if not isinstance(accept_unknown_length, bool):
            raise InputError(f"accept_unknown_length must be True or False, got {accept_unknown_length!r}.")
        self._progress = progress
        self._accept_unknown_length = accept_unknown_length
        self._path, is_folder = _check(path)
        self.is_folder: bool = is_folder

    async def write(self, pieces: AsyncGenerator[bytes, None], length: int | None, name: str | None) -> "Written":
        """Write pieces to a temporary file beside the target.

        Args:
            pieces: What to write.
            length: The length for the progress, if it is known.
            name: The name of the file, if the target is a folder.
        """
        file = self._path if name is None else self._path / name
        opened, temporary = _create(file)
        size, pending, progress = 0, bytearray(), self._progress
        try:
            async for piece in pieces:
                pending += piece
                if len(pending) >= _WRITE_AT:
                    size += await asyncio.to_thread(opened.write, pending)
                    pending.clear()
                    if progress is not None:
                        progress(size, length)
            size += await asyncio.to_thread(_finish, opened, pending)
            if progress is not None:
                progress(size, length)
        except BaseException as error:
            # What is buffered still cannot be written if the disk is full.
            with suppress(OSError):
                opened.close()
            _remove(temporary)
            if isinstance(error, OSError) and not isinstance(error, WavixError) and error.filename is None:
                error.filename = os.fspath(file)
            raise
        finally:
            await pieces.aclose()
        return Written(temporary, file, size, replace=name is None)

    def accepts(self, complete: bool | None) -> bool:
        """Return whether a file gets its name."""
        return bool(complete or self._accept_unknown_length)


class Written:
    """A file that was written and has no name yet."""

    __slots__ = ("_file", "_replace", "_temporary", "size")

    def __init__(self, temporary: Path, file: Path, size: int, *, replace: bool) -> None:
        self._temporary = temporary
        self._file = file
        self._replace = replace
        self.size: int = size

    def give_name(self, *, whole: bool) -> Path:
        """Rename the file. Not in a thread: a cancelled task could leave the temporary name behind.

        Args:
            whole: Whether it gets its own name, and not one that ends in `.part`.
        """
        try:
            if self._replace:
                final = self._file if whole else _with_ending(self._file, ".part")
                os.replace(self._temporary, final)
                return final
            return self._give_free_name("" if whole else ".part")
        except BaseException:
            _remove(self._temporary)
            raise

    def _give_free_name(self, ending: str) -> Path:
        """Give the server's name, and a number if there is such a file: a server must not choose what to replace."""
        stem, suffix = self._file.stem, self._file.suffix
        for number in itertools.count(1):
            numbered = stem if number == 1 else f"{stem} ({number})"
            final = self._file.with_name(f"{numbered}{suffix}{ending}")
            try:
                # Unlike a rename, a link never replaces a file.
                os.link(self._temporary, final)
            except FileExistsError:
                continue
            except OSError:
                # A file system without links.
                if os.path.lexists(final):
                    continue
                os.rename(self._temporary, final)
            else:
                _remove(self._temporary)
            return final
        raise AssertionError  # pragma: no cover - count() has no end


def safe_name(name: str | None) -> str | None:
    """Return the file name in a header without folders and odd characters; None if nothing usable is left."""
    if name is None:
        return None
    last = re.split(r"[/\\]", name)[-1]
    clean = "".join(sign if sign.isprintable() and sign not in '<>:"|?*' else "_" for sign in last).strip(" .")
    return clean.encode("utf-8", "replace")[:_LONGEST_NAME].decode("utf-8", "ignore").rstrip(" .") or None


def _check(path: object) -> tuple[Path, bool]:
    """Return the path to write to, and whether it is a folder."""
    try:
        given = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        given = None
    if not isinstance(given, str):
        raise InputError(f"path must be a string or a pathlib.Path, got {path!r}.")
    if not given:
        raise InputError("path is empty: pass the name of a file, or '.' for the current folder.")
    target = Path(given)
    try:
        # A link stays a link to the file that is written.
        target = Path(os.path.realpath(target)) if target.is_symlink() else target
        found = _stat(target)
    except (OSError, ValueError) as error:
        # Half a character, a zero, a name that is too long, or a loop of links.
        if isinstance(error, OSError) and error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"path: {given!r} is not a path: {reason}.") from None
    is_folder = found is not None and stat.S_ISDIR(found.st_mode)
    folder = target if is_folder or given.endswith(("/", os.sep)) else target.parent
    if not folder.is_dir():
        raise InputError(f"path: there is no folder {os.fspath(folder)!r}.")
    if found is not None and not is_folder and not stat.S_ISREG(found.st_mode):
        raise InputError(f"path: {given!r} is a device, a pipe or a socket: pass the name of a file.")
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(folder))
    return target, is_folder


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _create(file: Path) -> tuple[BinaryIO, Path]:
    """Create a temporary file. Not in a thread: a cancelled task could leave it behind."""
    temporary = _with_ending(file, f".{secrets.token_hex(4)}.part")
    opened = open(temporary, "xb")  # noqa: SIM115 - the caller closes it
    with suppress(OSError):
        # A file that is replaced keeps who may read it.
        os.chmod(temporary, stat.S_IMODE(file.stat().st_mode))
    return opened, temporary


def _with_ending(file: Path, ending: str) -> Path:
    """Return a name beside a file that is not too long for the file system."""
    kept = os.fsencode(file.name)[:_LONGEST_BASE].decode("utf-8", "ignore")
    return file.with_name(kept + ending)


def _finish(opened: BinaryIO, pending: bytearray) -> int:
    written = opened.write(pending)
    opened.flush()
    os.fsync(opened.fileno())
    opened.close()
    return written


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
