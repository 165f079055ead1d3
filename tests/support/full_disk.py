"""Disks that take no more, without one: sqlite itself says that the disk is full."""

from __future__ import annotations

import sqlite3
from typing import Any

_connect = sqlite3.connect
_pages: int | None = None


def limit_journals(pages: int | None) -> None:
    """Let files that are opened from now on grow to so many pages of 4,096 bytes only; None: no limit."""
    global _pages
    _pages = pages
    sqlite3.connect = _connect if pages is None else _limited  # type: ignore[assignment]


def _limited(name: Any, *args: Any, **options: Any) -> sqlite3.Connection:
    connection = _connect(name, *args, **options)
    if name:
        connection.execute(f"PRAGMA max_page_count = {_pages}")
    return connection
