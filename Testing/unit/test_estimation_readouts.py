"""Strain and stress against closed forms, on oblique and anisotropic grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import Elasticity, Grid, LabelMap
from ElasticHyperRegLib.engine.elasticity import tissue_names
from ElasticHyperRegLib.engine.sliding import SlidingBorder, bands
from ElasticHyperRegLib.estimation import (
    Setting,
    equilibrium_residual,
    readouts,
    strain,
    stress,
    von_mises_strain,
    von_mises_stress,
)
from ElasticHyperRegLib.estimation.readouts import interior
from ElasticHyperRegLib.field import to_grid, world_points
from ElasticHyperRegLib.grid import coarser
from Testing.conftest import make_oblique_grid

GRIDS = [make_oblique_grid(), make_oblique_grid((11, 13))]
LAM, MU = 0.3, 0.2


def linear_field(grid: Grid, matrix: np.ndarray) -> torch.Tensor:
    """u(x) = M x in the world, double."""
    x = world_points(grid, torch.zeros((), dtype=torch.float64))
    return torch.einsum("ab,nb...->na...", torch.as_tensor(matrix[: grid.ndim, : grid.ndim]), x)


def everywhere_equal(values: torch.Tensor, expected: float, tolerance: float = 1e-9) -> None:
    assert float((values - expected).abs().max()) < tolerance


@pytest.mark.parametrize("grid", GRIDS)
def test_strain_is_the_symmetric_part_in_the_world_frame(grid):
    matrix = np.array([[0.03, 0.08, -0.01], [0.02, -0.05, 0.04], [0.06, 0.0, 0.01]])
    found = strain(linear_field(grid, matrix), grid)
    expected = ((matrix + matrix.T) / 2)[: grid.ndim, : grid.ndim]
    for a in range(grid.ndim):
        for b in range(grid.ndim):
            everywhere_equal(found[:, a, b], expected[a, b])


@pytest.mark.parametrize("grid", GRIDS)
def test_translation_and_rotation_strain_nothing(grid):
    turn = np.array([[0, -0.1, 0.02], [0.1, 0, -0.03], [-0.02, 0.03, 0]])
    everywhere_equal(strain(linear_field(grid, turn) + 5, grid), 0)


def test_uniform_expansion_has_no_von_mises_strain():
    found = strain(linear_field(GRIDS[0], 0.04 * np.eye(3)), GRIDS[0])
    everywhere_equal(von_mises_strain(found), 0, 1e-8)
    sigma = stress(found, LAM, MU)
    pressure = 3 * LAM * 0.04 + 2 * MU * 0.04
    for a in range(3):
        everywhere_equal(sigma[:, a, a], pressure)
        everywhere_equal(sigma[:, a, (a + 1) % 3], 0)


def test_uniaxial_strain():
    found = strain(linear_field(GRIDS[0], np.diag([0.06, 0, 0])), GRIDS[0])
    everywhere_equal(von_mises_strain(found), 0.06 * 2 / 3)
    sigma = stress(found, LAM, MU)
    everywhere_equal(sigma[:, 0, 0], (LAM + 2 * MU) * 0.06)
    everywhere_equal(sigma[:, 1, 1], LAM * 0.06)
    everywhere_equal(von_mises_stress(found, MU), 2 * MU * 0.06)  # σ11 − σ22


@pytest.mark.parametrize("grid", GRIDS)
def test_simple_shear(grid):
    gamma = 0.1
    matrix = np.zeros((3, 3))
    matrix[0, 1] = gamma
    found = strain(linear_field(grid, matrix), grid)
    everywhere_equal(von_mises_strain(found), gamma / math.sqrt(3))
    everywhere_equal(stress(found, LAM, MU)[:, 0, 1], MU * gamma)
    everywhere_equal(von_mises_stress(found, MU), math.sqrt(3) * MU * gamma)


def quadratic_field(grid: Grid, balanced: bool) -> torch.Tensor:
    """u = (x² + a y², 0, 0) about the middle; in equilibrium for one a alone."""
    x = world_points(grid, torch.zeros((), dtype=torch.float64))
    x = x - x.flatten(2).mean(2).view(1, -1, *[1] * grid.ndim)
    # (λ + μ) ∂x(div u) + μ ∇²u = (λ + μ) 2 + μ (2 + 2 a)
    a = -1 - (LAM + MU) / MU if balanced else 0.0
    first = 1e-3 * (x[:, :1].square() + a * x[:, 1:2].square())
    return torch.cat([first, *[torch.zeros_like(first)] * (grid.ndim - 1)], dim=1)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_field_in_equilibrium_leaves_no_residual(grid):
    inside = interior(torch.zeros(1, 1, *grid.shape, dtype=torch.int64))
    found = equilibrium_residual(quadratic_field(grid, True), grid, LAM, MU)
    everywhere_equal(found[inside.expand_as(found)], 0)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_residual_is_the_force_in_the_world_frame(grid):
    inside = interior(torch.zeros(1, 1, *grid.shape, dtype=torch.int64))[0, 0]
    found = equilibrium_residual(quadratic_field(grid, False), grid, LAM, MU)
    everywhere_equal(found[0, 0][inside], 1e-3 * 2 * (LAM + 2 * MU))
    everywhere_equal(found[0, 1][inside], 0)


def two_tissues(grid: Grid) -> LabelMap:
    """1 in the first half along i, 2 in the second."""
    data = torch.ones(1, 1, *grid.shape, dtype=torch.int32)
    data[..., grid.size[0] // 2 :] = 2
    return LabelMap(data, grid, {1: "soft", 2: "hard"})


@pytest.mark.parametrize("grid", GRIDS)
def test_readouts_tell_tissues_apart(grid):
    labels = two_tissues(grid)
    setting = Setting(
        Elasticity(0, 0), {"soft": Elasticity(0.1, 0.1), "hard": Elasticity(0.1, 0.7)}
    )
    gamma = 0.1
    matrix = np.zeros((3, 3))
    matrix[0, 1] = gamma
    found = readouts(linear_field(grid, matrix).float(), grid, setting, labels).tissues
    for name, mu in (("soft", 0.1), ("hard", 0.7)):
        assert found[name]["von_mises_strain"] == pytest.approx(gamma / math.sqrt(3), rel=1e-3)
        assert found[name]["von_mises_stress"] == pytest.approx(math.sqrt(3) * mu * gamma, rel=1e-3)
        assert found[name]["volumetric_strain"] == pytest.approx(0, abs=1e-5)
    assert set(found) == {"everywhere", "soft", "hard"}


def test_a_sliding_border_bears_less_stress():
    grid = GRIDS[0]
    labels = two_tissues(grid)
    setting = Setting(Elasticity(0.1, 0.4))
    u_mm = linear_field(grid, np.diag([0.1, 0.0, 0.0])).float()
    border = SlidingBorder("soft", "hard", width_mm=4 * min(grid.spacing), shear=0.1)
    held, sliding = (readouts(u_mm, grid, setting, labels, borders) for borders in ((), (border,)))
    part = (sliding.von_mises_stress / held.von_mises_stress)[0, 0]
    names = tissue_names(labels)
    assert torch.allclose(part, bands(labels, names, (border,))[0, 0], atol=1e-3)
    assert part.min() < 0.5
    assert part.max() == pytest.approx(1)
    assert torch.equal(sliding.von_mises_strain, held.von_mises_strain)


def test_a_tissue_in_equilibrium_says_so_though_its_border_is_not():
    grid = make_oblique_grid((12, 14, 24))
    labels = two_tissues(grid)
    setting = Setting(
        Elasticity(0, 0), {"soft": Elasticity(LAM, MU), "hard": Elasticity(LAM / 2, MU)}
    )
    found = readouts(quadratic_field(grid, True), grid, setting, labels)
    soft, hard = found.tissues["soft"], found.tissues["hard"]
    assert soft["equilibrium_residual"] < 1e-8
    assert soft["equilibrium_residual_relative"] < 1e-5
    assert hard["equilibrium_residual_relative"] > 0.1
    outside = ~interior(labels.data)
    assert found.equilibrium_residual[outside].isnan().all()


@pytest.mark.parametrize("grid", GRIDS)
def test_the_residual_of_the_readouts_is_the_size_of_the_force(grid):
    u_mm = quadratic_field(grid, False).float()
    found = readouts(u_mm, grid, Setting(Elasticity(LAM, MU))).equilibrium_residual
    force = equilibrium_residual(u_mm, grid, LAM, MU).norm(dim=1, keepdim=True)
    inside = ~found.isnan()
    assert inside.any() and torch.allclose(found[inside], force[inside], rtol=1e-3, atol=1e-6)


def test_without_labels_there_is_everywhere():
    grid = GRIDS[0]
    found = readouts(
        linear_field(grid, 0.04 * np.eye(3)).float(), grid, Setting(Elasticity(0, 0.5))
    )
    assert set(found.tissues) == {"everywhere"}
    assert found.tissues["everywhere"]["volumetric_strain"] == pytest.approx(0.12, rel=1e-3)


def test_what_cannot_be_told_is_absent():
    grid = make_oblique_grid((4, 4, 4))  # nothing of it is inside
    found = readouts(torch.zeros(1, 3, *grid.shape), grid, Setting(Elasticity(0.1, 0.1)))
    assert "equilibrium_residual" not in found.tissues["everywhere"]


def test_the_interior_keeps_clear_of_borders():
    numbers = torch.ones(1, 1, 9, 20, dtype=torch.int64)
    numbers[..., 10:] = 2
    inside = interior(numbers)[0, 0]
    assert inside[2:7, 2:8].all()
    assert inside[2:7, 12:18].all()
    assert int(inside.sum()) == 5 * 6 * 2


def test_the_residual_of_a_field_is_taken_at_its_nodes():
    """Between them it is linear, and its second derivatives are the nodes'."""
    grid = make_oblique_grid((24, 28, 36))
    nodes = coarser(grid, tuple(2.0 * s for s in grid.spacing))
    u_mm = to_grid(quadratic_field(nodes, True).float(), nodes, grid)
    setting = Setting(Elasticity(LAM, MU))
    means = [readouts(u_mm, grid, setting, nodes=at).tissues["everywhere"] for at in (None, nodes)]
    key = "equilibrium_residual_relative"
    assert means[0][key] > 0.2
    assert means[1][key] < 0.1
    found = readouts(u_mm, grid, setting, nodes=nodes).equilibrium_residual
    assert found.shape == (1, 1, *grid.shape)
    assert found.isnan().any() and not found.isnan().all()
