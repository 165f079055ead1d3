"""`WavixClient`: the groups of operations, one lazy property each, on top of `BaseClient`."""

from functools import cached_property
from typing import TYPE_CHECKING

from wavix_async._http import BaseClient

if TYPE_CHECKING:
    from wavix_async.resources.messages import Messages
    from wavix_async.resources.numbers import Numbers

__all__ = ["WavixClient"]


class WavixClient(BaseClient):
    """The asyncio client of the Wavix API.

    Use it with `async with`, or call `close()`. One client serves any number of tasks of one event loop.

    Args:
        api_key: The key; default: the environment variable WAVIX_API_KEY. Errors do not show it, also where an answer
            repeats it, unless it is shorter than 8 characters, as no real key is.
        base_url: Default: WAVIX_BASE_URL, or https://api.wavix.com. http is accepted for loopback hosts only.
        rate: Requests per second that the account allows. None: go as fast as the API takes, and learn the limit from
            its first 429. Clients do not share what they know of a limit: use one client for one key, and where one
            process is not enough, `wavix_async.redis.RedisRateLimit`.
        retry: When a failed attempt is repeated.
        timeout: How long to wait, in seconds; a number sets the time of one attempt.
        max_connections: Connections, and so requests on the wire, at once.
        session: An aiohttp session of your own (proxies, TLS); it is not closed, and its hidden replay of GET, PUT and
            DELETE is switched off. Default: a session of the client's own.
        strict: Raise `DecodeError` when an answer is not as documented, instead of keeping what came.
        observers: Called with every event: attempts, retries, pauses, rate changes, drift.

    Raises:
        ConfigurationError: A setting is missing or wrong; the message names it and the remedy.
    """

    # A group, with its models, is imported when it is first used: a client of one group does not pay for twenty.

    @cached_property
    def messages(self) -> "Messages":
        """SMS and MMS messages: `/v3/messages`."""
        from wavix_async.resources.messages import Messages

        return Messages(self)

    @cached_property
    def numbers(self) -> "Numbers":
        """Phone numbers: `/v1/numbers`."""
        from wavix_async.resources.numbers import Numbers

        return Numbers(self)

    # Type checkers report a wrong name by themselves; they must not see a method that accepts any.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            kind = type(self)
            if name.startswith("_"):
                raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}", name=name)
            if hasattr(kind, name):
                # The property is there, and its own code raised AttributeError: show that error.
                return object.__getattribute__(self, name)
            # `obj` is left out: with it Python would add a second "Did you mean".
            raise AttributeError(_no_such_name(kind, name), name=name)


def _no_such_name(client: type, name: str) -> str:
    """Return what to say where a client has no attribute: what it has, and how to call what the SDK lacks."""
    import difflib

    groups = [key for key in dir(client) if isinstance(getattr(client, key), cached_property)]
    # `call` is in the text anyway, and close to `calls`, a group of the API.
    names = [key for key in dir(client) if not key.startswith("_") and key != "call"]
    close = difflib.get_close_matches(name, groups, n=1) or difflib.get_close_matches(name, names, n=1)
    return (
        f"{client.__name__} has no {name!r}."
        + (f" Did you mean {close[0]!r}?" if close else "")
        + f" Its groups of operations: {', '.join(groups)}."
        + " To call an operation that the SDK lacks:"
        + ' await wavix.call(Operation("GET", "/v1/...", dict)), with Operation from wavix_async.'
    )
