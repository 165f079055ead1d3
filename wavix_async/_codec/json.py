"""JSON bytes to values and back: with orjson if it is installed, otherwise with the standard library.

orjson rejects what one odd value can put into an answer: half of a character (`"\\ud83d"`), NaN, a number beyond the
range of a float, a byte order mark, UTF-16. `loads_odd` reads these, too. Only a body that `loads` rejects pays for it.
"""

import json
import os
from collections.abc import Callable
from typing import Any, Final

__all__ = ["dumps", "loads", "loads_odd", "stdlib_dumps"]


def stdlib_dumps(value: Any) -> bytes:
    """Return the JSON bytes of a value; the standard library rejects NaN, which orjson writes as null."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def loads_odd(body: bytes) -> Any:
    """Return the value of a JSON body that `loads` rejects.

    A byte that is not UTF-8 becomes a lone surrogate (`surrogateescape`), so that no byte is lost and one text in another
    encoding does not make a whole answer unreadable.

    Raises:
        ValueError: The body is not JSON.
        RecursionError: The body is nested too deep.
    """
    try:
        return json.loads(body)
    except UnicodeDecodeError:
        return json.loads(body.decode("utf-8", "surrogateescape"))


_loads: Callable[[bytes], Any] = json.loads
_dumps: Callable[[Any], bytes] = stdlib_dumps
if not os.environ.get("WAVIX_ASYNC_NO_SPEEDUPS"):
    try:
        import orjson
    except ImportError:
        pass
    else:
        _loads, _dumps = orjson.loads, orjson.dumps

loads: Final = _loads
dumps: Final = _dumps
