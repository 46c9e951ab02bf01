"""Deformation energies: linear elastic and diffusion, with scalar or map coefficients.

Strain ε = (∇u + ∇uᵀ)/2. Elastic: W = μ tr(ε²) + λ/2 (tr ε)². Diffusion: W = α ‖∇u‖². In a
corner of a cell between voxels ∇u is that of the edges that meet there, forward differences
divided by the spacing. The mean over the domain is that over all corners of all cells, so a
translation and an infinitesimal rotation cost nothing, a uniform strain costs the same on every
grid, and a mirrored field what the field costs. Source: Reithmeir et al., arXiv 2311.08239, eq. 3,
with every derivative paired with the component it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch
from torch.nn import functional

from .field import rotate_to_axes
from .grid import gaussian_smooth
from .types import Grid

Coefficient = float | torch.Tensor
"""A number, or a map (N or 1, 1, *shape) on the grid of the displacement."""


def _slope_and_bend(
    u: torch.Tensor, axis: int, spacing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of the two edges at each voxel along tensor dimension ``axis``.

    With their slopes f and b these are (f + b)/2 and ((f − b)/2)². At the border there is one.
    """
    if u.shape[axis] == 1:
        return torch.zeros_like(u), torch.zeros_like(u)
    edge = u.diff(dim=axis) / spacing
    count = edge.shape[axis]
    before, after = edge.narrow(axis, 0, count - 1), edge.narrow(axis, 1, count - 1)
    ends = edge.narrow(axis, 0, 1), edge.narrow(axis, count - 1, 1)
    slope = torch.cat([ends[0], (before + after) / 2, ends[1]], dim=axis)
    rim = [0, 0] * (u.ndim - 1 - axis) + [1, 1]
    return slope, functional.pad(((after - before) / 2).square(), rim)


def _total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return reduce(torch.add, terms)


def _at_voxels(coefficient: Coefficient, like: torch.Tensor) -> Coefficient:
    return coefficient[:, 0].to(like) if isinstance(coefficient, torch.Tensor) else coefficient


def elastic_density(
    u_axes: torch.Tensor, spacing: tuple[float, ...], lam: Coefficient, mu: Coefficient
) -> torch.Tensor:
    """W at each voxel, (N, *shape): the mean over the corners of cells that lie there.

    They take an edge before or after the voxel, axis by axis and independently: a mean square over
    them is the square of the mean slopes and the variances of its terms.

    Args:
        u_axes: (N, D, *shape) mm along the index axes i, j, k.
        spacing: mm along i, j, k.
        lam: λ.
        mu: μ.
    """
    dim = u_axes.shape[1]
    both = [_slope_and_bend(u_axes, u_axes.ndim - 1 - b, spacing[b]) for b in range(dim)]
    g = [[both[b][0][:, a] for b in range(dim)] for a in range(dim)]
    v = [[both[b][1][:, a] for b in range(dim)] for a in range(dim)]
    stretch = _total(v[a][a] for a in range(dim))
    divergence = _total(g[a][a] for a in range(dim)).square() + stretch
    strain = _total(g[a][a].square() for a in range(dim)) + stretch
    for a in range(dim):
        for b in range(a):
            strain = strain + ((g[a][b] + g[b][a]).square() + v[a][b] + v[b][a]) / 2
    return _at_voxels(mu, strain) * strain + _at_voxels(lam, strain) * divergence / 2


def diffusion_density(
    u_axes: torch.Tensor, spacing: tuple[float, ...], alpha: Coefficient
) -> torch.Tensor:
    """α ‖∇u‖² at each voxel, (N, *shape); arguments as in ``elastic_density``."""
    total = torch.zeros_like(u_axes[:, 0])
    for b in range(u_axes.shape[1]):
        slope, bend = _slope_and_bend(u_axes, u_axes.ndim - 1 - b, spacing[b])
        total = total + (slope.square() + bend).sum(1)
    return _at_voxels(alpha, total) * total


def domain_mean(density: torch.Tensor) -> torch.Tensor:
    """Mean over all corners of all cells, (N,), of ``density`` (N, *shape) at the voxels.

    By the trapezoidal rule: what lies on the border counts half, as half of it is inside.
    """
    while density.ndim > 1:
        length = density.shape[-1]
        ends = density[..., 0] + density[..., -1]
        density = (density.sum(-1) - ends / 2) / (length - 1) if length > 1 else density[..., 0]
    return density


def elastic_energy(
    u_mm: torch.Tensor, grid: Grid, lam: Coefficient, mu: Coefficient
) -> torch.Tensor:
    """Mean of W = μ tr(ε²) + λ/2 (tr ε)² over the domain, one value a sample: (N,).

    Args:
        u_mm: (N, D, *shape) RAS mm on ``grid``.
        lam: λ, or Λ as a map painted from the fixed labels.
        mu: μ, or Γ as a map.
    """
    return domain_mean(elastic_density(rotate_to_axes(u_mm, grid), grid.spacing, lam, mu))


def diffusion_energy(u_mm: torch.Tensor, grid: Grid, alpha: Coefficient) -> torch.Tensor:
    """Mean of α ‖∇u‖² over the domain, one value a sample: (N,)."""
    return domain_mean(diffusion_density(rotate_to_axes(u_mm, grid), grid.spacing, alpha))


def smooth_map(coefficient: torch.Tensor, grid: Grid, sigma_mm: float) -> torch.Tensor:
    """Gaussian-smoothed coefficient map (Λ_gau of CSAIN); ``sigma_mm`` 0 leaves it alone."""
    return gaussian_smooth(coefficient, tuple(sigma_mm / s for s in grid.spacing))
