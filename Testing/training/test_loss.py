"""What training minimises: closed forms, settings on the simplex, equal loudness."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.networks import SPECS
from training.conditioning import condition, draw, draw_for
from training.loss import (
    Measure,
    energy_density,
    equally_loud,
    objective,
    soft_dice_loss,
)

GLOBAL = replace(SPECS["elas-g"], ndim=2)
DIFFUSION = replace(SPECS["diff-g"], ndim=2)
FIXED = replace(SPECS["elas-fixed"], ndim=2)
TISSUES = replace(SPECS["elas-sas"], ndim=2, tissues=("a", "b"))
MAP = replace(SPECS["CSAIN-elastic"], ndim=2, map_sigma_vox=0.0)


def linear_field(matrix: list[list[float]], spacing: tuple[float, ...]) -> torch.Tensor:
    """u_mm = G x on 6 × 7 voxels, channels and matrix in the order i, j."""
    j, i = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    x = torch.stack([i * spacing[0], j * spacing[1]])
    return torch.einsum("ab,bji->aji", torch.tensor(matrix), x)[None]


@given(e=st.floats(-0.3, 0.3), lam=st.floats(0, 1), mu=st.floats(0, 1))
def test_isotropic_strain_costs_its_closed_form(e, lam, mu):
    setting = condition(GLOBAL, torch.tensor([[[lam, mu]]]), None)
    u = linear_field([[e, 0], [0, e]], (1.8, 3.0))
    density = energy_density(u, (1.8, 3.0), setting, GLOBAL)
    assert density.mean().item() == pytest.approx(2 * mu * e**2 + 2 * lam * e**2, abs=1e-5)


@given(shear=st.floats(-0.3, 0.3), alpha=st.floats(0, 1))
def test_diffusion_charges_every_derivative(shear, alpha):
    setting = condition(DIFFUSION, torch.tensor([[[alpha]]]), None)
    density = energy_density(
        linear_field([[0, shear], [0, 0]], (2.0, 1.0)), (2.0, 1.0), setting, DIFFUSION
    )
    assert density.mean().item() == pytest.approx(alpha * shear**2, abs=1e-6)


def test_a_fixed_elasticity_is_scaled_as_a_whole():
    assert FIXED.fixed_elasticity is not None
    lam, mu = FIXED.fixed_elasticity
    setting = condition(FIXED, torch.tensor([[[0.5]]]), None)
    density = energy_density(
        linear_field([[0.1, 0], [0, 0.1]], (1.0, 1.0)), (1.0, 1.0), setting, FIXED
    )
    assert density.mean().item() == pytest.approx(0.5 * (2 * mu + 2 * lam) * 0.01, rel=1e-4)


def test_identical_images_at_rest_cost_nothing():
    image = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    setting = condition(GLOBAL, torch.tensor([[[0.1, 0.2]]]), None)
    found = objective(
        image, image, torch.zeros(1, 2, 12, 12), setting, Measure(GLOBAL, (1.0, 1.0), 5)
    )
    assert found.total.item() == pytest.approx(0, abs=1e-3)


def test_each_tissue_pays_its_own_stiffness():
    labels = torch.zeros(1, 1, 6, 7, dtype=torch.long)
    labels[..., 4:] = 1
    values = torch.tensor([[[0.0, 0.2], [0.0, 0.8]]])
    setting = condition(TISSUES, values, labels)
    density = energy_density(
        linear_field([[0.1, 0], [0, 0]], (1.0, 1.0)), (1.0, 1.0), setting, TISSUES
    )[0]
    assert density[:, :4].mean().item() == pytest.approx(0.2 * 0.01, rel=1e-4)
    assert density[:, 4:].mean().item() == pytest.approx(0.8 * 0.01, rel=1e-4)


@given(seed=st.integers(0, 2**31), hyper=st.sampled_from([1, 2]))
def test_draws_lie_on_the_simplex(seed, hyper):
    values = draw(64, hyper, torch.Generator().manual_seed(seed))
    assert values.shape == (64, hyper)
    assert (values >= 0).all() and (values.sum(1) <= 1 + 1e-6).all()


def test_draws_are_uniform_but_for_the_corners():
    values = draw(20000, 2, torch.Generator().manual_seed(0))
    corners = ((values == 0) | (values == 1)).all(1)
    assert corners.float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert values[~corners].mean(0).tolist() == pytest.approx([1 / 3, 1 / 3], abs=0.01)


def test_network_inputs_have_the_shapes_the_models_ask_for():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (4, 1, 8, 8), generator=generator)
    shapes = {}
    for spec in (GLOBAL, DIFFUSION, TISSUES, MAP):
        setting = condition(spec, draw_for(spec, 4, 2, generator), labels)
        shapes[spec.name] = tuple(setting.network.shape)
        assert (setting.weight >= -1e-6).all()
    assert shapes == {
        "elas-g": (4, 2),
        "diff-g": (4, 1),
        "elas-sas": (4, 2, 2),
        "CSAIN-elastic": (4, 2, 8, 8),
    }


def test_loudness_divides_by_the_weight_of_the_similarity():
    setting = condition(GLOBAL, torch.tensor([[[0.0, 0.0]], [[0.5, 0.45]]]), None)
    values = torch.tensor([1.05, 0.10])
    assert equally_loud(values, setting).item() == pytest.approx((1.0 + 1.0) / 2, rel=1e-5)


def test_soft_dice_of_labels_moved_onto_each_other_is_perfect():
    fixed = torch.zeros(1, 1, 9, 9, dtype=torch.long)
    fixed[..., 2:5, 2:5] = 1
    moving = fixed.roll(2, -1)
    u = torch.zeros(1, 2, 9, 9)
    u[:, 0] = 2.0
    assert soft_dice_loss(fixed, moving, u).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice_loss(fixed, moving, torch.zeros_like(u)).item() > 0.5
    assert torch.allclose(warp_voxels(moving.float(), u), fixed.float(), atol=1e-5)


def test_soft_dice_is_of_what_is_shown_whatever_its_number():
    fixed = torch.zeros(2, 1, 9, 9, dtype=torch.long)
    fixed[0, ..., 2:5, 2:5] = 1  # the other pair shows nothing, and counts nothing
    moving = fixed.roll(1, -1)
    rest = torch.zeros(2, 2, 9, 9)
    found = soft_dice_loss(fixed, moving, rest).item()
    assert found == pytest.approx(1 - 2 * 6 / 18)
    assert soft_dice_loss(3000 * fixed, 3000 * moving, rest).item() == found
    assert soft_dice_loss(0 * fixed, 0 * moving, rest).item() == 0
