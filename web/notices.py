"""The few pages that are shown when there is no session to show."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web as http

STYLE = """
:root { color-scheme: light dark; font: 1.1rem/1.5 Roboto, system-ui, sans-serif; }
body { min-height: 90vh; display: grid; place-content: center; text-align: center; margin: 1rem; }
small { opacity: .7; }
"""


@dataclass(frozen=True)
class Notice:
    """A heading, what to do, and an address that the browser asks for next, if any."""

    title: str
    text: str
    then: str = ""


READY = "ready"
"""Query that is answered when the session is; until then the browser shows what it has."""
STARTING = Notice("Starting a session …", "This takes a few seconds.", f"?{READY}")
FULL = Notice(
    "All sessions are in use",
    "Close another tab, then <a href='/'>try again</a>. "
    "Whoever runs this server can allow more with --max-sessions.",
)
GONE = Notice(
    "This session is closed",
    "It was left alone for long, or the server was restarted. <a href='/'>Start a new one</a>.",
)


def failed(log: str) -> Notice:
    """The session came to an end by itself."""
    return Notice(
        "The session ended by a fault of this program",
        f"Please report it with the file {log} of the server. <a href='/'>Start a new one</a>.",
    )


def notice(what: Notice, status: int) -> http.Response:
    """``what`` as a small page."""
    again = f"<meta http-equiv=refresh content='0; url={what.then}'>" if what.then else ""
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8>{again}"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>ElasticHyperReg</title><style>{STYLE}</style>"
        f"<main><h1>{what.title}</h1><p>{what.text}</p>"
        "<small>Research use only, not for clinical decisions.</small></main></html>"
    )
    return http.Response(text=page, status=status, content_type="text/html")
