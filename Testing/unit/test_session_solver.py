"""The live solver and its parts: closed forms, agreement with the exact solver, derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import Elasticity, Grid
from ElasticHyperRegLib.engine.elasticity import coefficients
from ElasticHyperRegLib.engine.prepare import prepare, problem_of
from ElasticHyperRegLib.estimation import Setting
from ElasticHyperRegLib.field import transform_points
from ElasticHyperRegLib.metrics import tre_mm
from ElasticHyperRegLib.session.compared import FromOne, from_one
from ElasticHyperRegLib.session.objective import LiveObjective, on_grid, tissue_shares
from ElasticHyperRegLib.session.solver_field import (
    HASTY,
    Patience,
    SolverField,
    images_grid,
)
from ElasticHyperRegLib.session.tangent import tangents
from ElasticHyperRegLib.solver import SolverOptions
from ElasticHyperRegLib.solver.objective import Objective
from Testing.unit.small_pair import small_request

SOFT, MIDDLE, HARD = Elasticity(0.0, 0.05), Elasticity(0.05, 0.15), Elasticity(0.1, 0.8)


def make_field(dim: int = 3, tissues: bool = True, **more) -> SolverField:
    request = small_request(dim, **more)
    problem = problem_of(prepare(request), (0.0, 0.0), np.eye(dim + 1), torch.device("cpu"))
    grid = request.fixed.grid
    shares = tissue_shares(request.fixed_labels, grid) if tissues else {}
    return SolverField(problem, grid, shares)


@pytest.fixture(scope="module")
def field() -> SolverField:
    made = make_field()
    made.anchor()
    return made


def fields_of(field: SolverField) -> FromOne:
    return from_one(field, Setting(MIDDLE), HASTY, lambda: None)


# Grids and shares


@given(
    st.tuples(*[st.integers(4, 90)] * 3),
    st.tuples(*[st.floats(0.5, 9.0)] * 3),
    st.integers(5000, 60000),
)
def test_images_fit_the_budget_and_cover_the_same(shape, spacing, budget):
    grid = Grid.from_spacing(shape, spacing)
    images = images_grid(grid, budget)
    assert images.voxels <= max(1.6 * budget, 8)
    extent = [n * s for n, s in zip(grid.size, grid.spacing, strict=True)]
    assert [n * s for n, s in zip(images.size, images.spacing, strict=True)] == pytest.approx(
        extent
    )
    assert all(new >= 0.66 * old for new, old in zip(images.spacing, spacing, strict=True))


def test_thick_slices_stay_while_pixels_are_finer():
    stack = Grid.from_spacing((10, 128, 128), (1.4, 1.4, 10.0))
    images = images_grid(stack, 60_000)
    assert images.shape[0] == 10
    assert images.spacing[0] == pytest.approx(images.spacing[1])
    assert images_grid(stack, stack.voxels) is stack


def test_shares_of_the_tissues_add_up_to_one():
    request = small_request()
    grid = images_grid(request.fixed.grid, 900)
    shares = tissue_shares(request.fixed_labels, grid)
    assert list(shares) == ["background", "body", "organ"]
    total = torch.stack(list(shares.values())).sum(0)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


def test_labels_of_one_name_are_one_tissue():
    labels = small_request().fixed_labels
    merged = replace(labels, names={0: "rest", 1: "inside", 2: "inside"})
    shares = tissue_shares(merged, labels.grid)
    assert torch.equal(shares["inside"], (labels.data > 0).float())


# The objective is the exact solver's


@pytest.mark.parametrize("dim", [2, 3])
def test_objective_is_that_of_the_exact_solver(dim):
    request = small_request(dim)
    options = replace(
        request.options, elasticity=MIDDLE, tissues={"organ": HARD, "background": SOFT}
    )
    wanted = coefficients(replace(request, options=options))
    problem = problem_of(prepare(request), wanted, np.eye(dim + 1), torch.device("cpu"))
    level = SolverOptions.for_dimension(dim).levels[-1]
    shares = torch.cat(list(tissue_shares(request.fixed_labels, problem.fixed_grid).values()), 1)
    live = LiveObjective(problem, level, shares).at([SOFT, MIDDLE, HARD])
    exact = Objective(problem, problem.fixed_grid, live.field_grid, level.window)
    u_vox = torch.randn(1, dim, *live.field_grid.shape) * 0.3
    assert float(live(u_vox)) == pytest.approx(float(exact(u_vox)), rel=1e-5)


def test_a_grid_of_its_own_keeps_the_pair():
    field = make_field()
    problem = field._problem
    assert on_grid(problem, problem.fixed_grid).fixed is problem.fixed


# The field


def test_refining_never_makes_it_worse(field):
    values = [SOFT, MIDDLE, HARD]
    start = field.anchor()
    fields = list(field.refine(start, values, patience=Patience(0.0, 10)))
    objective = field._objective.at(values).counting_from(start.u_vox)
    trace = [float(objective(held.u_vox)) for held in (start, *(held for held, _ in fields))]
    assert [last for _, last in fields] == [False, False, False, True]
    assert all(later < earlier for earlier, later in zip(trace, trace[1:], strict=False))


@pytest.mark.parametrize("passes", [1, 2, 3, 8])
def test_no_pass_is_thrown_away(field, passes):
    values = [SOFT, MIDDLE, HARD]
    start = field.anchor()
    every = [
        field.refined(start, values, patience=Patience(0.0, count)).u_vox
        for count in range(1, passes + 1)
    ]
    assert all(not torch.equal(one, other) for one, other in pairwise([start.u_vox, *every]))
    *_, (last, final) = field.refine(start, values, patience=Patience(0.0, passes))
    assert final
    assert torch.equal(last.u_vox, every[-1])


def test_landmarks_land_where_they_should(field):
    request = small_request()
    d_mm = fields_of(field).displacement(MIDDLE, {})
    moved = transform_points(request.fixed_points, d_mm, field.grid)
    before = tre_mm(request.fixed_points, request.moving_points).mean()
    assert tre_mm(moved, request.moving_points).mean() < 0.35 * before


def test_a_stiffer_tissue_is_strained_less(field):
    organ = small_request().fixed_labels.data == 2
    fields = fields_of(field)
    soft, hard = (fields.displacement(MIDDLE, {"organ": value}) for value in (SOFT, HARD))

    def strain(d_mm: torch.Tensor) -> float:
        changes = torch.gradient(d_mm[0], dim=(1, 2, 3))
        return sum(float(change[:, organ[0, 0]].square().mean()) for change in changes)

    assert strain(hard) < 0.9 * strain(soft)


def test_fields_that_are_compared_hang_on_their_setting_alone(field):
    fields = fields_of(field)
    there = [fields.displacement(v, {}) for v in (MIDDLE, HARD, SOFT)]
    back = [fields.displacement(v, {}) for v in (SOFT, HARD, MIDDLE)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(there, back, strict=True))
    named = fields.displacement(SOFT, dict.fromkeys(field.tissues, MIDDLE))
    assert torch.equal(named, there[0])


def test_the_start_of_fields_that_are_compared_has_settled(field):
    """Else it would be the worst of them, and any other setting a gain."""
    settled = field.field(field.refined(field.anchor(), field.values(MIDDLE, {})))
    again = fields_of(field).displacement(MIDDLE, {})
    assert float((again - settled).abs().max()) < 0.05 * float(settled.abs().max())


def test_what_the_solver_cannot_hold_stays_in_the_field(field):
    d_mm = torch.randn(1, 3, *field.grid.shape)
    assert torch.allclose(field.field(field.hold(d_mm)), d_mm, atol=1e-5)


def test_slices_and_one_setting_everywhere():
    flat = make_field(dim=2, tissues=False)
    values = flat.values(MIDDLE, {})
    assert values == (MIDDLE,)
    start = flat.anchor()
    end = flat.refined(start, values)
    objective = flat._objective.at(values)
    assert float(objective(end.u_vox)) < float(objective(start.u_vox))
    assert flat.field(end).shape == (1, 2, *flat.grid.shape)


def test_the_check_stops_it(field):
    class Stop(Exception):
        pass

    def check():
        raise Stop

    with pytest.raises(Stop):
        field.refined(field.anchor(), [MIDDLE] * 3, check)


# Derivatives


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)), min_size=2, max_size=2))
def test_what_is_linear_is_foreseen_exactly(pairs):
    slopes = torch.tensor([[1.0, 2.0], [3.0, -4.0]])

    def respond(values: Sequence[Elasticity]) -> torch.Tensor:
        numbers = torch.tensor([[v.lam, v.mu] for v in values], dtype=torch.float64)
        return (numbers * slopes).sum().view(1)

    start = (Elasticity(0.0, 1.0), Elasticity(0.3, 0.3))
    *_, last = tangents(start, respond(start), respond, [1, 0, 3, 2])
    wanted = [Elasticity(0.0, pairs[0][1]), Elasticity(*pairs[1])]
    assert last.complete
    foreseen = last.foresee(respond(start), wanted)
    assert foreseen is not None
    assert float(foreseen) == pytest.approx(float(respond(wanted)), abs=1e-9)


def test_an_unknown_derivative_foretells_nothing():
    zero = torch.zeros(1)
    *_, last = tangents([MIDDLE, MIDDLE], zero, lambda values: zero, [2, 3])
    assert not last.complete
    assert last.foresee(zero, [HARD, MIDDLE]) is None
    assert last.foresee(zero, [MIDDLE, HARD]) is not None


def test_derivatives_of_before_hold_until_new_ones_come():
    before, zero = {number: torch.ones(1) for number in range(4)}, torch.zeros(1)
    found = tangents([MIDDLE, MIDDLE], zero, lambda values: zero, [2, 3, 0, 1], before)
    _, second, _, last = found
    moved = HARD.lam + HARD.mu - MIDDLE.lam - MIDDLE.mu
    assert second.foresee(zero, [HARD, MIDDLE]) == pytest.approx(moved)
    assert second.foresee(zero, [MIDDLE, HARD]) == pytest.approx(0)
    assert last.foresee(zero, [HARD, HARD]) == pytest.approx(0)


def test_derivatives_tell_which_way_the_field_goes(field):
    start, passes = [MIDDLE] * 3, Patience(0.0, 60)
    settled = field.refined(field.anchor(), start)
    stays = field.refined(settled, start, patience=passes).u_vox
    twenty = Patience(0.0, 20)

    def respond(moved: Sequence[Elasticity]) -> torch.Tensor:
        return field.refined(settled, moved, patience=twenty).u_vox

    found = next(tangents(start, respond(start), respond, [3]))
    wanted = [MIDDLE, Elasticity(0.05, 0.4), MIDDLE]
    change = field.refined(settled, wanted, patience=passes).u_vox - stays
    foreseen = found.foresee(torch.zeros_like(change), wanted)
    assert float((change - foreseen).norm()) < 0.8 * float(change.norm())
