"""Try the service with a local Wavix simulator. It needs no key and no network.

python -m examples.notifications          # the service, until Ctrl-C
python -m examples.notifications --demo   # four notifications, and what becomes of them
"""

import argparse
import asyncio
import os
import secrets
import socket

import aiohttp
import uvicorn

from wavix_async.sandbox import Sandbox


async def serve(port: int, demo: bool) -> None:
    """Run the sandbox and the service in one process."""
    # Carriers reject the first sender, so that the second one has something to do.
    sandbox = Sandbox(1, end_states={"Shop": "rejected", "0007": "undelivered"}, delivery_delay=0 if demo else 6)
    with socket.create_server(("127.0.0.1", port)) as listener:
        async with sandbox:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            os.environ |= {"WAVIX_API_KEY": sandbox.api_key, "WAVIX_BASE_URL": sandbox.url, "PUBLIC_URL": url}
            os.environ["WAVIX_WEBHOOK_SECRET"] = secrets.token_urlsafe(32)
            from examples.notifications.app import app, hooks  # it reads the environment

            sandbox.sms_relay_url = f"{url}/wavix{hooks.path()}"
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                if demo:
                    await play(sandbox, url)
                    server.should_exit = True
                else:
                    example = '{"to": "+1 512 555 0143", "text": "Hello"}'
                    print(f"Send a notification:\ncurl {url}/notifications --json '{example}'", flush=True)
                await serving
            finally:
                serving.cancel()


async def play(sandbox: Sandbox, url: str) -> None:
    """Send notifications as another service would, and print what becomes of them."""
    async with aiohttp.ClientSession(url) as session:

        async def notify(to: str) -> str:
            async with session.post("/notifications", json={"to": to, "text": "Your order has left."}) as response:
                notification = await response.json()
            while not notification["settled"]:
                await asyncio.sleep(0.05)
                async with session.get(f"/notifications/{notification['id']}") as response:
                    notification = await response.json()
            return f"{to}: {notification['status']}, tried {' and '.join(notification['attempts'])}"

        print(await notify("+1 (512) 555-0143"))
        print(await notify("+1 (512) 555-0007"))
        sandbox.fail_next("reset_after", match="POST /v3/messages")
        print(await notify("+1 (512) 555-0144"))
        sandbox.inbound_message("+15125550143", "15072429497", "STOP")
        while ("15125550143", None) not in sandbox.opt_outs:  # noqa: ASYNC110 - another process could only ask, too
            await asyncio.sleep(0.05)
        print(await notify("+1 (512) 555-0143"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.notifications", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="the port on 127.0.0.1 (default: 8000)")
    parser.add_argument("--demo", action="store_true", help="send a few notifications, print what becomes of them, end")
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.port, given.demo))
    except KeyboardInterrupt:
        pass
    except OSError as error:  # the port is in use
        parser.error(str(error))


if __name__ == "__main__":
    main()
