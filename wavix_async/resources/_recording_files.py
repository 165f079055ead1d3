"""Recordings on disk: one file for each call, there as a whole or not at all.

A recording is saved under a hidden name in the folder, and gets its own name when it is whole. So a file with its own
name shows that nothing is left to do for its call, and a run that was killed leaves only hidden files behind, which a
later run removes.
"""

import asyncio
import os
import re
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from wavix_async._codec import Value
from wavix_async._http import BaseClient, Download, Operation, SavedFile
from wavix_async.bulk import BulkOperation
from wavix_async.errors import DecodeError, InputError
from wavix_async.models.recordings import Recording

__all__ = ["RecordingFiles"]

_SAFE: Final = re.compile("[0-9A-Za-z][0-9A-Za-z-]{7,63}")
"""Call ids that can be file names, on any system. Shorter ones may be names of devices."""
_LEFT: Final = re.compile(r"\.[0-9A-Za-z_-]+\.saving(\.[0-9a-f]{8})?(\.part)?")
_OLD: Final = 3600.0
"""Seconds without a write after which no run still writes a hidden file."""
_KINDS: Final = {
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/wave": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/mp4": ".mp4",
    "video/mp4": ".mp4",
    "audio/ogg": ".ogg",
}
_OTHER: Final = ".bin"
_ENDINGS: Final = (*dict.fromkeys(_KINDS.values()), _OTHER)


@attrs.frozen(eq=False, repr=False)
class _Wanted(Value):
    """A recording to save. `BulkOperation` calls this the change."""

    call_id: object
    recording_id: object = None


class RecordingFiles:
    """The files of recordings in a folder.

    Args:
        folder: The folder.
        download: The operation that serves a recording by the id of its call.
        check_call_id: Raises `InputError` for an id that the operation does not take.
        accept_unknown_length: Whether to keep a file whose length the server does not tell.

    Raises:
        InputError: `folder` is not a path, or is a file.
    """

    def __init__(
        self,
        folder: "str | os.PathLike[str]",
        download: Operation[Download],
        check_call_id: Callable[[object], object],
        *,
        accept_unknown_length: bool,
    ) -> None:
        if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
            raise InputError(f"to must be the path of a folder, got {folder!r}.")
        self._folder = Path(folder)
        self._download = download
        self._check_call_id = check_call_id
        if self._folder.exists() and not self._folder.is_dir():
            raise InputError(f"to must be a folder, and {os.fspath(folder)!r} is a file.")
        self._accept_unknown_length = accept_unknown_length

    def operation(self) -> BulkOperation[Any, _Wanted, SavedFile]:
        """Return what a run does with each recording."""
        return BulkOperation(
            name=self._download.name,
            check=self._check,
            send=self._save,
            find=self._find,
            reads_only=True,
            idempotent=True,
            limit_group=self._download.limit_group,
            change_type=_Wanted,
            key_name="call_id",
            noun="recording",
            argument="recordings",
        )

    def items(self, recordings: object) -> AsyncGenerator[tuple[Any, _Wanted], None]:
        """Return the items of a run, after the folder has been made ready.

        Raises:
            InputError: `recordings` is not a collection of recordings.
        """
        if isinstance(recordings, str | bytes | Recording) or not isinstance(recordings, Iterable | AsyncIterable):
            raise InputError(
                "recordings must be a RecordingList(...), or a list of recordings or call ids, got "
                f"{type(recordings).__name__}."
            )
        return self._items(recordings)

    async def _items(
        self, recordings: Iterable[object] | AsyncIterable[object]
    ) -> AsyncGenerator[tuple[Any, _Wanted], None]:
        await asyncio.to_thread(self._make_ready)
        if isinstance(recordings, AsyncIterable):
            iterator = aiter(recordings)
            try:
                async for each in iterator:
                    yield _item(each)
            finally:
                if isinstance(iterator, AsyncGenerator):
                    await iterator.aclose()
        else:
            for each in recordings:
                yield _item(each)

    def _make_ready(self) -> None:
        """Create the folder, and remove what a killed run has left there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if _LEFT.fullmatch(entry.name) and now - entry.stat(follow_symlinks=False).st_mtime > _OLD:
                        os.unlink(entry.path)

    def _check(self, _: object, wanted: _Wanted) -> None:
        self._check_call_id(wanted.call_id)
        _name(wanted)

    async def _find(self, _: object, wanted: _Wanted) -> SavedFile | None:
        return await asyncio.to_thread(self._look_for, _name(wanted))

    def _look_for(self, name: str) -> SavedFile | None:
        for ending in _ENDINGS:
            file = self._folder / (name + ending)
            with suppress(FileNotFoundError):
                found = file.stat()
                # An empty file is none: a full disk may have left it.
                if stat.S_ISREG(found.st_mode) and found.st_size:
                    return SavedFile(file, found.st_size, None, True)
        return None

    async def _save(self, client: BaseClient, _: object, wanted: _Wanted) -> SavedFile:
        name = _name(wanted)
        download = client.download(self._download, path={"call_id": wanted.call_id})
        accepted = self._accept_unknown_length
        saved = await download.save(self._folder / f".{name}.saving", accept_unknown_length=accepted)
        if saved.complete is None and not accepted:
            saved.path.unlink()
            raise InputError(
                f"call {wanted.call_id}: the server does not tell the length of the recording, so it may have been cut "
                "off. To keep such files, pass accept_unknown_length=True."
            )
        if not saved.size:
            # The next run would not take it for a recording either.
            saved.path.unlink()
            raise DecodeError(f"call {wanted.call_id}: the server sent an empty file.")
        file = self._folder / f"{name}{_ending(saved)}"
        os.replace(saved.path, file)
        return attrs.evolve(saved, path=file)


def _item(each: object) -> tuple[Any, _Wanted]:
    if isinstance(each, Recording):
        # The API may send anything in place of an id.
        call_id: object = each.call_uuid
        return call_id if isinstance(call_id, str) else each.id, _Wanted(call_id, each.id)
    return each, _Wanted(each)


def _name(wanted: _Wanted) -> str:
    """Return the name of a file without its ending: it has no folder, whatever the API sends.

    Raises:
        InputError: The recording has no id that can be a name.
    """
    if isinstance(wanted.call_id, str) and _SAFE.fullmatch(wanted.call_id):
        return wanted.call_id
    if type(wanted.recording_id) is int and wanted.recording_id > 0:
        # With an underscore, which no call id in a name has.
        return f"recording_{wanted.recording_id}"
    raise InputError(f"call_id must be the id of a call (letters, digits and hyphens), got {wanted.call_id!r}.")


def _ending(saved: SavedFile) -> str:
    """Return the ending of a file by what it contains, or by what the server says of it."""
    with open(saved.path, "rb") as file:
        head = file.read(12)
    if head.startswith(b"RIFF"):
        return ".wav"
    if head.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
        return ".mp3"
    if head.startswith(b"OggS"):
        return ".ogg"
    if head[4:8] == b"ftyp":
        return ".mp4"
    return _KINDS.get((saved.content_type or "").partition(";")[0].strip().lower(), _OTHER)
