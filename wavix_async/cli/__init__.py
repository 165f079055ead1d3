"""The command line `wavix-async`, which needs the extra `cli` (cyclopts and rich).

`main` can be imported without the extra: it then says how to install it.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_EXTRA = frozenset({"cyclopts", "rich"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the program's name. Default: those of this process.

    Returns:
        The exit code: 0 all done, 1 some failed, 2 wrong usage or bad input, 3 refused by a safety limit or not
        confirmed, 4 a difference, 5 temporary, 130 interrupted.
    """
    from wavix_async.cli._process import own_process

    try:
        with own_process():
            return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        # The imports take a moment, and so does the end.
        return 130


def _run(argv: Sequence[str]) -> int:
    try:
        from wavix_async.cli._app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        sys.stderr.write(f"wavix-async needs {missing}, which is not installed: pip install 'wavix-async[cli]'\n")
        return 2
    return run(argv)
