"""``elastic-hyperreg segment``: a tissue map of a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from .app import app
from .options import OverwriteOption


@app.command()
def segment(
    image: Annotated[Path, typer.Option(help="Scan; a file or a DICOM folder.")],
    out: Annotated[Path, typer.Option(help="Label map to write: .nii.gz, .nrrd or .mha.")],
    backend: Annotated[
        str,
        typer.Option(
            metavar="threshold|totalsegmentator",
            help="Built-in rules for CT, or TotalSegmentator, a program of its own.",
        ),
    ] = "threshold",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels you have, taken instead of a backend: NIfTI, NRRD (.seg.nrrd), "
            "MetaImage, DICOM SEG or RTSTRUCT."
        ),
    ] = None,
    tissues: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME|none",
            help="Tissue scheme; none keeps the classes as they are. Built-in: ct-threshold.",
        ),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="TotalSegmentator at 3 mm.")] = False,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|cuda:N", help="Where TotalSegmentator computes.")
    ] = "auto",
    program: Annotated[
        str | None,
        typer.Option(help="TotalSegmentator's executable or environment, if it is not found."),
    ] = None,
    install: Annotated[
        bool,
        typer.Option(
            "--install",
            help="Install TotalSegmentator into an environment of its own first, if there is none "
            "(a download of gigabytes).",
        ),
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Compute again what was computed before.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a tissue label map of a scan.

    Either by the built-in rules (CT; needs nothing; tells lung, bone and soft tissue apart), by
    TotalSegmentator (CT or MR, with the classes that the tissue scheme needs), or from labels
    that you have. The map names its tissues, so that register and estimate understand it; what
    was filled, resolved or looks odd is printed.
    """
    from ..segmentation import SegmentOptions
    from .segmentation import Source, segment_file

    about_segmenter = (backend, fast, device, program, no_cache)
    if labels is not None and about_segmenter != ("threshold", False, "auto", None, False):
        raise InputError("--labels and options of a segmenter", "one of the two")
    options = SegmentOptions(backend, tissues, fast, device, program, not no_cache)
    segment_file(Source(image, labels, install), options, out, overwrite)
