"""`SeenKeys`: which keys a run has met, in little memory however many there are."""

import json
import sqlite3
from collections.abc import Sequence

from wavix_async._sqlite import Database

__all__ = ["SeenKeys"]

_ADD = """
INSERT INTO seen (key) SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING RETURNING key
"""


class SeenKeys:
    """The keys of one run, in a temporary database."""

    def __init__(self) -> None:
        self._database: Database | None = None

    async def add(self, keys: Sequence[str]) -> set[str]:
        """Note some keys, and return those that are new.

        Raises:
            JournalError: The temporary database cannot be written.
        """
        if self._database is None:
            self._database = Database(None)
            await self._database.run(_create)
        return await self._database.run(_add, keys)

    def close(self) -> None:
        """Delete the database."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")


def _add(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    return {key for (key,) in connection.execute(_ADD, (json.dumps(keys),)).fetchall()}
