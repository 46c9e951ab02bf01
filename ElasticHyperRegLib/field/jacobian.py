"""Spatial derivatives of a displacement and the Jacobian determinant of x ↦ x + u(x)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..types import Grid
from .forms import rotate_to_axes

SLAB_VOXELS = 2**18
"""On the processor: what is computed of so many at a time stays in its cache, in half the time."""


def _derivative(u: torch.Tensor, axis: int, spacing: float) -> torch.Tensor:
    """Central differences along index axis ``axis`` (0 = i), one-sided at both ends."""
    dim = u.ndim - 1 - axis
    last = u.shape[dim] - 1
    slope = torch.zeros_like(u)
    if last == 0:
        return slope
    # As torch.gradient, bit for bit, with fewer copies.
    for place, count, left, right in ((0, 1, 0, 1), (last, 1, last - 1, last), (1, last - 1, 0, 2)):
        change = u.narrow(dim, right, count) - u.narrow(dim, left, count)
        slope.narrow(dim, place, count).copy_(change.div_((right - left) * spacing))
    return slope


def _columns(u_mm: torch.Tensor, grid: Grid) -> list[torch.Tensor]:
    """∂u/∂x_b for each index axis b, (N, D, *shape) along the axes."""
    u_axes = rotate_to_axes(u_mm, grid)
    return [_derivative(u_axes, b, grid.spacing[b]) for b in range(grid.ndim)]


def displacement_gradient(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """∂u_a/∂x_b along the index axes, mm per mm: (N, D, D, *shape), a then b.

    The tensor is expressed in the orthonormal frame of the grid's axes i, j, k, so traces,
    determinants and norms are those of the world frame.
    """
    return torch.stack(_columns(u_mm, grid), dim=2)


def jacobian_determinant(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """det(I + ∇u), (N, 1, *shape); ≤ 0 is a fold."""
    length, area = u_mm.shape[2], math.prod(u_mm.shape[3:])
    thick = max(1, SLAB_VOXELS // area)
    if thick >= length or u_mm.device.type != "cpu":
        return _determinant(u_mm, grid)
    slabs = []
    for first in range(0, length, thick):
        last = min(first + thick, length)
        low, high = max(first - 1, 0), min(last + 1, length)  # neighbours, for the slopes
        slab = _determinant(u_mm[:, :, low:high], grid)
        slabs.append(slab[:, :, first - low : last - low])
    return torch.cat(slabs, dim=2)


def _determinant(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    columns = _columns(u_mm, grid)
    for axis, column in enumerate(columns):
        column[:, axis] += 1
    return determinant(columns)[:, None]


def determinant(columns: Sequence[torch.Tensor]) -> torch.Tensor:
    """det of the matrices of these 2 or 3 columns, (N, D, *shape) each → (N, *shape)."""
    if len(columns) == 2:
        (a, b), (c, d) = (column.unbind(1) for column in columns)
        return a * d - b * c
    # Written out: torch's own cross product takes several times as long.
    (a, d, m), (b, e, n), (c, f, o) = (column.unbind(1) for column in columns)
    return a * (e * o - f * n) - b * (d * o - f * m) + c * (d * n - e * m)
