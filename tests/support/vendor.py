"""The methods of the vendor's SDK, each with the operation that it calls, as its source says."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Iterator
from typing import Any, Final

_NOT_BY_PATH: Final = {
    # Two operations have one path: what an id is decides.
    "call_recording.get": "GET /v1/recordings/{id}",
    "call_recording.get_by_call": "GET /v1/recordings/{call_id}",
}


def vendor_methods(client: Any) -> dict[str, str]:
    """Return the operation of each method, by the place of the method on the SDK's client, with `{}` for every id.

    Args:
        client: An instance of `wavix.AsyncWavix` or `wavix.Wavix`.
    """
    return {place: _NOT_BY_PATH.get(place, operation) for place, operation in _methods(client, "")}


def _methods(owner: Any, place: str) -> Iterator[tuple[str, str]]:
    for name, value in inspect.getmembers(type(owner)):
        if name.startswith("_") or name == "with_raw_response":
            continue
        if isinstance(value, property):
            yield from _methods(getattr(owner, name), f"{place}{name}.")
        elif inspect.isfunction(value) and place:
            code = inspect.unwrap(getattr(owner.with_raw_response, name)).__code__
            # `inspect.getsource` would parse the file for each method.
            last = max(line for *_, line in code.co_lines() if line is not None)
            source = "".join(linecache.getlines(code.co_filename)[code.co_firstlineno - 1 : last])
            found = re.search(r'\n\s+f?"(v\d/[^"]*)",\n\s+method="(\w+)"', source)
            if found is not None:
                yield f"{place}{name}", f"{found[2]} /{re.sub(r'{[^}]*}', '{}', found[1])}"


def path_of(client: Any, place: str) -> Any:
    """Return the method at a place, such as `numbers.papers.upload`."""
    for name in place.split("."):
        client = getattr(client, name)
    return client
