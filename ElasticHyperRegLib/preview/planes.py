"""Which slices to show, the right way round: anatomical planes of a grid that may be oblique."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..grid import apply_matrix, nearest_axes
from ..types import Grid

_STEP = 200_000
"""About how many voxels are looked at when a slice is chosen."""


@dataclass(frozen=True)
class Plane:
    """One slice along an index axis, named after the nearest anatomical plane.

    Attributes:
        grid: grid that is cut; a 2D grid is one axial slice.
        normal: world axis across the plane: 0 sagittal, 1 coronal, 2 axial.
        index: slice number, counted towards R, A or S.
    """

    grid: Grid
    normal: int
    index: int

    @property
    def name(self) -> str:
        """``Sagittal``, ``Coronal`` or ``Axial``."""
        return ("Sagittal", "Coronal", "Axial")[self.normal]

    @property
    def across(self) -> int:
        """World axis shown horizontally; its positive end is on the left of the screen."""
        return 1 if self.normal == 0 else 0

    @property
    def upwards(self) -> int:
        """World axis shown vertically; its positive end is on top."""
        return 1 if self.normal == 2 else 2

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Orientation at the left, right, top and bottom edge, radiological convention."""
        ends = ("RL", "AP", "SI")
        return (*ends[self.across], *ends[self.upwards])

    @cached_property
    def spacing(self) -> tuple[float, float]:
        """Millimetres per pixel, (horizontally, vertically)."""
        nearest, _ = nearest_axes(self.grid)
        return self.grid.spacing[nearest[self.across]], self.grid.spacing[nearest[self.upwards]]

    def cut(self, volume: np.ndarray) -> np.ndarray:
        """(*grid.shape) → (rows, columns), rows towards the top, columns towards the left."""
        return np.take(_facing(volume, self.grid), self.index, axis=2 - self.normal)

    @cached_property
    def voxels(self) -> torch.Tensor:
        """Voxel positions of the pixels, (1, D, rows, columns), channels i, j, k."""
        shape, dim = self.grid.shape, self.grid.ndim
        coordinates = []
        for axis in range(dim):
            steps = np.arange(shape[dim - 1 - axis], dtype=np.float32)
            along = steps.reshape([-1 if a == dim - 1 - axis else 1 for a in range(dim)])
            coordinates.append(self.cut(np.broadcast_to(along, shape)))
        return torch.from_numpy(np.stack(coordinates))[None]

    @cached_property
    def points(self) -> torch.Tensor:
        """RAS mm of the pixels, (1, D, rows, columns)."""
        return apply_matrix(self.grid.ijk_to_ras.copy(), self.voxels)

    def in_plane(self, vectors: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Components of RAS vectors (1, D, rows, columns): (horizontal, vertical) mm."""
        nearest, signs = nearest_axes(self.grid)
        flat = vectors[0].numpy()
        directions = self.grid.direction * signs_by_index(nearest, signs, self.grid.ndim)
        across, up = (directions[:, nearest[axis]] for axis in (self.across, self.upwards))
        return np.tensordot(across, flat, axes=1), np.tensordot(up, flat, axes=1)


def signs_by_index(nearest: list[int], signs: list[int], dim: int) -> np.ndarray:
    """``signs`` in the order of the index axes i, j, k."""
    by_index = np.ones(3)
    by_index[nearest] = signs
    return by_index[:dim]


def choose_planes(grid: Grid, weight: np.ndarray) -> list[Plane]:
    """Axial, coronal and sagittal slices through where ``weight`` (*grid.shape) is largest.

    For each plane the middle of the run of slices that hold at least 95 % of the most.
    """
    facing = _facing(weight, grid)
    step = max(1, round((facing.size / _STEP) ** (1 / 3)))
    planes = []
    for normal in (2, 1, 0) if grid.ndim == 3 else (2,):
        axis = 2 - normal
        thinned = facing[tuple(slice(None, None, 1 if a == axis else step) for a in range(3))]
        profile = thinned.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.float64)
        planes.append(Plane(grid, normal, _middle_of_top(profile)))
    return planes


def _middle_of_top(profile: np.ndarray) -> int:
    if profile.max() <= 0:
        return len(profile) // 2
    best = first = last = int(profile.argmax())
    high = profile >= 0.95 * profile[best]
    while first > 0 and high[first - 1]:
        first -= 1
    while last < len(profile) - 1 and high[last + 1]:
        last += 1
    return (first + last) // 2


def _facing(volume: np.ndarray, grid: Grid) -> np.ndarray:
    """View of (*grid.shape) with axes along S, A, R, each running towards that letter."""
    lifted = volume if grid.ndim == 3 else volume[None]
    nearest, signs = nearest_axes(grid)
    turned = lifted.transpose([2 - nearest[world] for world in (2, 1, 0)])
    return np.flip(turned, tuple(2 - world for world in range(3) if signs[world] < 0))
