"""Operations that the package does not have yet, by the start of their paths: delete a line with its group."""

from __future__ import annotations

from typing import Final

from tests.support.description import DESCRIBED

_GROUPS: Final = (
    "/v1/billing/",
    "/v1/buy/",
    "/v1/short-links",
    "/v1/two-fa/",
    "/v1/validation",
    "/v3/10dlc/",
)

NOT_YET: Final = frozenset(name for name in DESCRIBED if name.partition(" ")[2].startswith(_GROUPS))
"""Their names. At the end there are none."""
