"""The main job on a phantom whose true deformation is known."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..engine import RegistrationResult, register
from ..errors import InputError
from ..field import mm_to_vox
from ..io import (
    RESULT_FILES,
    OutputFolder,
    write_image,
    write_labels,
    write_points,
    write_result,
)
from ..phantom import Phantom, PhantomOptions, make_phantom
from .pair import PairFiles, read_request, with_earlier
from .progress import progress_bar
from .record import checksums, request_record
from .settings import Settings
from .summary import before_after, facts, show_place

LARGEST_SIZE = 256
SCHEME = "phantom"
INPUT = "input"
NAMES = {
    "fixed": "fixed.nii.gz",
    "moving": "moving.nii.gz",
    "fixed_labels": "fixed_labels.nii.gz",
    "moving_labels": "moving_labels.nii.gz",
    "fixed_points": "fixed_points.csv",
    "moving_points": "moving_points.csv",
}
"""What the folder ``INPUT`` holds."""


def demonstrate(out: Path, size: int, seed: int, model: str, device: str, overwrite: bool) -> None:
    """Make the phantom, register it, print how far the result is from the truth.

    Args:
        out: folder of the results; the phantom's files go to its sub-folder ``input``.
        size: voxels along each axis.
        seed: of the phantom.
        model: as in ``RegistrationOptions``.
        device: where to compute.
        overwrite: replace an earlier result.

    Raises:
        InputError: an option is out of range, or ``out`` holds files.
    """
    if size > LARGEST_SIZE:
        raise InputError(f"a phantom of {size} voxels a side", f"at most {LARGEST_SIZE}")
    wanted = PhantomOptions(size=size, seed=seed)
    settings = Settings(tissues=SCHEME, initial="none", model=model, device=device)
    options = settings.options()
    # Entered first, the inputs appear last, inside the results, which have to be there by then.
    inputs = OutputFolder(out / "input", NAMES, overwrite)
    results = OutputFolder(out, RESULT_FILES, overwrite)
    with inputs as made, results as folder, progress_bar("demo") as progress:
        progress("making the phantom", 0.0)
        phantom = make_phantom(wanted)
        _write_phantom(phantom, made)
        start = perf_counter()
        request = read_request(_files(made), options, settings)
        sums = checksums(_files(made).given())
        load = perf_counter() - start
        result = with_earlier(register(request, progress), {"load": load}, {})
        progress("write", 1.0)
        record = request_record(_files(out / INPUT).given(), sums, request.options, SCHEME, out)
        metrics = write_result(result, folder, record)
    console = Console()
    console.print(_against_truth(phantom, result))
    console.print(before_after(metrics))
    for line in facts(metrics):
        console.print(Text(line))
    show_place(console, out)


def _files(folder: Path) -> PairFiles:
    return PairFiles(**{name: folder / file for name, file in NAMES.items()})


def _write_phantom(phantom: Phantom, folder: Path) -> None:
    for side in ("fixed", "moving"):
        write_image(getattr(phantom, side), folder / NAMES[side], dtype="int16")
        write_labels(getattr(phantom, f"{side}_labels"), folder / NAMES[f"{side}_labels"])
        write_points(getattr(phantom, f"{side}_points"), folder / NAMES[f"{side}_points"])


def _against_truth(phantom: Phantom, result: RegistrationResult) -> Table:
    """How far every voxel of the body is from where it truly goes."""
    truth, body = phantom.displacement, phantom.fixed_labels.data[0, 0] > 0
    table = Table("error against the truth", "median", "mean", "95 %", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    off = result.displacement.u_mm - truth.u_mm
    for name, vectors in (
        ("before (mm)", truth.u_mm),
        ("after (mm)", off),
        ("after (voxels)", mm_to_vox(off, truth.grid)),
    ):
        errors = vectors[0].norm(dim=0)[body].numpy()
        values = (np.median(errors), errors.mean(), np.percentile(errors, 95))
        table.add_row(name, *(f"{value:.2f}" for value in values))
    return table
