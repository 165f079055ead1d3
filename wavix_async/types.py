"""UNSET, and the aliases that the public signatures use."""

import enum
from typing import Final, Literal, TypeAlias

__all__ = ["UNSET", "Outcome", "UnsetType"]


class UnsetType(enum.Enum):
    """The type of `UNSET`; write `str | None | UnsetType` for a field that can be left out, cleared or set."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        """Return False, so that `if update.label:` reads naturally."""
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = UnsetType.UNSET
"""Leave this field as it is: it is not sent. `None` is sent as null and clears the field."""

Outcome: TypeAlias = Literal["not_sent", "rejected", "unknown"]
"""What is known of a failed call: it never left, the API refused it, or it may have been carried out."""
