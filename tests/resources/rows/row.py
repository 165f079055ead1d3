"""What a row of a group is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from wavix_async import WavixClient

PAGE: Final = {"current_page": 1, "per_page": 25, "total": 1, "total_pages": 1}


@attrs.frozen
class Row:
    """One operation: how it is called, what must be sent, what comes back."""

    call: Callable[[WavixClient], Awaitable[Any]]
    request: str
    answer: Any
    query: dict[str, str] = attrs.field(factory=dict)
    body: Any = None
    result: Any = None
    """What `to_dict` of the result gives; None: the answer itself."""
