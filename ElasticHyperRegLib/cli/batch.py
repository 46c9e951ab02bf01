"""``elastic-hyperreg batch``: a cohort, one row a pair."""

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
    SimilarityOption,
    SlidingOption,
    TissuesOption,
)


@app.command()
def batch(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST.csv", help="One row a pair.")],
    out: Annotated[Path, typer.Option(help="Folder for the results, one folder a case in it.")],
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
    """Register every pair of a manifest.

    The manifest is a CSV with the columns case, fixed, moving and, where wanted, fixed_labels,
    moving_labels, fixed_mask, moving_mask, fixed_points, moving_points, model, elasticity (several
    tissues separated by ';', or a JSON file). Paths are relative to it. What a row leaves open,
    the options decide. Cases that are finished are skipped, so a stopped run goes on where it was;
    one failing row does not stop the others. Ends with 0 when every case is done, 2 when the input
    of some is at fault and 1 when a fault of ours stopped one; summary.csv has the reasons.
    """
    from .cohort import run_cohort
    from .settings import Settings

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
    raise typer.Exit(run_cohort(manifest, out, settings, overwrite, estimate))
