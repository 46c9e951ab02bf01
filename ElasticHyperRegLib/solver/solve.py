"""Coarse to fine: the whole solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from ..errors import Cancelled
from ..field import mm_to_vox, to_grid, vox_to_mm
from ..grid import pyramid
from ..similarity import MIND
from ..types import Displacement, Grid
from .begin import first_guess
from .descent import Tick, descend
from .folds import unfolded
from .objective import Objective
from .problem import Level, Problem, SolverOptions, field_grid
from .settle import settle

MOST_DESCRIBED = 2**23
"""Voxels of an image from which on a level is left out with MIND-SSC: descriptors of more need some
seven gigabytes, and nodes three voxels apart ask for no finer ones."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What the solver found.

    Attributes:
        u_mm: (N, D, *fixed_grid.shape) RAS mm, the elastic part: φ(x) = A(x + u(x)).
        value: objective of each pair on the finest level, (N,).
        traces: accepted objective values (mean over the batch), one list a level.
        stopped: why the finest level stopped.
    """

    u_mm: torch.Tensor
    value: torch.Tensor
    traces: list[list[float]]
    stopped: str


def solve(
    problem: Problem,
    options: SolverOptions | None = None,
    start: Displacement | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Solution:
    """Minimise (1 − Λ − Γ)·D + W for this pair, from coarse to fine.

    Args:
        start: displacement to begin from, on any grid that covers the fixed image; without one
            the first level begins at rest or at what the discrete search found.
        progress: told the fraction done, never less than before.
        cancelled: asked at every iteration.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    grid = problem.fixed_grid
    options = options or SolverOptions.for_dimension(grid.ndim)
    grids = pyramid(grid, len(options.levels))
    levels = options.levels[-len(grids) :]
    if problem.similarity == MIND:
        larger = max(1.0, problem.moving_grid.voxels / grid.voxels)
        while len(grids) > 1 and grids[-1].voxels * larger > MOST_DESCRIBED:
            grids, levels = grids[:-1], levels[:-1]
    ticks = _ticks(grids, levels, progress, cancelled)
    here = field_grid(grids[0], levels[0])
    if start is None:
        u_mm = first_guess(problem, options, grids[0], levels[0], ticks[0])
    else:
        u_mm = to_grid(start.u_mm, start.grid, here)
    traces = []
    for image_grid, level, tick in zip(grids, levels, ticks, strict=True):
        target = field_grid(image_grid, level)
        u_mm, here = to_grid(u_mm, here, target), target
        objective = Objective(problem, image_grid, here, level.window, boxed=True)
        way = descend if level.smoothing else settle
        result = way(objective, mm_to_vox(u_mm, here), level, options, tick)
        u_mm = vox_to_mm(result.u_vox, here)
        traces.append(result.trace)
    progress(1.0)
    u_mm = unfolded(to_grid(u_mm, here, grid), grid)
    return Solution(u_mm, result.value, traces, result.stopped)


def _ticks(
    grids: list[Grid],
    levels: tuple[Level, ...],
    progress: Callable[[float], None],
    cancelled: Callable[[], bool],
) -> list[Tick]:
    """For each level a function that reports the fraction done of all levels, or cancels."""
    work = [grid.voxels * level.iterations for grid, level in zip(grids, levels, strict=True)]
    highest = 0.0

    def tick(number: int, fraction: float) -> None:
        nonlocal highest
        if cancelled():
            raise Cancelled("the registration was cancelled")
        done = (sum(work[:number]) + fraction * work[number]) / max(sum(work), 1)
        highest = max(highest, done)
        progress(highest)

    return [partial(tick, number) for number in range(len(grids))]
