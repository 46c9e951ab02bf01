"""The way down by itself of every node: L-BFGS, its metric, and what they make of a pair."""

from __future__ import annotations

import dataclasses
import itertools
from itertools import pairwise

import pytest
import torch

from ElasticHyperRegLib.errors import Cancelled
from ElasticHyperRegLib.field import jacobian_determinant
from ElasticHyperRegLib.grid import gaussian_smooth
from ElasticHyperRegLib.solver import Level, SolverOptions, folds, solve
from ElasticHyperRegLib.solver.elastic_metric import ElasticMetric
from ElasticHyperRegLib.solver.folds import unfolded
from ElasticHyperRegLib.solver.lbfgs import descend
from ElasticHyperRegLib.types import Displacement, Grid
from Testing.conftest import make_oblique_grid
from Testing.unit.test_solver import interior_error, pair, smooth_field, texture

COMPOSED = Level(30, 7, 1, 1.5)
SETTLED = dataclasses.replace(COMPOSED, smoothing=0, iterations=20)
BOTH = SolverOptions(levels=(COMPOSED, SETTLED))


def quadratics(count: int = 3, size: int = 12):
    """½ x·M x − r·x of each member, and its lowest value."""
    generator = torch.Generator().manual_seed(2)
    half = torch.randn(count, size, size, generator=generator)
    matrix = half @ half.transpose(1, 2) + 0.1 * torch.eye(size)
    right = torch.randn(count, size, generator=generator)

    def function(x):
        image = torch.einsum("nab,nb->na", matrix, x)
        return (0.5 * x * image - right * x).sum(1), lambda: image - right

    solution = torch.linalg.solve(matrix, right)
    return function, -0.5 * (right * solution).sum(1)


def test_lbfgs_falls_all_the_way_down_every_quadratic():
    function, lowest = quadratics()
    values = [value for value, _ in descend(function, torch.zeros(3, 12), lambda g: g, 0.1)]
    assert all((later <= earlier).all() for earlier, later in pairwise(values))
    assert all((later < earlier).any() for earlier, later in pairwise(values))
    assert torch.allclose(values[-1], lowest, rtol=1e-4)


def test_members_of_a_batch_do_not_see_each_other():
    function, _ = quadratics()

    def first_alone(x):
        value, slope = function(x.expand(3, -1))
        return value[:1], lambda: slope()[:1]

    together = [x[0] for _, x in descend(function, torch.zeros(3, 12), lambda g: g, 0.1)]
    alone = [x[0] for _, x in descend(first_alone, torch.zeros(1, 12), lambda g: g, 0.1)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(together, alone, strict=False))


def test_a_gradient_is_asked_for_only_where_it_goes_on():
    function, _ = quadratics()
    asked = []

    def watched(x):
        value, slope = function(x)

        def gradient():
            asked.append(x)
            return slope()

        return value, gradient

    points = descend(watched, torch.zeros(3, 12), lambda g: g, 0.1)
    came = [x for _, x in itertools.islice(points, 6)]
    assert len(asked) >= 5
    assert not any(x is came[-1] for x in asked)


def test_a_perfect_metric_is_newtons_method():
    scales = torch.tensor([1.0, 100.0, 1e4])

    def function(x):
        return 0.5 * (scales * (x - 1) ** 2).sum(1), lambda: scales * (x - 1)

    _, (value, there) = descend(function, torch.zeros(1, 3), lambda g: g / scales, 1.0)
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert torch.allclose(there, torch.ones(1, 3))


def test_nothing_to_do_ends_at_once():
    def flat(x):
        return torch.zeros(1), lambda: torch.zeros(1, 3)

    [(_, there)] = descend(flat, torch.zeros(1, 3), lambda g: g, 1.0)
    assert torch.equal(there, torch.zeros(1, 3))


@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 6)])
def test_elastic_metric_solves_its_equation(shape):
    grid = make_oblique_grid(shape, (2.0, 3.0, 5.0))
    g = torch.randn(1, 2, *shape, dtype=torch.float64)
    v = ElasticMetric(grid, g).solve(g, 0.1, 0.7)
    laplacian = torch.zeros_like(v)
    for axis, spacing in zip(range(2, v.ndim), grid.spacing[::-1], strict=True):
        ends = v.narrow(axis, 0, 1), v.narrow(axis, v.shape[axis] - 1, 1)
        wide = torch.cat([ends[0], v, ends[1]], dim=axis)
        n = v.shape[axis]
        second = wide.narrow(axis, 2, n) - 2 * v + wide.narrow(axis, 0, n)
        laplacian += second * (min(grid.spacing) / spacing) ** 2
    assert torch.allclose(0.1 * v - 0.7 * laplacian, g, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "spacing", "degrees"),
    [((40, 56), (1.4, 0.9), 35.0), ((28, 30, 32), (1.2, 1.0, 1.1), 20)],
)
def test_recovers_a_known_warp(shape, spacing, degrees):
    grid = make_oblique_grid(shape, spacing, degrees)
    problem, truth = pair(grid)
    solution = solve(problem, BOTH)
    assert interior_error(solution.u_mm, truth) < 0.04 < truth.norm(dim=1).median()
    assert (jacobian_determinant(solution.u_mm, grid) > 0).all()
    assert torch.equal(solution.u_mm, solve(problem, BOTH).u_mm)


