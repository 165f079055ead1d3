"""One API call: from an operation to a request, through its attempts, to a result. Nothing here knows a resource.

The path of a call, top to bottom:

    base_client.py   BaseClient.call()      the settings, and the one entry point of every call
    request.py       build_request()        operation and arguments -> request
    call.py          Call.run()             one call with all its attempts
    admission.py     Admission              queue position, permit and slots of a request
    transport.py     Transport.send()       the only file that touches aiohttp's session
    failures.py      name_failure()         aiohttp's failures -> our errors
    response.py      read_response()        response -> result, or one of our errors
    evidence.py      find_contradiction()   what a 2xx must show before it is believed
    refusals.py      is_refusal()           whether an answer shows that the API rejected the request
    retry.py         decide()               whether to retry a failed attempt, and when

A file or an export takes the same way, with `stream_call.py` in place of `call.py`: it opens the answer
(`open_answer.py`, `content_coding.py` if it is compressed), and `streams.py` reads it. `saving.py` writes it to disk.
`progress.py` has the callbacks.

`operation.py` defines a call, `options.py` what can differ from call to call, and `state.py` what all calls of a client
share. `redaction.py` keeps the API key out of errors and events. `headers.py` and `proxy.py` check what callers add to
requests, `fresh.py` opens a new connection through a caller's session, and `receipts.py` keeps the facts of calls.
"""

from wavix_async._http.base_client import BaseClient, Limits
from wavix_async._http.evidence import Difference, denial_of_record, describe, find_id_field
from wavix_async._http.failures import add_context, name_failure
from wavix_async._http.file_part import FilePart
from wavix_async._http.headers import idempotency_headers
from wavix_async._http.operation import Operation
from wavix_async._http.options import CallOptions
from wavix_async._http.progress import Progress, check_progress
from wavix_async._http.proxy import choose_proxy
from wavix_async._http.receipts import Receipt, Recording
from wavix_async._http.redaction import Redactor
from wavix_async._http.refusals import REQUEST_ERROR_STATUSES, is_no_answer, is_request_error
from wavix_async._http.request import Part, Request, build_request
from wavix_async._http.response import Response, read_response
from wavix_async._http.retry import GiveUp, RetryBudget, Wait, decide, is_worth_repeating, repeat
from wavix_async._http.state import ClientState
from wavix_async._http.streams import Download, Export, SavedFile
from wavix_async._http.transport import MAX_BODY, Transport
from wavix_async._http.waiters import EventSource, check_intervals, wait_for

__all__ = [
    "MAX_BODY",
    "REQUEST_ERROR_STATUSES",
    "BaseClient",
    "CallOptions",
    "ClientState",
    "Difference",
    "Download",
    "EventSource",
    "Export",
    "FilePart",
    "GiveUp",
    "Limits",
    "Operation",
    "Part",
    "Progress",
    "Receipt",
    "Recording",
    "Redactor",
    "Request",
    "Response",
    "RetryBudget",
    "SavedFile",
    "Transport",
    "Wait",
    "add_context",
    "build_request",
    "check_intervals",
    "check_progress",
    "choose_proxy",
    "decide",
    "denial_of_record",
    "describe",
    "find_id_field",
    "idempotency_headers",
    "is_no_answer",
    "is_request_error",
    "is_worth_repeating",
    "name_failure",
    "read_response",
    "repeat",
    "wait_for",
]
