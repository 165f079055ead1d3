"""How the command line ends: the exit codes, and which end has which."""

import enum

from wavix_async import BulkReport, InputError, WavixError

__all__ = ["ExitCode", "Quit", "code_for_error", "code_for_report"]


class ExitCode(enum.IntEnum):
    """The exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    TEMPORARY = 5
    INTERRUPTED = 130


class Quit(Exception):  # noqa: N818 - an end, not always an error
    """End the command with a code and a message for stderr."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def code_for_error(error: WavixError) -> ExitCode:
    """Return the exit code for a call that failed."""
    if isinstance(error, InputError):
        return ExitCode.USAGE
    if error.retryable or error.outcome != "rejected":
        return ExitCode.TEMPORARY
    return ExitCode.FAILED


def code_for_report(report: BulkReport) -> ExitCode:
    """Return the exit code for a bulk run that came to its end."""
    if report.failed:
        return ExitCode.FAILED
    if report.unknown or report.not_sent:
        return ExitCode.TEMPORARY
    return ExitCode.DONE
