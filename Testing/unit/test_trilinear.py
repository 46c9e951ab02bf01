"""Sampling of volumes through slices: the values and derivatives of PyTorch's own sampler."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from ElasticHyperRegLib import trilinear as sampling
from ElasticHyperRegLib.grid import sample_fractions
from ElasticHyperRegLib.trilinear import suits, trilinear

near = partial(torch.testing.assert_close, atol=2e-5, rtol=1e-4)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest):
    """So many cores at work."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def whole_range(members: int, *shape: int) -> torch.Tensor:
    """Positions from beyond one face of the data to beyond the other."""
    return 3 * drawn(members, *shape, 3, seed=1) - 1.5


def pytorch(data: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    data = data.expand(len(positions), *data.shape[1:])
    return functional.grid_sample(data, positions, padding_mode="border", align_corners=False)


@pytest.mark.parametrize("members", [1, 3], ids=["one volume", "a volume each"])
@pytest.mark.parametrize("channels", [1, 4])
def test_values_and_derivatives_are_those_of_pytorch(members, channels, threads) -> None:
    data = drawn(members, channels, 5, 4, 7).requires_grad_()
    positions = whole_range(3, 7, 6, 5).requires_grad_()
    found = [trilinear(data, positions), pytorch(data, positions)]
    weights = drawn(*found[0].shape, seed=2)
    near(*found)
    slopes = [torch.autograd.grad((v * weights).sum(), (data, positions)) for v in found]
    for mine, theirs in zip(*slopes, strict=True):
        near(mine, theirs)


@given(
    st.tuples(st.integers(2, 6), st.integers(1, 6), st.integers(1, 6)),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.integers(0, 99),
)
def test_any_shape_samples_as_pytorch_does(shape, wanted, seed) -> None:
    data = drawn(1, 2, *shape, seed=seed)
    positions = whole_range(1, *wanted).requires_grad_()
    found = [trilinear(data, positions), pytorch(data, positions)]
    near(*found)
    slopes = [torch.autograd.grad(v.sum(), positions)[0] for v in found]
    near(*slopes)


def test_a_linear_image_has_its_own_slope_inside_and_none_beyond() -> None:
    depth, height, width = 6, 5, 4
    k, j, i = torch.meshgrid(
        *(torch.arange(float(n)) for n in (depth, height, width)), indexing="ij"
    )
    positions = whole_range(1, 8, 7, 6).requires_grad_()
    size = torch.tensor([width, height, depth])
    voxels = ((positions.detach() + 1) * size - 1) / 2
    inside = voxels.clamp(min=torch.zeros(3), max=size - 1.0)
    values = trilinear((i + 2 * j + 3 * k)[None, None], positions)
    slope = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(values[0, 0], (inside * slope).sum(-1)[0], atol=1e-5, rtol=1e-5)
    (found,) = torch.autograd.grad(values.sum(), positions)
    expected = slope * size / 2 * (inside == voxels)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_parts_make_up_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = drawn(1, 2, 9, 8, 7).requires_grad_()
    positions = whole_range(1, 11, 6, 5).requires_grad_()

    def answers() -> tuple[torch.Tensor, ...]:
        values = trilinear(data, positions)
        return values, *torch.autograd.grad(values.square().sum(), (data, positions))

    at_once = answers()
    monkeypatch.setattr(sampling, "POINTS_AT_ONCE", 1)
    for mine, whole in zip(answers(), at_once, strict=True):
        near(mine, whole)


def test_many_rows_cost_a_hundredth_of_a_voxel() -> None:
    data = torch.arange(400.0).view(1, 1, 1, 400, 1).expand(1, 1, 100, 400, 2)
    positions = whole_range(1, 60, 40, 5)
    error = trilinear(data, positions) - pytorch(data.double(), positions.double())
    assert error.abs().max() < 4e-7 * 100 * 400


def test_what_is_no_position_spoils_no_other() -> None:
    data, positions = drawn(1, 1, 4, 4, 4), whole_range(1, 3, 3, 3)
    expected = pytorch(data, positions)
    positions[0, 1, 1, 1, 2] = torch.nan
    found = trilinear(data, positions)
    assert found[0, 0, 1, 1, 1].isnan()
    expected[0, 0, 1, 1, 1] = torch.nan
    near(found, expected, equal_nan=True)


def turned(size: int, degrees: float) -> torch.Tensor:
    """Positions of every voxel of a cube, turned about its first axis."""
    middle = (torch.arange(size) + 0.5) / size * 2 - 1
    k, j, i = torch.meshgrid(middle, middle, middle, indexing="ij")
    turn = math.radians(degrees)
    across, along = math.cos(turn) * j - math.sin(turn) * k, math.sin(turn) * j + math.cos(turn) * k
    return torch.stack((i, across, along), -1)[None]


def test_it_suits_slices_that_do_not_run_across_each_other(monkeypatch) -> None:
    data, level = drawn(1, 1, 40, 40, 40), turned(40, 5)
    assert suits(data, level) and suits(data, turned(40, 90))  # all is done at once
    monkeypatch.setattr(sampling, "POINTS_AT_ONCE", 40 * 40)
    assert suits(data, level) and not suits(data, turned(40, 90))
    unfit = [(data.double(), level.double()), (data, level.double()), (data[:, :, :1], level)]
    unfit += [(data[..., 0], level[:, 0, ..., :2]), (data, level.fill_(torch.nan))]
    assert [suits(*pair) for pair in unfit] == [False] * len(unfit)


def test_only_what_a_gradient_follows_is_sampled_so() -> None:
    data, positions = drawn(1, 1, 5, 6, 7), whole_range(1, 4, 4, 4)
    exact = pytorch(data, positions)
    assert torch.equal(sample_fractions(data, positions, "bilinear", "border"), exact)
    positions.requires_grad_()
    followed = sample_fractions(data, positions, "bilinear", "border")
    assert type(followed.grad_fn) is type(trilinear(data, positions).grad_fn)
    with torch.no_grad():
        assert torch.equal(sample_fractions(data, positions, "bilinear", "border"), exact)
