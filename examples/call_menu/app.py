"""A call menu: it answers calls, plays a greeting, collects a digit, plays the answer and hangs up.

    WAVIX_API_KEY=... WAVIX_WEBHOOK_SECRET=... python -m aiohttp.web -P 8000 examples.call_menu.app:init

Then set `call_status_url` of a number to https://your.host/wavix/<secret>.
"""

import os
from contextlib import suppress

from aiohttp import web

from wavix_async import NotFoundError, WavixClient
from wavix_async.models import CallSubEvent
from wavix_async.webhooks import CallEvent, Webhooks

AUDIO = os.environ.get("MENU_AUDIO", "https://example.com/audio")
ANSWERS = {"1": "opening_hours.wav", "2": "address.wav"}


def make_app(wavix: WavixClient, hooks: Webhooks) -> web.Application:
    """Return the service. Every step is one event of a call, and one request that causes the next event."""
    saying_goodbye: set[str] = set()

    @hooks.on(CallEvent, event_type="ringing", direction="inbound")
    async def answer(call: CallEvent) -> None:
        await wavix.calls.answer(call.call_id, call_recording=True)

    @hooks.on(CallEvent, event_type="answered", direction="inbound")
    async def greet(call: CallEvent) -> None:
        await wavix.calls.play(call.call_id, audio_file=f"{AUDIO}/welcome.wav")

    @hooks.on(CallEvent, event_type="on_call_event", direction="inbound")
    async def go_on(call: CallEvent) -> None:
        event = call.event_payload
        if event is None or event.status == "started":
            return
        with suppress(NotFoundError):  # the caller has hung up
            if event.type == CallSubEvent.COLLECT and event.digits in ANSWERS:
                saying_goodbye.add(call.call_id)
                await wavix.calls.play(call.call_id, audio_file=f"{AUDIO}/{ANSWERS[event.digits]}")
            elif event.type == CallSubEvent.COLLECT or call.call_id in saying_goodbye:
                await wavix.calls.end(call.call_id)
            else:
                question = {"text": "Press 1 for our opening hours, 2 for our address.", "voice": "Joanna"}
                await wavix.calls.collect(call.call_id, max_digits=1, timeout=30, prompt={"say": question})

    @hooks.on(CallEvent, event_type=("completed", "cancelled"), direction="inbound")
    async def forget(call: CallEvent) -> None:
        saying_goodbye.discard(call.call_id)

    async def close(_: web.Application) -> None:
        await wavix.close()

    app = web.Application()
    hooks.add_to(app, "/wavix")
    app.on_cleanup.append(close)
    return app


def init(_: list[str]) -> web.Application:
    """Return the service for `python -m aiohttp.web`."""
    return make_app(WavixClient(), Webhooks(secret=os.environ["WAVIX_WEBHOOK_SECRET"]))
