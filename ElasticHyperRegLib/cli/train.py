"""``elastic-hyperreg train``: a model from a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What to train, and how.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a killed run goes on there.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data set, as published; none for a synthetic one."),
    ] = None,
    accelerator: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|mps", help="What to train on.")
    ] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processors or GPUs of each node.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
) -> None:
    """Train a model; the same command goes on after a kill.

    The folder of the run comes to hold run.json and config.toml (what was run), steps.csv and
    validation.csv, a picture a validation, checkpoint.ckpt, and at the end model/NAME with the
    best weights and their card. Copy that folder into your model folder to use it: see models.
    """
    from .extras import training_module

    command = training_module("command")
    command.train_command(config, data, out, command.Hardware(accelerator, devices, nodes))
