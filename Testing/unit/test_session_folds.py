"""What keeps live fields from folding, and borders along which they slide."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, RegistrationOptions
from ElasticHyperRegLib.engine.elasticity import coefficients
from ElasticHyperRegLib.engine.prepare import prepare, problem_of
from ElasticHyperRegLib.engine.sliding import SlidingBorder
from ElasticHyperRegLib.field import jacobian_determinant
from ElasticHyperRegLib.session import Session
from ElasticHyperRegLib.session.solver_field import SolverField
from ElasticHyperRegLib.solver import SolverOptions
from ElasticHyperRegLib.solver.folds import LOWEST, WEIGHT, fold_penalty
from ElasticHyperRegLib.solver.objective import Objective
from Testing.unit.live_answers import ask
from Testing.unit.small_pair import small_request
from Testing.unit.tiny_models import install, lively, tiny_spec

pytestmark = pytest.mark.usefixtures("models")

BORDER = SlidingBorder("organ", width_mm=16.0, shear=0.05)
VALUE = Elasticity(0.05, 0.3)


def field_of(**options) -> SolverField:
    request = small_request(options=RegistrationOptions(model="none", **options))
    with Session.from_request(request) as session:
        return session._fields.solver


def every_corner(u_vox: torch.Tensor) -> torch.Tensor:
    """The penalty's formula, corner by corner of cell by cell."""
    shape = u_vox.shape[2:]
    identity = torch.eye(len(shape), dtype=u_vox.dtype)

    def node(cell: tuple[int, ...], side: list[int]) -> torch.Tensor:
        there = u_vox
        for base, end, length in zip(cell, side, shape, strict=True):
            there = there[:, :, min(base + end, length - 1)]
        return there

    costs = []
    for cell in itertools.product(*(range(max(n - 1, 1)) for n in shape)):
        for side in itertools.product((0, 1), repeat=len(shape)):
            columns = []
            for axis in reversed(range(len(shape))):
                low, high = ([*side[:axis], end, *side[axis + 1 :]] for end in (0, 1))
                columns.append(node(cell, high) - node(cell, low) + identity[-1 - axis])
            volume = torch.linalg.det(torch.stack(columns, dim=-1))
            costs.append((LOWEST - volume).clamp_min(0).square())
    return WEIGHT * torch.stack(costs).mean(0)


# Folds


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6), (1, 5, 6)])
def test_the_penalty_is_that_of_a_uniform_stretch(shape):
    dim = len(shape)
    u_vox = torch.zeros(2, dim, *shape)
    i = torch.arange(6.0)
    u_vox[0, 0] = -0.5 * i  # det 0.5: nothing to charge
    u_vox[1, 0] = -1.3 * i  # det −0.3
    expected = WEIGHT * (LOWEST + 0.3) ** 2
    assert fold_penalty(u_vox).tolist() == pytest.approx([0.0, expected], rel=1e-5)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_rotation_costs_nothing(dim):
    shape = (5, 6, 7)[:dim]
    grids = torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij")
    i, j = grids[-1], grids[-2]
    u_vox = torch.zeros(1, dim, *shape)
    u_vox[0, 0], u_vox[0, 1] = -i - j, i - j  # a quarter turn
    assert fold_penalty(u_vox).item() == 0


def test_one_node_that_folds_costs_something_at_every_corner_of_its_cells():
    for corner in [(2, 2, 2), (0, 0, 0), (4, 5, 6)]:
        u_vox = torch.zeros(1, 3, 5, 6, 7)
        u_vox[(0, 0, *corner)] = 1.5 if corner[2] < 6 else -1.5
        assert fold_penalty(u_vox).item() > 0


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6), (1, 5, 6), (6, 1, 1)])
def test_the_gradient_is_that_of_all_corners(shape):
    dim = len(shape)
    u_vox = torch.randn(2, dim, *shape, dtype=torch.float64).requires_grad_()
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    penalty, expected = fold_penalty(u_vox), every_corner(u_vox)
    assert (expected > 0).all()
    torch.testing.assert_close(penalty, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad((weights * p).sum(), u_vox)[0] for p in (penalty, expected))
    )


def test_a_weak_regularisation_hardly_folds():
    weak = Elasticity(0.0, 0.002)
    with Session.from_request(small_request(options=RegistrationOptions(model="none"))) as session:
        solver = session._fields.solver
        found = solver.field(solver.refined(solver.anchor(), [weak] * 3))
        assert float((jacobian_determinant(found, session.grid) <= 0).float().mean()) < 1e-3


# Borders that slide


def test_the_objective_with_a_band_is_that_of_the_exact_solver():
    solver = field_of(sliding=(BORDER,))
    request = small_request(options=RegistrationOptions(elasticity=VALUE, sliding=(BORDER,)))
    problem = problem_of(prepare(request), coefficients(request), np.eye(4), torch.device("cpu"))
    level = SolverOptions.for_dimension(3).levels[-1]
    exact = Objective(problem, problem.fixed_grid, solver.field_grid, level.window)
    live = solver._objective.at([VALUE] * 3)
    u_vox = torch.randn(1, 3, *solver.field_grid.shape) * 0.3
    assert float(live.energy(u_vox)) == pytest.approx(float(exact.energy(u_vox)), rel=1e-5)
    assert torch.allclose(torch.as_tensor(live.weight), torch.as_tensor(exact.weight), atol=1e-6)


def test_the_band_changes_the_live_field():
    request = small_request()
    inputs = RegistrationOptions(model="none", initial="none", device="cpu")
    with_band = replace(request, options=replace(inputs, sliding=(BORDER,)))
    found = []
    for asked in (replace(request, options=inputs), with_band):
        with Session.from_request(asked) as session:
            found.append(ask(session, {"everywhere": VALUE})[-1].displacement.u_mm)
    without, with_band_mm = found
    assert not torch.allclose(without, with_band_mm, atol=0.05)


def test_a_model_that_knows_no_border_says_so(models):
    install(lively(tiny_spec("CSAIN-elastic")), models / "map")
    options = RegistrationOptions(
        initial="none", model="map", refine=2, device="cpu", sliding=(BORDER,)
    )
    with Session.from_request(small_request(options=options)) as session:
        assert "map knows no border that slides" in session.notes[0]
