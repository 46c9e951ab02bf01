"""The grid that a trained model sees: its spacing over the extent of the fixed image."""

from __future__ import annotations

import numpy as np

from ..grid import coarser, nearest_axes
from ..types import Grid
from ..weights import ModelCard

LARGEST = 8.0
"""Times the voxels that the model was trained on; a larger grid is made coarser."""


def network_grid(card: ModelCard, fixed: Grid, coarsening: float = 1.0) -> Grid:
    """Grid of the model over the extent of ``fixed``, its faces in place.

    Volumes get axes along R, A, S (as nearly as their own allow), so that a patient looks the same
    to the model however the file stores it. A 2D model takes a volume as a stack: it has its own
    spacing within the slices, which stay where they are.

    Args:
        card: of the model.
        fixed: grid of the fixed image.
        coarsening: times the model's spacing.
    """
    spacing = np.asarray(card.expects.spacing_mm) * coarsening
    stack = card.model.ndim < fixed.ndim
    slices = fixed.shape[0] if stack else 1

    def over(factor: float) -> Grid:
        if stack:
            return coarser(fixed, (*(spacing * factor), fixed.spacing[2]))
        base = towards_ras(fixed) if fixed.ndim == 3 else fixed
        return coarser(base, tuple(spacing * factor))

    excess = over(1.0).voxels / (slices * LARGEST * float(np.prod(card.expects.size)))
    return over(max(1.0, excess ** (1 / card.model.ndim)))


def towards_ras(grid: Grid) -> Grid:
    """The same voxels with axes i, j, k reordered and turned to lie nearest R, A, S."""
    order = nearest_axes(grid)[0][: grid.ndim]
    matrix = grid.ijk_to_ras.copy()
    matrix[:-1, :-1] = matrix[:-1, order]
    size = [grid.size[axis] for axis in order]
    for axis, count in enumerate(size):
        if matrix[axis, axis] < 0:
            matrix[:-1, -1] += matrix[:-1, axis] * (count - 1)
            matrix[:-1, axis] *= -1
    return Grid(tuple(size[::-1]), matrix)


def plane_of(stack: Grid) -> str:
    """The plane of the slices of a volume, the nearest one where they are oblique."""
    return ("sagittal", "coronal", "axial")[nearest_axes(stack)[0].index(2)]
