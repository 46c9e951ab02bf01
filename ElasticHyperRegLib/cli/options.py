"""Options that several commands share, and what they say in ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ElasticityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--elasticity",
        metavar="[TISSUE=]λ,μ",
        help="Resistance to change of volume (λ) and of shape (μ), 0 to 1, together at most 1; "
        "of one tissue, or of all that are not named. May be repeated.",
    ),
]
ElasticityFileOption = Annotated[
    Path | None,
    typer.Option("--elasticity-file", help="JSON {tissue: [λ, μ]}; also a metrics.json."),
]
EstimateOption = Annotated[
    bool, typer.Option("--estimate", help="Find λ and μ for this pair first.")
]
SlidingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sliding",
        metavar="ONE:OTHER[=MM]|scheme",
        help="Border along which two tissues slide, as lung:rest=10 (a band of 10 mm); or those "
        "that the tissue scheme marks. May be repeated.",
    ),
]
TissuesOption = Annotated[
    str | None,
    typer.Option(
        "--tissues",
        metavar="FILE|NAME",
        help="Tissue scheme that names the labels; without --elasticity its presets are used.",
    ),
]
InitialOption = Annotated[
    str,
    typer.Option(
        "--initial",
        metavar="none|translation|rigid|affine|FILE",
        help="How the frames are brought together first; none trusts them as they are.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", metavar="NAME|none|auto", help="Trained model, see models; none: solver only."
    ),
]
RefineOption = Annotated[
    int | None,
    typer.Option(
        "--refine",
        metavar="N",
        help="Iterations of the exact solver at full resolution, at most; 0: the network alone.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to compute.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of everything random.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already.")
]
