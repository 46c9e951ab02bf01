"""A network that is shown the force of the similarity: its truth, and that it is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.grid import gaussian_smooth
from ElasticHyperRegLib.networks import (
    SPECS,
    HyperMorphOptions,
    LapIRNOptions,
    RegistrationNetwork,
    build,
    spec_from_table,
    spec_to_table,
)
from ElasticHyperRegLib.networks.cells import to_cells
from ElasticHyperRegLib.networks.force import force
from ElasticHyperRegLib.similarity import LocalNCC

WINDOW = 5
OPTIONS: list[HyperMorphOptions | LapIRNOptions] = [
    HyperMorphOptions(rank=2, encoder=(4, 4), decoder=(4, 4), last=(4,)),
    LapIRNOptions(start_channels=1, blocks=1, levels=2),
]


def smooth_pair(ndim: int, size: int = 24, sigma: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two unlike images without edges, in double precision, flat about their borders."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand(2, 1, *[size] * ndim, generator=generator, dtype=torch.float64)
    images = gaussian_smooth(noise, (sigma,) * ndim)
    return images[:1], images[1:]


def network(options: HyperMorphOptions | LapIRNOptions, passes: int) -> RegistrationNetwork:
    torch.manual_seed(0)
    name = "elas-g" if isinstance(options, HyperMorphOptions) else "CSAIN-elastic"
    seeing = replace(options, passes=passes, force_window=WINDOW)
    return build(replace(SPECS[name], ndim=2, options=seeing)).eval()


def setting_of(model: RegistrationNetwork, size: int) -> torch.Tensor:
    shape = (1, 2) if model.spec.conditioning == "global" else (1, 2, size, size)
    return torch.full(shape, 0.2)


@pytest.mark.parametrize("masked", [False, True])
def test_slope_of_ncc_is_what_autograd_finds(masked):
    fixed, warped = torch.rand(2, 2, 1, 7, 8)
    mask = (torch.rand(2, 1, 7, 8) > 0.3).float() if masked else None
    ncc = LocalNCC(fixed, 3, mask)
    warped.requires_grad_()
    (expected,) = torch.autograd.grad(ncc.map(warped).sum(), warped)
    torch.testing.assert_close(ncc.slope(warped.detach()), expected)


@pytest.mark.parametrize("ndim", [2, 3])
def test_force_is_the_fall_of_dissimilarity_by_a_shift(ndim):
    fixed, moving = smooth_pair(ndim)
    pull = force(torch.cat([fixed, moving], dim=1).float(), 1, WINDOW)
    ncc, step = LocalNCC(fixed, WINDOW), 1e-2
    for axis in range(ndim):
        shift = torch.zeros(1, ndim, *moving.shape[2:], dtype=moving.dtype)
        shift[:, axis] = step
        there, back = (ncc.map(warp_voxels(moving, s)).sum() for s in (shift, -shift))
        slope = float((there - back) / (2 * step))
        scale = float(pull[:, axis].abs().sum())
        assert float(pull[:, axis].sum()) == pytest.approx(slope, abs=0.03 * scale)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_force_points_from_a_structure_to_where_it_is_found(axis):
    fixed, _ = smooth_pair(3)
    moving = fixed.roll(1, dims=4 - axis)  # one voxel along the axis: u is +1 there
    pull = force(torch.cat([fixed, moving], dim=1).float(), 1, WINDOW)
    means = pull[..., 4:-4, 4:-4, 4:-4].mean((0, 2, 3, 4))
    assert means.argmax() == axis
    assert means[axis] > 5 * means[[a for a in range(3) if a != axis]].abs().max()


def test_force_hangs_on_no_gain_or_offset_and_is_the_mean_of_a_cell():
    fixed, moving = (image.float() for image in smooth_pair(2))
    pair = torch.cat([fixed, moving], dim=1)
    single = force(pair, 1, WINDOW)
    louder = force(torch.cat([3 * fixed - 1, 0.5 * moving + 2], dim=1), 1, WINDOW)
    torch.testing.assert_close(louder, single, rtol=0.02, atol=0.02)
    cells = force(to_cells(pair, 2), 2, WINDOW)
    torch.testing.assert_close(cells, torch.nn.functional.avg_pool2d(single, 2))


def test_force_on_images_without_contrast_is_zero():
    assert torch.count_nonzero(force(torch.full((1, 2, 8, 8), 0.3), 1, WINDOW)) == 0


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("passes", [1, 2])
def test_every_look_is_shown_the_force_on_what_it_sees(options, passes):
    model = network(options, passes)
    seen: list[torch.Tensor] = []
    firsts = [m.encoder for m in getattr(model, "levels", [])] or [model.get_submodule("layers.0")]
    for layer in firsts:
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()[:1]))
    fixed, moving = (image.float() for image in smooth_pair(2))
    model(fixed, moving, setting_of(model, 24))
    assert len(seen) == passes * len(firsts)
    for shown in seen:
        expected = force(shown[:, :2], 1, WINDOW)
        assert float(expected.abs().max()) > 0.1
        torch.testing.assert_close(shown[:, -2:], expected)


@pytest.mark.parametrize("training", [False, True])
def test_training_takes_the_force_as_given_and_estimates_do_not(training):
    model = network(OPTIONS[0], 2).train(training)
    pair = torch.cat([image.float() for image in smooth_pair(2)], dim=1).requires_grad_()
    pull = model.shown(pair)[:, -2:]
    (slope,) = torch.autograd.grad(pull.square().sum(), pair)
    assert (float(slope.abs().max()) == 0) is training


def test_derivative_by_the_setting_is_the_numerical_one_through_all_looks():
    model = network(OPTIONS[1], 2).double()
    for name, tensor in model.named_parameters():
        if "output.2" in name:
            tensor.data.mul_(3e4)  # a new network hardly moves
    fixed, moving = smooth_pair(2)
    setting = setting_of(model, 24).double().requires_grad_()

    def total(values: torch.Tensor) -> torch.Tensor:
        return model(fixed, moving, values).velocity.double().square().sum()

    total(setting).backward()
    assert setting.grad is not None
    step = torch.zeros_like(setting)
    step[:, 1] = 1e-2
    with torch.no_grad():
        numerical = float(total(setting + step) - total(setting - step)) / 2e-2
    assert float(setting.grad[:, 1].sum()) == pytest.approx(numerical, rel=0.01)


@pytest.mark.parametrize("options", OPTIONS)
def test_force_is_kept_in_files_and_checked(options):
    spec = replace(SPECS["elas-g"], options=replace(OPTIONS[0], force_window=7))
    assert spec_from_table(spec_to_table(spec), "card") == spec
    for window in (1, 4, -3):
        with pytest.raises(InputError, match="odd number"):
            replace(options, force_window=window)
