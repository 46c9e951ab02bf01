"""The derivative of a minimum by what it hangs on: a closed form, then the solver's own."""

from __future__ import annotations

import pytest
import torch

from ElasticHyperRegLib import Elasticity, Session
from ElasticHyperRegLib.estimation import EstimateOptions, Setting
from ElasticHyperRegLib.estimation.search import Search
from ElasticHyperRegLib.phantom import PhantomOptions, make_phantom
from ElasticHyperRegLib.session import SessionInputs, implicit
from ElasticHyperRegLib.session.compared import from_one
from ElasticHyperRegLib.session.implicit import Minimised, solution
from ElasticHyperRegLib.session.objective import LiveObjective
from ElasticHyperRegLib.session.solver_field import Patience
from Testing.unit.test_session_solver import MIDDLE, SOFT, make_field

SHAPE = (1, 2, 3, 4)
COUNT = 24


def quadratic(p: torch.Tensor) -> tuple[torch.Tensor, Minimised, torch.Tensor]:
    """E = ½ uᵀA u − uᵀB p: its minimum, what is known there, and du/dp = A⁻¹ B."""
    generator = torch.Generator().manual_seed(0)
    root, b = (torch.randn(COUNT, n, generator=generator) for n in (COUNT, len(p)))
    a = root @ root.T + 5 * torch.eye(COUNT)
    response = torch.linalg.solve(a, b)

    def slope(u: torch.Tensor) -> torch.Tensor:
        return (a @ u.flatten() - b @ p).view(SHAPE)

    def share(u: torch.Tensor) -> torch.Tensor:
        return -(b.T @ u.flatten())

    about = Minimised(slope, share, lambda g: g / a.diagonal().view(SHAPE))
    return (response @ p).view(SHAPE), about, response


def test_derivative_of_a_quadratic_is_the_closed_form(monkeypatch):
    monkeypatch.setattr(implicit, "ITERATIONS", COUNT + 5)
    monkeypatch.setattr(implicit, "ENOUGH", 1e-5)
    p = torch.tensor([0.2, -0.4, 0.7], requires_grad=True)
    weights = torch.linspace(-1, 1, COUNT).view(SHAPE)
    u = solution(p, lambda values: quadratic(values)[:2])
    (weights * u).sum().backward()
    expected = quadratic(p.detach())[2].T @ weights.flatten()
    assert p.grad is not None
    torch.testing.assert_close(p.grad, expected, rtol=1e-3, atol=1e-4)


def test_what_does_not_count_has_no_derivative():
    p = torch.tensor([0.2, 0.3], requires_grad=True)
    u = solution(p, lambda values: quadratic(values)[:2])
    (0 * u).sum().backward()
    assert p.grad is not None
    assert torch.equal(p.grad, torch.zeros(2))


def test_where_the_objective_bends_down_the_way_back_ends():
    about = Minimised(lambda u: -u, lambda u: u.flatten()[:2], lambda g: g)
    g = torch.arange(1.0, 1 + COUNT).view(SHAPE)
    torch.testing.assert_close(about.pulled_back(torch.zeros(SHAPE), g), -torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("tissues", [True, False])
def test_numbers_give_the_objective_of_the_same_values(tissues):
    field = make_field(tissues=tissues)
    values = [SOFT, MIDDLE, Elasticity(0.1, 0.4)] if tissues else [MIDDLE]
    objective: LiveObjective = field._objective
    u = torch.randn(1, 3, *field.field_grid.shape, generator=torch.Generator().manual_seed(0))
    numbers = torch.tensor([[v.lam, v.mu] for v in values], requires_grad=True)
    found = objective.at_numbers(numbers)(u)
    torch.testing.assert_close(found, objective.at(values)(u))
    (slope,) = torch.autograd.grad(found.sum(), numbers)
    moved = [Elasticity(values[0].lam, values[0].mu + 0.2), *values[1:]]
    change = float((objective.at(moved)(u) - found).detach().sum())
    assert change == pytest.approx(0.2 * float(slope[0, 1]), rel=1e-3)  # it is linear in them


def test_stiffer_tissue_moves_less_by_the_derivative_and_in_truth():
    solver = make_field(2, tissues=False)
    field = from_one(solver, Setting(MIDDLE), Patience(1e-6, 200), lambda: None)

    def size(mu: float) -> tuple[float, float]:
        values = torch.tensor([[0.0, mu]], requires_grad=True)
        found = field.predict(values).square().mean()
        (slope,) = torch.autograd.grad(found, values)
        return float(found.detach()), float(slope[0, 1])

    low, slope = size(0.3)
    high, _ = size(0.5)
    assert high < low
    assert slope == pytest.approx((high - low) / 0.2, rel=0.6)


def test_estimate_by_the_solver_climbs(monkeypatch):
    # The coarse search before the ascent would find a good start by itself.
    monkeypatch.setattr(Search, "combine", lambda self, best: Setting(self.options.elasticity))
    phantom = make_phantom(PhantomOptions(size=32))
    inputs = SessionInputs(moving_labels=phantom.moving_labels, initial="none")
    stiff = Elasticity(0.1, 0.8)
    options = EstimateOptions("soft-dice", "gradient", elasticity=stiff, iterations=8)
    with Session(
        phantom.fixed, phantom.moving, phantom.fixed_labels, "none", "cpu", inputs
    ) as session:
        found = session.estimate(options)
    assert found.model == "none"
    assert set(found.elasticity) >= set(session.tissues)
    scores = found.scores["everywhere"]
    assert scores["after"] > scores["before"] + 0.01
    assert all(found.elasticity[name].mu < stiff.mu for name in ("lung", "liver"))
