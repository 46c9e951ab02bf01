"""What measures of likeness have in common: one fixed image, and means over what counts."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

LEAST_LANDED = 0.01
"""Share of a mask that must land in the other one for a mean over it to tell anything."""


class Likeness(ABC):
    """Compares warped images with one fixed image, voxel by voxel.

    Args:
        fixed: what is compared of it, (N, C, *shape): intensities of order 1, or descriptors.
        mask: voxels of the fixed image that count, (N or 1, 1, *shape) in [0, 1].
    """

    def __init__(self, fixed: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        self.fixed = fixed.float()
        self.mask = None if mask is None else mask.float().expand_as(self.fixed[:, :1])

    @abstractmethod
    def map(self, warped: torch.Tensor) -> torch.Tensor:
        """Likeness at each voxel, (N, 1, *shape), 1 at most; differentiable in ``warped``.

        ``warped`` is (N, C, *shape), of another image what ``fixed`` is of this one.
        """

    @abstractmethod
    def within(self, counted: torch.Tensor) -> Likeness:
        """The same over the voxels of its mask that are 1 in ``counted`` (N, 1, *shape), else 0."""

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of ``values`` (N, 1, *shape) over the mask, or over all voxels: (N,)."""
        if self.mask is None:
            return values.flatten(1).mean(1)
        return (values * self.mask).flatten(1).sum(1) / self.mask.flatten(1).sum(1).clamp_min(1)

    def landed_mean(
        self, apart: torch.Tensor, weight: torch.Tensor | float, landed: torch.Tensor | None
    ) -> torch.Tensor:
        """``mean`` of a weighted dissimilarity over what lands in the moving image: (N,).

        So a field neither gains nor loses by what it carries out of that image or its mask. Where
        hardly anything lands, what is missing counts as unlike.

        Args:
            apart: weight · (1 − likeness), (N, 1, *shape).
            weight: as in ``apart``, broadcast to it.
            landed: 1 where a voxel lands in what the moving image shows, else 0; ``None`` where
                all do.
        """
        if landed is None:
            return self.mean(apart)
        share = self.mean(landed.expand_as(apart))
        unlike = self.mean(torch.ones_like(apart) * weight) * (LEAST_LANDED - share).clamp_min(0)
        return (self.mean(apart * landed) + unlike) / share.clamp_min(LEAST_LANDED)

    def __call__(self, warped: torch.Tensor) -> torch.Tensor:
        """Dissimilarity, 1 less the likeness, mean over the (masked) domain: (N,)."""
        return self.mean(1 - self.map(warped))
