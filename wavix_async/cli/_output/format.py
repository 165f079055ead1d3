"""Format times and counts for people."""

from datetime import UTC, datetime

__all__ = ["format_count", "format_duration", "format_time", "printable"]


def format_duration(seconds: float) -> str:
    """Return a duration as text: `0 s`, `4.2 s`, `3 min 20 s`, `1 h 05 min`."""
    tenths = round(seconds, 1)
    if tenths < 10 and tenths % 1:
        return f"{tenths:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        parts = [f"{minutes} min"] * bool(minutes) + [f"{left:02} s" if minutes else f"{left} s"] * bool(left)
        return " ".join(parts) or "0 s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02} min" if minutes else f"{hours:,} h"


def format_time(epoch: float) -> str:
    """Return a time as text, in UTC.

    Args:
        epoch: Seconds since 1970.
    """
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def format_count(count: int) -> str:
    """Return `1 number`, or `1,234 numbers`."""
    return f"{count:,} number{'s' * (count != 1)}"


def printable(text: str) -> str:
    """Escape unprintable characters: settings and messages of the API may contain terminal control codes."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)
