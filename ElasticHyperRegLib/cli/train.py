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
    workers: Annotated[
        int, typer.Option(min=1, help="Threads of each process that prepare batches ahead.")
    ] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the logs for TensorBoard, too.")
    ] = False,
) -> None:
    """Train a model; the same command goes on after a kill.

    The folder of the run comes to hold run.json and config.toml (what was run), steps.csv and
    validation.csv (with --tensorboard also tensorboard/), a picture a validation,
    checkpoint.ckpt, and at the end model/NAME with the weights kept and their card. Copy that
    folder into your model folder to use it: see models. Neither --workers nor the logs change the
    weights; --devices and --nodes do, as every process has batches of its own.
    """
    from .extras import training_module

    command = training_module("command")
    hardware = command.Hardware(accelerator, devices, nodes, workers)
    command.train_command(config, data, out, hardware, tensorboard)
