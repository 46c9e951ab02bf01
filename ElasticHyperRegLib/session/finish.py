"""A field at rest, gone over with finer images: what a hand in motion has no time for.

Answers come on a grid of some millimetres, found on images as coarse; what lies between two nodes
of that grid the images can tell all the same, if they are looked at closely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from ..field import to_grid, vox_to_mm
from ..solver.settle import Energy
from ..types import Elasticity, Grid
from .objective import LiveObjective
from .solver_field import PATIENT, Held, SolverField, images_grid

BUDGET = 96**3
"""Voxels of the finer images: some 0.1 s a pass on two cores."""
WORTH = 2.0
"""Times the voxels of the live images from which on it is worth while."""
PASSES = 12
"""The most that they take; by then a field has hardly moved for some."""


def finer_images(fixed: Grid, live_voxels: int) -> Grid | None:
    """Grid of the finer images; ``None`` where those of ``live_voxels`` are about as fine."""
    finer = images_grid(fixed, BUDGET)
    return finer if finer.voxels >= WORTH * live_voxels else None


class FineField(SolverField):
    """The solver on fine images: it can be stopped in the middle of a pass.

    ``check`` may be called by another thread, where a device has one of its own for gradients.
    """

    def _checked(self, objective: LiveObjective, check: Callable[[], None]) -> Energy:
        return objective.interrupted_by(check)


class Finisher:
    """Goes on from a settled field with finer images.

    Args:
        solver: on those images.
        grid: where fields are given and wanted.
    """

    def __init__(self, solver: FineField, grid: Grid) -> None:
        self._solver, self._grid = solver, grid

    def finished(
        self,
        d_mm: torch.Tensor,
        values: Sequence[Elasticity],
        check: Callable[[], None],
        passes: int,
    ) -> Iterator[tuple[torch.Tensor, bool]]:
        """Better and better fields, and whether each is the last; none where nothing is better.

        Args:
            d_mm: (1, D, *grid.shape) RAS mm, to start from.
            values: (λ, μ) of each tissue of the solver, or the one for everywhere.
            check: called several times a pass; may raise to stop.
            passes: so many at most, of ``PASSES``.
        """
        nodes, held = self._solver.field_grid, Held(self._solver.unknowns(d_mm, self._grid))
        patience = replace(PATIENT, passes=min(passes, PASSES))
        found = self._solver.refine(held, values, check, patience)
        for number, (better, last) in enumerate(found):
            if number or last:  # the first is not yet as good as what may be on screen
                yield to_grid(vox_to_mm(better.u_vox, nodes), nodes, self._grid), last
