"""`Drift`: one way in which an answer is not as documented."""

from typing import Any, Literal

import attrs

from wavix_async._codec.values import Value
from wavix_async.errors import DecodeError

__all__ = ["Drift", "drift_error"]


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


def drift_error(drifts: list[Drift], **facts: Any) -> DecodeError:
    """Return the error that strict decoding raises for these drifts."""
    paths = tuple(map(str, drifts))
    more = f" (and {len(paths) - 3} more)" if len(paths) > 3 else ""
    return DecodeError(f"The answer is not as documented: {'; '.join(paths[:3])}{more}", paths=paths, **facts)
