"""Where the images pull: the force of the similarity on each of a network's cells.

A solver knows at each step which way the similarity falls; a network that sees images alone has
to guess it from contrast, noise and neighbourhood. Shown the force itself it is left with what
elasticity makes of it. The idea is that of Qiu et al., Embedding Gradient-Based Optimization in
Image Registration Networks (GraDIRN), MICCAI 2022, arXiv 2112.03915, where it is a step of its own.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from ..similarity import LocalNCC
from .cells import from_cells


def force(pair: torch.Tensor, patch: int, window: int) -> torch.Tensor:
    """−∂(Σ 1 − cc²)/∂u at each cell, (N, D, *shape), per voxel, channels i, j, k.

    The mean over the voxels of a cell, without a mask: of order 1 whatever the contrast.

    Args:
        pair: (N, 2 × patch^D, *shape) cells, channels fixed, then moving as it is seen so far.
        patch: voxels along the side of a cell.
        window: odd box of the NCC, voxels.
    """
    fixed, warped = (from_cells(part, patch) for part in pair.chunk(2, dim=1))
    slope = LocalNCC(fixed, window).slope(warped)
    pulls = [slope * _difference(warped, axis) for axis in range(warped.ndim - 1, 1, -1)]
    return _cell_means(torch.cat(pulls, dim=1), patch)


def _difference(image: torch.Tensor, axis: int) -> torch.Tensor:
    """Central difference along ``axis`` of (N, 1, *shape), per voxel, the border continued."""
    length = image.shape[axis]
    ends = [image.narrow(axis, 0, 1), image, image.narrow(axis, length - 1, 1)]
    longer = torch.cat(ends, dim=axis)
    return (longer.narrow(axis, 2, length) - longer.narrow(axis, 0, length)) / 2


def _cell_means(data: torch.Tensor, patch: int) -> torch.Tensor:
    pool = functional.avg_pool2d if data.ndim == 4 else functional.avg_pool3d
    return pool(data, patch) if patch > 1 else data
