"""Read a request: its ids, the filters and pages in the query, and the fields of a JSON body."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from wavix_async.sandbox._server import invalid, json_object

__all__ = ["json_object"]

DEFAULT_PER_PAGE = 25
MAX_PER_PAGE = 100

Check = Callable[[str, Any], None]
"""Raises a 400 that names the field if its value is wrong."""


# --- query and path ---


def read_id(text: str) -> int:
    """Return an id from the path.

    Raises:
        ApiError: 400, the text is not a number.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise invalid("id")
    return int(text)


def positive(name: str, text: str) -> int:
    """Return a whole number above 0.

    Raises:
        ApiError: 400 with the name of the parameter.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
        raise invalid(name)
    return int(text)


def paging(given: Mapping[str, str]) -> tuple[int, int]:
    """Return the page and the page size from a query; a size above 100 becomes 100.

    Raises:
        ApiError: 400 with the name of the parameter.
    """
    page = positive("page", given.get("page", "1"))
    return page, min(positive("per_page", given.get("per_page", str(DEFAULT_PER_PAGE))), MAX_PER_PAGE)


def pagination(page: int, per_page: int, total: int) -> dict[str, int]:
    """Return the pagination object of a list; an empty list has one page, as in the live API."""
    return {
        "current_page": page,
        "per_page": per_page,
        "total": total,
        "total_pages": max(1, -(-total // per_page)),
    }


# --- body ---


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_int(value: Any) -> bool:
    return type(value) is int


def is_text(value: Any) -> bool:
    """Return whether a value is text with more than spaces."""
    return isinstance(value, str) and bool(value.strip())


def is_url(value: Any) -> bool:
    """Return whether a value is an http or https URL."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def check(test: Callable[[Any], bool], hint: str = "") -> Check:
    """Return a check that a value passes `test`."""

    def run(name: str, value: Any) -> None:
        if not test(value):
            raise invalid(name, hint)

    return run


BOOL = check(is_bool)
TEXT = check(is_text)
URL = check(is_url)


def one_of(*values: str) -> Check:
    """Return a check that a value is one of these."""
    return check(lambda value: isinstance(value, str) and value in values, f"one of {', '.join(values)}")


def list_of(item: Check, most: int | None = None) -> Check:
    """Return a check that a value is an array of at most `most` items that all pass `item`."""

    def run(name: str, value: Any) -> None:
        if not isinstance(value, list) or (most is not None and len(value) > most):
            raise invalid(name, "" if most is None else f"an array of at most {most} items is needed")
        for at, one in enumerate(value):
            item(f"{name}[{at}]", one)

    return run


def nullable(inner: Check) -> Check:
    """Return a check that a value is null or passes `inner`."""

    def run(name: str, value: Any) -> None:
        if value is not None:
            inner(name, value)

    return run


def rules(checks: Mapping[str, Check]) -> Check:
    """Return a check of what the API's description does not say of some fields of an object, where they are given."""

    def run(name: str, value: Any) -> None:
        for one, rule in checks.items():
            if one in value:
                rule(f"{name}.{one}" if name else one, value[one])

    return run


def fields(checks: Mapping[str, Check], required: Collection[str] = ()) -> Check:
    """Return a check that a value is an object with these fields and no others.

    A wrong or unknown field gets a 400 that names it. The live API may accept unknown fields, but a sandbox that
    accepts a misspelled name would hide the caller's mistake.
    """

    def run(name: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise invalid(name or "body", "a JSON object is needed")
        before = f"{name}." if name else ""
        for one in required:
            if one not in value:
                raise invalid(f"{before}{one}")
        for one, content in value.items():
            if one not in checks:
                raise invalid(f"{before}{one}", "unknown field")
            checks[one](f"{before}{one}", content)

    return run
