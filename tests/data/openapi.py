"""Print the OpenAPI of an application that uses the job router, the problems, and models in and out of routes.

    PYTHONPATH=. python tests/data/openapi.py > tests/data/openapi_63b61a9.json

Users generate clients from it, so names and types must stay those of version 63b61a9; descriptions may change. The file
also has the versions of the libraries that wrote it, because they affect the result.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import fastapi

from wavix_async import Number, NumberUpdate
from wavix_async.fastapi import WavixDep, fleet_jobs, install_error_handlers, wavix_lifespan
from wavix_async.models import NumberDestination, NumberPage

app = fastapi.FastAPI(title="Everything of wavix_async", lifespan=wavix_lifespan())
app.include_router(fleet_jobs(), prefix="/fleet")
install_error_handlers(app)


@app.get("/lines")
async def list_lines(wavix: WavixDep, page: int = 1) -> NumberPage:
    """List lines."""
    return await wavix.numbers.list(page=page)


@app.get("/lines/{line}")
async def read_line(line: int, wavix: WavixDep) -> Number:
    """Read a line."""
    return await wavix.numbers.get(line)


@app.patch("/lines/{line}")
async def change_line(line: int, change: NumberUpdate, wavix: WavixDep) -> Number:
    """Change a line."""
    return await wavix.numbers.update(line, sms_enabled=True)


@app.put("/lines/{line}/destinations")
async def put_destinations(line: int, destinations: list[NumberDestination]) -> dict[str, NumberUpdate | None]:
    """Answer with models inside of other types."""
    return {str(line): None}


if __name__ == "__main__":
    schema = {
        "versions": {name: version(name) for name in ("fastapi", "pydantic", "starlette")},
        "openapi": app.openapi(),
    }
    json.dump(schema, sys.stdout, indent=0, separators=(",", ":"))
    print()
