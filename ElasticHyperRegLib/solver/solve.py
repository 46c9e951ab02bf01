"""Coarse to fine: the whole solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..field import mm_to_vox, to_grid, vox_to_mm
from ..grid import coarser, pyramid
from ..types import Grid
from .descent import CancelCheck, better_of, descend
from .objective import Objective
from .problem import Problem, SolverOptions
from .search import discrete_search


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
    start: torch.Tensor | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
    cancelled: CancelCheck = lambda: False,
) -> Solution:
    """Minimise (1 − Λ − Γ)·NCC + W for this pair, from coarse to fine.

    Args:
        start: displacement to begin from, (N, D, *fixed_grid.shape) RAS mm.
    """
    grid = problem.fixed_grid
    options = options or SolverOptions.for_dimension(grid.ndim)
    grids = pyramid(grid, len(options.levels))
    levels = options.levels[-len(grids) :]
    field_grid = grids[0]
    searched = start is None and options.search_mm > 0
    u_mm = _search(problem, options, field_grid) if searched else _rest(problem, field_grid)
    if start is not None:
        u_mm = to_grid(start, grid, field_grid)
    traces = []
    for number, (image_grid, level) in enumerate(zip(grids, levels, strict=True)):
        target = _field_grid(image_grid, level.control)
        u_mm, field_grid = to_grid(u_mm, field_grid, target), target
        objective = Objective(problem, image_grid, field_grid, level.window)
        begin = mm_to_vox(u_mm, field_grid)
        result = descend(objective, begin, level, options, cancelled)
        if number == 0 and searched:
            plain = descend(objective, torch.zeros_like(begin), level, options, cancelled)
            result = better_of(result, plain)
        u_mm = vox_to_mm(result.u_vox, field_grid)
        traces.append(result.trace)
        progress((number + 1) / len(grids))
    return Solution(to_grid(u_mm, field_grid, grid), result.value, traces, result.stopped)


def _rest(problem: Problem, grid: Grid) -> torch.Tensor:
    return problem.fixed.new_zeros(problem.fixed.shape[0], grid.ndim, *grid.shape)


def _search(problem: Problem, options: SolverOptions, grid: Grid) -> torch.Tensor:
    """The discrete search on the coarsest level."""
    objective = Objective(problem, grid, grid, options.search_window)
    return vox_to_mm(discrete_search(objective, options.search_mm, problem.fixed.shape[0]), grid)


def _field_grid(image_grid: Grid, factor: float) -> Grid:
    """The field's grid: ``factor`` times as coarse along the axes that are not coarse already."""
    if factor == 1:
        return image_grid
    spacing = [max(s, min(image_grid.spacing) * factor) for s in image_grid.spacing]
    return coarser(image_grid, tuple(spacing))
