"""``elastic-hyperreg serve``: the session in a browser."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .app import app
from .options import DeviceOption, ModelOption, TissuesOption

# The browser's part of the program is not the library's: it stands beside it and is found by name.
PACKAGE = "web"


@app.command()
def serve(
    phantom: Annotated[
        str | None,
        typer.Argument(metavar="thorax|cardiac", help="What --demo opens; usually the thorax."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Open with a phantom pair.")] = False,
    size: Annotated[
        int | None, typer.Option(help="Voxels of the phantom along an axis.", show_default=False)
    ] = None,
    fixed: Annotated[Path | None, typer.Option(help="Open with this scan, which stays.")] = None,
    moving: Annotated[Path | None, typer.Option(help="Scan deformed onto it.")] = None,
    fixed_labels: Annotated[Path | None, typer.Option(help="Tissues of the fixed scan.")] = None,
    moving_labels: Annotated[Path | None, typer.Option(help="Tissues of the moving scan.")] = None,
    tissues: TissuesOption = None,
    initial: Annotated[
        str,
        typer.Option(metavar="none|translation|rigid|affine", help="How their frames are aligned."),
    ] = "affine",
    model: ModelOption = "auto",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of this machine whose images may be opened; none else is."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; other than loopback needs --token. What is sent is not "
            "encrypted: for another machine prefer an SSH tunnel (ssh -L) or an HTTPS proxy."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ELASTIC_HYPERREG_TOKEN",
            help="Secret that every connection needs; in the environment others cannot list it.",
        ),
    ] = None,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser/--no-browser", help="Open the page in your browser, unless there is a token."
        ),
    ] = True,
    max_sessions: Annotated[int, typer.Option(min=1, help="Tabs at a time.")] = 4,
    max_upload: Annotated[
        int, typer.Option(min=1, help="Largest upload, as sent and unpacked, MiB.")
    ] = 2048,
    idle_minutes: Annotated[
        float, typer.Option(min=0.1, help="A session without input or work for so long is closed.")
    ] = 30.0,
    device: DeviceOption = "auto",
) -> None:
    """Serve the registration page on this machine, until Ctrl-C. Research use only."""
    _check(model, device)
    options, run = _page()
    files = {"fixed": fixed, "moving": moving}
    files |= {"fixed_labels": fixed_labels, "moving_labels": moving_labels}
    given = {role: str(path) for role, path in files.items() if path is not None}
    pair = options.PairFiles(given) if given else None
    start = options.Start(tissues, initial, model)
    shown = _demo(options, start, phantom, size) if demo else None
    if shown is None and (phantom is not None or size is not None):
        raise InputError(phantom or f"--size {size}", "--demo before it")
    page = options.PageOptions(shown, pair, start, data, max_upload, device)
    limits = options.Limits(max_sessions, max_upload, idle_minutes)
    run(options.ServeOptions(page, host, port, token, browser, limits), _say)


def _check(model: str, device: str) -> None:
    """Refuse what every tab would; torch is loaded only where there is a choice to look at.

    Raises:
        InputError: no such model or device.
    """
    if (model, device) == ("auto", "auto"):
        return
    from ..engine import RegistrationOptions
    from ..engine.check import check_options

    check_options(RegistrationOptions(model=model, device=device))


def _demo(options: Any, start: Any, phantom: str | None, size: int | None) -> Any:
    """The phantom to open.

    Raises:
        InputError: it is of no known kind, or is to begin otherwise than it does.
    """
    if start != options.Start(model=start.model):
        raise InputError(
            "--demo with --tissues or --initial", "neither: it is aligned, and its tissues named"
        )
    return options.Demo(*([] if phantom is None else [phantom]), size=size, model=start.model)


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
