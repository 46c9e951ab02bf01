"""``elastic-hyperreg serve``: the session in a browser."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .app import app
from .options import DeviceOption

# The browser's part of the program is not the library's: it stands beside it and is found by name.
PACKAGE = "web"


@app.command()
def serve(
    demo: Annotated[bool, typer.Option("--demo", help="Open with the phantom pair.")] = False,
    size: Annotated[int, typer.Option(help="Voxels along each axis of the phantom.")] = 64,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of this machine whose images may be opened; none else is."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    token: Annotated[
        str | None,
        typer.Option(envvar="ELASTIC_HYPERREG_TOKEN", help="Secret that every connection needs."),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")
    ] = True,
    max_sessions: Annotated[int, typer.Option(min=1, help="Tabs at a time.")] = 4,
    max_upload: Annotated[int, typer.Option(min=1, help="Largest upload, MiB.")] = 2048,
    idle_minutes: Annotated[
        float, typer.Option(min=0.1, help="A session without input for so long is closed.")
    ] = 30.0,
    device: DeviceOption = "auto",
) -> None:
    """Serve the registration page on this machine, until Ctrl-C. Research use only."""
    options, run = _page()
    page = options.PageOptions(size if demo else None, data, max_upload, device)
    limits = options.Limits(max_sessions, max_upload, idle_minutes)
    run(options.ServeOptions(page, host, port, token, browser, limits), _say)


def _page() -> tuple[Any, Any]:
    """The module of options, and what runs them.

    Raises:
        InputError: the page or what it needs is not installed.
    """
    try:
        return (
            importlib.import_module(f"{PACKAGE}.options"),
            importlib.import_module(f"{PACKAGE}.serve").run,
        )
    except ModuleNotFoundError as error:
        raise InputError(
            f"serve without the package {error.name}",
            "the browser application",
            'run pip install "elastic-hyperreg[app]"',
        ) from error


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
