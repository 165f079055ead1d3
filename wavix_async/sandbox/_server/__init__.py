"""The server of the sandbox: the steps that every request goes through, whatever its group."""

from wavix_async.sandbox._server.courier import Courier, Deliveries
from wavix_async.sandbox._server.description import check_all, json_object, request_check
from wavix_async.sandbox._server.errors import ApiError, invalid, unknown_numbers
from wavix_async.sandbox._server.faults import FAULT_KINDS, FaultPlan, Faults, Match, matches
from wavix_async.sandbox._server.file_host import FileHost, FileMode
from wavix_async.sandbox._server.handler import RequestHandler
from wavix_async.sandbox._server.keys import Key, KeyRing
from wavix_async.sandbox._server.outbox import Outbox, SandboxEvent
from wavix_async.sandbox._server.rate_limit import Bucket, Window
from wavix_async.sandbox._server.request_log import SandboxRequest, SandboxStats
from wavix_async.sandbox._server.response import Reply, Rows
from wavix_async.sandbox._server.router import Call, Route, Router
from wavix_async.sandbox._server.settings import check_arguments, rate_limit
from wavix_async.sandbox._server.thread import LoopThread
from wavix_async.sandbox._server.ticker import Ticker
from wavix_async.sandbox._server.timers import Timers
from wavix_async.sandbox._server.variants import Variants

__all__ = [
    "FAULT_KINDS",
    "ApiError",
    "Bucket",
    "Call",
    "Courier",
    "Deliveries",
    "FaultPlan",
    "Faults",
    "FileHost",
    "FileMode",
    "Key",
    "KeyRing",
    "LoopThread",
    "Match",
    "Outbox",
    "Reply",
    "RequestHandler",
    "Route",
    "Router",
    "Rows",
    "SandboxEvent",
    "SandboxRequest",
    "SandboxStats",
    "Ticker",
    "Timers",
    "Variants",
    "Window",
    "check_all",
    "check_arguments",
    "invalid",
    "json_object",
    "matches",
    "rate_limit",
    "request_check",
    "unknown_numbers",
]
