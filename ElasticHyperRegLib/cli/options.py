"""Options that several commands share, and what they say in ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ABOUT, ELASTIC, HOW = "What is known about the scans", "λ and μ", "How it is done"
"""Headings in ``--help``."""

FixedOption = Annotated[
    Path, typer.Option("--fixed", help="Scan that stays; a file or a DICOM folder.")
]
MovingOption = Annotated[Path, typer.Option("--moving", help="Scan that is deformed onto it.")]
FixedLabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--fixed-labels",
        help="Tissues of the fixed scan: NIfTI, NRRD (.seg.nrrd), MetaImage, DICOM SEG, RTSTRUCT.",
        rich_help_panel=ABOUT,
    ),
]
MovingLabelsOption = Annotated[
    Path | None,
    typer.Option("--moving-labels", help="The same of the moving scan.", rich_help_panel=ABOUT),
]
FixedMaskOption = Annotated[
    Path | None,
    typer.Option(
        "--fixed-mask", help="Where the fixed scan counts, and 5 mm around.", rich_help_panel=ABOUT
    ),
]
MovingMaskOption = Annotated[
    Path | None,
    typer.Option("--moving-mask", help="Where the moving scan counts.", rich_help_panel=ABOUT),
]
FixedPointsOption = Annotated[
    Path | None,
    typer.Option(
        "--fixed-points",
        help="Landmarks of the fixed scan, to measure with: CSV (R,A,S in mm), Slicer markups, "
        "elastix, VTK.",
        rich_help_panel=ABOUT,
    ),
]
MovingPointsOption = Annotated[
    Path | None,
    typer.Option(
        "--moving-points",
        help="The same landmarks in the moving scan, in the same order.",
        rich_help_panel=ABOUT,
    ),
]
ElasticityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--elasticity",
        metavar="[TISSUE=]λ,μ",
        help="Resistance to change of volume (λ) and of shape (μ), 0 to 1, together at most 1; "
        "of one tissue, or of all that are not named. May be repeated.",
        rich_help_panel=ELASTIC,
    ),
]
ElasticityFileOption = Annotated[
    Path | None,
    typer.Option(
        "--elasticity-file",
        help="JSON {tissue: [λ, μ]}; also a metrics.json.",
        rich_help_panel=ELASTIC,
    ),
]
EstimateOption = Annotated[
    bool,
    typer.Option("--estimate", help="Find λ and μ for this pair first.", rich_help_panel=ELASTIC),
]
SlidingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sliding",
        metavar="ONE:OTHER[=MM]|scheme",
        help="Border along which two tissues slide, as lung:rest (in a band of 20 mm) or "
        "lung:rest=10; or those that the tissue scheme marks. May be repeated.",
        rich_help_panel=ELASTIC,
    ),
]
TissuesOption = Annotated[
    str | None,
    typer.Option(
        "--tissues",
        metavar="FILE|NAME",
        help="Tissue scheme that names the labels; its presets hold where no --elasticity does.",
        rich_help_panel=ABOUT,
    ),
]
InitialOption = Annotated[
    str,
    typer.Option(
        "--initial",
        metavar="none|translation|rigid|affine|FILE",
        help="How the frames are brought together first; none trusts them as they are.",
        rich_help_panel=HOW,
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|none|auto",
        help="Trained model, see models; none: solver only.",
        rich_help_panel=HOW,
    ),
]
SimilarityOption = Annotated[
    str,
    typer.Option(
        "--similarity",
        metavar="ncc|mind|auto",
        help="What the scans are compared by; mind across modalities or contrasts, which auto "
        "takes for a CT and something else.",
        rich_help_panel=HOW,
    ),
]
RefineOption = Annotated[
    int | None,
    typer.Option(
        "--refine",
        metavar="N",
        help="Iterations of the exact solver at full resolution, at most; 0: the network alone.",
        rich_help_panel=HOW,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="auto|cpu|cuda", help="Where to compute.", rich_help_panel=HOW
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Of everything random.", rich_help_panel=HOW)
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already.")
]
