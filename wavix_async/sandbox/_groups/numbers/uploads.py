"""Read the multipart form of a document upload."""

from pathlib import PurePath

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from attrs import frozen

from wavix_async.sandbox._groups.numbers.data import DOC_TYPES
from wavix_async.sandbox._server import invalid

MAX_FILE = 10 * 1024 * 1024

_MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tiff": "image/tiff",
    ".bmp": "image/bmp",
    ".pdf": "application/pdf",
}
# The type was an id until June 2026 and has been a name since.
_KINDS = {**{str(kind): kind for kind in DOC_TYPES}, **{name: kind for kind, (name, _) in DOC_TYPES.items()}}


@frozen
class Upload:
    """A document and the numbers that it is for."""

    number_ids: list[int]
    kind: int
    name: str
    content_type: str
    content: bytes


async def read_upload(request: web.BaseRequest) -> Upload:
    """Read the form of `POST /v1/numbers/papers`.

    Raises:
        ApiError: 400 with the field that is missing or wrong.
    """
    if not request.content_type.startswith("multipart/"):
        raise invalid("doc_attachment", "a multipart/form-data body is needed")
    fields: dict[str, str] = {}
    name, content = "", b""
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            value = bytes(await part.read())
            if part.name == "doc_attachment":
                name, content = part.filename or "", value
            else:
                fields[part.name] = value.decode(errors="replace").strip()
    except (ValueError, LookupError, AssertionError, RuntimeError, HttpProcessingError, Warning):
        # aiohttp raises all of these for heads and bodies that are not a form; warnings, if they are errors.
        raise invalid("body", "malformed multipart form") from None
    return _checked(fields, name, content)


def _checked(fields: dict[str, str], name: str, content: bytes) -> Upload:
    ids = [part.strip() for part in fields.get("did_ids", "").split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in ids):
        raise invalid("did_ids")
    kind = _KINDS.get(fields.get("doc_id", ""))
    if kind is None:
        raise invalid("doc_id", f"one of {', '.join(_KINDS)}")
    media = _MEDIA.get(PurePath(name).suffix.lower())
    if media is None:
        raise invalid("doc_attachment", "a PNG, JPG, JPEG, TIFF, BMP or PDF file is needed")
    if not content:
        raise invalid("doc_attachment", "the file is empty")
    if len(content) > MAX_FILE:
        raise invalid("doc_attachment", "the file is larger than 10 MB")
    return Upload(list(dict.fromkeys(map(int, ids))), kind, name, media, content)
