"""Read a multipart form with one file."""

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from attrs import frozen

from wavix_async.sandbox._server import invalid


@frozen
class Form:
    """The fields of a form, and its file."""

    fields: dict[str, str]
    filename: str
    content: bytes


async def read_form(request: web.BaseRequest, file: str) -> Form:
    """Read a form whose field `file` has a file.

    Raises:
        ApiError: 400, the body is not such a form.
    """
    if not request.content_type.startswith("multipart/"):
        raise invalid(file, "a multipart/form-data body is needed")
    fields: dict[str, str] = {}
    name, content = "", b""
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            value = bytes(await part.read())
            if part.name == file:
                name, content = part.filename or "", value
            else:
                fields[part.name] = value.decode(errors="replace").strip()
    except (ValueError, LookupError, AssertionError, RuntimeError, HttpProcessingError, Warning):
        # aiohttp raises all of these for heads and bodies that are not a form; warnings, if they are errors.
        raise invalid("body", "malformed multipart form") from None
    return Form(fields, name, content)
