"""``elastic-hyperreg evaluate``: the metrics of a result, from any program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import TissuesOption


@app.command()
def evaluate(
    fixed_labels: Annotated[Path | None, typer.Option(help="Tissues of the fixed scan.")] = None,
    warped_labels: Annotated[
        Path | None, typer.Option(help="Tissues of the moving scan, warped onto the fixed grid.")
    ] = None,
    transform: Annotated[
        Path | None, typer.Option(help="ITK transform or displacement field, fixed to moving.")
    ] = None,
    fixed_points: Annotated[Path | None, typer.Option(help="Landmarks of the fixed scan.")] = None,
    moving_points: Annotated[Path | None, typer.Option(help="The same of the moving scan.")] = None,
    tissues: TissuesOption = None,
) -> None:
    """Measure a result; JSON on standard output.

    Dice, HD95 and surface distance of the labels; landmark error, where the transform carries the
    fixed points to the moving scan (without a transform the points are compared as they are);
    folds and volume change of the transform on the grid of the labels.
    """
    import json

    from .evaluation import Evidence, evaluate_files

    evidence = Evidence(fixed_labels, warped_labels, transform, fixed_points, moving_points)
    typer.echo(json.dumps(evaluate_files(evidence, tissues), indent=2, ensure_ascii=False))
