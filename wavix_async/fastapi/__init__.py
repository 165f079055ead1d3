"""Wavix in a FastAPI application.

    from wavix_async.fastapi import WavixDep, install_error_handlers, wavix_lifespan

    app = FastAPI(lifespan=wavix_lifespan())
    install_error_handlers(app)

    @app.get("/lines/{line}")
    async def read_line(line: int, wavix: WavixDep) -> Number: ...

`_lifespan.py` opens one client per process, `_errors.py` turns the client's errors into problem details, and `_jobs/`
runs bulk changes as jobs.
"""

try:
    import fastapi as _fastapi  # noqa: F401 - checked first, so that the error names what to install
except ImportError as _missing:
    raise ImportError(
        "wavix_async.fastapi needs FastAPI, which is not installed: pip install 'wavix-async[fastapi]'"
    ) from _missing

from wavix_async.fastapi._errors import install_error_handlers, problem_response
from wavix_async.fastapi._jobs import FileJobStore, fleet_jobs
from wavix_async.fastapi._lifespan import WavixDep, get_wavix, wavix_lifespan
from wavix_async.types import JobStore

__all__ = [
    "FileJobStore",
    "JobStore",
    "WavixDep",
    "fleet_jobs",
    "get_wavix",
    "install_error_handlers",
    "problem_response",
    "wavix_lifespan",
]
