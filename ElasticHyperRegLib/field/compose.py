"""Warps by displacements in voxels of one grid, their composition, exponential and inverse."""

from __future__ import annotations

import torch

from ..grid import constant, fractions, lengths, sample, sample_fractions, voxel_points


def warp_voxels(
    data: torch.Tensor, u_vox: torch.Tensor, mode: str = "bilinear", fill: float | None = None
) -> torch.Tensor:
    """Data (N, C, *shape) at x + u(x), one grid for both; ``mode``, ``fill``: see ``sample``."""
    return sample(data, voxel_points(tuple(data.shape[2:]), u_vox) + u_vox, mode, fill)


def compose(u_vox: torch.Tensor, v_vox: torch.Tensor) -> torch.Tensor:
    """compose(u, v)(x) = u(x) + v(x + u(x)); both (N, D, *shape) in voxels."""
    return u_vox + warp_voxels(v_vox, u_vox)


def exponential(v_vox: torch.Tensor, steps: int = 7) -> torch.Tensor:
    """exp(v) − id by scaling and squaring.

    Args:
        v_vox: stationary velocity (N, D, *shape) in voxels.
        steps: squarings; v is first divided by 2^steps.

    Reference: Arsigny et al., A Log-Euclidean framework for statistics on diffeomorphisms,
    MICCAI 2006.
    """
    shape = tuple(v_vox.shape[2:])
    # In units in which a position is sampled, so that a squaring is two sums and a sampling.
    unit = constant(shape[::-1], v_vox).view(1, -1, *[1] * len(shape)) / 2
    rest = fractions(voxel_points(shape, v_vox), shape)
    u = v_vox / (unit * 2**steps)
    for _ in range(steps):
        u = u + sample_fractions(u, rest + u.movedim(1, -1), "bilinear", "border")
    return u * unit


def invert(
    u_vox: torch.Tensor, iterations: int = 50, tolerance: float = 1e-3
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse displacement w with w(y) = −u(y + w(y)), by fixed-point iteration.

    Converges where u is a contraction; elsewhere (strong stretch or folds) the residual says so.

    Returns:
        w (N, D, *shape) in voxels and the residual |w(y) + u(y + w(y))| (N, 1, *shape) in voxels.

    Reference: Chen et al., A simple fixed-point approach to invert a deformation field,
    Medical Physics 35 (2008).
    """
    identity = voxel_points(tuple(u_vox.shape[2:]), u_vox)
    w_vox = -u_vox
    step = torch.zeros_like(u_vox)
    for _ in range(iterations):
        step = w_vox + sample(u_vox, identity + w_vox)
        w_vox = w_vox - step
        if step.abs().max() < tolerance:
            break
    residual = w_vox + sample(u_vox, identity + w_vox)
    return w_vox, lengths(residual)[:, None]
