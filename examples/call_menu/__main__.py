"""Call the menu in a local Wavix simulator, and print what happens. It needs no key and no network.

python -m examples.call_menu --press 2
"""

import argparse
import asyncio
import secrets

from aiohttp import web

from examples.call_menu.app import make_app
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox
from wavix_async.webhooks import CallEvent, Webhooks


async def call(key: str) -> None:
    """Run the service, call it once, and press a key when it asks for one."""
    hooks = Webhooks(secret=secrets.token_urlsafe(32))
    over = asyncio.Event()
    async with Sandbox(numbers=1) as sandbox:
        wavix = WavixClient(sandbox.api_key, base_url=sandbox.url)
        app = make_app(wavix, hooks)

        @hooks.on(CallEvent)
        async def play_the_caller(event: CallEvent) -> None:
            happened = event.event_payload
            if happened is None:
                print(event.event_type.value, flush=True)
            else:
                print(f"  {happened.type.value} {happened.status} {happened.digits or ''}".rstrip(), flush=True)
                if happened.digits is not None and happened.status == "started":
                    sandbox.press(event.call_id, key)
            if event.is_over:
                over.set()

        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            (number,) = sandbox.numbers.values()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/wavix{hooks.path(CallEvent)}"
            await wavix.numbers.update(number["id"], call_status_url=url)
            ringing = sandbox.inbound_call("+1 512 555 0143", number["number"])
            await over.wait()
            cdr = await wavix.cdrs.get(ringing["id"])
            print(f"{cdr.disposition.value}, {len(sandbox.recordings)} recording", flush=True)
        finally:
            await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.call_menu", description=__doc__.splitlines()[0])
    parser.add_argument("--press", default="1", choices=list("0123456789*#"), help="the key to press (default: 1)")
    asyncio.run(call(parser.parse_args().press))


if __name__ == "__main__":
    main()
