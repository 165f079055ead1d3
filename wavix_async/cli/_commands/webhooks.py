"""`wavix-async webhooks listen|fire`: see the events that Wavix posts, and post one like it."""

import asyncio
import json
import os
import secrets
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from yarl import URL

from wavix_async import Event, to_dict
from wavix_async import WebhookAnswerEvent as AnswerEvent
from wavix_async.cli._console import err, keep_exit_code, one_line, out, write_json
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._options import Json
from wavix_async.cli._runner import on_stop_signal
from wavix_async.config import is_loopback
from wavix_async.models import Model
from wavix_async.webhooks import KINDS, DeliveryReport, UnknownEvent, Webhooks

__all__ = ["fire", "listen"]

_SECRET: Final = "WAVIX_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_LAST_PORT: Final = 65535
_PRIVATE: Final = frozenset({"message_body", "event_payload"})
"""Fields whose value may be a text or digits, whatever its type."""
_LONGEST: Final = 60
"""Characters of a value in a line."""


# --- listen ---


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
    target = None if forward is None else _check_url("--forward", forward)
    asyncio.run(_listen(port, target, as_json=as_json))


async def _listen(port: int, target: URL | None, *, as_json: bool) -> None:
    if not 0 <= port <= _LAST_PORT:
        raise Quit(ExitCode.USAGE, f"--port must be from 0 to {_LAST_PORT}, not {port}.")
    from aiohttp import web  # `fire` does not need it

    given = os.environ.get(_SECRET)
    hooks = Webhooks(secret=given or secrets.token_urlsafe(24), concurrency=1, observers=[_show_refusal])
    shown = f"/${_SECRET}" if given else hooks.path()
    stop_event, lost = asyncio.Event(), list[OSError]()
    app = web.Application()
    hooks.add_to(app)
    runner = web.AppRunner(app, access_log=None)
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:

        @hooks.on(Model)
        async def show(event: Model) -> None:
            try:
                # In a thread: a reader of the output that pauses must not keep the next events from being answered.
                await asyncio.to_thread(_print, event, as_json=as_json)
            except OSError as error:
                lost.append(error)
                stop_event.set()
            if target is not None:
                await _forward(session, target, event)

        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            try:
                await site.start()
            except OSError as error:
                raise Quit(
                    ExitCode.USAGE, f"Cannot listen on port {port}: {error.strerror}. Use --port 0 to pick a free port."
                ) from None
            _, actual, *_ = runner.addresses[0]
            _say(f"Listening at http://127.0.0.1:{actual}{shown}; press Ctrl-C to stop.")
            with on_stop_signal(lambda _: stop_event.set()):
                await stop_event.wait()
        finally:
            await runner.cleanup()
    if lost:
        raise lost[0]


def _print(event: Model, *, as_json: bool) -> None:
    if as_json:
        write_json(_as_json(event))
    else:
        out().print(_line(event), soft_wrap=True)
    sys.stdout.flush()


def _say(text: str) -> None:
    err().print(text, soft_wrap=True, style="dim")


def _show_refusal(event: Event) -> None:
    """Say why a request shows no event."""
    if isinstance(event, AnswerEvent) and event.result != "stored":
        what = "a request" if event.kind is None else event.kind
        _say(f"Answered {event.status} to {what}: {event.result}.")


async def _forward(session: aiohttp.ClientSession, target: URL, event: Model) -> None:
    try:
        status = await _post(session, target, _body(event))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        _say(f"Not forwarded: {type(error).__name__}.")
        return
    if not 200 <= status < 300:
        _say(f"Forwarded, and answered {status}.")


async def _post(session: aiohttp.ClientSession, target: URL, body: Any) -> int:
    async with session.post(target, json=body, allow_redirects=False) as answer:
        return answer.status


def _body(event: Model) -> Any:
    return event.raw if isinstance(event, UnknownEvent) else to_dict(event)


def _name(event: Model) -> str:
    return next((name for name, kind in KINDS.items() if type(event) is kind and kind is not UnknownEvent), "unknown")


def _as_json(event: Model) -> dict[str, Any]:
    late = {"late": True} if isinstance(event, DeliveryReport) and event.late else {}
    return {"kind": _name(event), **late, "event": _body(event)}


