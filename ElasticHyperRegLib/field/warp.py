"""Images, labels and points under a displacement."""

from __future__ import annotations

import numpy as np
import torch

from ..grid import apply_matrix, grid_to_grid, lie_in, map_points, precise, sample, voxel_points
from ..types import Grid
from .forms import mm_to_vox


def moving_positions(u_mm: torch.Tensor, fixed: Grid, moving: Grid) -> torch.Tensor:
    """Where each fixed voxel lands, in voxels of ``moving``: (N, D, *fixed.shape)."""
    base = apply_matrix(grid_to_grid(fixed, moving), voxel_points(fixed.shape, u_mm))
    return base + mm_to_vox(u_mm, moving)


def warp(
    data: torch.Tensor, u_mm: torch.Tensor, fixed: Grid, moving: Grid, fill: float | None = None
) -> torch.Tensor:
    """warped(x) = moving(x + u(x)), linear interpolation.

    Args:
        data: (N or 1, C, *moving.shape).
        u_mm: (N, D, *fixed.shape) RAS mm, fixed → moving.
        fill: value outside the moving image; ``None`` continues its border.

    Returns:
        (N, C, *fixed.shape).
    """
    return sample(data, moving_positions(u_mm, fixed, moving), fill=fill)


def warp_labels(
    labels: torch.Tensor, u_mm: torch.Tensor, fixed: Grid, moving: Grid
) -> torch.Tensor:
    """Nearest-neighbour ``warp``: no new values, 0 outside, dtype kept."""
    positions = moving_positions(u_mm, fixed, moving)
    kind = precise(labels.device)
    warped = sample(labels.to(kind), positions.to(kind), mode="nearest", fill=0.0)
    return warped.round().to(labels.dtype)


def transform_points(
    points_ras: np.ndarray, u_mm: torch.Tensor, grid: Grid, initial: np.ndarray | None = None
) -> np.ndarray:
    """Fixed points (P, D) RAS mm → moving points (P, D), y = x + u(x), u linear between voxels.

    Args:
        points_ras: (P, D).
        u_mm: the whole map, (1, D, *grid.shape) RAS mm.
        grid: of ``u_mm``.
        initial: A, (D+1, D+1) RAS mm, which alone holds outside the grid, as in a written
            transform; without it the border value of u continues there.
    """
    points = torch.as_tensor(np.asarray(points_ras), dtype=torch.float64)
    dim = grid.ndim
    channels = points.T.reshape(1, dim, -1, *([1] * (dim - 1)))
    positions = apply_matrix(grid.ras_to_ijk, channels)
    moved = sample(u_mm.detach().cpu().double(), positions).reshape(dim, -1).T
    if initial is None:
        return (points + moved).numpy()
    place = positions.reshape(dim, -1).T.numpy()
    # Within half a voxel of the outermost ones their elastic part d continues; beyond is none.
    border = map_points(grid.ijk_to_ras, place.clip(0, np.array(grid.size) - 1))
    d_mm = map_points(np.linalg.inv(initial), border + moved.numpy()) - border
    d_mm[~lie_in(grid, place)] = 0
    return map_points(initial, points.numpy() + d_mm)
