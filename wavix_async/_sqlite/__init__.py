"""Sqlite files that survive their process: a database in a thread of its own, and checks for damage.

`fleet` keeps plans and journals in them, and `bulk` the journal of a run that must send nothing twice.
"""

from wavix_async._sqlite.database import Database, transaction, translate_errors
from wavix_async._sqlite.journal_file import (
    begin_writing,
    check_exists,
    lock_journal,
    open_journal,
    read_journal,
    read_meta,
)

__all__ = [
    "Database",
    "begin_writing",
    "check_exists",
    "lock_journal",
    "open_journal",
    "read_journal",
    "read_meta",
    "transaction",
    "translate_errors",
]
