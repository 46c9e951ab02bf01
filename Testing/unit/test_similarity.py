"""Local NCC against its definition and its numerical derivative; MSE; MIND-SSC."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

from ElasticHyperRegLib.similarity import (
    LocalNCC,
    MindSSC,
    box_sum,
    local_ncc,
    mind_ssc,
    mse,
    ncc,
)
from ElasticHyperRegLib.similarity.ncc import EPSILON


def brute_force(
    fixed: torch.Tensor, warped: torch.Tensor, window: int, mask: torch.Tensor
) -> torch.Tensor:
    """Signed cc² voxel by voxel, from the definition."""
    radius = window // 2
    result = torch.zeros_like(fixed)
    shape = fixed.shape[2:]
    for index in torch.cartesian_prod(*[torch.arange(n) for n in shape]).tolist():
        box: Any = (0, 0, *[slice(max(0, c - radius), c + radius + 1) for c in index])
        weight = mask[box]
        total = weight.sum().clamp_min(1)
        mean_f = (weight * fixed[box]).sum() / total
        mean_w = (weight * warped[box]).sum() / total
        cov = (weight * fixed[box] * warped[box]).sum() / total - mean_f * mean_w
        var_f = ((weight * fixed[box] ** 2).sum() / total - mean_f**2).clamp_min(0)
        var_w = ((weight * warped[box] ** 2).sum() / total - mean_w**2).clamp_min(0)
        result[(0, 0, *index)] = cov * cov.abs() / (var_f * var_w + EPSILON)
    return result


@pytest.mark.parametrize("shape", [(7, 8), (5, 6, 7)])
@pytest.mark.parametrize("masked", [False, True])
def test_ncc_is_its_definition(shape, masked):
    fixed, warped = torch.rand(1, 1, *shape), torch.rand(1, 1, *shape)
    mask = (torch.rand(1, 1, *shape) > 0.3).float() if masked else torch.ones(1, 1, *shape)
    found = LocalNCC(fixed, 3, mask if masked else None).map(warped)
    assert torch.allclose(found, brute_force(fixed, warped, 3, mask), atol=2e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_ncc_derivative_is_the_numerical_one(masked):
    fixed, warped = torch.rand(1, 1, 5, 6, 5), torch.rand(1, 1, 5, 6, 5)
    mask = (torch.rand(1, 1, 5, 6, 5) > 0.3).float() if masked else None
    ncc = LocalNCC(fixed, 3, mask)
    warped.requires_grad_()
    ncc(warped).sum().backward()
    direction = torch.randn_like(warped)
    step = 1e-2
    with torch.no_grad():
        rise = ncc(warped + step * direction) - ncc(warped - step * direction)
    numerical = (rise / (2 * step)).item()
    assert warped.grad is not None
    assert numerical == pytest.approx((warped.grad * direction).sum().item(), rel=0.03)


def test_ncc_ignores_gain_and_offset_but_not_an_inverted_contrast():
    fixed = torch.rand(1, 1, 12, 12, 12)
    assert local_ncc(fixed, 0.4 * fixed + 0.3).item() == pytest.approx(0, abs=1e-4)
    assert local_ncc(fixed, 1 - fixed).item() == pytest.approx(2, abs=1e-4)


def test_ncc_of_a_constant_image_is_finite_and_flat():
    warped = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    loss = local_ncc(torch.rand(1, 1, 8, 8), warped)
    loss.sum().backward()
    assert loss.item() == pytest.approx(1)
    assert warped.grad is not None
    assert torch.isfinite(warped.grad).all()


@pytest.mark.parametrize("window", [1, 3, 5, 7, 9, 11, 13, 21])
def test_box_sum_counts_its_voxels(window):
    ones = torch.ones(2, 3, 25, 24)
    counts = box_sum(ones, window)
    assert counts.max().item() == window**2
    corner = (window // 2 + 1) ** 2
    assert counts[0, 0, 0, 0].item() == corner == counts[1, 2, -1, -1].item()


@pytest.mark.parametrize("shape", [(65, 3), (1, 130), (64, 2, 7), (3, 129, 1)])
@pytest.mark.parametrize("window", [3, 21])
@pytest.mark.parametrize("members", [2, 9])
def test_box_sums_are_those_of_running_sums_whatever_the_blocks(shape, window, members):
    data = torch.rand(members, 2, *shape, dtype=torch.float64)
    expected = data
    for axis in range(2, data.ndim):
        padded = [0, 0] * (data.ndim - 1 - axis) + [window // 2 + 1, window // 2]
        sums = torch.nn.functional.pad(expected, padded).cumsum(axis)
        length = shape[axis - 2]
        expected = sums.narrow(axis, window, length) - sums.narrow(axis, 0, length)
    torch.testing.assert_close(box_sum(data, window), expected)
    followed = box_sum(data.requires_grad_(), window)
    torch.testing.assert_close(followed, expected)
    (gradient,) = torch.autograd.grad(followed, data, expected)  # a box is its own transpose
    torch.testing.assert_close(gradient, box_sum(expected, window))


@pytest.mark.parametrize("masked", [False, True])
def test_large_images_are_summed_one_by_one_to_the_same_end(masked, monkeypatch):
    generator = torch.Generator().manual_seed(3)
    fixed, warped = torch.rand(2, 2, 1, 20, 24, 22, generator=generator)
    mask = (torch.rand(2, 1, 20, 24, 22, generator=generator) > 0.3).float() if masked else None
    found = []
    for alone in (2**30, 1):
        monkeypatch.setattr(ncc, "ALONE", alone)
        followed = warped.clone().requires_grad_()
        value = local_ncc(fixed, followed, 7, mask)
        found.append((value, *torch.autograd.grad(value.sum(), followed)))
    torch.testing.assert_close(found[0], found[1])


def test_box_sums_keep_their_digits_under_mixed_precision():
    data = torch.rand(1, 1, 20, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = box_sum(data, 5)
    assert torch.equal(found, box_sum(data, 5))


def test_what_lies_outside_the_mask_does_not_matter():
    fixed, warped = torch.rand(1, 1, 10, 10, 10), torch.rand(1, 1, 10, 10, 10)
    mask = torch.zeros_like(fixed)
    mask[..., 2:8, 2:8, 2:8] = 1
    other = torch.where(mask > 0, warped, torch.rand_like(warped))
    ncc = LocalNCC(fixed, 5, mask)
    assert torch.allclose(ncc(warped), ncc(other), atol=1e-6)


def test_mse_is_masked_and_per_sample():
    fixed = torch.zeros(2, 1, 4, 4)
    warped = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 3.0)])
    assert mse(fixed, warped).tolist() == [1.0, 9.0]
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0] = 1
    warped[0, ..., 1:] = 50
    assert mse(fixed, warped, mask).tolist() == [1.0, 9.0]


@pytest.mark.parametrize(("shape", "channels"), [((12, 12), 4), ((9, 10, 11), 12)])
def test_mind_sees_structure_not_contrast(shape, channels):
    image = torch.nn.functional.interpolate(
        torch.rand(1, 1, *[n // 3 for n in shape]),
        size=shape,
        mode="bilinear" if len(shape) == 2 else "trilinear",
    )
    spacing = (1.0,) * len(shape)
    mind = MindSSC(mind_ssc(image, spacing))
    assert mind_ssc(image, spacing).shape == (1, channels, *shape)
    assert mind(mind_ssc(1 - image, spacing)).item() == pytest.approx(0, abs=1e-8)
    assert mind(mind_ssc(image.roll(3, dims=-1), spacing)).item() > 0.05


def test_mind_is_its_definition():
    image, spacing = torch.rand(1, 1, 9, 9, 9), (1.0, 1.0, 4.0)
    here = torch.tensor([4, 4, 4])
    steps = [torch.tensor(s) for s in ((1, 0, 0), (-1, 0, 0), (0, 2, 0), (0, -2, 0))]  # k, j, i
    steps += [torch.tensor((0, 0, 2)), torch.tensor((0, 0, -2))]

    def patch(step: torch.Tensor) -> torch.Tensor:
        k, j, i = (here + step).tolist()
        return image[0, 0, k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2]

    apart = torch.stack(
        [
            (patch(p) - patch(q)).square().mean()
            for p, q in combinations(steps, 2)
            if not torch.equal(p, -q)
        ]
    )
    apart -= apart.min()
    found = mind_ssc(image, spacing)[0, :, 4, 4, 4]
    torch.testing.assert_close(found.sort().values, (-apart / apart.mean()).exp().sort().values)


def test_mind_counts_within_its_mask():
    image, spacing = torch.rand(1, 1, 12, 12), (1.0, 1.0)
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., :6] = 1
    own = mind_ssc(image, spacing)
    spoilt = own.clone()
    spoilt[..., 6:] = torch.rand_like(spoilt[..., 6:])
    assert MindSSC(own, mask)(spoilt).item() == 0
    assert MindSSC(own)(spoilt).item() > 0.05


@pytest.mark.parametrize("masked", [False, True])
def test_a_mean_is_over_what_lands_in_the_moving_mask(masked):
    generator = torch.Generator().manual_seed(0)
    apart, weight = torch.rand(2, 2, 1, 12, 14, generator=generator)
    mask = torch.rand(1, 1, 12, 14, generator=generator) > 0.3 if masked else None
    ncc = LocalNCC(torch.rand(2, 1, 12, 14, generator=generator), 5, mask)
    everywhere, nowhere = torch.ones(2, 1, 12, 14), torch.zeros(2, 1, 12, 14)
    half = everywhere.clone()
    half[..., 7:] = 0
    counts = half if mask is None else half * mask
    expected = (apart * counts).flatten(1).sum(1) / counts.flatten(1).sum(1)
    torch.testing.assert_close(ncc.landed_mean(apart, weight, half), expected)
    assert torch.equal(ncc.landed_mean(apart, weight, None), ncc.mean(apart))
    torch.testing.assert_close(ncc.landed_mean(apart, weight, everywhere), ncc.mean(apart))
    torch.testing.assert_close(ncc.landed_mean(apart, weight, nowhere), ncc.mean(weight))
    assert ncc.landed_mean(apart, 0.5, nowhere).tolist() == pytest.approx([0.5, 0.5])
