"""Spatial derivatives of a displacement and the Jacobian determinant of x ↦ x + u(x)."""

from __future__ import annotations

import torch

from ..types import Grid
from .forms import rotate_to_axes


def _derivative(u: torch.Tensor, axis: int, spacing: float) -> torch.Tensor:
    """Central differences along index axis ``axis`` (0 = i), one-sided at both ends."""
    dim = u.ndim - 1 - axis
    if u.shape[dim] == 1:
        return torch.zeros_like(u)
    return torch.gradient(u, spacing=spacing, dim=dim)[0]


def displacement_gradient(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """∂u_a/∂x_b along the index axes, mm per mm: (N, D, D, *shape), a then b.

    The tensor is expressed in the orthonormal frame of the grid's axes i, j, k, so traces,
    determinants and norms are those of the world frame.
    """
    u_axes = rotate_to_axes(u_mm, grid)
    columns = [_derivative(u_axes, b, grid.spacing[b]) for b in range(grid.ndim)]
    return torch.stack(columns, dim=2)


def jacobian_determinant(u_mm: torch.Tensor, grid: Grid) -> torch.Tensor:
    """det(I + ∇u), (N, 1, *shape); ≤ 0 is a fold."""
    g = displacement_gradient(u_mm, grid)
    if grid.ndim == 2:
        return ((1 + g[:, 0, 0]) * (1 + g[:, 1, 1]) - g[:, 0, 1] * g[:, 1, 0])[:, None]
    a, b, c = 1 + g[:, 0, 0], g[:, 0, 1], g[:, 0, 2]
    d, e, f = g[:, 1, 0], 1 + g[:, 1, 1], g[:, 1, 2]
    m, n, o = g[:, 2, 0], g[:, 2, 1], 1 + g[:, 2, 2]
    return (a * (e * o - f * n) - b * (d * o - f * m) + c * (d * n - e * m))[:, None]
