"""Coarse discrete search for large motion, before the continuous levels.

Every displacement of a lattice within the range is tried at every voxel of a coarse grid; a
similarity volume and a smooth field then pull on each other until they agree. A pyramid alone
stops in the nearest local minimum, which for 20 mm of sliding liver is the wrong one.

Reference: Siebert, Hansen and Heinrich, Fast 3D registration with accurate optimisation and
little learning (ConvexAdam), Learn2Reg 2021; there with MIND features, here with local NCC.
"""

from __future__ import annotations

import itertools

import torch

from ..grid import gaussian_smooth
from .objective import Objective

COUPLINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SMOOTHING_VOXELS = 1.5


def lattice(radius: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Displacements in voxels within the ellipsoid of ``radius`` (i, j, k): (M, D)."""
    steps = itertools.product(*[range(-r, r + 1) for r in radius])
    inside = [
        step
        for step in steps
        if sum((v / max(r, 1)) ** 2 for v, r in zip(step, radius, strict=True)) <= 1
    ]
    return torch.tensor(inside, dtype=like.dtype, device=like.device)


@torch.no_grad()
def discrete_search(objective: Objective, range_mm: float, base: torch.Tensor) -> torch.Tensor:
    """What to add to ``base``, in voxels within ``range_mm`` and the image's size.

    Both are (N, D, *field_grid.shape). Minimises mean(C(x, base + u(x))) + θ |u − v|² alternately
    over u (on the lattice) and v = G u (a Gaussian), while the coupling θ grows. C = 1 − cc² of
    ``objective``, whose image and field grids must be the same.
    """
    grid = objective.field_grid
    like = objective.moving
    reach = zip(grid.spacing, grid.size, strict=True)
    candidates = lattice(tuple(min(int(range_mm / s), n) for s, n in reach), like)
    view = (1, grid.ndim, *([1] * grid.ndim))
    cost = torch.stack(
        [objective.dissimilarity(base + d.view(view))[:, 0] for d in candidates], dim=1
    )
    smooth = torch.zeros_like(base)
    for coupling in COUPLINGS:
        best = torch.full_like(cost[:, 0], torch.inf)
        u_vox = torch.zeros_like(base)
        for number, d in enumerate(candidates):
            total = cost[:, number] + coupling * (smooth - d.view(view)).square().sum(1)
            wins = total < best
            best = torch.where(wins, total, best)
            u_vox = torch.where(wins[:, None], d.view(view), u_vox)
        smooth = gaussian_smooth(u_vox, (SMOOTHING_VOXELS,) * grid.ndim)
    return smooth
