"""A service with bulk jobs as a process of its own: `python -m tests.support.job_server DIRECTORY`.

The environment names the account. The process prints its URL just before it serves.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastapi import FastAPI

from wavix_async.fastapi import fleet_jobs, wavix_lifespan


def main(directory: str) -> None:
    app = FastAPI(lifespan=wavix_lifespan())
    app.include_router(fleet_jobs(directory), prefix="/fleet")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        # No bound for open streams, which is the default of the server: it waits for them.
        uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none")).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
