"""``elastic-hyperreg benchmark``: a published table again, on any split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import DeviceOption, ElasticityOption, OverwriteOption, RefineOption


@app.command()
def benchmark(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the table: acdc.")],
    data: Annotated[Path, typer.Option(help="Folder of the data set, as it is published.")],
    out: Annotated[Path, typer.Option(help="Folder for table.json and table.md.")],
    split: Annotated[str, typer.Option(metavar="train|val|test", help="Patients.")] = "val",
    models: Annotated[
        str,
        typer.Option(metavar="A,B", help="Models by name, MODEL+refine, solver, or all."),
    ] = "solver",
    elasticity: ElasticityOption = None,
    subject_wise: Annotated[
        bool, typer.Option(help="Choose λ and μ for each subject too; takes minutes a model.")
    ] = True,
    refine: RefineOption = None,
    paper_compat: Annotated[
        bool, typer.Option("--paper-compat", help="Show what the published code would count, too.")
    ] = False,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Make a published table again.

    For acdc the folder holds training and testing with the patients' folders; train is all of
    training, val 101 to 120, test 121 to 150. The first row is what there is before registration.
    Without --elasticity every model is shown with one λ, μ for all, the best of its card, and
    with λ, μ chosen for each subject, once without labels and once by Dice on the scored labels as
    in the papers, which is marked.
    """
    from .extras import training_module

    words = training_module("benchmark.command").Words(
        name, data, out, split, models, tuple(elasticity or ()), subject_wise, refine, device
    )
    training_module("benchmark.command").benchmark(words, paper_compat, overwrite)
