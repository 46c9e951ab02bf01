"""The body in a scan: what is tissue although no class names it.

A segmentation of organs leaves most of a body at label 0: skin, fat, most muscles. For a tissue
scheme with a rest that is tissue too, not the outside.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..types import Image
from .ct_body import find_body
from .morphology import Lattice, components, fill_slices
from .threshold import LIMITS_HU, check_hounsfield
from .upright import UprightScan

CT, MR = "ct", "mr"
_CLOSE_MM = 5.0
_SMOOTH_MM = 2.0


def body_mask(image: Image, modality: str = CT) -> torch.Tensor:
    """Where the body is, all that it encloses included.

    CT: all but table, cushions and straps, as the built-in segmenter finds it. MR: what is
    brighter than the air around (Otsu's threshold of the logarithm), its largest part.

    Args:
        image: 3D scan, any orientation; CT in HU.
        modality: ``ct`` or ``mr``.

    Returns:
        (1, 1, K, J, I) bool on the grid of ``image``.

    Raises:
        InputError: the image is 2D, shows no body, or, as CT, holds no HU; or the modality is
            another one.
    """
    if modality not in (CT, MR):
        raise InputError(f"the modality '{modality}'", f"{CT} or {MR}")
    if image.grid.ndim != 3:
        raise InputError(f"{image.name}: a 2D image", "a 3D scan")
    if modality == CT:
        check_hounsfield(image, within=True)
        clamped = replace(image, data=image.data.clamp(*LIMITS_HU))
        scan = UprightScan.of(clamped, torch.int16)
        body = find_body(scan.coarse, scan.lattice)
    else:
        scan = UprightScan.of(image, torch.float32)
        body = _bright_body(scan.coarse, scan.lattice)
    if not body.any():
        raise InputError(f"{image.name}: nothing as dense as tissue", "a scan of a body")
    return scan.turned_back(scan.fine(fill_slices(body)).astype(np.uint8)) > 0


def _bright_body(values: np.ndarray, lattice: Lattice) -> np.ndarray:
    """The largest part that is brighter than air, its gaps closed; air is noise around 0."""
    shifted = np.log1p(np.maximum(values - np.percentile(values, 1), 0))
    picture = sitk.GetImageFromArray(shifted.astype(np.float32))
    picture.SetSpacing(lattice.spacing)
    smooth = sitk.SmoothingRecursiveGaussian(picture, _SMOOTH_MM)
    bright = sitk.GetArrayFromImage(sitk.OtsuThreshold(smooth, 0, 1)) > 0
    return components(lattice.close(bright, _CLOSE_MM)) == 1
