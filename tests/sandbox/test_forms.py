"""Malformed multipart forms: the sandbox refuses them, and has no accident."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import aiohttp
import pytest

from tests.support.description import DESCRIBED
from tests.support.operations import operations
from wavix_async.sandbox import Sandbox

UPLOADS: Final = [operation.path for name, operation in operations().items() if DESCRIBED[name].form]
NAMED: Final = b'Content-Disposition: form-data; name="did_ids"\r\n'
HEADS: Final = {
    "empty": b"",
    "no colon": b"nonsense\r\n",
    "no colon in the second line": NAMED + b"X\r\n",
    "no value": b"Content-Disposition\r\n",
    "no name": b"Content-Disposition: \xff; name=\r\n",
    "a blank in a name": b"A b: c\r\n",
    "an unknown transfer encoding": NAMED + b"Content-Transfer-Encoding: zz\r\n",
    "wrong base64": NAMED + b"Content-Transfer-Encoding: base64\r\n",
    "not compressed": NAMED + b"Content-Encoding: gzip\r\n",
    "an unknown encoding": NAMED + b"Content-Encoding: zz\r\n",
    "an unknown charset": b"Content-Disposition: form-data; filename*=zz''%ff; name=\"did_ids\"\r\n",
    "too long": b"X: " + b"a" * 20_000 + b"\r\n",
    "a form in a form without a boundary": b"Content-Type: multipart/mixed\r\n",
    "a form in a form": b"Content-Type: multipart/mixed; boundary=y\r\n",
    "a length that is no number": b"Content-Length: x\r\n",
    "a null byte": b"X: \x00\r\n",
}
TYPES: Final = ("multipart/", "multipart/x", "multipart/x; boundary=", f"multipart/x; boundary={'a' * 100}")


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield content types and bodies that are no form."""
    for head in HEADS.values():
        for tail in (b"\r\nabc\r\n--x--\r\n", b"\r\nabc", b"abc", b"", b"\r\n\xff\r\n--x--"):
            yield "multipart/form-data; boundary=x", b"--x\r\n" + head + tail
    for content_type in TYPES:
        yield content_type, b"--x\r\n" + NAMED + b"\r\nabc"


@pytest.mark.parametrize("path", UPLOADS)
async def test_a_malformed_form_is_refused(path: str) -> None:
    headers = {"Authorization": "Bearer sandbox-key"}
    async with Sandbox() as sandbox, aiohttp.ClientSession(sandbox.url, headers=headers) as session:
        for content_type, body in bodies():
            async with session.post(path, data=body, headers={"Content-Type": content_type}) as answer:
                refused = await answer.json()
                # The API documents a 422 for evidence without a file.
                assert answer.status == (422 if refused["message"] == "File missing" else 400), (content_type, body)
                assert refused["success"] is False
