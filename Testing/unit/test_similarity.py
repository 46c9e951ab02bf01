"""Local NCC against its definition and its numerical derivative; MSE; MIND-SSC."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ElasticHyperRegLib.similarity import LocalNCC, box_sum, local_ncc, mind_distance, mind_ssc, mse
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
    assert mind_ssc(image).shape == (1, channels, *shape)
    assert mind_distance(image, 1 - image).item() == pytest.approx(0, abs=1e-8)
    shifted = image.roll(3, dims=-1)
    assert mind_distance(image, shifted).item() > 1e-3


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
