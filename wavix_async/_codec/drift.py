"""`Drift`: one way in which an answer is not as documented."""

from typing import Any, Literal

import attrs

from wavix_async._codec.values import Value
from wavix_async.errors import DecodeError

__all__ = ["Drift", "Drifts", "drift_error"]


@attrs.frozen(eq=False, repr=False)
class Drift(Value):
    """One way in which an answer is not as documented."""

    model: str
    """The model's class name, or the type of an answer that is not an object."""
    field: str
    """The field as the API spells it; empty for a whole object."""
    kind: Literal["missing", "null", "type", "unknown"]
    path: str
    """The JSON path of the deviation: `$.items[3].status`."""
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, found {self.found}"


class Drifts(list[Drift]):
    """The drifts of one answer: the first ones, one of each further kind, and how many more there were."""

    more: int = 0
    """Drifts of the answer that are not in the list: an answer of nothing but drift must not fill the memory."""


def drift_error(drifts: list[Drift], *, more: int = 0, **facts: Any) -> DecodeError:
    """Return the error that strict decoding raises for these drifts, and for `more` that were not kept."""
    paths = tuple(map(str, drifts))
    count = len(paths) - 3 + more
    more_of_them = f" (and {count:,} more)" if count > 0 else ""
    return DecodeError(f"The answer is not as documented: {'; '.join(paths[:3])}{more_of_them}", paths=paths, **facts)
