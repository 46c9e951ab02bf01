"""Where a scan shows nothing but air or noise, and a field has nothing to go by.

Reference: Otsu, A threshold selection method from gray-level histograms, IEEE SMC 1979.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from ..grid import gaussian_smooth, resample
from ..types import Grid, Image
from .grey import AIR_HU

AIR_EDGE_HU = -950.0, -900.0
DARK_EDGE = 0.2, 0.5
"""From air to tissue, as parts of the way from the darkest level to Otsu's threshold."""
BINS = 100


def tissue_share(image: Image, grid: Grid) -> torch.Tensor:
    """How far ``image`` shows more than air, 0 to 1 on ``grid``: (1, 1, *grid.shape).

    Air has a known value in HU; elsewhere it is the most frequent of the dark values.
    """
    # A large volume is not smoothed as it is: nobody waits seconds for that.
    data = resample(image.data.float(), image.grid, grid, mode="nearest")
    smooth = gaussian_smooth(data, tuple(min(grid.spacing) / s for s in grid.spacing))
    low, high = _edge(data)
    return ((smooth - low) / max(high - low, 1e-6)).clamp(0, 1)


def _edge(data: torch.Tensor) -> tuple[float, float]:
    """Values that are air for certain, and that are not."""
    values = data.flatten().numpy()
    if values.min() < AIR_HU:
        return AIR_EDGE_HU
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(data[0, 0].numpy()))
    counts, edges = np.histogram(values[values <= otsu.GetThreshold()], BINS)
    air = edges[counts.argmax()]
    low, high = (air + part * (otsu.GetThreshold() - air) for part in DARK_EDGE)
    return float(low), float(high)
