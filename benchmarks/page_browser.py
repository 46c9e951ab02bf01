"""A browser to measure the memory of: driven, but keeping nothing for an inspector.

Playwright asks the browser to report the network, and whoever asks for that is kept, by the page's
own process, the bytes of everything it has loaded, up to 200 MB, in case they are asked for too.
A page whose every picture is loaded anew grows by that alone. Users' browsers keep none; so a relay
between Playwright and the browser says in that request that 0 bytes are to be kept.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, WSMsgType, web

from Testing.web.conftest import browser_program

PLAIN = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
)
"""As Playwright starts it, as far as it matters here."""
LISTENS = '"Network.enable"'
KEEPS_NOTHING = {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}
STOP_SECONDS = 30


@dataclass(frozen=True)
class Driven:
    """A browser.

    Attributes:
        driver: Playwright's.
        pid: of its first process, the parent of all others.
    """

    driver: Any
    pid: int


@contextmanager
def browsing() -> Iterator[Driven]:
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    program = browser_program()
    assert program is not None, "no chromium; on Debian: apt-get install chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *PLAIN, "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            with relayed(_address(process)) as address, sync_playwright() as started:
                driver = started.chromium.connect_over_cdp(address)
                yield Driven(driver, process.pid)
                driver.close()
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _address(process: subprocess.Popen[str]) -> str:
    """Where the browser is to be spoken to; what it says afterwards is read and dropped."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"ws://\S+", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[0]
    raise AssertionError("chromium ended before it could be spoken to")


def quietened(text: str) -> str:
    """A message to the browser, which is to keep no bytes of what it reports."""
    if LISTENS not in text:
        return text
    message = json.loads(text)
    if message.get("method") == "Network.enable":
        message["params"] = KEEPS_NOTHING
    return json.dumps(message)


@contextmanager
def relayed(browser: str) -> Iterator[str]:
    """Address whose messages go on to ``browser``, see ``quietened``."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    found: list[int] = []

    async def serve() -> None:
        application = web.Application()
        application.router.add_get("/", lambda request: _relay(request, browser))
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.append(runner.addresses[0][1])
        ready.set()

    def run() -> None:
        loop.create_task(serve())
        loop.run_forever()

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(STOP_SECONDS), "the relay did not start"
    yield f"ws://127.0.0.1:{found[0]}/"
    loop.call_soon_threadsafe(loop.stop)


async def _relay(request: web.Request, browser: str) -> web.WebSocketResponse:
    near = web.WebSocketResponse(max_msg_size=0)
    await near.prepare(request)
    async with ClientSession() as client, client.ws_connect(browser, max_msg_size=0) as far:
        back = asyncio.ensure_future(_pass_on(far, near.send_str))
        await _pass_on(near, lambda text: far.send_str(quietened(text)))
        back.cancel()
    return near


async def _pass_on(messages: Any, send: Callable[[str], Awaitable[None]]) -> None:
    async for message in messages:
        if message.type == WSMsgType.TEXT:
            await send(message.data)
