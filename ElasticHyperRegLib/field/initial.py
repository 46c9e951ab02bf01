"""The whole map φ(x) = A(x + d(x)): an elastic part d, then an initial alignment A."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..grid import apply_matrix, sample, voxel_points
from ..types import Grid
from .forms import mm_to_vox

SLAB_VOXELS = 2**20
"""Voxels that are inverted at once, so that a large volume needs little more memory."""
ITERATIONS = 60
SMALLEST_STEP = 0.2
TOLERANCE_VOX = 2e-3


def with_initial(d_mm: torch.Tensor, points: torch.Tensor, initial: np.ndarray) -> torch.Tensor:
    """u(x) = A(x + d(x)) − x, the whole map of an elastic part.

    Args:
        d_mm: (N, D, ...) RAS mm, the elastic part.
        points: (1 or N, D, ...) RAS mm, where ``d_mm`` stands.
        initial: A, (D+1, D+1) RAS mm.

    Returns:
        (N, D, ...) RAS mm.
    """
    # In this form nothing is rounded to the size of the coordinates: A = I gives back d itself.
    linear, moved = np.array(initial, dtype=np.float64), np.array(initial, dtype=np.float64)
    linear[:-1, -1] = 0
    moved[:-1, :-1] -= np.eye(len(moved) - 1)
    return apply_matrix(linear, d_mm) + apply_matrix(moved, points)


def elastic_part(u_mm: torch.Tensor, points: torch.Tensor, initial: np.ndarray) -> torch.Tensor:
    """d(x) = A⁻¹(x + u(x)) − x: what is left of a whole map without its initial alignment.

    Arguments as of ``with_initial``, with the whole map ``u_mm``.
    """
    return with_initial(u_mm, points, np.linalg.inv(initial))


def world_points(grid: Grid, like: torch.Tensor) -> torch.Tensor:
    """RAS mm of every voxel of ``grid``, (1, D, *shape)."""
    return apply_matrix(grid.ijk_to_ras, voxel_points(grid.shape, like))


def inverse_map(
    d_mm: torch.Tensor,
    fixed: Grid,
    initial: np.ndarray,
    moving: Grid,
    check: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """w(y) = φ⁻¹(y) − y on the moving grid, the inverse of φ(x) = A(x + d(x)).

    Solves x + d(x) = A⁻¹y by fixed-point steps, which shrink at the voxels where they do not help
    (where the tissue doubles its length a full step swings about the answer). Only voxels that are
    not there yet go on. d continues its border values beyond the fixed grid. Where d folds there
    is no inverse, and what is found is one of several points or none of them:
    ``metrics.inverse_consistency_mm`` tells.

    Args:
        d_mm: (1, D, *fixed.shape) RAS mm, the elastic part.
        fixed: its grid.
        initial: A, (D+1, D+1) RAS mm.
        moving: grid of the result.
        check: called between its slabs; may raise to stop.

    Returns:
        (1, D, *moving.shape) RAS mm.
    """
    d_vox = mm_to_vox(d_mm, fixed)
    back = fixed.ras_to_ijk @ np.linalg.inv(initial) @ moving.ijk_to_ras
    indices = voxel_points(moving.shape, d_mm)
    slab = max(1, SLAB_VOXELS * moving.shape[0] // moving.voxels)
    found = []
    for part in indices.split(slab, dim=2):
        check()
        found.append(apply_matrix(fixed.ijk_to_ras, _solve(d_vox, apply_matrix(back, part))))
    return torch.cat(found, dim=2) - world_points(moving, d_mm)


def _solve(d_vox: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Positions p with p + d(p) = ``target``, (1, D, *shape) in voxels of the grid of ``d_vox``."""
    dim, shape = target.shape[1], target.shape[2:]
    goal = target.reshape(dim, -1)
    found, positions = goal.clone(), goal.clone()
    left = torch.arange(goal.shape[1], device=goal.device)
    step = goal.new_ones(goal.shape[1])
    last = torch.full_like(step, torch.inf)
    for _ in range(ITERATIONS):
        displaced = sample(d_vox, positions.view(1, dim, -1, *[1] * (dim - 1))).view(dim, -1)
        residual = positions + displaced - goal
        size = residual.square().sum(0).sqrt()  # far faster than norm(dim=0)
        step = torch.where(size > 0.9 * last, (0.6 * step).clamp_min(SMALLEST_STEP), step)
        positions, last = positions - step * residual, size
        unsolved = size > TOLERANCE_VOX
        if 2 * int(unsolved.sum()) < len(left):  # go on with these alone
            found[:, left] = positions
            left, step, last = left[unsolved], step[unsolved], last[unsolved]
            positions, goal = positions[:, unsolved], goal[:, unsolved]
    found[:, left] = positions
    return found.view(1, dim, *shape)
