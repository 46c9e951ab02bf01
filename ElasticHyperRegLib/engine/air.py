"""Where a scan shows nothing but air or noise, and a field has nothing to go by.

Reference: Otsu, A threshold selection method from gray-level histograms, IEEE SMC 1979.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from ..grid import gaussian_smooth, resample
from ..types import Grid, Image
from .intensity import is_ct

AIR_EDGE_HU = -990.0, -950.0
"""Below emphysema."""
DARK_EDGE = 0.2, 0.5
"""From air to tissue, as parts of the way from the darkest values to Otsu's threshold."""
DARK = 0.15
"""Part of the brightest values above which the darkest are those of tissue, as in a crop."""


def tissue_share(image: Image, grid: Grid) -> torch.Tensor:
    """How far ``image`` shows more than air, 0 to 1 on ``grid``: (1, 1, *grid.shape).

    Air has a known value in HU; elsewhere it is where next to nothing was received.
    """
    # A large volume is not smoothed as it is: nobody waits seconds for that.
    data = resample(image.data.float(), image.grid, grid, mode="nearest")
    smooth = gaussian_smooth(data, tuple(min(grid.spacing) / s for s in grid.spacing))
    low, high = AIR_EDGE_HU if is_ct(image) else _edge(data)
    return ((smooth - low) / max(high - low, 1e-6)).clamp(0, 1)


def _edge(data: torch.Tensor) -> tuple[float, float]:
    """Values that are air for certain, and that are not; below all values where there is no air."""
    dark, bright = np.percentile(data.numpy(), (1, 99))
    if dark > DARK * bright:
        return float(data.min()) - 2, float(data.min()) - 1
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(data[0, 0].numpy()))
    low, high = (dark + part * (otsu.GetThreshold() - dark) for part in DARK_EDGE)
    return float(low), float(high)
