"""``elastic-hyperreg evaluate``: the metrics of a result, from any program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import (
    ABOUT,
    FixedLabelsOption,
    FixedPointsOption,
    MovingPointsOption,
    TissuesOption,
)


@app.command()
def evaluate(
    fixed_labels: FixedLabelsOption = None,
    warped_labels: Annotated[
        Path | None,
        typer.Option(
            help="Tissues of the moving scan, warped onto the fixed grid.", rich_help_panel=ABOUT
        ),
    ] = None,
    transform: Annotated[
        Path | None, typer.Option(help="ITK transform or displacement field, fixed to moving.")
    ] = None,
    fixed_points: FixedPointsOption = None,
    moving_points: MovingPointsOption = None,
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
