"""The only place where one form of a displacement becomes another.

``u_mm``: RAS mm, channels R, A, S. ``u_vox``: voxels, channels i, j, k. ``u_norm``: fractions of
half the grid (``align_corners=True``), channels i, j, k.
"""

from __future__ import annotations

import numpy as np
import torch

from ..errors import InputError
from ..grid import constant, resample
from ..types import Grid


def _linear(matrix: np.ndarray, u: torch.Tensor) -> torch.Tensor:
    return torch.einsum("ab,nb...->na...", constant(matrix, u), u)


def mm_to_vox(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """RAS mm (N, D, ...) → voxels of ``grid`` (N, D, ...)."""
    return _linear(grid.ras_to_ijk[: grid.ndim, : grid.ndim], u_mm)


def vox_to_mm(u_vox: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Voxels of ``grid`` (N, D, ...) → RAS mm (N, D, ...)."""
    return _linear(grid.ijk_to_ras[: grid.ndim, : grid.ndim], u_vox)


def rotate_to_axes(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """RAS mm → mm along the index axes i, j, k of ``grid``."""
    return _linear(grid.direction.T, u_mm)


def rotate_to_world(u_axes: torch.Tensor, grid: Grid) -> torch.Tensor:
    """mm along the index axes i, j, k of ``grid`` → RAS mm."""
    return _linear(grid.direction, u_axes)


def _half_sizes(u: torch.Tensor) -> torch.Tensor:
    half = [max(n - 1, 1) / 2 for n in u.shape[:1:-1]]
    return constant(half, u).view(1, -1, *([1] * (u.ndim - 2)))


def vox_to_norm(u_vox: torch.Tensor) -> torch.Tensor:
    """Voxels (N, D, *shape) → fractions of half the grid, ``align_corners=True``."""
    return u_vox / _half_sizes(u_vox)


def norm_to_vox(u_norm: torch.Tensor) -> torch.Tensor:
    """Fractions of half the grid → voxels."""
    return u_norm * _half_sizes(u_norm)


def to_grid(u_mm: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """The same displacement in mm, sampled on ``target``; border values continue outside.

    A coarser ``target`` gets the field smoothed first, as an image would.
    """
    return resample(u_mm, source, target)


def lift_slices(u_vox: torch.Tensor, grid: Grid) -> torch.Tensor:
    """In-plane voxels of a stack of K slices (K, 2, J, I) → RAS mm (1, 3, K, J, I).

    The through-plane component is zero: a 2D model says nothing about it.
    """
    slices = tuple(u_vox.shape)
    if grid.ndim != 3 or slices != (grid.shape[0], 2, *grid.shape[1:]):
        raise InputError(f"slices of shape {slices}", f"(K, 2, J, I) of {grid}")
    stack = torch.cat([u_vox, torch.zeros_like(u_vox[:, :1])], dim=1).movedim(0, 1)[None]
    return vox_to_mm(stack, grid)
