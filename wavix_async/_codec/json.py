"""JSON bytes to values and back: with orjson if it is installed, otherwise with the standard library.

orjson rejects what one odd value can put into an answer: half of a character (an escaped surrogate), NaN, a number
beyond the range of a float, a byte order mark, UTF-16. `loads_odd` reads these, too. Only a body that `loads` rejects
pays for it.
"""

import json
import math
import os
from collections.abc import Callable
from typing import Any, Final

__all__ = ["dumps", "loads", "loads_odd", "stdlib_dumps", "stdlib_loads"]


def stdlib_dumps(value: Any) -> bytes:
    """Return the JSON bytes of a value; the standard library rejects NaN, which orjson writes as null."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def loads_odd(body: bytes) -> Any:
    """Return the value of a JSON body that `loads` rejects.

    A byte that is not UTF-8 becomes a lone surrogate (`surrogateescape`): no byte is lost, and one text in another
    encoding does not make a whole answer unreadable. A number that JSON or Python cannot represent (NaN, Infinity,
    1e400, 5,000 digits) stays the text that came: it can be compared, and written as JSON again.

    Raises:
        ValueError: The body is not JSON.
        RecursionError: The body is nested too deep.
    """
    try:
        return _read_odd(body)
    except UnicodeDecodeError:
        return _read_odd(body.decode("utf-8", "surrogateescape"))


def _read_odd(body: bytes | str) -> Any:
    return json.loads(body, parse_constant=str, parse_float=_float_or_text, parse_int=_int_or_text)


def _float_or_text(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _int_or_text(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


_decoder: Final = json.JSONDecoder(parse_constant=str, parse_float=_float_or_text)


def stdlib_loads(body: bytes) -> Any:
    """Return the value of a JSON body in UTF-8; like orjson, it makes no NaN and no infinity."""
    return _decoder.decode(body.decode())


_loads: Callable[[bytes], Any] = stdlib_loads
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
