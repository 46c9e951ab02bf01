"""``elastic-hyperreg demo``: the main job on data that the package makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import DeviceOption, ModelOption, OverwriteOption


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path(
        "elastic-hyperreg-demo"
    ),
    size: Annotated[int, typer.Option(help="Voxels along each axis of the phantom.")] = 96,
    seed: Annotated[int, typer.Option(help="The patient: anatomy, stiffness, breath, noise.")] = 0,
    model: ModelOption = "auto",
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Make a breathing thorax, register it and compare with the true deformation."""
    from .demonstration import demonstrate

    demonstrate(out, size, seed, model, device, overwrite)
