"""``elastic-hyperreg estimate``: the λ and μ of this pair, tissue by tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import (
    HOW,
    DeviceOption,
    ElasticityFileOption,
    ElasticityOption,
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
    SeedOption,
    SimilarityOption,
    TissuesOption,
)


@app.command()
def estimate(
    fixed: FixedOption,
    moving: MovingOption,
    out: Annotated[Path, typer.Option(help="JSON file for register --elasticity-file.")],
    fixed_labels: FixedLabelsOption = None,
    moving_labels: MovingLabelsOption = None,
    fixed_mask: FixedMaskOption = None,
    moving_mask: MovingMaskOption = None,
    fixed_points: FixedPointsOption = None,
    moving_points: MovingPointsOption = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|NAME=WEIGHT,…",
            help="What is maximised: dice, soft-dice, tre, similarity, folds or a weighted sum; "
            "by default dice where there are labels of both scans, tre where there are landmarks, "
            "else similarity.",
            rich_help_panel=HOW,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="grid|coarse-to-fine|gradient",
            help="How it is looked for.",
            rich_help_panel=HOW,
        ),
    ] = "grid",
    step: Annotated[
        float | None,
        typer.Option(
            help="Spacing of the finest settings in λ and μ, 0.1 where it is not given: a grid of "
            "66. Not for gradient.",
            rich_help_panel=HOW,
        ),
    ] = None,
    sweeps: Annotated[
        int | None,
        typer.Option(
            help="Times that each tissue is searched alone, where a model obeys tissues, 1 where "
            "it is not given; 0 tries one setting for all at a time, several times as fast. "
            "Not for gradient.",
            rich_help_panel=HOW,
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG file for the response surfaces.")] = None,
    elasticity: ElasticityOption = None,
    elasticity_file: ElasticityFileOption = None,
    tissues: TissuesOption = None,
    initial: InitialOption = "affine",
    model: ModelOption = "auto",
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    similarity: SimilarityOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Find the λ and μ that suit this pair, for each tissue.

    The file also holds every score that was looked at, what the choice rests on, and which tissues
    the data leave undetermined. --elasticity is where the search starts, and what it goes back to
    among settings that are equally good.
    """
    from .estimation import EstimateJob, Search, estimate_files, show_estimate
    from .pair import PairFiles
    from .settings import Settings

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
        device=device,
        seed=seed,
        similarity=similarity,
    )
    search = Search(objective, method, step, sweeps)
    job = EstimateJob(files, settings, search, out, plot, overwrite)
    show_estimate(estimate_files(job), out)
