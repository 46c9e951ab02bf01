"""The process behind one tab: ``python -m web.worker``, started by the front only.

It reads one line of JSON from standard input, writes one with its port to standard output, and
ends when its input does, so that it never outlives the front.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve one page until the front closes the input."""
    given = json.loads(sys.stdin.readline())
    place = Path(given.pop("place"))
    threading.Thread(target=end_with_input, args=(place,), daemon=True).start()
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print belongs in the log
    try:
        serve(given.pop("key"), given, lambda port: tell(answer, port))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def serve(key: str, options: dict[str, Any], ready: Any) -> None:
    """Serve a page, made meanwhile, for ever; ``ready`` is told the port."""
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
    control.on_server_ready.add(lambda **_: ready(server.port))
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


def tell(answer: Any, port: int) -> None:
    """The one line that the front waits for."""
    answer.write(json.dumps({"port": port}) + "\n")
    answer.close()


def end_with_input(place: Path) -> None:
    """Wait until the front lets go, leave nothing behind, and end at once."""
    sys.stdin.read()
    shutil.rmtree(place, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
