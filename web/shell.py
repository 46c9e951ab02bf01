"""The page before there is one: the browser loads what every page needs while Python still does."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html, rca
from trame_server import Server
from trame_slicer import module as trame_slicer_module

from .options import PageOptions
from .routes import Routes
from .state import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .page import Page

STYLES = ["page/page.css"]
SCRIPTS = ["page/page.js"]
LOG = logging.getLogger(__name__)


def build(server: Server) -> None:
    """Name everything that the browser is to load; it says that a session starts."""
    for module in (trame_slicer_module, {"styles": STYLES, "scripts": SCRIPTS}):
        server.enable_module(module)
    for widgets in (client, html, rca):
        widgets.initialize(server)
    server.state.update(DEFAULTS)
    with VAppLayout(server) as layout:
        layout.root.theme = ("theme",)
        html.Div("Starting a session …", classes="curtain")


async def fill(server: Server, options: PageOptions, routes: Routes) -> None:
    """Make the page of a server that runs already, and run it.

    Torch and VTK take seconds to load, so they are loaded beside the server. A page that cannot be
    made ends the process, for the front to tell.
    """
    try:
        make = await asyncio.to_thread(loaded, options)
        with server.state:
            page = make(server)
        routes.page = page
    except Exception:
        LOG.exception("the page could not be made")
        os._exit(1)
    await page.run()


def loaded(options: PageOptions) -> Callable[[Server], Page]:
    """What makes the page; the phantom that was asked for is on its way."""
    from .demo import start_demo

    demo = None if options.demo is None else start_demo(options.demo)
    from .page import Page

    return partial(Page, options=options, demo=demo)
