"""Filters of a list: which records match a query parameter."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

Record = dict[str, Any]
"""A record in wire form."""
Predicate = Callable[[Record], bool]
Filter = Callable[[str], Predicate]
"""Turns the text of a query parameter into a predicate; it raises ValueError for a 400 that names the parameter."""


def exact(name: str, *values: str) -> Filter:
    """Keep records whose field equals the text; `values`, if given, are the only allowed texts."""

    def make(text: str) -> Predicate:
        if values and text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return lambda record: record[name] == text

    return make


def containing(name: str) -> Filter:
    """Keep records whose field contains the text."""
    return lambda text: lambda record: text in (record[name] or "")


def prefix(name: str) -> Filter:
    """Keep records whose field begins with the text."""
    return lambda text: lambda record: (record[name] or "").startswith(text)


def contains(name: str) -> Filter:
    """Keep records whose field has the text in it, in small or capital letters."""
    return lambda text: lambda record: text.lower() in (record[name] or "").lower()


def phone(name: str) -> Filter:
    """Keep records whose field is the phone number or sender, with or without a plus sign.

    A plus sign that the client did not encode arrives as a space.
    """
    return lambda text: lambda record: without_plus(record[name] or "") == without_plus(text.strip())


def without_plus(number: str) -> str:
    """Return a phone number in the form that the API compares."""
    return number.removeprefix("+")


def since(name: str) -> Filter:
    """Keep records whose time is on or after the date."""

    def make(text: str) -> Predicate:
        day = _date(text)
        return lambda record: (record[name] or "")[:10] >= day

    return make


def until(name: str) -> Filter:
    """Keep records whose time is on or before the date."""

    def make(text: str) -> Predicate:
        day = _date(text)
        return lambda record: bool(record[name]) and record[name][:10] <= day

    return make


def since_time(name: str) -> Filter:
    """Keep records whose time is at or after a time in UTC."""

    def make(text: str) -> Predicate:
        moment = _moment(text)
        return lambda record: bool(record[name]) and datetime.fromisoformat(record[name]) >= moment

    return make


def until_time(name: str) -> Filter:
    """Keep records whose time is at or before a time in UTC, to the second."""

    def make(text: str) -> Predicate:
        end = _moment(text) + timedelta(seconds=1)
        return lambda record: bool(record[name]) and datetime.fromisoformat(record[name]) < end

    return make


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("a time in UTC such as 2026-06-30T12:00:00 is needed") from None


def _date(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError("a date such as 2026-06-30 is needed")


def naive(at: datetime) -> str:
    """Return a time as the API writes it for 10DLC, in UTC without a zone: `2024-07-24T08:10:49`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(at: datetime) -> str:
    """Return a time as the API writes it, in UTC with milliseconds: `2022-04-14T13:51:16.096Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
