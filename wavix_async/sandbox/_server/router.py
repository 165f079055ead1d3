"""Routes as data: the handler of a method and a path, and the scope that the key needs."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from threading import RLock
from urllib.parse import unquote

from aiohttp import web
from attrs import define, field, frozen

from wavix_async.sandbox._server.description import request_check
from wavix_async.sandbox._server.errors import ApiError, forbidden, unauthorized, wrong_method
from wavix_async.sandbox._server.keys import KeyRing
from wavix_async.sandbox._server.response import Reply
from wavix_async.sandbox._server.timers import Timers
from wavix_async.sandbox._server.variants import Variants


@frozen
class Route:
    """One operation of the API."""

    method: str
    path: str
    """The path. A segment like `{id}` matches any text, which becomes one of `Call.ids`; literal segments win."""
    scope: str
    """The scope that the key needs, such as `messages:read`; empty: none."""
    handler: "Callable[[Call], Reply | Awaitable[Reply]]"
    """Answers a call. A plain function runs under the sandbox's lock; a coroutine function takes the lock itself."""
    charged: bool = False
    """Whether the account pays for it; the router counts each success in `SandboxStats.charges`."""
    upload: bool = False
    """Whether the handler reads the body itself, as a multipart form."""
    own_checks: bool = False
    """Whether the handler checks the query and the body itself; otherwise the API's description does (see
    `description`)."""


@define
class Call:
    """One request, in the form that handlers get."""

    request: web.BaseRequest
    query: str
    """The raw query, still encoded."""
    ids: tuple[str, ...]
    """The decoded values of the path's placeholders, in path order."""
    routes: Mapping[str, Route]
    """The routes of the path, by method; empty for an unknown path."""
    route: Route | None
    """The route of the method; None if the API answers 404 or 405."""
    body: bytes = b""


@define
class _Node:
    """What may follow a prefix of a path."""

    literals: "dict[str, _Node]" = field(factory=dict)
    placeholder: "_Node | None" = None
    routes: dict[str, Route] = field(factory=dict)


class Router:
    """Finds the route of a request, checks the key, and calls the handler.

    Args:
        routes: All operations.
        keys: The keys of which requests must have one.
        charges: Counts the charged operations, such as `POST /v3/messages`.
        timers: Run what is due before a request is answered.
        lock: The lock of the sandbox.
        variants: Give answers other shapes; None: none does.

    Raises:
        ValueError: Two routes have the same method and path.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        keys: KeyRing,
        charges: Counter[str],
        timers: Timers,
        lock: RLock,
        variants: Variants | None = None,
    ) -> None:
        self._variants = variants
        self._keys = keys
        self._charges = charges
        self._timers = timers
        self._lock = lock
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path[1:].split("/"):
            if segment.startswith("{"):
                node.placeholder = node.placeholder or _Node()
                node = node.placeholder
            else:
                node = node.literals.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"two routes answer {route.method} {route.path}: remove one of them")
        node.routes[route.method] = route

    def find(self, request: web.BaseRequest, path: str, query: str) -> Call:
        """Return the call of a request; for an unknown path or method, only `answer` raises an error."""
        node, ids = self._root, []
        for segment in path[1:].split("/"):
            text = unquote(segment) if "%" in segment else segment
            after = node.literals.get(text)
            if after is None:
                after = node.placeholder
                if after is None or not text:
                    return Call(request, query, (), {}, None)
                ids.append(text)
            node = after
        return Call(request, query, tuple(ids), node.routes, node.routes.get(request.method))

    async def answer(self, call: Call) -> Reply:
        """Carry out a call.

        Raises:
            ApiError: The response is an error.
        """
        key = self._keys.find(call.request)
        if key is None:
            raise unauthorized()
        route = call.route
        if route is None:
            raise wrong_method(", ".join(call.routes)) if call.routes else ApiError(404, "Not found")
        if not key.permits(route.scope):
            raise forbidden()
        if not route.own_checks and (check := request_check(route.method, route.path)) is not None:
            check.check_query(call.query)
            check.check_body(call.body)
        with self._lock:
            self._timers.run_due()
            reply = route.handler(call)
        if not isinstance(reply, Reply):
            reply = await reply
        if route.charged:
            with self._lock:
                self._charges[f"{route.method} {route.path}"] += 1
        if self._variants is not None:
            with self._lock:
                self._variants.change_answer(f"{route.method} {route.path}", reply)
        return reply
