"""`wavix-async webhooks listen|fire`: see the events that Wavix posts, and post one like it."""

import asyncio

from wavix_async.cli._console import keep_exit_code, out
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._options import Json

__all__ = ["fire", "listen"]


def listen(*, port: int = 8000, forward: str | None = None, as_json: Json = False) -> None:
    """Receive events on this machine and print them, until Ctrl-C.

    The server listens on 127.0.0.1 only: use a tunnel to let Wavix reach it. Its URL ends with the secret in
    WAVIX_WEBHOOK_SECRET, or with a random one. A line shows neither the text of a message nor digits that were pressed.

    Example: `wavix-async webhooks listen --port 8000`

    Args:
        port: The port on 127.0.0.1; 0 picks a free port.
        forward: A URL that gets a copy of each event, once; https, or http on this machine.
        as_json: Print NDJSON: one event per line, with all fields, texts and digits included.
    """
    from wavix_async.cli import _webhooks

    target = None if forward is None else _webhooks.check_url("--forward", forward)
    asyncio.run(_webhooks.listen(port, target, as_json=as_json))


def fire(kind: str, /, *, to: str, **fields: str) -> int:
    """Post an event to a URL, as Wavix would.

    The event has a new id and the time of now, unless you give them. Kinds: on_call, post_call, message, dlr, number,
    campaign, brand, file_transcription, call_transcription, voice_campaign.

    Example: `wavix-async webhooks fire dlr --to http://127.0.0.1:8000/wavix/SECRET --status undelivered`

    Args:
        kind: The kind of the event, such as `dlr`.
        to: The URL, with your secret in its path; https, or http on this machine.
        fields: Fields of the event, such as `--status sent`; `null` means null. Give an object or a list as JSON. The
            field `to` is `--recipient`, and `--text` is the text of a `message`.
    """
    from wavix_async.cli import _webhooks

    if kind not in _webhooks.BODIES:
        raise Quit(ExitCode.USAGE, f"{kind!r} is not a kind of event: give one of {', '.join(_webhooks.BODIES)}.")
    status = _webhooks.fire(kind, _webhooks.check_url("--to", to), fields)
    with keep_exit_code():
        out().print(f"Posted an event of the kind {kind}; answered {status}.")
    if 200 <= status < 300:
        return ExitCode.DONE
    return ExitCode.TEMPORARY if status >= 500 else ExitCode.FAILED
