"""This program: its exact solver with the settings it has out of the box, and no trained model."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk
import torch

from ElasticHyperRegLib import RegistrationOptions, RegistrationRequest, register
from ElasticHyperRegLib.io import from_sitk
from ElasticHyperRegLib.io.itk import array_to_sitk, ras_lps
from ElasticHyperRegLib.types import Image, LabelMap

from .peer import Clock, Job, main

REGISTRATION = ("prepare", "initial", "refine")
"""Steps that the other programs are timed for; measuring and inverting come after them."""


def run(job: Job, clock: Clock) -> None:
    """Write the whole map, LPS mm on the fixed grid."""
    torch.set_num_threads(job.threads)
    request = RegistrationRequest(
        fixed=_image(job.fixed),
        moving=_image(job.moving),
        fixed_mask=_mask(job.fixed_mask),
        moving_mask=_mask(job.moving_mask),
        options=RegistrationOptions(
            initial="affine" if job.affine else "none", model="none", device="cpu"
        ),
    )
    result = register(request)
    clock.seconds = sum(result.metrics["seconds"][step] for step in REGISTRATION)
    vectors = ras_lps(result.displacement.u_mm[0].movedim(0, -1).numpy())
    sitk.WriteImage(array_to_sitk(vectors, result.displacement.grid), job.out)


def _image(path: Path) -> Image:
    """2D as well as 3D, which the package's own reader does not take."""
    return from_sitk(sitk.ReadImage(path), path.name)


def _mask(path: Path | None) -> LabelMap | None:
    if path is None:
        return None
    image = _image(path)
    return LabelMap(image.data.int(), image.grid, name=image.name)


if __name__ == "__main__":
    main(run)
