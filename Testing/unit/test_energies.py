"""Closed-form truths of the deformation energies, in 2D and 3D, oblique and anisotropic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ElasticHyperRegLib.energies import diffusion_energy, elastic_energy, smooth_map
from ElasticHyperRegLib.field import to_grid
from ElasticHyperRegLib.grid import apply_matrix, coarser, voxel_points
from ElasticHyperRegLib.types import Grid

GRIDS = [
    pytest.param((6, 9), (1.5, 0.7), 0.0, id="2D"),
    pytest.param((6, 9), (1.5, 0.7), 30.0, id="2D-oblique"),
    pytest.param((5, 6, 7), (1.0, 2.0, 3.5), 0.0, id="3D"),
    pytest.param((5, 6, 7), (1.0, 2.0, 3.5), 25.0, id="3D-oblique"),
]
LAM, MU = 0.3, 0.45


def linear_field(grid: Grid, gradient: np.ndarray) -> torch.Tensor:
    """u(x) = G x in RAS mm, float64."""
    zero = torch.zeros(1, dtype=torch.float64)
    points = apply_matrix(grid.ijk_to_ras, voxel_points(grid.shape, zero))
    return torch.einsum("ab,nb...->na...", torch.as_tensor(gradient, dtype=torch.float64), points)


@pytest.mark.parametrize(("shape", "spacing", "degrees"), GRIDS)
def test_translation_and_rotation_cost_nothing(oblique_grid, shape, spacing, degrees):
    grid = oblique_grid(shape, spacing, degrees)
    dim = grid.ndim
    moved = torch.full((1, dim, *shape), 7.0, dtype=torch.float64)
    spin = np.zeros((dim, dim))
    spin[0, 1], spin[1, 0] = -0.1, 0.1
    for u_mm in (moved, linear_field(grid, spin)):
        assert elastic_energy(u_mm, grid, LAM, MU).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize(("shape", "spacing", "degrees"), GRIDS)
def test_isotropic_strain(oblique_grid, shape, spacing, degrees):
    grid = oblique_grid(shape, spacing, degrees)
    dim, e = grid.ndim, 0.05
    u_mm = linear_field(grid, e * np.eye(dim))
    truth = MU * dim * e**2 + LAM * dim**2 * e**2 / 2
    assert elastic_energy(u_mm, grid, LAM, MU).item() == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize(("shape", "spacing", "degrees"), GRIDS)
def test_pure_shear(oblique_grid, shape, spacing, degrees):
    grid = oblique_grid(shape, spacing, degrees)
    gamma = 0.08
    gradient = np.zeros((grid.ndim, grid.ndim))
    gradient[0, 1] = gamma
    u_mm = linear_field(grid, gradient)
    assert elastic_energy(u_mm, grid, LAM, MU).item() == pytest.approx(MU * gamma**2 / 2, rel=1e-9)
    assert diffusion_energy(u_mm, grid, MU).item() == pytest.approx(MU * gamma**2, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    entries=st.lists(st.floats(-0.2, 0.2), min_size=9, max_size=9),
    lam=st.floats(0, 1),
    mu=st.floats(0, 1),
)
def test_any_affine_field_costs_its_strain(oblique_grid, entries, lam, mu):
    grid = oblique_grid((4, 5, 6), (0.8, 1.7, 2.9), 40.0)
    gradient = np.array(entries).reshape(3, 3)
    strain = (gradient + gradient.T) / 2
    truth = mu * (strain**2).sum() + lam / 2 * np.trace(strain) ** 2
    found = elastic_energy(linear_field(grid, gradient), grid, lam, mu).item()
    assert found == pytest.approx(truth, rel=1e-8, abs=1e-14)


def test_permuting_the_index_axes_changes_nothing():
    grid = Grid.from_spacing((5, 6, 7), (1.0, 2.0, 3.0))
    u_mm = torch.randn(1, 3, 5, 6, 7, dtype=torch.float64)
    matrix = grid.ijk_to_ras[:, [1, 2, 0, 3]]
    permuted = Grid((7, 5, 6), matrix)
    same = u_mm.permute(0, 1, 4, 2, 3)
    assert elastic_energy(same, permuted, LAM, MU).item() == pytest.approx(
        elastic_energy(u_mm, grid, LAM, MU).item(), rel=1e-12
    )


def test_resampling_a_smooth_field_changes_little():
    grid = Grid.from_spacing((48, 48, 48), (1.0, 1.0, 1.0))
    points = voxel_points(grid.shape, torch.zeros(1, dtype=torch.float64))
    u_mm = torch.sin(2 * np.pi * points / 47) * 3
    coarse = coarser(grid, (2.0, 2.0, 2.0))
    fine = elastic_energy(u_mm, grid, LAM, MU).item()
    halved = elastic_energy(to_grid(u_mm, grid, coarse), coarse, LAM, MU).item()
    assert halved == pytest.approx(fine, rel=0.1)


def test_a_map_counts_where_it_is_painted():
    grid = Grid.from_spacing((4, 4, 9), (1.0, 1.0, 1.0))
    u_mm = linear_field(grid, 0.1 * np.eye(3))
    soft = torch.zeros(1, 1, *grid.shape, dtype=torch.float64)
    soft[..., :4] = 0.6
    full = elastic_energy(u_mm, grid, 0.0, 0.6).item()
    # Of the eight layers of cells three lie within the soft part, and half of the fourth.
    assert elastic_energy(u_mm, grid, 0.0, soft).item() == pytest.approx(full * 3.5 / 8)


def test_smoothing_a_map_is_in_millimetres_and_keeps_its_mean():
    grid = Grid.from_spacing((9, 9, 40), (0.5, 1.0, 1.0))
    step = torch.zeros(1, 1, *grid.shape)
    step[..., 20:] = 1.0
    smooth = smooth_map(step, grid, 2.0)
    profile = smooth[0, 0, 4, 4]
    gauss = 0.5 * (1 + torch.erf((torch.arange(40) - 19.5) * 0.5 / (2.0 * 2**0.5)))
    assert torch.allclose(profile, gauss, atol=0.02)
    assert torch.equal(smooth_map(step, grid, 0.0), step)


def test_energy_of_a_batch_is_that_of_its_members():
    grid = Grid.from_spacing((5, 6, 7), (1.0, 2.0, 3.0))
    u_mm = torch.randn(3, 3, 5, 6, 7)
    batch = elastic_energy(u_mm, grid, LAM, MU)
    single = torch.stack([elastic_energy(u[None], grid, LAM, MU)[0] for u in u_mm])
    assert torch.allclose(batch, single)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), flips=st.lists(st.booleans(), min_size=3, max_size=3))
def test_mirroring_changes_nothing(seed, flips):
    grid = Grid.from_spacing((3, 4, 2), (1.0, 2.0, 3.0))
    generator = torch.Generator().manual_seed(seed)
    u_mm = torch.randn(1, 3, *grid.shape, dtype=torch.float64, generator=generator)
    lam, mu = torch.rand(2, 1, 1, *grid.shape, dtype=torch.float64, generator=generator)
    truth = elastic_energy(u_mm, grid, lam, mu).item()
    axes = [axis for axis, flip in enumerate(flips) if flip]
    dims = [-1 - axis for axis in axes]
    mirrored = u_mm.flip(dims)
    mirrored[:, axes] *= -1
    found = elastic_energy(mirrored, grid, lam.flip(dims), mu.flip(dims)).item()
    assert found == pytest.approx(truth, rel=1e-12)


def corner_energies(
    u: torch.Tensor, spacing: tuple[float, ...], lam: torch.Tensor, mu: torch.Tensor
) -> Iterator[float]:
    """W in every corner of every cell, one after the other, straight from its definition."""
    dim = len(u)
    sides = list(itertools.product((0, 1), repeat=dim))
    for cell in itertools.product(*(range(n - 1) for n in u.shape[1:])):
        for side in sides:
            corner = tuple(c + s for c, s in zip(cell, side, strict=True))
            gradient = np.zeros((dim, dim))
            for axis in range(dim):
                ends = [
                    (*corner[:axis], cell[axis] + there, *corner[axis + 1 :]) for there in (0, 1)
                ]
                for a in range(dim):
                    rise = (u[a][ends[1]] - u[a][ends[0]]).item()
                    gradient[a, dim - 1 - axis] = rise / spacing[dim - 1 - axis]
            strain = (gradient + gradient.T) / 2
            stretch = np.trace(strain)
            yield mu[corner].item() * (strain**2).sum() + lam[corner].item() / 2 * stretch**2


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_every_corner_of_every_cell_counts_the_same(shape):
    grid = Grid.from_spacing(shape, (1.0, 2.0, 3.0)[: len(shape)])
    u_mm = torch.randn(1, len(shape), *shape, dtype=torch.float64)
    lam, mu = torch.rand(2, 1, 1, *shape, dtype=torch.float64)
    every = corner_energies(u_mm[0], grid.spacing, lam[0, 0], mu[0, 0])
    found = elastic_energy(u_mm, grid, lam, mu).item()
    assert found == pytest.approx(np.mean(list(every)), rel=1e-12)


def test_a_thin_stack_is_held_on_both_sides():
    grid = Grid.from_spacing((2, 5, 5), (1.0, 1.0, 4.0))
    costs = []
    for place in (0, -1):
        u_mm = torch.zeros(1, 3, *grid.shape, dtype=torch.float64)
        u_mm[0, 0, place, place, place] = 1.0
        costs.append(elastic_energy(u_mm, grid, LAM, MU).item())
    assert costs[0] == pytest.approx(costs[1], rel=1e-12)
    assert costs[0] > 0


def test_diffusion_of_a_corner():
    grid = Grid.from_spacing((3, 3), (1.0, 2.0))
    u_mm = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    u_mm[0, 0, 0, 0] = 1.0
    # Two of the edges are not 0; each is in one of four cells, there in two corners of four.
    assert diffusion_energy(u_mm, grid, 1.0).item() == pytest.approx((1 + 0.25) / 8)


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 1), (1, 4), (5, 2)])
def test_derivatives_are_those_of_small_changes(shape: tuple[int, ...]) -> None:
    grid = Grid.from_spacing(shape, (0.7, 1.3, 2.0)[: len(shape)])
    dice = torch.Generator().manual_seed(0)
    u_mm = torch.randn(2, len(shape), *shape, generator=dice, dtype=torch.float64)
    lam, mu = torch.rand(2, 1, 1, *shape, generator=dice, dtype=torch.float64)
    wanted = [value.requires_grad_() for value in (u_mm, lam, mu)]
    assert torch.autograd.gradcheck(lambda u, a, b: elastic_energy(u, grid, a, b), wanted)
    assert torch.autograd.gradcheck(lambda u, a: diffusion_energy(u, grid, a), wanted[:2])
