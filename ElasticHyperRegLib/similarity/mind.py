"""MIND-SSC: self-similarity descriptors that compare across contrasts and modalities.

Reference: Heinrich et al., Towards realtime multimodal fusion for image-guided interventions
using self-similarities, MICCAI 2013 (3D, 12 channels); in 2D the same construction gives 4.
"""

from __future__ import annotations

from itertools import combinations

import torch

from .likeness import Likeness
from .ncc import box_sum

RADIUS, DISTANCE = 1, 2
"""Half-size of the compared patches, in voxels, and from a voxel to its neighbours, in voxels of
the finest axis. Patches of radius 2 and neighbours at 1 or 3 led farther from the known
deformation of phantoms in another contrast."""
SCALE = 2.0
"""Brings the mean squared difference of descriptors to about 1 − cc², so that λ and μ weigh alike
against both. With 1 to 4 phantoms come out much the same."""


class MindSSC(Likeness):
    """1 − 2·mean (F − W)² of the descriptors F and W of two images.

    A contrast, an inverted one too, changes nothing where edges stay; nor does a slow change of
    brightness.

    Args:
        fixed: its descriptors (``mind_ssc``); those of the other image must be along the same
            axes of the world.
        mask: as for ``Likeness``.
    """

    def map(self, warped: torch.Tensor) -> torch.Tensor:
        """Likeness of warped descriptors (N, C, *shape) at each voxel, (N, 1, *shape)."""
        return 1 - SCALE * (self.fixed - warped).square().mean(1, keepdim=True)

    def within(self, counted: torch.Tensor) -> MindSSC:
        """As ``Likeness.within``."""
        return MindSSC(self.fixed, counted if self.mask is None else self.mask * counted)


def mind_ssc(image: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """Descriptor of each voxel: (N, 12, K, J, I) in 3D, (N, 4, J, I) in 2D, values in (0, 1].

    exp(−S/V) of the mean squared differences S between the patches about two neighbours of the
    voxel that lie at right angles, less the smallest of these; V is the mean of S.

    Args:
        image: (N, 1, *shape).
        spacing: (i, j, k) mm; neighbours along a coarse axis are one voxel away at least.
    """
    finest, window = min(spacing), 2 * RADIUS + 1
    shifted = []
    for axis, side in enumerate(reversed(spacing), start=2):
        step = max(1, round(DISTANCE * finest / side))
        shifted.append([_shifted(image, axis, step * sign) for sign in (-1, 1)])
    size = box_sum(torch.ones_like(image[:1]), window)
    ssd = torch.cat(
        [
            box_sum((p - q).square(), window) / size
            for along, across in combinations(shifted, 2)
            for p in along
            for q in across
        ],
        dim=1,
    )
    ssd = ssd - ssd.amin(1, keepdim=True)
    noise = ssd.mean(1, keepdim=True)
    usual = noise.flatten(1).mean(1).view(-1, *([1] * (image.ndim - 1)))
    noise = torch.minimum(torch.maximum(noise, usual * 1e-3), usual * 1e3).clamp_min(1e-12)
    return torch.exp(-ssd / noise)


def _shifted(image: torch.Tensor, axis: int, step: int) -> torch.Tensor:
    """The value ``step`` voxels further along ``axis``; at the border that of the border."""
    length = image.shape[axis]
    places = torch.arange(length, device=image.device) + step
    return image.index_select(axis, places.clamp(0, length - 1))
