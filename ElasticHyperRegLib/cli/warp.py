"""``elastic-hyperreg warp``: apply a saved transform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import OverwriteOption


@app.command()
def warp(
    transform: Annotated[Path, typer.Option(help="A transform.h5, or any ITK transform.")],
    reference: Annotated[Path, typer.Option(help="The fixed scan, or a volume on its grid.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    image: Annotated[Path | None, typer.Option(help="Volume in the moving frame.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Label map in the moving frame.")] = None,
    points: Annotated[Path | None, typer.Option(help="Landmarks in the moving frame.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Bring an image, a label map or landmarks of the MOVING scan into the FIXED frame.

    Images and labels are resampled onto the grid of the reference, linearly and by nearest
    neighbour. Points go the same way, moving to fixed, for which the transform is inverted
    numerically; how well that went is reported. For the opposite way give inverse.h5 as transform
    and the moving scan as reference.
    """
    from .warp_files import warp_file

    warp_file(
        transform, reference, {"image": image, "labels": labels, "points": points}, out, overwrite
    )
