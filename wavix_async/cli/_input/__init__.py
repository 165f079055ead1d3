"""Read changes from options and from the rows of a file."""

from wavix_async.cli._input.change_flags import NO_CHANGES, Changes, flag_values, update_from_flags
from wavix_async.cli._input.rows import RowCheck, Rows, open_input, open_rows
from wavix_async.cli._input.tracked_rows import TrackedRows
from wavix_async.cli._input.write_back import WriteBack, check_outputs

__all__ = [
    "NO_CHANGES",
    "Changes",
    "RowCheck",
    "Rows",
    "TrackedRows",
    "WriteBack",
    "check_outputs",
    "flag_values",
    "open_input",
    "open_rows",
    "update_from_flags",
]
