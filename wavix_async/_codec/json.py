"""JSON bytes to values and back: with orjson if it is installed, otherwise with the standard library."""

import json
import os
from collections.abc import Callable
from typing import Any, Final

__all__ = ["dumps", "loads", "stdlib_dumps"]


def stdlib_dumps(value: Any) -> bytes:
    """Return the JSON bytes of a value; the standard library rejects NaN, which orjson writes as null."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


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
