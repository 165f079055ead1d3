"""`UNSET`, and type aliases for public signatures."""

import enum
from typing import Final, Literal, TypeAlias

__all__ = ["UNSET", "Outcome", "UnsetType"]


class UnsetType(enum.Enum):
    """The type of `UNSET`; write `str | None | UnsetType` for a field that can be left out, cleared or set."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        """Return False, so that `if update.sms_relay_url:` skips a field that is not set."""
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = UnsetType.UNSET
"""The value of a field that is not sent, so that it keeps its value. `None` is sent as null and clears the field."""

Outcome: TypeAlias = Literal["not_sent", "rejected", "unknown"]
"""What is known about a failed call: it was never sent, the API rejected it, or it may have been carried out."""
