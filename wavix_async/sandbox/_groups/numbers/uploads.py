"""Read the multipart form of a document upload."""

from pathlib import PurePath

from aiohttp import web
from attrs import frozen

from wavix_async.sandbox._groups.forms import read_form
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
    form = await read_form(request, "doc_attachment")
    return _checked(form.fields, form.filename, form.content)


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
