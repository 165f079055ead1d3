"""`wavix-async doctor|whoami|explain`: find out why something does not work."""

import asyncio
import json
import sys

from attrs import asdict

from wavix_async.cli._console import printable, suppress_broken_pipe
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._options import CONNECTION, Connection, Json
from wavix_async.doctor import Account
from wavix_async.doctor import doctor as examine
from wavix_async.doctor import explain as meanings_of
from wavix_async.doctor import whoami as read_account

__all__ = ["doctor", "explain", "whoami"]


def doctor(*, webhooks: bool = True, as_json: Json = False, connection: Connection = CONNECTION) -> int:
    """Find out why something does not work, and what to do.

    It checks the key, the network, the clock, the scopes, the limit and the webhook URLs, one line each, and changes
    nothing. The exit code is 1 if a check failed, 5 if waiting may mend it, and 0 if none failed.

    Example: `wavix-async doctor --profile eu`

    Args:
        webhooks: Connect to the webhook URLs of the account; no request is sent to them.
        as_json: Print JSON for support: it has no key and no password.
        connection: How to reach the API.
    """
    url, rate, timeout = connection.base_url, connection.rate, connection.timeout
    report = asyncio.run(examine(connection.profile, webhooks=webhooks, base_url=url, rate=rate, timeout=timeout))
    _write(report.to_json() if as_json else str(report))
    if report.ok:
        return ExitCode.DONE
    return ExitCode.TEMPORARY if report.temporary else ExitCode.FAILED


def whoami(*, as_json: Json = False, connection: Connection = CONNECTION) -> None:
    """Show the account of your key: balance, limits, latest statement.

    Example: `wavix-async whoami`

    Args:
        as_json: Print JSON.
        connection: How to reach the API.
    """

    async def read() -> Account:
        async with connection.client() as wavix:
            return await read_account(wavix)

    account = asyncio.run(read())
    _write(json.dumps(asdict(account), default=str) if as_json else str(account))


def explain(code: str, /, *, as_json: Json = False) -> None:
    """Say what an error code, a status or an error class means.

    It sends nothing. Groups of the API use the same numbers for different things: all meanings are listed.

    Example: `wavix-async explain 26`

    Args:
        code: Such as 26, 091, undelivered, 429 or OutcomeUnknownError.
        as_json: Print JSON.
    """
    meanings = meanings_of(code)
    if not meanings:
        raise Quit(
            ExitCode.FAILED,
            f"Nothing published is known of {code!r}. Ask Wavix support, with the request id and the time.",
        )
    _write(json.dumps([asdict(each) for each in meanings]) if as_json else "\n".join(map(str, meanings)))


def _write(text: str) -> None:
    # The exit code stays that of the check if the reader has gone, as in `| head -1`.
    with suppress_broken_pipe():
        sys.stdout.write(f"{printable(text)}\n")
