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
    FixedLabelsOption,
    FixedMaskOption,
    FixedOption,
    FixedPointsOption,
    InitialOption,
    ModelOption,
    MovingLabelsOption,
    MovingMaskOption,
    MovingOption,
    MovingPointsOption,
    OverwriteOption,
    RefineOption,
    SeedOption,
    SimilarityOption,
    SlidingOption,
    TissuesOption,
)


@app.command()
def register(
    fixed: FixedOption,
    moving: MovingOption,
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    fixed_labels: FixedLabelsOption = None,
    moving_labels: MovingLabelsOption = None,
    fixed_mask: FixedMaskOption = None,
    moving_mask: MovingMaskOption = None,
    fixed_points: FixedPointsOption = None,
    moving_points: MovingPointsOption = None,
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
    similarity: SimilarityOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Register one pair: the moving scan onto the fixed one.

    Volumes are NIfTI, NRRD or MetaImage files, or folders with the slices of one DICOM series. The
    folder of results holds preview.png (look at it first), metrics.json, the warped scan and
    labels, the transform both ways (transform.h5, inverse.h5), the local volume change
    (jacobian.nii.gz) and request.json with the command that repeats the run.
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
        similarity,
    )
    show_registration(register_files(Job(files, settings, out, overwrite, estimate)), out)
