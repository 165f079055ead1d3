"""Values of numpy and pandas, recognized without an import of either."""

from typing import Any

__all__ = ["is_empty", "plain_scalar"]


def plain_scalar(value: Any) -> Any:
    """Return the Python value of a numpy scalar, and any other value as it is."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def is_empty(value: Any) -> bool:
    """Return whether a value is what pandas puts into an empty cell: NaN, NA or NaT."""
    return (isinstance(value, float) and value != value) or type(value).__name__ in {"NAType", "NaTType"}
