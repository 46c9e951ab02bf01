"""What the phantom is built of, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ElasticHyperRegLib import Grid
from ElasticHyperRegLib.errors import ElasticHyperRegError
from ElasticHyperRegLib.phantom.breathing import upsample
from ElasticHyperRegLib.phantom.equilibrium import ElasticBody, equilibrium
from ElasticHyperRegLib.phantom.make import inverse, one_thread
from ElasticHyperRegLib.phantom.shapes import (
    Lattice,
    capsule,
    centred_grid,
    coverage,
    ellipsoid,
    positions,
    random_texture,
    smooth_max,
)
from ElasticHyperRegLib.phantom.tree import Branch, grow_tree, tube_fraction

SPACING = (2.0, 3.0, 2.5)
SHAPE = (6, 7, 8)


def uniform_body(lam: float, mu: float) -> ElasticBody:
    ones = torch.ones(1, 1, *SHAPE, dtype=torch.float64)
    return ElasticBody(lam * ones, mu * ones, SPACING)


def affine(matrix: np.ndarray) -> torch.Tensor:
    """Displacement ``matrix`` @ position on the test grid, (1, 3, *SHAPE) float64 mm."""
    p = positions(Grid.from_spacing(SHAPE, SPACING)).double()
    return torch.einsum("ab,bkji->akji", torch.from_numpy(matrix), p)[None]


def shell() -> torch.Tensor:
    """All components of the outermost voxels, (1, 3, *SHAPE)."""
    mask = torch.ones(1, 3, *SHAPE, dtype=torch.bool)
    mask[..., 1:-1, 1:-1, 1:-1] = False
    return mask


@settings(max_examples=10)
@given(
    entries=st.lists(st.integers(-30, 30), min_size=9, max_size=9),
    lam=st.floats(0.0, 2.0),
    mu=st.floats(0.1, 2.0),
)
def test_uniform_strain_is_an_equilibrium(entries: list[int], lam: float, mu: float) -> None:
    truth = affine(np.reshape(entries, (3, 3)) / 100)
    with one_thread():
        found = equilibrium(uniform_body(lam, mu), shell(), truth * shell(), tolerance=1e-9)
    assert found == pytest.approx(truth, abs=1e-6)


def test_layers_in_series_strain_as_their_compliance() -> None:
    stiffness = torch.ones(1, 1, *SHAPE, dtype=torch.float64)
    stiffness[..., 4:] = 10.0
    body = ElasticBody(0 * stiffness, stiffness, SPACING)
    ends = torch.zeros(1, 3, *SHAPE, dtype=torch.bool)
    ends[..., [0, -1]] = True
    start = torch.zeros(1, 3, *SHAPE, dtype=torch.float64)
    start[:, 0, ..., -1] = 1.0
    found = equilibrium(body, ends, start, tolerance=1e-9)[0, 0, :-1, :-1]
    strain = found.diff(dim=-1)
    compliance = torch.tensor([1, 1, 1, 1 / 5.5, 0.1, 0.1, 0.1], dtype=torch.float64)
    truth = (compliance / compliance.sum()).expand_as(strain)
    assert strain == pytest.approx(truth, abs=1e-6)


def test_diagonal_is_that_of_the_force() -> None:
    lam, mu = torch.rand(2, 1, 1, *SHAPE, dtype=torch.float64)
    body = ElasticBody(lam, mu, SPACING)
    diagonal = body.diagonal()
    for index in [(0, 0, 0, 0, 0), (0, 1, 2, 3, 4), (0, 2, 5, 1, 1), (0, 0, 3, 5, 7)]:
        unit = torch.zeros(1, 3, *SHAPE, dtype=torch.float64)
        unit[index] = 1.0
        assert body.force(unit)[index].item() == pytest.approx(diagonal[index].item())


def test_equilibrium_says_when_it_is_not_reached() -> None:
    truth = affine(np.diag([0.1, 0.2, 0.3]))
    with pytest.raises(ElasticHyperRegError, match="no equilibrium after 2 iterations"):
        equilibrium(uniform_body(1, 1), shell(), truth * shell(), tolerance=1e-9, iterations=2)


def test_upsampling_keeps_quadratics() -> None:
    coarse, fine = centred_grid((60, 60, 60), 6.0), centred_grid((40, 30, 36), 2.5)

    def field(p: torch.Tensor) -> torch.Tensor:
        return torch.stack([p[0] * p[1], p[2] ** 2 - p[0], 3 + p[1] ** 2])[None]

    found = upsample(field(positions(coarse)), coarse, fine)
    assert found == pytest.approx(field(positions(fine)), abs=1e-3)


def test_inverse_of_a_stretch_beyond_the_plain_fixed_point() -> None:
    n, stretch = 21, 1.2
    c = positions(Grid.from_spacing((n, n, n), (1, 1, 1), (-(n - 1) / 2,) * 3))
    w_vox, residual = inverse(stretch * c[None])
    assert residual < 0.01
    assert w_vox == pytest.approx(-stretch / (1 + stretch) * c[None], abs=0.01)


def test_distances_of_simple_solids() -> None:
    p = torch.randn(3, 500) * 10
    ball = ellipsoid(p, (1, 2, 3), (4, 4, 4))
    exact = (p - torch.tensor([1.0, 2.0, 3.0])[:, None]).square().sum(0).sqrt() - 4
    assert ball == pytest.approx(exact, abs=1e-4)
    pillar = ellipsoid(p, (0, 0, 7), (5, 5, np.inf))
    assert pillar == pytest.approx(p[:2].square().sum(0).sqrt() - 5, abs=1e-4)
    tube = capsule(
        torch.tensor([[5.0, -3.0], [4.0, 0.0], [0.0, 0.0]]), (0, 0, 0), (10, 0, 0), (1, 3)
    )
    assert tube == pytest.approx(torch.tensor([4.0 - 2.0, 3.0 - 1.0]))


def test_turned_ellipsoid_has_its_axes() -> None:
    axes = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    tips = torch.tensor([[9 * 0.6, -5 * 0.8, 0.0], [9 * 0.8, 5 * 0.6, 0.0], [0.0, 0.0, 3.0]])
    assert ellipsoid(tips, (0, 0, 0), (9, 5, 3), axes) == pytest.approx(torch.zeros(3), abs=1e-4)


def test_smooth_intersection_and_partial_volume() -> None:
    a, b = torch.randn(2, 300) * 10
    rounded, sharp = smooth_max(a, b, 4.0), torch.maximum(a, b)
    assert (rounded >= sharp).all() and (rounded - sharp).max() <= 1.0
    apart = (a - b).abs() > 4
    assert torch.equal(rounded[apart], sharp[apart])
    assert coverage(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]), 4.0).tolist() == [
        1,
        0.75,
        0.5,
        0.25,
        0,
    ]


def test_lattice_is_linear_between_and_constant_outside() -> None:
    grid = centred_grid((20, 20, 20), 2.0, (5, 6, 7))
    p = positions(grid)
    lattice = Lattice(2 * p[0] - p[1] + 3 * p[2], grid)
    inside = torch.tensor([[5.3], [2.2], [9.1]])
    assert lattice(inside).item() == pytest.approx(2 * 5.3 - 2.2 + 3 * 9.1, abs=1e-3)
    assert lattice(torch.tensor([[5.0], [6.0], [99.0]])).item() == pytest.approx(
        10 - 6 + 51, abs=1e-3
    )


def test_texture_is_standard_and_repeatable() -> None:
    grid = centred_grid((40, 40, 40), 4.0)
    one, again = (random_texture(grid, 6.0, np.random.default_rng(3)).values for _ in range(2))
    assert torch.equal(one, again)
    assert one.mean().item() == pytest.approx(0, abs=1e-5)
    assert one.std().item() == pytest.approx(1, abs=1e-5)


def test_tree_fills_its_region_and_thins_out() -> None:
    rng = np.random.default_rng(5)
    targets = rng.uniform(-20, 20, (200, 3)) + (40, 0, 0)
    tree = grow_tree(np.zeros(3), targets, (5.0, 1.4))
    assert tree[0].radii[0] == 5.0
    assert min(branch.radii[0] for branch in tree) == 1.4
    ends = {tuple(branch.end): branch.radii[0] for branch in tree}
    for branch in tree[1:]:
        assert branch.radii[0] <= ends[tuple(branch.start)]
    reached = np.stack([branch.end for branch in tree])
    nearest = np.linalg.norm(targets[:, None] - reached, axis=2).min(axis=1)
    assert nearest.max() < 12 and nearest.mean() < 5


def test_tube_fraction_holds_the_volume_of_the_tube() -> None:
    grid = centred_grid((40, 40, 60), 1.0)
    tube = [Branch(np.array([0.3, 0.1, -20.0]), np.array([0.3, 0.1, 20.0]), (4.0, 4.0))]
    volume = np.pi * 16 * 40 + 4 / 3 * np.pi * 64
    for voxel in (1.0, 4.0):
        fraction = tube_fraction(tube, grid, voxel).values
        assert fraction.min() >= 0 and fraction.max() <= 1 + 1e-6
        assert fraction.sum().item() == pytest.approx(volume, rel=0.03)
