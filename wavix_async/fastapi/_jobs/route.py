"""`JobRoute`: a route that answers its own errors, whichever exception handlers the application has."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from wavix_async.fastapi._jobs.problems import RequestError, StorageError, error_response
from wavix_async.fastapi._jobs.request_body import JobRequest, check_is_json, shorten_problems

__all__ = ["JobRoute"]


class JobRoute(APIRoute):
    """A route of the job router."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def handle_errors(request: Request) -> Response:
            # Keep the original request if there is no body: only that one notices a disconnect of the client.
            job_request = JobRequest(request) if self.body_field is not None else request
            try:
                check_is_json(request)
                if isinstance(job_request, JobRequest):
                    job_request.check_length()
                return await handle(job_request)
            except (RequestError, StorageError) as error:
                return error_response(error, job_request.path_params.get("job_id"))
            except RequestValidationError as error:
                # The application's handler for validation errors answers this error.
                raise RequestValidationError(shorten_problems(error.errors())) from None

        return handle_errors
