"""Run the front until the user stops it."""

from __future__ import annotations

import asyncio
import signal
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from threading import Thread
from urllib.parse import quote

from aiohttp import ClientSession, ClientTimeout
from aiohttp import web as http

from ElasticHyperRegLib.errors import InputError

from .access import Access, add_headers
from .front import CLIENT, SWEEP_SECONDS, Front
from .options import ServeOptions
from .workers import Workers


def run(options: ServeOptions, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or a termination signal; nothing of it is left running.

    Args:
        options: how to serve.
        say: takes the lines for the user.

    Raises:
        InputError: the address cannot be listened on.
        KeyboardInterrupt: the user stopped it.
    """
    asyncio.run(serve(options, say))
    raise KeyboardInterrupt


async def serve(options: ServeOptions, say: Callable[[str], None]) -> None:
    """As ``run``, in a running event loop; returns when it is stopped."""
    workers = Workers(options.page, options.limits)
    app = build(options, workers)
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows raises KeyboardInterrupt by itself
            loop.add_signal_handler(number, stopped.set)
    try:
        await runner.setup()
        await listen(runner, options)
        workers.warm()
        url = page_url(options, runner)
        say(f"Open {url}   (Ctrl-C stops; research use only)")
        # What is opened with stands in the list of processes, where no secret may be.
        if options.browser and options.token is None:
            # A browser of the terminal keeps the call until it is left; nobody waits for it.
            Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        await stopped.wait()
    finally:
        await workers.close_all()
        await runner.cleanup()


def build(options: ServeOptions, workers: Workers) -> http.Application:
    """The front as an aiohttp application."""

    async def context(app: http.Application) -> AsyncIterator[None]:
        async with ClientSession(
            timeout=ClientTimeout(total=None), auto_decompress=False
        ) as client:
            app[CLIENT] = client
            sweeper = asyncio.create_task(sweep(workers))
            yield
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper

    app = http.Application(middlewares=[Access(options.host, options.token).check])
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(context)
    app.add_routes(Front(workers).routes())
    return app


async def sweep(workers: Workers) -> None:
    """Look after the sessions, for ever."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await workers.sweep()


async def listen(runner: http.AppRunner, options: ServeOptions) -> None:
    """Take the port.

    Raises:
        InputError: it is in use, or is not this machine's.
    """
    try:
        await http.TCPSite(runner, options.host, options.port).start()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"the address {options.host}:{options.port} ({reason})",
            "a free port of this machine",
            "leave --port out to have one chosen",
        ) from error


def page_url(options: ServeOptions, runner: http.AppRunner) -> str:
    """The address to open here; it carries the token, which the browser then forgets."""
    host, port = runner.addresses[0][:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    host = f"[{host}]" if ":" in host else host
    query = "" if options.token is None else f"?token={quote(options.token, safe='')}"
    return f"http://{host}:{port}/{query}"
