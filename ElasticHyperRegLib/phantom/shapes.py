"""Smooth solids as signed pseudo-distances in mm: negative inside, about 1 mm per mm near the edge.

Points are held in channels (3, ...): R, A, S mm about the centre of the field of view.
Ellipsoid and smooth maximum after I. Quilez, "Distance functions" (2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..grid import apply_matrix, gaussian_smooth, sample, voxel_points
from ..types import Grid

Vector = Sequence[float] | np.ndarray


def ellipsoid(
    points: torch.Tensor, centre: Vector, radii: Vector, axes: np.ndarray | None = None
) -> torch.Tensor:
    """Ellipsoid; an infinite radius gives an elliptic cylinder along that axis.

    Args:
        axes: (3, 3) orthonormal rows, the directions that ``radii`` belong to; world axes if None.
    """
    offset = points - vector(centre, points)
    if axes is not None:
        offset = torch.einsum("ab,b...->a...", torch.as_tensor(axes).to(points), offset)
    r = vector(radii, points)
    scaled = offset / r
    k = length(scaled)
    return k * (k - 1) / length(scaled / r).clamp(min=1e-6)


def capsule(
    points: torch.Tensor, start: Vector, end: Vector, radii: tuple[float, float]
) -> torch.Tensor:
    """Tube from ``start`` to ``end`` with round ends, radius linear between ``radii``."""
    a = vector(start, points)
    axis = vector(end, points) - a
    offset = points - a
    along = ((offset * axis).sum(0) / (axis * axis).sum().clamp(min=1e-6)).clamp(0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * along
    return length(offset - along * axis) - radius


def length(vectors: torch.Tensor) -> torch.Tensor:
    """Euclidean length of ``vectors`` (C, ...); far faster here than a norm over the channels."""
    return vectors.square().sum(0).sqrt()


def smooth_max(a: torch.Tensor, b: torch.Tensor, rounding: float) -> torch.Tensor:
    """Intersection of two solids, the edge between them rounded over about ``rounding`` mm."""
    overlap = (rounding - (a - b).abs()).clamp(min=0) / rounding
    return torch.maximum(a, b) + overlap.square() * (rounding / 4)


def bump(value: torch.Tensor, centre: float, width: float) -> torch.Tensor:
    """Gaussian bell of height 1."""
    return torch.exp(-(((value - centre) / width) ** 2))


def coverage(distance: torch.Tensor, width: float) -> torch.Tensor:
    """Fraction of a voxel of ``width`` mm that lies inside a solid (partial volume)."""
    return (0.5 - distance / width).clamp(0, 1)


def vector(values: Vector, like: torch.Tensor) -> torch.Tensor:
    """``values`` shaped to act on the channels of ``like``."""
    column = torch.as_tensor(np.asarray(values), dtype=like.dtype, device=like.device)
    return column.view(-1, *([1] * (like.ndim - 1)))


class Lattice:
    """A function of position: values (*grid.shape) on ``grid``, linear between, border outside."""

    def __init__(self, values: torch.Tensor, grid: Grid) -> None:
        self.values = values
        self.grid = grid

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Values (...) at ``points`` (3, ...) in the frame of ``grid``."""
        flat = points.reshape(1, 3, -1, 1, 1)
        found = sample(self.values[None, None], apply_matrix(self.grid.ras_to_ijk, flat))
        return found.reshape(points.shape[1:])


def random_texture(grid: Grid, sigma_mm: float, rng: np.random.Generator) -> Lattice:
    """Smooth random field of mean 0 and standard deviation 1."""
    white = torch.from_numpy(rng.standard_normal((1, 1, *grid.shape), dtype=np.float32))
    field = gaussian_smooth(white, tuple(sigma_mm / s for s in grid.spacing))[0, 0]
    return Lattice((field - field.mean()) / field.std(), grid)


def centred_grid(extent_mm: Vector, spacing_mm: float, centre: Vector = (0.0, 0.0, 0.0)) -> Grid:
    """Grid of cubic voxels whose centres span at least ``extent_mm`` (i, j, k) about ``centre``."""
    size = np.ceil(np.asarray(extent_mm) / spacing_mm).astype(int) + 1
    origin = np.asarray(centre) - (size - 1) * spacing_mm / 2
    return Grid.from_spacing(tuple(size[::-1]), (spacing_mm,) * 3, tuple(origin))


def positions(grid: Grid) -> torch.Tensor:
    """Position of every voxel, (3, *shape) float32 mm in the frame of ``grid``."""
    return apply_matrix(grid.ijk_to_ras.copy(), voxel_points(grid.shape, torch.zeros(1)))[0]
