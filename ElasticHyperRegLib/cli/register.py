"""``elastic-hyperreg register``: one pair in, everything about it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import (
    DeviceOption,
    ElasticityFileOption,
    ElasticityOption,
    EstimateOption,
    InitialOption,
    ModelOption,
    OverwriteOption,
    RefineOption,
    SeedOption,
    SlidingOption,
    TissuesOption,
)


@app.command()
def register(
    fixed: Annotated[Path, typer.Option(help="Scan that stays; a file or a DICOM folder.")],
    moving: Annotated[Path, typer.Option(help="Scan that is deformed onto it.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    fixed_labels: Annotated[Path | None, typer.Option(help="Tissues of the fixed scan.")] = None,
    moving_labels: Annotated[Path | None, typer.Option(help="Tissues of the moving scan.")] = None,
    fixed_mask: Annotated[Path | None, typer.Option(help="Where the fixed scan counts.")] = None,
    moving_mask: Annotated[Path | None, typer.Option(help="Where the moving scan counts.")] = None,
    fixed_points: Annotated[Path | None, typer.Option(help="Landmarks, to measure with.")] = None,
    moving_points: Annotated[Path | None, typer.Option(help="The same landmarks.")] = None,
    elasticity: ElasticityOption = None,
    elasticity_file: ElasticityFileOption = None,
    estimate: EstimateOption = False,
    tissues: TissuesOption = None,
    sliding: SlidingOption = None,
    initial: InitialOption = "affine",
    model: ModelOption = "auto",
    refine: RefineOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Register one pair: the moving scan onto the fixed one.

    Volumes are NIfTI, NRRD or MetaImage files, or folders with the slices of one DICOM series.
    """
    from .pair import Job, PairFiles, register_files
    from .settings import Settings
    from .summary import show_registration

    files = PairFiles(
        fixed,
        moving,
        fixed_labels,
        moving_labels,
        fixed_mask,
        moving_mask,
        fixed_points,
        moving_points,
    )
    settings = Settings(
        tuple(elasticity or ()),
        elasticity_file,
        tissues,
        initial,
        model,
        refine,
        device,
        seed,
        tuple(sliding or ()),
    )
    show_registration(register_files(Job(files, settings, out, overwrite, estimate)), out)
