"""The process behind one tab: ``python -m web.worker``, started by the front only.

It reads one line of JSON from standard input, writes one with its port to standard output and
one every now and then while it is busy, and ends when its input does, so that it never outlives
the front.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from .routes import Routes

BUSY_SECONDS = 2.0


def main() -> None:
    """Serve one page until the front closes the input."""
    import numpy  # noqa: F401  # on Windows this would wait for the reader of the input below

    given = json.loads(sys.stdin.readline())
    place = Path(given.pop("place"))
    threading.Thread(target=end_with_input, args=(place,), daemon=True).start()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print belongs in the log
    try:
        serve(given.pop("key"), given, answer)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def serve(key: str, options: dict[str, Any], answer: TextIO) -> None:
    """Serve a page, made meanwhile, for ever; ``answer`` goes to the front."""
    # Trame takes a moment, in which the front may already be gone.
    from trame.app import get_server

    from . import shell
    from .options import PageOptions
    from .routes import Routes

    server = get_server("elastic-hyperreg")
    routes = Routes(key)
    shell.build(server)
    control = server.controller
    control.on_server_bind.add(lambda wslink: routes.bind(wslink.app))
    control.on_server_ready.add(lambda **_: tell(answer, json.dumps({"port": server.port})))
    control.on_server_ready.add_task(lambda **_: tell_busy(answer, routes))
    page_options = PageOptions.from_json(options)
    control.on_server_ready.add_task(lambda **_: shell.fill(server, page_options, routes))
    server.start(
        port=0,
        host="127.0.0.1",
        open_browser=False,
        show_connection_info=False,
        disable_logging=True,
        timeout=0,
    )


def tell(answer: TextIO, line: str) -> None:
    """Say one line to the front."""
    answer.write(f"{line}\n")
    answer.flush()


async def tell_busy(answer: TextIO, routes: Routes) -> None:
    """Say, as long as it is so, that the page is busy: what takes long is no idleness."""
    while True:
        await asyncio.sleep(BUSY_SECONDS)
        if routes.page is not None and routes.page.busy:
            tell(answer, "busy")


def end_with_input(place: Path) -> None:
    """Wait until the front lets go, leave nothing behind, and end at once."""
    sys.stdin.read()
    shutil.rmtree(place, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
