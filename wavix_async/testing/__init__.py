"""Helpers for testing programs that use this package: models and errors without a server, clients without waits.

With pytest, the fixtures `wavix_sandbox` and `wavix_client` need no import (`docs/testing.md`). This package works
without pytest::

    with Sandbox(numbers=20, rate=5) as sandbox:
        wavix = WavixClient(sandbox.api_key, base_url=sandbox.url)
        skip_waits(wavix, sandbox.advance)
"""

from wavix_async.testing._errors import make_error
from wavix_async.testing._job_store import check_job_store
from wavix_async.testing._make import make, make_page
from wavix_async.testing._numbers import make_destination, make_document, make_number
from wavix_async.testing._waits import skip_waits

__all__ = [
    "check_job_store",
    "make",
    "make_destination",
    "make_document",
    "make_error",
    "make_number",
    "make_page",
    "skip_waits",
]
