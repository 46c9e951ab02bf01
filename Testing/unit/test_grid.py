"""Points, pyramids and resampling on oblique and anisotropic grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ElasticHyperRegLib import Grid
from ElasticHyperRegLib import grid as grid_module
from ElasticHyperRegLib.grid import (
    apply_matrix,
    coarser,
    constant,
    gaussian_smooth,
    grid_to_grid,
    pyramid,
    resample,
    sample,
    voxel_points,
)

MakeGrid = Callable[..., Grid]
SLOPE = (0.7, -1.3, 0.4)
DOUBLE = torch.zeros(1).double()


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def grid(request: pytest.FixtureRequest, oblique_grid: MakeGrid) -> Grid:
    shape = (9, 12, 14)[-request.param :]
    return oblique_grid(shape, (1.4, 1.1, 2.5))


def world_points(grid: Grid) -> torch.Tensor:
    return apply_matrix(grid.ijk_to_ras, voxel_points(grid.shape, DOUBLE))


def ramp(grid: Grid) -> torch.Tensor:
    """slope · x of every voxel, (1, 1, *shape)."""
    slope = torch.tensor(SLOPE[: grid.ndim]).double().view(1, -1, *[1] * grid.ndim)
    return (world_points(grid) * slope).sum(dim=1, keepdim=True)


def centre(grid: Grid) -> np.ndarray:
    middle = (np.array(grid.size) - 1) / 2
    return (grid.ijk_to_ras @ np.append(middle, 1))[: grid.ndim]


def inside(source: Grid, target: Grid, margin: float) -> torch.Tensor:
    """Voxels of ``target`` at least ``margin`` voxels away from the border of ``source``."""
    points = apply_matrix(grid_to_grid(target, source), voxel_points(target.shape, DOUBLE))
    last = torch.tensor(source.size).double().view(1, -1, *[1] * source.ndim) - 1
    return ((points >= margin) & (points <= last - margin)).all(dim=1, keepdim=True)


# Points


def test_constants_are_made_once_and_serve_autograd_too():
    like = torch.zeros(1, dtype=torch.float32)
    with torch.inference_mode():
        first = constant(np.array([[1, 2], [3, 4.5]]), like)
    assert constant(np.array([[1, 2], [3, 4.5]]), like) is first
    assert constant(np.array([[1, 2], [3, 4.5]]), like.double()).dtype == torch.float64
    torch.testing.assert_close(first, torch.tensor([[1, 2], [3, 4.5]]))
    x = torch.ones(2, 2, requires_grad=True)
    (x * first).sum().backward()  # an inference tensor would be refused here
    assert x.grad is not None and torch.equal(x.grad, first)
    assert constant((1, 2, 3, 4.5), like).shape == (4,)


def test_voxel_points_are_i_j_k() -> None:
    points = voxel_points((2, 3, 4), torch.zeros(1))
    assert points.shape == (1, 3, 2, 3, 4)
    assert points[0, :, 1, 2, 3].tolist() == [3.0, 2.0, 1.0]
    assert points[0, :, 1, 0, 2].tolist() == [2.0, 0.0, 1.0]


def test_world_points_are_those_of_the_matrix(grid: Grid) -> None:
    index = tuple(n - 2 for n in grid.shape)
    expected = grid.ijk_to_ras @ [*index[::-1], 1.0]
    found = world_points(grid)[0].movedim(0, -1)[index]
    np.testing.assert_allclose(found, expected[: grid.ndim])


def test_read_only_matrix_of_a_grid_is_applied_without_a_warning(grid: Grid) -> None:
    torch.set_warn_always(True)
    try:
        found = world_points(grid)
    finally:
        torch.set_warn_always(False)
    np.testing.assert_allclose(found.flatten(2)[0, :, 0], grid.origin)


def test_sample_at_voxels_is_the_data(grid: Grid) -> None:
    data = torch.rand(1, 2, *grid.shape).double()
    points = voxel_points(grid.shape, data)
    for mode in ("bilinear", "nearest"):
        torch.testing.assert_close(sample(data, points, mode), data)


def test_sample_outside_continues_the_border_or_fills() -> None:
    data = torch.tensor([[[[1.0, 2.0, 3.0]] * 3]])
    points = torch.tensor([[-5.0, 1.5, 9.0], [1.0, 1.0, 1.0]]).view(1, 2, 1, 3)
    assert sample(data, points).flatten().tolist() == pytest.approx([1.0, 2.5, 3.0])
    assert sample(data, points, fill=-7.0).flatten().tolist() == pytest.approx([-7.0, 2.5, -7.0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", [None, -7.0])
def test_sample_gives_the_same_on_several_cores(channels, mode, fill) -> None:
    data, points = torch.randn(1, channels, 4, 5, 6), torch.rand(1, 3, 3, 4, 5) * 7 - 1
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            there = points.clone().requires_grad_(mode == "bilinear")
            values = sample(data, there, mode, fill)
            assert values.is_contiguous()
            found.append([values.detach()])
            if there.requires_grad:
                found[-1] += torch.autograd.grad(values.square().sum(), there)
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_sample_follows_the_data_on_several_cores() -> None:
    data, points = torch.randn(1, 1, 4, 5, 6).requires_grad_(), torch.rand(1, 3, 3, 4, 5) * 3
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        (gradient,) = torch.autograd.grad(sample(data, points).sum(), data)
    finally:
        torch.set_num_threads(threads)
    assert float(gradient.sum()) == pytest.approx(3 * 4 * 5)


def test_sample_fills_beyond_a_single_slice() -> None:
    data = torch.full((1, 1, 1, 4, 5), 3.0)
    points = torch.tensor([[2.0, 2.0], [1.0, 1.0], [0.0, 6.0]]).view(1, 3, 1, 1, 2)
    assert sample(data, points, fill=-1.0).flatten().tolist() == pytest.approx([3.0, -1.0])


# Coarser grids


@settings(max_examples=20)
@given(
    sizes=st.lists(st.integers(3, 90), min_size=2, max_size=3),
    spacing=st.lists(st.floats(0.3, 6.0), min_size=3, max_size=3),
    wanted=st.floats(0.5, 12.0),
)
def test_coarser_keeps_extent_centre_and_direction(
    sizes: list[int], spacing: list[float], wanted: float
) -> None:
    dim = len(sizes)
    direction, _ = np.linalg.qr(np.random.default_rng(sum(sizes)).normal(size=(dim, dim)))
    grid = Grid.from_spacing(tuple(sizes), tuple(spacing[:dim]), (9.0, -80.0, 3.0)[:dim], direction)
    found = coarser(grid, (wanted,) * dim)
    extent = np.array(grid.size) * grid.spacing
    np.testing.assert_allclose(np.array(found.size) * found.spacing, extent)
    np.testing.assert_allclose(centre(found), centre(grid), atol=1e-9)
    np.testing.assert_allclose(found.direction, grid.direction, atol=1e-9)
    nearest = np.maximum(1, extent / wanted)
    assert (np.abs(found.size - nearest) <= 0.5 + 1e-9).all()


def test_pyramid_halves_only_the_fine_axes(oblique_grid: MakeGrid) -> None:
    grid = oblique_grid((20, 128, 128), (1.4, 1.4, 4.0))
    shapes = [level.shape for level in pyramid(grid, 3)]
    assert shapes[2] == (20, 128, 128)
    assert shapes[1] == (20, 64, 64)
    assert shapes[0][1:] == (32, 32)
    levels = pyramid(grid, 3)
    assert levels[-1] is grid
    assert levels[1].spacing == pytest.approx((2.8, 2.8, 4.0))


def test_pyramid_of_an_isotropic_grid_halves_every_axis(grid: Grid) -> None:
    shape = (64, 48, 80)[-grid.ndim :]
    fine = Grid.from_spacing(shape, (1.5,) * grid.ndim, direction=grid.direction)
    levels = pyramid(fine, 3, smallest=4)
    for level, factor in zip(levels, (4, 2, 1), strict=True):
        assert level.shape == tuple(n // factor for n in shape)
        assert level.spacing == pytest.approx((1.5 * factor,) * grid.ndim)
        np.testing.assert_allclose(centre(level), centre(fine), atol=1e-9)


def test_pyramid_stops_where_an_axis_would_become_too_small() -> None:
    grid = Grid.from_spacing((10, 40, 64), (1.0, 1.0, 1.0))
    assert [level.shape for level in pyramid(grid, 6)] == [(10, 16, 16), (10, 20, 32), (10, 40, 64)]
    tiny = Grid.from_spacing((10, 12), (1.0, 1.0))
    assert pyramid(tiny, 4) == [tiny]


# Resampling


def test_resampling_a_ramp_onto_a_finer_oblique_grid_is_exact(
    grid: Grid, oblique_grid: MakeGrid
) -> None:
    target = oblique_grid((20, 18, 21)[-grid.ndim :], (0.7, 0.6, 1.0), degrees=40.0)
    counts = inside(grid, target, margin=0.0)
    assert counts.sum() > 100
    found = resample(ramp(grid), grid, target)
    torch.testing.assert_close(found[counts], ramp(target)[counts])


def test_resampling_a_ramp_onto_a_coarser_grid_is_exact_inside(
    grid: Grid, oblique_grid: MakeGrid
) -> None:
    fine = oblique_grid((30, 32, 34)[-grid.ndim :], (1.4, 1.1, 2.5))
    for target in (coarser(fine, (3.0, 3.0, 5.0)[: grid.ndim]), pyramid(fine, 2)[0]):
        counts = inside(fine, target, margin=4.0)
        assert counts.sum() > 20
        found = resample(ramp(fine), fine, target)
        torch.testing.assert_close(found[counts], ramp(target)[counts])


@pytest.mark.parametrize("n", [32, 37])
def test_checkerboard_does_not_alias(grid: Grid, n: int) -> None:
    fine = Grid.from_spacing((n,) * grid.ndim, (1.0,) * grid.ndim, direction=grid.direction)
    board = (-1.0) ** voxel_points(fine.shape, DOUBLE).sum(dim=1, keepdim=True)
    target = coarser(fine, (2.0,) * grid.ndim)
    assert resample(board, fine, target).abs().max() < 0.1
    unsmoothed = sample(board, voxel_points(target.shape, DOUBLE) * 2)
    torch.testing.assert_close(unsmoothed, torch.ones_like(unsmoothed))


def test_resampling_onto_permuted_axes_is_a_transposition() -> None:
    source = Grid.from_spacing((4, 9, 10), (1.0, 1.2, 4.0), (5.0, 6.0, 7.0))
    matrix = source.ijk_to_ras[:, [2, 0, 1, 3]]
    target = Grid((9, 10, 4), matrix)
    data = torch.rand(1, 1, *source.shape).double()
    expected = data.permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(resample(data, source, target), expected)


@pytest.mark.parametrize(
    ("shape", "scales", "shift"),
    [
        ((3, 5, 6), (2.6, 2.6, 2.6), 0.0),  # coarser
        ((14, 17, 20), (0.7, 0.7, 0.7), 3.0),  # finer, and beyond the end
        ((9, 12, 14), (1.0, 1.0, 1.0), 0.3),  # only moved
        ((9, 12, 14), (-1.7, 1.7, 1.7), 0.0),
        ((1, 7, 9), (2.0, 2.0, 2.0), 0.0),
    ],
)
@pytest.mark.parametrize("depth", [9, 2, 1])
def test_axes_that_run_alike_are_resampled_one_by_one(
    shape, scales, shift, depth, oblique_grid, monkeypatch
) -> None:
    source = oblique_grid((depth, 12, 14), (1.4, 1.1, 2.5))
    matrix = source.ijk_to_ras.copy()
    matrix[:3, :3] *= scales
    matrix[:3, 3] += shift * matrix[:3, 1]
    target = Grid(shape, matrix)
    data = torch.rand(2, 3, *source.shape, generator=torch.Generator().manual_seed(0))
    assert grid_module._run_alike(source, target)
    found = resample(data, source, target)
    monkeypatch.setattr(grid_module, "_run_alike", lambda *_: False)
    assert torch.allclose(found, resample(data, source, target), atol=2e-5)


def test_axes_that_drift_sideways_do_not_run_alike() -> None:
    straight = Grid.from_spacing((9, 12, 14), (1.4, 1.1, 2.5))
    turned = np.array(
        [[np.cos(0.001), -np.sin(0.001), 0], [np.sin(0.001), np.cos(0.001), 0], [0, 0, 1]]
    )
    assert grid_module._run_alike(straight, coarser(straight, (3.0, 3.0, 3.0)))
    assert not grid_module._run_alike(
        straight, Grid.from_spacing((9, 12, 14), (1.4, 1.1, 2.5), direction=turned)
    )


def test_resampling_onto_the_same_grid_returns_the_data(grid: Grid) -> None:
    data = torch.rand(1, 1, *grid.shape)
    assert resample(data, grid, Grid(grid.shape, grid.ijk_to_ras)) is data


def test_labels_are_not_mixed(grid: Grid) -> None:
    labels = torch.randint(0, 3, (1, 1, *grid.shape)).double() * 7
    target = coarser(grid, tuple(2 * s for s in grid.spacing))
    found = resample(labels, grid, target, mode="nearest")
    assert found.shape[2:] == target.shape
    assert set(found.unique().tolist()) <= {0.0, 7.0, 14.0}


def test_resample_fills_outside(grid: Grid) -> None:
    away = grid.ijk_to_ras.copy()
    away[0, -1] += 1000.0
    found = resample(ramp(grid), grid, Grid(grid.shape, away), fill=-3.0)
    torch.testing.assert_close(found, torch.full_like(found, -3.0))


# Smoothing


@pytest.mark.parametrize("dim", [2, 3])
def test_gaussian_has_unit_sum_and_the_wanted_width(dim: int) -> None:
    impulse = torch.zeros(1, 2, *(21, 23, 25)[-dim:]).double()
    middle = tuple(n // 2 for n in impulse.shape[2:])
    impulse[(0, 1, *middle)] = 1.0
    sigmas = (1.5, 0.0, 2.0)[:dim]
    smooth = gaussian_smooth(impulse, sigmas)
    assert smooth[0, 0].abs().max() == 0.0
    assert float(smooth.sum()) == pytest.approx(1.0)
    offset = voxel_points(tuple(impulse.shape[2:]), impulse)[0]
    for axis, sigma in enumerate(sigmas):
        distance = offset[axis] - middle[::-1][axis]
        width = float((smooth[0, 1] * distance**2).sum())
        assert width == pytest.approx(sigma**2, rel=0.05)


def test_gaussian_keeps_a_constant_up_to_the_border(grid: Grid) -> None:
    data = torch.full((2, 3, *grid.shape), 4.0).double()
    torch.testing.assert_close(gaussian_smooth(data, (3.0,) * grid.ndim), data)
