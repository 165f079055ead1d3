"""The exit codes of the command line."""

import enum
import errno
from typing import TYPE_CHECKING

from wavix_async import AuthenticationError, BulkReport, InputError, WavixError
from wavix_async.fleet import JournalError, SafetyError

if TYPE_CHECKING:
    from wavix_async.fleet import FleetReport

__all__ = ["ExitCode", "Quit", "code_for_error", "code_for_fleet", "code_for_report", "is_disk_full"]


class ExitCode(enum.IntEnum):
    """The exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    DIFFERENT = 4
    TEMPORARY = 5
    INTERRUPTED = 130


class Quit(Exception):  # noqa: N818 - not always an error
    """Raise this to end the command with an exit code and a message for stderr."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def code_for_error(error: WavixError) -> ExitCode:
    """Return the exit code for a call that failed."""
    if is_disk_full(error):
        return ExitCode.TEMPORARY
    if isinstance(error, SafetyError):
        return ExitCode.REFUSED
    # A key that the API does not accept is a wrong setting, as a missing key is.
    if isinstance(error, AuthenticationError):
        return ExitCode.USAGE
    # A journal that another process uses becomes free later. Any other journal error means that the file is wrong.
    if isinstance(error, InputError) or (isinstance(error, JournalError) and not error.retryable):
        return ExitCode.USAGE
    if error.retryable or error.outcome != "rejected":
        return ExitCode.TEMPORARY
    return ExitCode.FAILED


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether a full disk, or a full quota, is the cause of an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        error = error.__cause__
    return False


def code_for_report(report: BulkReport) -> ExitCode:
    """Return the exit code for a finished bulk run."""
    if isinstance(report.stopped_by, AuthenticationError) and not report.succeeded:
        return ExitCode.USAGE
    if report.failed:
        return ExitCode.FAILED
    if report.unknown or report.not_sent:
        return ExitCode.TEMPORARY
    return ExitCode.DONE


def code_for_fleet(report: "FleetReport") -> ExitCode:
    """Return the exit code for a fleet run. A run in progress is `TEMPORARY`."""
    if report.is_running:
        return ExitCode.TEMPORARY
    if report.refused_by_safety:
        return ExitCode.REFUSED
    if report.failed:
        return ExitCode.FAILED
    return ExitCode.DONE if report.finished else ExitCode.TEMPORARY
