"""A service for bulk changes of phone numbers, with a web page.

To try it with a local Wavix simulator, run `python -m examples.fleet_service`. To use it with your account, set
WAVIX_API_KEY and run `uvicorn examples.fleet_service.app:app` behind your own login: the service itself has none. It
answers only requests to the hosts in FLEET_HOSTS, separated by commas; by default, this machine.
"""

import os
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from wavix_async import NumberPage
from wavix_async.fastapi import WavixDep, fleet_jobs, install_error_handlers, wavix_lifespan
from wavix_async.fleet import Safety

STATIC = Path(__file__).parent / "static"
# The page may run its own scripts and call this service, and nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

app = FastAPI(title="Fleet service", lifespan=wavix_lifespan())
install_error_handlers(app)
# For a browser, a site whose name points to this machine is the same site: only the host tells them apart.
hosts = os.environ.get("FLEET_HOSTS", "localhost,127.0.0.1")
app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts.split(","))
# The directory holds a journal for each job. The user sees every plan before it runs, so a plan may change all numbers.
jobs = fleet_jobs(os.environ.get("FLEET_JOBS", "jobs"), safety=Safety(max_fraction=None))
app.include_router(jobs, prefix="/fleet")  # add dependencies=[Depends(...)] to control access
app.mount("/static", StaticFiles(directory=STATIC))


@app.get("/api/numbers")
async def list_numbers(wavix: WavixDep, page: Annotated[int, Query(ge=1)] = 1) -> NumberPage:
    """List the numbers of the account, 100 per page."""
    return await wavix.numbers.list(page=page, per_page=100)


@app.get("/", include_in_schema=False)
async def show_page() -> FileResponse:
    """Return the web page."""
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": POLICY})
