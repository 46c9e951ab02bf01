"""The typer application that the commands join."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def elastic_hyperreg(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Deformable registration in which every tissue deforms like itself. Research use only."""
    if version:
        typer.echo(f"elastic-hyperreg {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
