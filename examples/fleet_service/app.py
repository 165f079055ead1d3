"""A service for bulk changes of phone numbers, with a page for people.

`python -m examples.fleet_service` tries it on a local Wavix. For your account, set WAVIX_API_KEY and run
`uvicorn examples.fleet_service.app:app`, behind a login of yours: it lets everybody in who reaches it.
"""

import os
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from wavix_async import NumberPage
from wavix_async.fastapi import WavixDep, fleet_jobs, install_error_handlers, wavix_lifespan
from wavix_async.fleet import Safety

STATIC = Path(__file__).parent / "static"
# The page runs its own scripts, and talks to this service: nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

app = FastAPI(title="Fleet service", lifespan=wavix_lifespan())
install_error_handlers(app)
# Each job has its journal there. Somebody looks at every plan before it is run, so that all numbers may be changed.
jobs = fleet_jobs(os.environ.get("FLEET_JOBS", "jobs"), safety=Safety(max_fraction=None))
app.include_router(jobs, prefix="/fleet")  # dependencies=[Depends(...)] says who may
app.mount("/static", StaticFiles(directory=STATIC))


@app.get("/api/numbers")
async def list_numbers(wavix: WavixDep, page: Annotated[int, Query(ge=1)] = 1) -> NumberPage:
    """List the account's numbers, a hundred at a time."""
    return await wavix.numbers.list(page=page, per_page=100)


@app.get("/", include_in_schema=False)
async def show_page() -> FileResponse:
    """Show the page."""
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": POLICY})
