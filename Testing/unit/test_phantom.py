"""The thorax phantom: what is called its truth is true."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.field import (
    displacement_gradient,
    jacobian_determinant,
    transform_points,
    warp,
    warp_labels,
)
from ElasticHyperRegLib.field.warp import moving_positions
from ElasticHyperRegLib.phantom import Phantom, PhantomOptions, make_phantom
from ElasticHyperRegLib.phantom.body import Body
from ElasticHyperRegLib.phantom.breathing import (
    breath,
    draw_stiffness,
    drive,
    elastic_body,
    solve_grid,
)
from ElasticHyperRegLib.phantom.make import one_thread
from ElasticHyperRegLib.phantom.shapes import positions

OPTIONS = PhantomOptions(size=(48, 48, 44), seed=1, noise_hu=10)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(OPTIONS)


@pytest.fixture(scope="module")
def deepest() -> Phantom:
    return make_phantom(PhantomOptions(size=48, seed=2, breath_mm=40))


@pytest.fixture(params=["phantom", "deepest"])
def either(request: pytest.FixtureRequest) -> Phantom:
    made: Phantom = request.getfixturevalue(request.param)
    return made


def seen_in_both(phantom: Phantom) -> torch.Tensor:
    """Fixed voxels whose moving position lies in the moving image, (K, J, I)."""
    grid = phantom.fixed.grid
    landed = moving_positions(phantom.displacement.u_mm, grid, grid)[0]
    last = torch.tensor(grid.size).view(3, 1, 1, 1) - 1
    return ((landed >= 0) & (landed <= last)).all(dim=0)


def tissue(phantom: Phantom, name: str) -> torch.Tensor:
    number = {v: k for k, v in phantom.fixed_labels.names.items()}[name]
    return phantom.fixed_labels.data[0, 0] == number


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_all_tissues_are_there(phantom: Phantom) -> None:
    names = ["background", "soft_tissue", "lung", "bone", "heart", "liver"]
    assert phantom.fixed_labels.names == dict(enumerate(names)) == phantom.moving_labels.names
    assert phantom.fixed_labels.present() == phantom.moving_labels.present() == tuple(range(6))
    assert set(phantom.stiffness) == set(names)
    hu = {name: float(phantom.fixed.data[0, 0][tissue(phantom, name)].median()) for name in names}
    assert hu["background"] < -950 < hu["lung"] < -700
    assert 30 < hu["heart"] < 60 and 50 < hu["liver"] < 75 and 250 < hu["bone"] < 900


def test_field_of_view_is_the_same_at_any_size(phantom: Phantom, deepest: Phantom) -> None:
    for grid in (phantom.fixed.grid, deepest.fixed.grid):
        extent = np.multiply(grid.size, grid.spacing)
        assert extent == pytest.approx((332.8, 256.0, 307.2))
        assert grid.direction == pytest.approx(np.eye(3))
        assert grid.origin - np.divide(grid.spacing, 2) == pytest.approx((-170.9, -116.0, -334.6))


def test_the_truth_does_not_fold(either: Phantom) -> None:
    jacobian = jacobian_determinant(either.displacement.u_mm, either.fixed.grid)
    assert jacobian.min() > 0.4 and jacobian.max() < 2
    assert either.inverse_residual_vox < 0.01


def test_the_diaphragm_descends_as_said(either: Phantom) -> None:
    asked = either.options.breath_mm
    assert 0.8 * asked <= either.breath_mm <= asked
    down = -float(either.displacement.u_mm[:, 2].min())
    assert 0.85 * either.breath_mm < down < 1.05 * either.breath_mm


def test_lungs_fill_by_the_integral_of_the_jacobian(phantom: Phantom) -> None:
    jacobian = jacobian_determinant(phantom.displacement.u_mm, phantom.fixed.grid)[0, 0]
    exhale = tissue(phantom, "lung")
    inhaled = float((phantom.moving_labels.data == 2).sum())
    assert inhaled == pytest.approx(float(jacobian[exhale].sum()), rel=0.02)
    assert inhaled > 1.04 * float(exhale.sum())


def test_tissues_strain_as_their_stiffness(phantom: Phantom) -> None:
    gradient = displacement_gradient(phantom.displacement.u_mm, phantom.fixed.grid)[0]
    strain = (gradient + gradient.transpose(0, 1)).div(2).square().sum((0, 1)).sqrt()
    mean = {name: float(strain[tissue(phantom, name)].mean()) for name in phantom.stiffness}
    assert mean["bone"] < 0.03
    assert 8 * mean["bone"] < mean["lung"]
    assert mean["liver"] < mean["lung"]


def test_images_agree_under_the_truth(either: Phantom) -> None:
    grid = either.fixed.grid
    warped = warp(either.moving.data, either.displacement.u_mm, grid, grid)[0, 0]
    mask = seen_in_both(either) & ~tissue(either, "background")
    fixed = either.fixed.data[0, 0]
    before = correlation(fixed[mask], either.moving.data[0, 0][mask])
    after = correlation(fixed[mask], warped[mask])
    assert after > 0.981 and before < 0.95


def test_labels_agree_under_the_truth(either: Phantom) -> None:
    grid, seen = either.fixed.grid, seen_in_both(either)
    moving = either.moving_labels.data
    warped = warp_labels(moving, either.displacement.u_mm, grid, grid)
    least = {"background": 0.97, "soft_tissue": 0.93, "bone": 0.75}
    for number, name in either.fixed_labels.names.items():
        here = tissue(either, name) & seen
        after, before = ((other[0, 0] == number) & seen for other in (warped, moving))

        def dice(other: torch.Tensor, here: torch.Tensor = here) -> float:
            return float(2 * (here & other).sum() / (here.sum() + other.sum()))

        assert dice(after) > least.get(name, 0.945), name
        assert dice(after) > dice(before), name


def test_noise_is_as_asked_and_independent(phantom: Phantom) -> None:
    edge = (slice(None), slice(0, 2))
    fixed, moving = (image.data[0, 0][edge].flatten() for image in (phantom.fixed, phantom.moving))
    assert float(fixed.std()) == pytest.approx(10, rel=0.1)
    assert abs(correlation(fixed, moving)) < 0.05


def test_landmarks_follow_the_truth(phantom: Phantom) -> None:
    grid = phantom.fixed.grid
    assert phantom.fixed_points.shape == phantom.moving_points.shape == (120, 3)
    expected = transform_points(phantom.fixed_points, phantom.displacement.u_mm, grid)
    assert np.abs(phantom.moving_points - expected).max() < 0.05
    moved = np.linalg.norm(phantom.moving_points - phantom.fixed_points, axis=1)
    assert moved.max() > 10


@one_thread()
def test_the_truth_is_an_equilibrium() -> None:
    draw = [np.random.default_rng([OPTIONS.seed, stream]) for stream in range(2)]
    body, stiffness, grid = Body.draw(draw[0], 1.0), draw_stiffness(draw[1], 1.0), solve_grid()
    force = elastic_body(body, stiffness, grid).force(breath(body, stiffness, grid, 25.0))
    prescribed, _ = drive(body, positions(grid))
    driving, free = force[prescribed], force[~prescribed]
    assert free.abs().max() < 0.02 * driving.abs().max()
    assert free.square().sum() < 1e-4 * driving.square().sum()


def test_the_same_seed_is_the_same_patient(phantom: Phantom) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        again = make_phantom(OPTIONS)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(again.fixed.data, phantom.fixed.data)
    assert torch.equal(again.moving.data, phantom.moving.data)
    assert torch.equal(again.displacement.u_mm, phantom.displacement.u_mm)
    assert again.stiffness == phantom.stiffness
    assert np.array_equal(again.moving_points, phantom.moving_points)


def test_another_seed_is_another_patient(phantom: Phantom, deepest: Phantom) -> None:
    lungs = [float((p.fixed_labels.data == 2).float().mean()) for p in (phantom, deepest)]
    assert abs(lungs[0] - lungs[1]) > 1e-3
    assert not np.allclose(phantom.fixed_points, deepest.fixed_points)
    assert phantom.stiffness["lung"] != deepest.stiffness["lung"]


@pytest.mark.parametrize("seed", range(20))
def test_stiffness_keeps_the_order_of_tissues(seed: int) -> None:
    drawn = draw_stiffness(np.random.default_rng(seed), 1.0)
    for softer, harder in (("background", "lung"), ("lung", "soft_tissue"), ("liver", "bone")):
        assert 2 * drawn[softer].mu < drawn[harder].mu


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 20}, "a phantom of size 20; expected three sizes of 32 voxels or more."),
        ({"size": (64, 64)}, "three sizes"),
        ({"size": (64, 64, 8)}, "three sizes"),
        ({"noise_hu": -1.0}, "a noise of -1 HU; expected a number from 0 on."),
        ({"noise_hu": float("inf")}, "noise"),
        ({"breath_mm": 41.0}, "a breath of 41 mm; expected 0 to 40 mm"),
        ({"breath_mm": -1.0}, "0 to 40 mm"),
        ({"breath_mm": float("nan")}, "0 to 40 mm"),
        ({"seed": -1}, "the seed -1"),
        ({"variation": 1.5}, "a variation of 1.5"),
    ],
)
def test_bad_options_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PhantomOptions(**wrong)
