"""One breath: the displacement of a body from exhale to inhale, by static equilibrium.

The diaphragm is pulled down, the sternum forwards, the ribs outwards; the spine stays. Everything
else follows from the stiffness of the tissues. The solve grid is the same whatever the image grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from ..materials import lame
from ..types import Elasticity, Grid
from .body import FIELD_OF_VIEW_MM, TISSUES, Body, labels_of
from .equilibrium import ElasticBody, equilibrium
from .shapes import bump, centred_grid, positions, vector

YOUNG_POISSON = {
    "background": (0.0002, 0.0),
    "soft_tissue": (0.015, 0.4),
    "lung": (0.0025, 0.3),
    "bone": (1.0, 0.3),
    "heart": (0.02, 0.4),
    "liver": (0.025, 0.42),
}
"""Mean Young's modulus and Poisson's ratio. The order of the tissues is that of the body; bone is
no harder than the equations stay quick to solve with (400 times lung)."""
SOLVE_MM = 8.0
BELOW_MM = 80.0
DOME_EDGE_MM = 60.0
"""The descent of the diaphragm rises over this distance from the ribs and the spine."""
RIBS_SHIFT = (0.12, 0.04, 0.06)
STERNUM_SHIFT = (0.0, 0.18, 0.12)
"""Mm that the right ribs and the sternum move for each mm of the diaphragm."""


def draw_stiffness(rng: np.random.Generator, variation: float) -> dict[str, Elasticity]:
    """(λ, μ) of each tissue, relative to a bone of Young's modulus 1."""
    stiffness = {}
    for name, (young, poisson) in YOUNG_POISSON.items():
        factor = 1.0 if name == "bone" else float(np.exp(0.4 * variation * rng.uniform(-1, 1)))
        stiffness[name] = Elasticity(*lame(young * factor, poisson))
    return stiffness


def solve_grid() -> Grid:
    """Grid around the field of view, longer below so that the abdomen has somewhere to go."""
    width, depth, height = FIELD_OF_VIEW_MM
    extent = (width + 3 * SOLVE_MM, depth + 3 * SOLVE_MM, height + 3 * SOLVE_MM + BELOW_MM)
    return centred_grid(extent, SOLVE_MM, (0.0, 0.0, -BELOW_MM / 2))


def elastic_body(body: Body, stiffness: Mapping[str, Elasticity], grid: Grid) -> ElasticBody:
    """Mean λ and μ of the tissues about each voxel of ``grid``, from eight samples of it."""
    halves = tuple(s / 2 for s in grid.spacing)
    first = tuple(grid.origin - np.asarray(halves) / 2)
    fine = Grid.from_spacing(tuple(2 * n for n in grid.shape), halves, first)
    layers = [labels_of(body.solids(layer)) for layer in positions(fine).split(4, dim=1)]
    tissue = torch.cat(layers)[None, None].long()
    lam, mu = (
        functional.avg_pool3d(torch.tensor(values)[tissue], 2)
        for values in zip(
            *[(stiffness[n].lam, stiffness[n].mu) for n in TISSUES.values()], strict=True
        )
    )
    return ElasticBody(lam, mu, grid.spacing)


def breath(
    body: Body, stiffness: Mapping[str, Elasticity], grid: Grid, breath_mm: float
) -> torch.Tensor:
    """Displacement u (1, 3, *shape) RAS mm on ``grid``, exhale to inhale."""
    prescribed, start = drive(body, positions(grid))
    return equilibrium(elastic_body(body, stiffness, grid), prescribed, breath_mm * start)


def drive(body: Body, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What moves by itself at ``p`` (3, *shape), for a breath of 1 mm.

    Returns:
        Prescribed components, bool, and their values in mm (0 elsewhere), both (1, 3, *shape).
    """
    cavity, column = body.cavity(p), body.column(p)
    side = (p[0].abs() > 0.8 * body.chest[0]) & (body.ribs(p, cavity) < 2)
    prescribed = torch.zeros(p.shape, dtype=torch.bool)
    values = torch.zeros_like(p)
    for where, shift in (
        (side & (p[0] > 0), RIBS_SHIFT),
        (side & (p[0] < 0), (-RIBS_SHIFT[0], *RIBS_SHIFT[1:])),
        (body.sternum(p) < 0, STERNUM_SHIFT),
        ((column < 0) | (p[2] <= p[2].min()), (0.0, 0.0, 0.0)),
    ):
        prescribed |= where
        values = torch.where(where, vector(shift, p), values)
    depth = (torch.minimum(-cavity, column) / DOME_EDGE_MM).clamp(0, 1)
    heart = 0.4 * bump(p[0], body.heart[0], 45) * bump(p[1], body.heart[1], 45)
    dome = ((body.dome_height(p) - p[2]).abs() <= SOLVE_MM / 2) & (depth > 0)
    prescribed[2] |= dome
    descent = depth.square() * (3 - 2 * depth) * (1 - heart)
    values[2] = torch.where(dome, -descent / descent[dome].max(), values[2])
    return prescribed[None], values[None]


def upsample(u: torch.Tensor, coarse: Grid, fine: Grid) -> torch.Tensor:
    """``u`` (1, C, *coarse.shape) at the voxels of ``fine`` (same axes), by cubic convolution.

    Reference: Keys, Cubic convolution interpolation, IEEE Trans. ASSP 29 (1981).
    """
    weights = []
    for axis in range(3):
        position = fine.origin[axis] + np.arange(fine.size[axis]) * fine.spacing[axis]
        t = (position - coarse.origin[axis]) / coarse.spacing[axis]
        weights.append(torch.from_numpy(cubic_weights(t, coarse.size[axis])).to(u))
    return torch.einsum("ncKJI,kK,jJ,iI->nckji", u, *weights[::-1])


def cubic_weights(t: np.ndarray, size: int) -> np.ndarray:
    """(len(t), size) weights of Catmull-Rom interpolation at index positions ``t``."""
    d = np.abs(t[:, None] - np.arange(size))
    near = 1.5 * d**3 - 2.5 * d**2 + 1
    far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
