"""Where the first level begins: at rest, at what a discrete search found, or where a model led."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..field import mm_to_vox, to_grid, vox_to_mm
from ..grid import coarser, pyramid
from ..types import Displacement, Grid
from .descent import Tick, descend
from .objective import Objective
from .problem import Level, Problem, SolverOptions, field_grid
from .search import discrete_search
from .settle import settle

SEARCH_STEPS = 5
TRIAL = 7
"""Passes that a model's field and what the search makes of it are given."""
FAR = 0.01
"""By so much of itself the objective must be lower after the search for a field to be far off.

On phantoms and after breathing they differ by .2 %; after motion of 14 mm in the mean, or where a
part of the body is missing, the search brings 2 to 27 %.
"""


def first_guess(
    problem: Problem, options: SolverOptions, image_grid: Grid, level: Level, tick: Tick
) -> torch.Tensor:
    """Where the first level begins, in mm on its field grid.

    The discrete search competes with rest: both take a third of the level's iterations, and the
    one whose objective is then lower goes on.
    """
    grid = field_grid(image_grid, level)
    rest = problem.fixed.new_zeros(problem.fixed.shape[0], grid.ndim, *grid.shape)
    if not options.search_mm:
        return rest
    objective = Objective(problem, image_grid, grid, level.window, boxed=True)
    trial = replace(level, iterations=level.iterations // 3)
    tick(0.0)
    found = mm_to_vox(_searched(problem, options, grid, rest), grid)
    tries = [descend(objective, u_vox, trial, options, tick).u_vox for u_vox in (rest, found)]
    still, moved = compared(objective, *tries)
    wins = (moved < still).view(-1, *([1] * (rest.ndim - 1)))
    return vox_to_mm(torch.where(wins, tries[1], tries[0]), grid)


def is_far_off(problem: Problem, field: Displacement, tick: Tick) -> bool:
    """Whether a discrete search about ``field`` leads clearly lower than ``field`` itself.

    What a model gave for a motion unlike those it was trained on lies in another valley, which no
    descent from there leaves. Both settle for a few passes on the coarsest level. Of slices, which
    are not searched, none is.

    Args:
        problem: one pair.
        field: found by the model.
        tick: called now and then; may raise to stop.
    """
    options = SolverOptions.for_dimension(problem.fixed_grid.ndim)
    if not options.search_mm:
        return False
    image_grid, *_ = pyramid(problem.fixed_grid, len(options.levels))
    level = replace(options.levels[0], iterations=TRIAL, smoothing=0)
    grid = field_grid(image_grid, level)
    objective = Objective(problem, image_grid, grid, level.window, boxed=True)
    here = to_grid(field.u_mm, field.grid, grid)
    tick(0.0)
    found = _searched(problem, options, grid, here)
    fields = [mm_to_vox(u_mm, grid) for u_mm in (here, found)]
    tries = [settle(objective, u_vox, level, options, tick).u_vox for u_vox in fields]
    left, lower = compared(objective, *tries)
    return bool(lower < (1 - FAR) * left)


@torch.no_grad()
def compared(objective: Objective, *fields: torch.Tensor) -> list[torch.Tensor]:
    """The objective of each field over what the moving image shows under all of them, (N,) each."""
    fair = objective.counting_from(*fields)
    return [fair(u_vox) for u_vox in fields]


def _searched(
    problem: Problem, options: SolverOptions, grid: Grid, about: torch.Tensor
) -> torch.Tensor:
    """``about`` (N, D, *grid.shape) mm and what the discrete search adds to it.

    Its lattice is never finer than a fifth of the range, so that its cost does not grow with the
    resolution of the image.
    """
    spacing = tuple(max(s, options.search_mm / SEARCH_STEPS) for s in grid.spacing)
    lattice_grid = coarser(grid, spacing)
    objective = Objective(problem, lattice_grid, lattice_grid, options.search_window)
    base = mm_to_vox(to_grid(about, grid, lattice_grid), lattice_grid)
    found = discrete_search(objective, options.search_mm, base)
    return about + to_grid(vox_to_mm(found, lattice_grid), lattice_grid, grid)