def test_it_comes_lower_than_updates_that_are_composed():
    problem, _ = pair(Grid.from_spacing((48, 48), (1.0, 1.0)))
    composed = SolverOptions(levels=(COMPOSED, COMPOSED))
    assert solve(problem, BOTH).value < 0.9 * solve(problem, composed).value
    for trace in solve(problem, BOTH).traces:
        assert all(later <= earlier for earlier, later in pairwise(trace))


def test_a_batch_is_solved_as_its_members_are():
    grid = Grid.from_spacing((40, 40), (1.0, 1.0))
    problem, _ = pair(grid)
    other = texture(grid, seed=5)
    both = dataclasses.replace(
        problem,
        fixed=torch.cat([problem.fixed, texture(grid, seed=6)]),
        moving=torch.cat([problem.moving, other]),
    )
    options = SolverOptions(levels=(dataclasses.replace(SETTLED, iterations=4),), tolerance=-1.0)
    start = smooth_field(grid, 0.5)
    alone, together = (
        solve(p, options, Displacement(start.expand(n, -1, -1, -1), grid))
        for p, n in ((problem, 1), (both, 2))
    )
    assert torch.allclose(together.u_mm[:1], alone.u_mm, atol=1e-3)


def test_a_fold_that_it_is_given_is_undone():
    grid = Grid.from_spacing((32, 32), (1.0, 1.0))
    problem, _ = pair(grid, amplitude_mm=1.0)
    start = torch.zeros(1, 2, 32, 32)
    start[:, :, 16, 16] = 2.5
    assert (jacobian_determinant(start, grid) <= 0).any()
    u_mm = solve(problem, SolverOptions(levels=(SETTLED,)), Displacement(start, grid)).u_mm
    assert (jacobian_determinant(u_mm, grid) > 0).all()


def test_it_stops_when_told_and_says_why():
    problem, _ = pair(Grid.from_spacing((32, 32), (1.0, 1.0)))
    few = SolverOptions(levels=(dataclasses.replace(SETTLED, iterations=2),))
    assert solve(problem, few).stopped == "iteration limit"
    loose = SolverOptions(levels=(SETTLED,), tolerance=1.0)
    assert solve(problem, loose).stopped == "converged"
    with pytest.raises(Cancelled):
        solve(problem, few, cancelled=lambda: True)
    seen: list[float] = []
    solve(problem, BOTH, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def folded_pair(grid: Grid) -> torch.Tensor:
    """A field that folds at one voxel, and one that folds nowhere; (2, D, *grid.shape) mm."""
    u_mm = torch.zeros(2, grid.ndim, *grid.shape)
    middle = tuple(n // 2 for n in grid.shape)
    u_mm[(0, 0, *middle)] = 3.0 * grid.spacing[0]
    return u_mm


@pytest.mark.parametrize("shape", [(60, 70), (24, 26, 28), (1, 60, 70), (2, 40, 40)])
def test_the_few_folds_that_are_left_are_smoothed_away(shape):
    grid = Grid.from_spacing(shape, (1.0,) * len(shape))
    u_mm = folded_pair(grid)
    assert (jacobian_determinant(u_mm, grid) <= 0).any()
    found = unfolded(u_mm, grid)
    assert (jacobian_determinant(found, grid) > 0).all()
    assert torch.equal(found[1], u_mm[1])
    assert torch.count_nonzero((found - u_mm)[0].abs().sum(0)) < 0.1 * u_mm[0, 0].numel()


@pytest.mark.parametrize("further", [1.0, 1.06], ids=["one", "some"])
@pytest.mark.parametrize("shape", [(60, 110), (45, 70, 64), (33, 65, 40)])
def test_boxes_that_hold_folds_are_mended_as_the_whole_would_be(shape, further, monkeypatch):
    grid = Grid.from_spacing(shape, (1.0, 1.5, 2.0)[: len(shape)])
    generator = torch.Generator().manual_seed(1)
    u_mm = gaussian_smooth(
        torch.randn(2, grid.ndim, *shape, generator=generator), (2.0,) * grid.ndim
    )
    while (jacobian_determinant(u_mm, grid) > 0).all():
        u_mm = 1.02 * u_mm
    u_mm = further * u_mm
    in_boxes = unfolded(u_mm, grid)
    assert (jacobian_determinant(in_boxes, grid) > 0).all()
    monkeypatch.setattr(folds, "BOX", 1000)
    assert torch.allclose(in_boxes, unfolded(u_mm, grid), atol=1e-5)


def test_folds_of_slices_that_move_each_on_its_own_are_smoothed_away():
    grid = Grid.from_spacing((8, 96, 96), (1.5, 1.5, 10.0))
    generator = torch.Generator().manual_seed(0)
    each = gaussian_smooth(torch.randn(8, 3, 96, 96, generator=generator), (8.0, 8.0))
    u_mm = each.movedim(0, 1)[None]
    while (jacobian_determinant(u_mm, grid) > 0).all():
        u_mm = 1.02 * u_mm
    u_mm = 1.4 * u_mm
    found = unfolded(u_mm, grid)
    assert (jacobian_determinant(found, grid) > 0).all()
    assert (found != u_mm).double().mean() < 0.05


def test_many_folds_are_left_to_be_seen():
    grid = Grid.from_spacing((20, 20), (1.0, 1.0))
    u_mm = torch.randn(1, 2, 20, 20, generator=torch.Generator().manual_seed(0)) * 3
    assert unfolded(u_mm, grid) is u_mm


def test_what_folds_nowhere_is_not_touched():
    grid = Grid.from_spacing((20, 20), (1.0, 1.0))
    u_mm = torch.zeros(1, 2, 20, 20)
    assert unfolded(u_mm, grid) is u_mm
