"""`JobRoute`: a route that answers what is wrong with a request about a job, whatever handlers the application has."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from wavix_async.fastapi._jobs.problems import StorageError, UnknownJobError, WrongStateError, answer
from wavix_async.fastapi._jobs.request_body import JobRequest, TooLargeError, tell_in_short

__all__ = ["JobRoute"]


class JobRoute(APIRoute):
    """A route about jobs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            # Without a body the request stays the server's own: whoever asks it whether the reader is gone is told.
            asked = JobRequest(request) if self.body_field is not None else request
            try:
                if isinstance(asked, JobRequest):
                    asked.check_length()
                return await handle(asked)
            except (UnknownJobError, WrongStateError, StorageError, TooLargeError) as error:
                return answer(error, asked.path_params.get("job_id"))
            except RequestValidationError as error:
                # The application says how such errors are answered.
                raise RequestValidationError(tell_in_short(error.errors())) from None

        return handle_or_tell
