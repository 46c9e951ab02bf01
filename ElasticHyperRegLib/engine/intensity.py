"""Intensities: what lies outside the field of view, and values of order 1 for the solver."""

from __future__ import annotations

import numpy as np
import torch

from ..types import Image

AIR_HU = -1024.0
PADDING_HU = -1400.0
"""No CT scanner measures less; −2000, −2048 or −3024 mark what it did not see."""
CT_BELOW_HU = -500.0
CT_LEAST = 1e-3
"""Part of the voxels below that in a CT."""
CT_WINDOW_HU = (-1000.0, 600.0)
CT_AIR_HU = (-1100.0, -900.0)
"""Where the lowest values of a CT lie: at −1000 or −1024, or a little beside them."""
PERCENTILES = (0.5, 99.5)
SAMPLES = 2_000_000


def field_of_view(image: Image) -> torch.Tensor | None:
    """Voxels that the scanner saw, (1, 1, *shape) bool; ``None`` where it saw everything.

    Outside it CT holds one constant far under the −1024 HU of air. Interpolated files hold values
    on either side of it along its edge, which are no measurement either.
    """
    data = image.data
    if float(data.min()) > PADDING_HU:
        return None
    padding = data < PADDING_HU
    counts = data[padding].round().unique(return_counts=True)[1]
    if 2 * int(counts.max()) < int(padding.sum()):
        return None  # no constant: these are values of something else than CT
    return ~padding


def without_padding(image: Image) -> Image:
    """The image with air (−1024 HU) where there was padding; any other image as it is."""
    if field_of_view(image) is None:
        return image
    return Image(image.data.clamp(min=AIR_HU), image.grid, image.name, image.dtype)


def normalised(image: Image) -> torch.Tensor:
    """Intensities from 0 to 1, (1, 1, *shape) float32, of an image without padding.

    CT (where more than a few voxels lie below −500): −1000 to 600 HU. Everything else: the 0.5th
    to the 99.5th percentile of what is not 0, as 0 is background in MR.
    """
    low, high = _window(image.data)
    return ((image.data.float() - low) / (high - low)).clamp(0, 1)


def is_ct(image: Image) -> bool:
    """Whether the intensities are those of CT: most of the lowest, without padding, are of air.

    An ``Image`` does not say what it was made with. Air is in or around nearly every CT and
    −1000 in hardly anything else. A few values lie lower where a kernel is sharp or an edge was
    undershot.
    """
    data = without_padding(image).data
    lower, low = (int(torch.count_nonzero(data <= value)) for value in CT_AIR_HU)
    return 0 < low >= 2 * lower


def _window(data: torch.Tensor) -> tuple[float, float]:
    below, impossible = (
        int(torch.count_nonzero(data <= value)) for value in (CT_BELOW_HU, PADDING_HU)
    )
    least = CT_LEAST * data.numel()  # fewer are where a resampled image undershoots its edges
    if impossible < least <= below:
        return CT_WINDOW_HU
    values = data.detach().cpu().numpy().ravel()
    values = values[values != 0]
    values = values[:: max(1, values.size // SAMPLES)]
    low, high = np.percentile(values, PERCENTILES)
    if high <= low:
        low, high = float(data.min()), float(data.max())
    return float(low), float(high)