def _line(event: Model) -> str:
    """Return an event in one line, without texts and digits, and without the values of unknown keys."""
    body = {} if isinstance(event, UnknownEvent) else to_dict(event)
    shown = {
        name: str(value)
        for name, value in body.items()
        if name not in event.extra and name not in _PRIVATE and isinstance(value, str | int | float) and value != ""
    }
    message = body.get("message_body")
    text = message if isinstance(message, str) else _inside(message, "text")
    if isinstance(text, str):
        shown["text"] = f"({len(text):,} characters)"
    if "event_payload" in body:
        for name in ("type", "status"):
            value = _inside(body, "event_payload", name) or _inside(body, "event_payload", "payload", name)
            if isinstance(value, str):
                shown[f"payload.{name}"] = value
        if _inside(body, "event_payload", "payload", "digits") is not None:
            shown["payload.digits"] = "***"
    if event.extra:
        shown["more"] = ",".join(map(str, list(event.extra)[:20]))
    if isinstance(event, DeliveryReport) and event.late:
        shown["late"] = "yes"
    facts = " ".join(f"{name}={value[:_LONGEST]}" for name, value in shown.items())
    line = f"{datetime.now(UTC):%H:%M:%S} {_name(event)} {facts}".rstrip()
    return one_line(line)


def _inside(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


# --- fire ---

_NOW: Final = "<now>"
_NEW: Final = "<new>"
_BODIES: Final[Mapping[str, Mapping[str, Any]]] = json.loads("""{
    "on_call": {"id": "<new>", "uuid": "<new>", "direction": "outbound", "event_type": "answered",
        "event_time": "<now>", "event_payload": null, "from": "15125550100", "to": "15125550143",
        "call_started": "<now>", "call_answered": "<now>", "call_completed": null, "machine_detected": false,
        "tag": ""},
    "post_call": {"direction": "outbound", "uuid": "<new>", "destination": "United States", "duration": 6,
        "charge": "0.012", "date": "<now>", "disposition": "answered", "from": "15125550100", "to": "15125550143",
        "per_minute": "0.012"},
    "message": {"message_id": "<new>", "from": "15125550143", "to": "15125550100",
        "message_body": {"text": "Hello", "media": null}, "received_at": "<now>"},
    "dlr": {"message_id": "<new>", "message_type": "sms", "from": "15125550100", "to": "15125550143", "tag": null,
        "status": "delivered", "segments_count": 1, "sent": "<now>", "delivered": "<now>", "error": null,
        "charge": "0.01", "carrier_fees": "0.0"},
    "number": {"number": "15125550100", "campaign_id": "C000001", "brand_id": "B000001", "status": "APPROVED"},
    "campaign": {"campaign_id": "C000001", "brand_id": "B000001", "status": "APPROVED"},
    "brand": {"brand_id": "B000001", "status": "VERIFIED"},
    "file_transcription": {"request_id": "<new>", "status": "completed", "error": null},
    "call_transcription": {"uuid": "<new>", "status": "completed"},
    "voice_campaign": {"id": 1, "status": "completed"}
}""")


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
    if kind not in _BODIES:
        raise Quit(ExitCode.USAGE, f"{kind!r} is not a kind of event: give one of {', '.join(_BODIES)}.")
    status = asyncio.run(_fire(_check_url("--to", to), _make_body(kind, fields)))
    with keep_exit_code():
        out().print(f"Posted an event of the kind {kind}; answered {status}.")
    if 200 <= status < 300:
        return ExitCode.DONE
    return ExitCode.TEMPORARY if status >= 500 else ExitCode.FAILED


async def _fire(target: URL, body: Any) -> int:
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        try:
            return await _post(session, target, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The text of the error has the URL, and with it the secret.
            raise Quit(
                ExitCode.TEMPORARY, f"No answer from {target.host}:{target.port}: {type(error).__name__}."
            ) from None


def _make_body(kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
    made = {_NEW: str(uuid.uuid4()), _NOW: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    body = {name: made.get(value, value) if isinstance(value, str) else value for name, value in _BODIES[kind].items()}
    for option, text in fields.items():
        if kind == "message" and option == "text":
            body["message_body"] = {"text": text, "media": None}
            continue
        name = "to" if option == "recipient" else option.replace("-", "_")
        body[name] = _value(text, body.get(name))
    if kind == "dlr" and body["status"] == "sent" and "delivered" not in fields:
        body["delivered"] = None
    return body


def _value(text: str, sample: Any) -> Any:
    """Return the value of a field: a string where the event has one, because a phone number is not a number."""
    if text == "null":
        return None
    if isinstance(sample, str) or (sample is None and text[:1] not in "{["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_url(option: str, text: str) -> URL:
    """Return the URL of an option.

    Raises:
        Quit: It is not a URL, or it uses http for another machine. The message does not repeat it.
    """
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise Quit(ExitCode.USAGE, f"{option} must be a URL such as https://example.com/wavix/SECRET.")
    if url.scheme == "http" and not is_loopback(url.host):
        raise Quit(ExitCode.USAGE, f"{option} must use https: {url.host} is not this machine.")
    return url
