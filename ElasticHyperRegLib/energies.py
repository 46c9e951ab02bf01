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
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .field import rotate_to_axes
from .grid import constant, gaussian_smooth
from .types import Grid

Coefficient = float | torch.Tensor
"""A number, or a map (N or 1, 1, *shape) on the grid of the displacement."""


def _slope_and_bend(
    u: torch.Tensor, axis: int, spacing: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(f + b)/2 and (f − b)/2 of the slopes f and b of the two edges at each voxel along ``axis``.

    A mean over both of a product is that of the first, of a square the square of the second more.
    At the border there is one edge.
    """
    if u.shape[axis] == 1:
        return torch.zeros_like(u), torch.zeros_like(u)
    edge = u.diff(dim=axis) / (2 * spacing)
    count = edge.shape[axis]
    before, after = edge.narrow(axis, 0, count - 1), edge.narrow(axis, 1, count - 1)
    ends = 2 * edge.narrow(axis, 0, 1), 2 * edge.narrow(axis, count - 1, 1)
    slope = torch.cat([ends[0], before + after, ends[1]], dim=axis)
    rim = [0, 0] * (u.ndim - 1 - axis) + [1, 1]
    return slope, functional.pad(after - before, rim)


def _pulled_back(
    slope: torch.Tensor, bend: torch.Tensor, axis: int, spacing: float, by_u: torch.Tensor
) -> None:
    """Add to ``by_u`` what derivatives by slope and bend come to; those by slope are written to."""
    count = by_u.shape[axis] - 1
    if count == 0:
        return
    for end in (0, count):
        slope.select(axis, end).mul_(2)
    before = (slope + bend).narrow(axis, 0, count)
    edge = torch.add(before, (slope - bend).narrow(axis, 1, count)).div_(2 * spacing)
    by_u.narrow(axis, 1, count).add_(edge)
    by_u.narrow(axis, 0, count).sub_(edge)


def _total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return reduce(torch.add, terms)


def _at_voxels(coefficient: Coefficient, like: torch.Tensor) -> Coefficient:
    return coefficient[:, 0].to(like) if isinstance(coefficient, torch.Tensor) else coefficient


class _Strain(torch.autograd.Function):
    """tr(ε²) and (tr ε)² at each voxel, (N, *shape): means over the corners that lie there.

    Corners take an edge before or after the voxel, axis by axis and independently: a mean square
    over them is the square of the mean slopes and the variances of its terms. The derivative is
    written out: autograd takes two hundred small steps for it.
    """

    @staticmethod
    def forward(
        ctx: Any, u_axes: torch.Tensor, spacing: tuple[float, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dim = u_axes.shape[1]
        both = [_slope_and_bend(u_axes, u_axes.ndim - 1 - b, spacing[b]) for b in range(dim)]
        slopes, bends = zip(*both, strict=True)  # along b, of each component
        ctx.save_for_backward(*slopes, *bends)
        ctx.spacing = spacing
        v = [bend.square() for bend in bends]
        stretch = _total(v[a][:, a] for a in range(dim))
        divergence = _total(slopes[a][:, a] for a in range(dim)).square_().add_(stretch)
        strain = _total(slopes[a][:, a].square() for a in range(dim)).add_(stretch)
        for a, b in combinations(range(dim), 2):
            shear = (slopes[b][:, a] + slopes[a][:, b]).square_()
            strain.add_(shear.add_(v[b][:, a]).add_(v[a][:, b]), alpha=0.5)
        return strain, divergence

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, by_strain: torch.Tensor, by_divergence: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        dim = len(ctx.spacing)
        slopes, bends = ctx.saved_tensors[:dim], ctx.saved_tensors[dim:]
        by_slopes = [torch.empty_like(slope) for slope in slopes]
        by_bends = [bend * by_strain[:, None] for bend in bends]
        pressure = _total(slopes[a][:, a] for a in range(dim)) * by_divergence
        for a in range(dim):
            torch.addcmul(pressure, slopes[a][:, a], by_strain, out=by_slopes[a][:, a]).mul_(2)
            by_bends[a][:, a].addcmul_(bends[a][:, a], by_divergence).mul_(2)
        for a, b in combinations(range(dim), 2):
            shear = (slopes[b][:, a] + slopes[a][:, b]).mul_(by_strain)
            by_slopes[b][:, a] = shear
            by_slopes[a][:, b] = shear
        by_u = torch.zeros_like(slopes[0])
        for b in range(dim):
            _pulled_back(by_slopes[b], by_bends[b], by_u.ndim - 1 - b, ctx.spacing[b], by_u)
        return by_u, None


def elastic_density(
    u_axes: torch.Tensor, spacing: tuple[float, ...], lam: Coefficient, mu: Coefficient
) -> torch.Tensor:
    """W at each voxel, (N, *shape): the mean over the corners of cells that lie there.

    Args:
        u_axes: (N, D, *shape) mm along the index axes i, j, k.
        spacing: mm along i, j, k.
        lam: λ.
        mu: μ.
    """
    strain, divergence = _Strain.apply(u_axes, spacing)  # type: ignore[no-untyped-call]
    density: torch.Tensor = _at_voxels(mu, strain) * strain
    return density + _at_voxels(lam, strain) * divergence / 2


def diffusion_density(
    u_axes: torch.Tensor, spacing: tuple[float, ...], alpha: Coefficient
) -> torch.Tensor:
    """α ‖∇u‖² at each voxel, (N, *shape); arguments as in ``elastic_density``."""
    total = torch.zeros_like(u_axes[:, 0])
    for b in range(u_axes.shape[1]):
        slope, bend = _slope_and_bend(u_axes, u_axes.ndim - 1 - b, spacing[b])
        total = total + (slope.square() + bend.square()).sum(1)
    return _at_voxels(alpha, total) * total


def domain_mean(density: torch.Tensor) -> torch.Tensor:
    """Mean over all corners of all cells, (N,), of ``density`` (N, *shape) at the voxels.

    By the trapezoidal rule: what lies on the border counts half, as half of it is inside.
    """
    while density.ndim > 1:
        weights = np.ones(density.shape[-1])
        weights[[0, -1]] = 0.5
        density = density @ constant(weights / weights.sum(), density)
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
