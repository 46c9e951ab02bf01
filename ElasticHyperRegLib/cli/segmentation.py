"""A scan, a segmenter or labels → one label map on disk, and what there is to say about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..engine import Progress
from ..errors import InputError
from ..io import atomic_path, check_writable, read_image, write_labels
from ..io.outputs import keep_inputs
from ..segmentation import (
    Segmentation,
    SegmentOptions,
    find_program,
    install_program,
    scheme_with_task,
    segment,
    tissues_from_labels,
)
from ..segmentation.options import TOTALSEGMENTATOR
from ..types import LabelMap
from .progress import progress_bar


@dataclass(frozen=True)
class Source:
    """What the tissue map is made of.

    Attributes:
        image: the scan, a file or a DICOM folder.
        labels: labels somebody has drawn; none lets a segmenter find them.
        install: install TotalSegmentator where it is not there.
    """

    image: Path
    labels: Path | None = None
    install: bool = False


def segment_file(source: Source, options: SegmentOptions, out: Path, overwrite: bool) -> None:
    """Make the tissue map and write it; its tissues and remarks go to standard output.

    Raises:
        InputError: a file or an option is at fault; nothing is written.
    """
    if source.install and options.backend != TOTALSEGMENTATOR:
        raise InputError("--install", f"it with --backend {TOTALSEGMENTATOR}")
    keep_inputs((source.image, source.labels), [out])
    check_writable(out)
    with atomic_path(out, overwrite) as temporary, progress_bar("segment") as progress:
        progress("load", 0.0)
        image = read_image(source.image)
        if source.labels is not None:
            found = tissues_from_labels(source.labels, image, options.tissues)
        else:
            if source.install:
                scheme_with_task(options.tissues)  # before gigabytes are fetched
                options = replace(options, program=_installed(options.program, progress))
            found = segment(image, options, progress)
        write_labels(found.labels, temporary)
    _show(found, out)


def _installed(chosen: str | None, progress: Progress) -> str | None:
    try:
        find_program(chosen)
    except InputError:
        if chosen is not None:
            raise
        return str(install_program(progress))
    return chosen


def _show(found: Segmentation, out: Path) -> None:
    console = Console()
    console.print(_volumes(found.labels))
    if found.cached:
        typer.echo("computed before, taken from the cache")
    for note in found.notes:
        typer.echo(f"note: {note}")
    if out.suffix.lower() == ".mha":
        typer.echo("note: MetaImage keeps no names; NIfTI and NRRD do")
    typer.echo(str(out))


def _volumes(labels: LabelMap) -> Table:
    """Tissues present with their volumes."""
    table = Table("label", "tissue", "mL", box=None, pad_edge=False)
    table.columns[0].justify = table.columns[2].justify = "right"
    voxel_ml = float(np.prod(labels.grid.spacing)) / 1000
    for label, count in zip(*np.unique(labels.data.numpy(), return_counts=True), strict=True):
        if label:
            table.add_row(str(label), labels.name_of(int(label)), f"{count * voxel_ml:.1f}")
    return table
