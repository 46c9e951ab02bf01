"""Distances to what a mask marks, in millimetres."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from ..types import Grid


def signed_distance_mm(mask: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Distance of each voxel of ``grid`` to the border of ``mask``, negative inside.

    Between voxel centres, as Maurer et al. (2003) and ITK count it: 0 on the outermost voxels of
    the mask.

    Args:
        mask: (1, 1, *grid.shape), bool.
        grid: of the mask.

    Returns:
        (1, 1, *grid.shape), float32.
    """
    image = sitk.GetImageFromArray(mask[0, 0].cpu().numpy().astype(np.uint8))
    image.SetSpacing(grid.spacing)
    field = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return torch.from_numpy(sitk.GetArrayFromImage(field))[None, None]
