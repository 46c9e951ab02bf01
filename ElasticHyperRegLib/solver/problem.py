"""The problem the solver is given, and how it is to be solved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..energies import Coefficient
from ..grid import coarser
from ..similarity import NCC
from ..types import Grid


@dataclass(frozen=True, eq=False)
class Problem:
    """One pair, or a batch of N pairs on the same grids.

    Args:
        fixed: (N, 1, *fixed_grid.shape) float32, intensities of order 1.
        moving: (N, 1, *moving_grid.shape) likewise.
        fixed_grid: grid of the fixed image; the displacement lives on it.
        moving_grid: grid of the moving image.
        lam: λ, or Λ as a map (N or 1, 1, *fixed_grid.shape).
        mu: μ, or Γ as a map.
        initial: (D+1, D+1) RAS mm: x ↦ A x, fixed points → moving points, applied after the
            displacement: φ(x) = A(x + u(x)). It is not charged any elastic energy.
        fixed_mask: fixed voxels where similarity counts, (N or 1, 1, *fixed_grid.shape).
        moving_mask: likewise of the moving image; what falls outside of it does not count.
        similarity: ``ncc`` or ``mind``, whose descriptors are along the axes of each image:
            those of both grids must be parallel and the initial alignment without a turn, see
            ``in_fixed_frame``.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    fixed_grid: Grid
    moving_grid: Grid
    lam: Coefficient
    mu: Coefficient
    initial: np.ndarray | None = None
    fixed_mask: torch.Tensor | None = None
    moving_mask: torch.Tensor | None = None
    similarity: str = NCC


@dataclass(frozen=True)
class Level:
    """One resolution.

    Args:
        iterations: at most so many.
        window: side of the NCC box in voxels of the level's image.
        control: spacing of the field's grid relative to the image's finest axis.
        smoothing: standard deviation of the Gaussian that every update is made of, in voxels of
            the field's grid (along its finest axis); 0 lets every node go by itself, see
            ``settle``, for a field that is nearly right.
    """

    iterations: int
    window: int
    control: float
    smoothing: float


def field_grid(image_grid: Grid, level: Level) -> Grid:
    """The field's grid: ``control`` times as coarse along the axes that are not coarse already."""
    if level.control == 1:
        return image_grid
    spacing = [max(s, min(image_grid.spacing) * level.control) for s in image_grid.spacing]
    return coarser(image_grid, tuple(spacing))


PLANE = (Level(60, 9, 1, 2.5), Level(40, 15, 1, 2.5), Level(30, 21, 1, 2.5))
VOLUME = (Level(40, 5, 1.5, 1.8), Level(20, 5, 2, 0), Level(6, 7, 3, 0))


@dataclass(frozen=True)
class SolverOptions:
    """How the minimum is looked for.

    Args:
        levels: coarse to fine; the finest is the fixed image's own resolution. Each level doubles
            the spacing of the next.
        step: size of an update in voxels of the field's grid, before smoothing.
        squarings: of each update's exponential.
        tolerance: a level has converged when its last iterations (ten of ``descent``, five of
            ``settle``) improve the objective by less.
        search_mm: range of the discrete search before the first level; 0 leaves it out.
        search_window: side of its NCC box in voxels of the coarsest level.
    """

    levels: tuple[Level, ...] = VOLUME
    step: float = 0.2
    squarings: int = 2
    tolerance: float = 2e-4
    search_mm: float = 0.0
    search_window: int = 5

    @classmethod
    def for_dimension(cls, ndim: int) -> SolverOptions:
        """Settings for slices (2) or volumes (3)."""
        return cls(PLANE) if ndim == 2 else cls(VOLUME, search_mm=30.0)
