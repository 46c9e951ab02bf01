"""MIND-SSC: self-similarity descriptors that compare across contrasts and modalities.

Reference: Heinrich et al., Towards realtime multimodal fusion for image-guided interventions
using self-similarities, MICCAI 2013 (3D, 12 channels); in 2D the same construction gives 4.
"""

from __future__ import annotations

from itertools import combinations

import torch

from ..grid import sample, voxel_points
from .ncc import box_sum


def _neighbours(dim: int, distance: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of the 2D neighbours that lie at right angles to each other."""
    steps = [s * distance * torch.eye(dim)[a] for a in range(dim) for s in (-1, 1)]
    return [(p, q) for p, q in combinations(steps, 2) if not torch.equal(p, -q)]


def _shift(data: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    view = offset.to(data).view(1, -1, *([1] * (data.ndim - 2)))
    points = voxel_points(tuple(data.shape[2:]), data) + view
    return sample(data, points.expand(data.shape[0], *points.shape[1:]))


def mind_ssc(image: torch.Tensor, radius: int = 2, distance: int = 2) -> torch.Tensor:
    """Descriptor of each voxel: (N, 12, K, J, I) in 3D, (N, 4, J, I) in 2D, values in (0, 1].

    Args:
        image: (N, 1, *shape).
        radius: half-size of the compared patches in voxels.
        distance: from the voxel to its neighbours, in voxels.
    """
    window = 2 * radius + 1
    shifted = [
        (_shift(image, p) - _shift(image, q)).square()
        for p, q in _neighbours(image.ndim - 2, distance)
    ]
    size = box_sum(torch.ones_like(image), window)
    ssd = box_sum(torch.cat(shifted, 1), window) / size
    ssd = ssd - ssd.min(1, keepdim=True).values
    noise = ssd.mean(1, keepdim=True)
    centre = noise.flatten(1).mean(1).view(-1, *([1] * (image.ndim - 1)))
    noise = torch.minimum(torch.maximum(noise, centre * 1e-3), centre * 1e3).clamp_min(1e-12)
    return torch.exp(-ssd / noise)


def mind_distance(
    fixed: torch.Tensor, warped: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared difference of the two descriptors, one value a sample: (N,)."""
    squared = (mind_ssc(fixed) - mind_ssc(warped)).square().mean(1, keepdim=True)
    if mask is None:
        return squared.flatten(1).mean(1)
    weights = mask.to(squared).expand_as(squared).flatten(1)
    return (squared.flatten(1) * weights).sum(1) / weights.sum(1).clamp_min(1e-6)
