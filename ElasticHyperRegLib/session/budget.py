"""How many voxels the live solver compares: what a processor bears, and a GPU as it is measured."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch

from ..engine.arithmetic import wait_for
from ..engine.request import DEFAULT_ELASTICITY
from .solver_field import BUDGET, Held, Patience, SolverField

MEASURED = ("cuda",)
"""Types of device that are asked; others keep the ``BUDGET`` of a processor."""
PASS_S = 0.01
"""A pass of the solver there: the first field of a new setting comes after one."""
MOST = 128**3
"""However quick a pass is: figures, labels and overlays of an answer are the processor's work."""
PASSES = 4
ROOM = 0.5
"""Part of the free memory that a trial may take."""


def affordable(seconds_of: Callable[[int], float], most: int) -> int:
    """The largest of ``BUDGET``, twice that, … whose pass takes ``PASS_S`` at most.

    Args:
        seconds_of: budget → seconds of a pass; infinite where there is no room for it.
        most: voxels that there are.
    """
    most = min(most, MOST)
    budget = min(BUDGET, most)
    while budget < most and seconds_of(min(2 * budget, most)) <= PASS_S:
        budget = min(2 * budget, most)
    return budget


def seconds_of_pass(solver: SolverField) -> float:
    """Of the solver on its device, from rest."""
    grid, device = solver.field_grid, solver.device
    held = Held(torch.zeros(1, grid.ndim, *grid.shape, device=device))
    values = solver.values(DEFAULT_ELASTICITY, {})
    times = []
    for _ in range(2):  # the first sets up what a device needs once
        begun = perf_counter()
        solver.refined(held, values, patience=Patience(0.0, PASSES))
        wait_for(device)
        times.append((perf_counter() - begun) / PASSES)
    return times[-1]
