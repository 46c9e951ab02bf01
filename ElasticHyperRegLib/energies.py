"""Deformation energies: linear elastic and diffusion, with scalar or map coefficients.

Strain ε = (∇u + ∇uᵀ)/2. Elastic: W = μ tr(ε²) + λ/2 (tr ε)². Diffusion: W = α ‖∇u‖².
Forward differences divided by the spacing, averaged over the cells between voxels, so a
translation and an infinitesimal rotation cost nothing and a uniform strain costs the same on every
grid. Source: Reithmeir et al., arXiv 2311.08239, eq. 3, with every derivative paired with the
component it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch

from .field import rotate_to_axes
from .grid import gaussian_smooth
from .types import Grid

Coefficient = float | torch.Tensor
"""A number, or a map (N or 1, 1, *shape) on the grid of the displacement."""


def forward_gradient(u_axes: torch.Tensor, spacing: tuple[float, ...]) -> list[list[torch.Tensor]]:
    """``g[a][b]`` = ∂u_a/∂x_b by forward differences at the cells (N, *(n − 1)), mm per mm.

    Args:
        u_axes: (N, D, *shape) mm along the index axes i, j, k.
        spacing: mm along i, j, k.
    """
    dim = u_axes.shape[1]
    lengths = [max(n - 1, 1) for n in u_axes.shape[2:]]
    gradient = []
    for a in range(dim):
        row = []
        for b in range(dim):
            row.append(_forward(u_axes[:, a], dim - b, spacing[b], lengths))
        gradient.append(row)
    return gradient


def _forward(u: torch.Tensor, axis: int, spacing: float, lengths: list[int]) -> torch.Tensor:
    """(u(x + e) − u(x)) / spacing along tensor dimension ``axis``, cropped to the cells."""
    for dim, length in enumerate(lengths, start=1):
        if dim != axis:
            u = u.narrow(dim, 0, length)
    if u.shape[axis] == 1:
        return torch.zeros_like(u)
    length = u.shape[axis] - 1
    return (u.narrow(axis, 1, length) - u.narrow(axis, 0, length)) / spacing


def _at_cells(coefficient: Coefficient, like: torch.Tensor) -> Coefficient:
    """Map coefficients at the base voxel of each cell, (N or 1, *cells)."""
    if not isinstance(coefficient, torch.Tensor):
        return coefficient
    values = coefficient[:, 0].to(like)
    for dim, length in enumerate(like.shape[1:], start=1):
        values = values.narrow(dim, 0, length)
    return values


def _total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return reduce(torch.add, terms)


def elastic_density(
    u_axes: torch.Tensor, spacing: tuple[float, ...], lam: Coefficient, mu: Coefficient
) -> torch.Tensor:
    """W at each cell, (N, *(n − 1)); arguments as in ``forward_gradient``."""
    g = forward_gradient(u_axes, spacing)
    dim = len(g)
    divergence = _total(g[a][a] for a in range(dim))
    strain = _total(
        (g[a][b] + g[b][a]).square() * (0.25 if a == b else 0.5)
        for a in range(dim)
        for b in range(a + 1)
    )
    return _at_cells(mu, divergence) * strain + (
        _at_cells(lam, divergence) * divergence.square() / 2
    )


def diffusion_density(
    u_axes: torch.Tensor, spacing: tuple[float, ...], alpha: Coefficient
) -> torch.Tensor:
    """α ‖∇u‖² at each cell, (N, *(n − 1))."""
    g = forward_gradient(u_axes, spacing)
    total = _total(d.square() for row in g for d in row)
    return _at_cells(alpha, total) * total


def elastic_energy(
    u_mm: torch.Tensor, grid: Grid, lam: Coefficient, mu: Coefficient
) -> torch.Tensor:
    """Mean of W = μ tr(ε²) + λ/2 (tr ε)² over the domain, one value a sample: (N,).

    Args:
        u_mm: (N, D, *shape) RAS mm on ``grid``.
        lam: λ, or Λ as a map painted from the fixed labels.
        mu: μ, or Γ as a map.
    """
    density = elastic_density(rotate_to_axes(u_mm, grid), grid.spacing, lam, mu)
    return density.flatten(1).mean(1)


def diffusion_energy(u_mm: torch.Tensor, grid: Grid, alpha: Coefficient) -> torch.Tensor:
    """Mean of α ‖∇u‖² over the domain, one value a sample: (N,)."""
    return diffusion_density(rotate_to_axes(u_mm, grid), grid.spacing, alpha).flatten(1).mean(1)


def smooth_map(coefficient: torch.Tensor, grid: Grid, sigma_mm: float) -> torch.Tensor:
    """Gaussian-smoothed coefficient map (Λ_gau of CSAIN); ``sigma_mm`` 0 leaves it alone."""
    return gaussian_smooth(coefficient, tuple(sigma_mm / s for s in grid.spacing))
