"""Where the solver begins, and whether a model's field is in the right valley."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import warp
from ElasticHyperRegLib.grid import gaussian_smooth
from ElasticHyperRegLib.solver import Problem, is_far_off
from ElasticHyperRegLib.solver.begin import compared
from ElasticHyperRegLib.solver.objective import Objective
from ElasticHyperRegLib.types import Displacement, Grid

GRID = Grid.from_spacing((40, 40, 40), (2.0, 2.0, 2.0))


def quiet(fraction: float) -> None:
    """Go on."""


def blobs(grid: Grid) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, *grid.shape, generator=generator)
    smooth = gaussian_smooth(noise, (1.5,) * grid.ndim)
    return smooth / smooth.std()


def shifted(by_mm: float) -> tuple[Problem, Displacement]:
    """A pair that is moved along x, and by what."""
    moving = blobs(GRID)
    shift = torch.zeros(1, 3, *GRID.shape)
    shift[:, 0] = by_mm
    problem = Problem(warp(moving, shift, GRID, GRID), moving, GRID, GRID, 0.05, 0.15)
    return problem, Displacement(shift, GRID)


def test_a_field_in_another_valley_is_far_off():
    problem, truth = shifted(22.0)
    at_rest = Displacement(torch.zeros_like(truth.u_mm), GRID)
    assert is_far_off(problem, at_rest, quiet)
    assert not is_far_off(problem, truth, quiet)


def test_a_field_that_a_descent_mends_is_not_far_off():
    problem, truth = shifted(2.0)
    at_rest = Displacement(torch.zeros_like(truth.u_mm), GRID)
    assert not is_far_off(problem, at_rest, quiet)


def test_slices_are_not_searched():
    grid = Grid.from_spacing((40, 40), (2.0, 2.0))
    moving = blobs(grid)
    problem = Problem(moving.roll(15, -1), moving, grid, grid, 0.05, 0.15)
    assert not is_far_off(problem, Displacement(torch.zeros(1, 2, 40, 40), grid), quiet)


def test_the_question_can_be_broken_off():
    problem, truth = shifted(22.0)

    def stop(fraction: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        is_far_off(problem, truth, stop)


def test_fields_are_compared_over_what_both_show():
    """One that carries off all but what is alike does not win by that."""
    problem, truth = shifted(0.0)
    spoilt = problem.fixed.clone()
    spoilt[..., :20] = -spoilt[..., :20]
    problem = Problem(spoilt, problem.moving, GRID, GRID, 0.0, 0.0)
    away = torch.zeros_like(truth.u_mm)
    away[:, 0, ..., :20] = -200.0
    objective = Objective(problem, GRID, GRID, 5)
    alone = [objective.similarity(u).item() for u in (truth.u_mm, away)]
    assert alone[1] < 0.2 * alone[0]
    fair = objective.counting_from(truth.u_mm, away)
    values = [fair.similarity(u).item() for u in (truth.u_mm, away)]
    assert values[1] == pytest.approx(values[0], abs=1e-3)
    assert len(compared(objective, truth.u_mm, away)) == 2
