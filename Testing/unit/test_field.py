"""Displacement fields against affine truths, on oblique and anisotropic grids, in 2D and 3D."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ElasticHyperRegLib import Grid, InputError
from ElasticHyperRegLib import field as fields
from ElasticHyperRegLib.grid import apply_matrix, gaussian_smooth, sample, voxel_points

MakeGrid = Callable[..., Grid]
DOUBLE = torch.zeros(1).double()
LINEAR = np.array([[1.10, -0.06, 0.03], [0.05, 0.92, 0.04], [-0.02, 0.07, 1.05]])
"""Not symmetric, not diagonal: a transposed matrix or a swapped channel does not go unseen."""

dims = st.sampled_from([2, 3])
seeds = st.integers(0, 10_000)


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def grid(request: pytest.FixtureRequest, oblique_grid: MakeGrid) -> Grid:
    return oblique_grid((9, 12, 14)[-request.param :], (1.4, 1.1, 2.5))


def centre(grid: Grid) -> np.ndarray:
    middle = (np.array(grid.size) - 1) / 2
    return (grid.ijk_to_ras @ np.append(middle, 1))[: grid.ndim]


def affine_about(point: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """(D+1, D+1) matrix that applies ``linear`` about ``point`` and then moves a little."""
    dim = len(point)
    matrix = np.eye(dim + 1)
    matrix[:dim, :dim] = linear[:dim, :dim]
    matrix[:dim, dim] = point - linear[:dim, :dim] @ point + np.array([0.4, -0.3, 0.2])[:dim]
    return matrix


def affine_field(matrix: np.ndarray, grid: Grid) -> torch.Tensor:
    """u(x) = M x − x in mm on ``grid``."""
    offset = (matrix - np.eye(grid.ndim + 1)) @ grid.ijk_to_ras
    return apply_matrix(offset, voxel_points(grid.shape, DOUBLE))


def world(grid: Grid) -> torch.Tensor:
    return apply_matrix(grid.ijk_to_ras, voxel_points(grid.shape, DOUBLE))


def linear_image(points: torch.Tensor) -> torch.Tensor:
    slope = torch.tensor([0.7, -1.3, 0.4]).double()[: points.shape[1]]
    return torch.einsum("a,na...->n...", slope, points)[:, None] + 5.0


def within(points_vox: torch.Tensor, shape: tuple[int, ...], margin: float = 0.0) -> torch.Tensor:
    """(N, 1, ...): whether every coordinate lies inside the grid, ``margin`` voxels or more."""
    last = torch.tensor(shape[::-1]).double().view(1, -1, *[1] * len(shape)) - 1
    return ((points_vox >= margin) & (points_vox <= last - margin)).all(dim=1, keepdim=True)


def smooth_field(shape: tuple[int, ...], amplitude: float, seed: int) -> torch.Tensor:
    """Random smooth field in voxels whose largest component is ``amplitude``."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, len(shape), *shape, generator=generator, dtype=torch.float64)
    u_vox = gaussian_smooth(noise, (4.0,) * len(shape))
    return amplitude * u_vox / u_vox.abs().max()


# Forms


@settings(max_examples=20)
@given(dim=dims, seed=seeds)
def test_every_form_and_back(dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    direction, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    shape = tuple(int(n) for n in rng.integers(1, 6, dim))
    grid = Grid.from_spacing(shape, tuple(rng.uniform(0.3, 6, dim)), direction=direction)
    u_mm = torch.from_numpy(rng.normal(size=(2, dim, *shape)))
    u_vox = fields.mm_to_vox(u_mm, grid)
    torch.testing.assert_close(fields.vox_to_mm(u_vox, grid), u_mm)
    torch.testing.assert_close(fields.norm_to_vox(fields.vox_to_norm(u_vox)), u_vox)
    u_axes = fields.rotate_to_axes(u_mm, grid)
    torch.testing.assert_close(fields.rotate_to_world(u_axes, grid), u_mm)
    spacing = torch.tensor(grid.spacing).double().view(1, -1, *[1] * dim)
    torch.testing.assert_close(u_vox * spacing, u_axes)
    torch.testing.assert_close(u_axes.norm(dim=1), u_mm.norm(dim=1))


def test_one_voxel_along_an_axis_is_that_column_of_the_matrix(grid: Grid) -> None:
    for axis in range(grid.ndim):
        u_vox = torch.zeros(1, grid.ndim, *grid.shape).double()
        u_vox[:, axis] = 1.0
        u_mm = fields.vox_to_mm(u_vox, grid)
        np.testing.assert_allclose(
            u_mm.flatten(2)[0, :, 0], grid.ijk_to_ras[: grid.ndim, axis], atol=1e-12
        )


def test_half_the_grid_is_one_in_the_normalised_form() -> None:
    u_vox = torch.ones(1, 3, 5, 9, 17) * torch.tensor([8.0, 4.0, 2.0]).view(1, 3, 1, 1, 1)
    torch.testing.assert_close(fields.vox_to_norm(u_vox), torch.ones_like(u_vox))


def test_lifted_slices_stay_in_their_plane(oblique_grid: MakeGrid) -> None:
    grid = oblique_grid((4, 6, 7), (1.4, 1.1, 9.0))
    u_vox = torch.randn(4, 2, 6, 7).double()
    u_mm = fields.lift_slices(u_vox, grid)
    through = torch.einsum("a,na...->n...", torch.tensor(grid.direction[:, 2]), u_mm)
    torch.testing.assert_close(through, torch.zeros_like(through))
    back = fields.mm_to_vox(u_mm, grid)
    torch.testing.assert_close(back[0, :2].movedim(1, 0), u_vox)


@pytest.mark.parametrize("shape", [(3, 2, 6, 7), (4, 3, 6, 7), (4, 2, 7, 6)])
def test_slices_that_do_not_fit_are_refused(shape: tuple[int, ...], oblique_grid: MakeGrid) -> None:
    grid = oblique_grid((4, 6, 7), (1.4, 1.1, 9.0))
    with pytest.raises(InputError, match=r"slices of shape .*; expected \(K, 2, J, I\)"):
        fields.lift_slices(torch.zeros(shape), grid)


# Onto another grid


def test_affine_field_on_a_finer_oblique_grid_is_exact(grid: Grid, oblique_grid: MakeGrid) -> None:
    target = oblique_grid((20, 18, 21)[-grid.ndim :], (0.7, 0.6, 1.0), degrees=40.0)
    matrix = affine_about(centre(grid), LINEAR)
    positions = apply_matrix(
        grid.ras_to_ijk @ target.ijk_to_ras, voxel_points(target.shape, DOUBLE)
    )
    counts = within(positions, grid.shape).expand(-1, grid.ndim, *target.shape)
    assert counts.sum() > 100
    found = fields.to_grid(affine_field(matrix, grid), grid, target)
    torch.testing.assert_close(found[counts], affine_field(matrix, target)[counts])


def test_constant_field_is_the_same_on_every_grid(grid: Grid, oblique_grid: MakeGrid) -> None:
    target = oblique_grid((5, 6, 7)[-grid.ndim :], (5.0, 4.0, 3.0), degrees=70.0)
    vector = torch.tensor([1.0, -2.0, 3.0])[: grid.ndim].view(1, -1, *[1] * grid.ndim)
    found = fields.to_grid(vector.expand(2, -1, *grid.shape), grid, target)
    torch.testing.assert_close(found, vector.expand(2, -1, *target.shape))


def test_field_does_not_alias_on_a_coarser_grid(grid: Grid) -> None:
    fine = Grid.from_spacing((31,) * grid.ndim, (1.0,) * grid.ndim)
    coarse = Grid.from_spacing((11,) * grid.ndim, (3.0,) * grid.ndim)
    board = (-1.0) ** voxel_points(fine.shape, DOUBLE).sum(dim=1, keepdim=True)
    u_mm = board.expand(-1, grid.ndim, *fine.shape)
    inner = within(voxel_points(coarse.shape, DOUBLE), coarse.shape, margin=1.0)
    assert (fields.to_grid(u_mm, fine, coarse) * inner).abs().max() < 0.1


def test_field_on_permuted_axes_is_a_transposition() -> None:
    source = Grid.from_spacing((4, 9, 10), (1.0, 1.2, 4.0), (5.0, 6.0, 7.0))
    target = Grid((9, 10, 4), source.ijk_to_ras[:, [2, 0, 1, 3]])
    u_mm = torch.randn(1, 3, *source.shape).double()
    expected = u_mm.permute(0, 1, 3, 4, 2)
    torch.testing.assert_close(fields.to_grid(u_mm, source, target), expected)


# Warping


def test_affine_warp_of_a_linear_image_is_exact(grid: Grid, oblique_grid: MakeGrid) -> None:
    moving = oblique_grid((12, 14, 15)[-grid.ndim :], (1.6, 1.2, 2.1), degrees=15.0)
    matrix = affine_about(centre(grid), LINEAR)
    u_mm = affine_field(matrix, grid)
    landed = world(grid) + u_mm
    counts = within(apply_matrix(moving.ras_to_ijk, landed), moving.shape)
    assert counts.sum() > 50
    warped = fields.warp(linear_image(world(moving)), u_mm, grid, moving)
    torch.testing.assert_close(warped[counts], linear_image(landed)[counts])


def test_warp_fills_outside_or_continues_the_border(grid: Grid) -> None:
    image = linear_image(world(grid))
    u_mm = torch.full((1, grid.ndim, *grid.shape), 1e4).double()
    filled = fields.warp(image, u_mm, grid, grid, fill=-9.0)
    torch.testing.assert_close(filled, torch.full_like(image, -9.0))
    continued = fields.warp(image, u_mm, grid, grid)
    assert image.min() <= continued.min() == continued.max() <= image.max()


def test_one_image_is_warped_by_several_fields(grid: Grid) -> None:
    image = torch.rand(1, 2, *grid.shape).double()
    u_mm = torch.zeros(3, grid.ndim, *grid.shape).double()
    u_mm[1] = 2.0
    warped = fields.warp(image, u_mm, grid, grid)
    assert warped.shape == (3, 2, *grid.shape)
    torch.testing.assert_close(warped[[0, 2]], image.expand(2, -1, *grid.shape))
    torch.testing.assert_close(warped[1:2], fields.warp(image, u_mm[1:2], grid, grid))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_warped_labels_hold_no_new_value(dtype: torch.dtype, grid: Grid) -> None:
    values = torch.tensor([0, 3, 120], dtype=dtype)
    labels = values[torch.randint(0, 3, (1, 1, *grid.shape))]
    u_mm = torch.randn(1, grid.ndim, *grid.shape) * 4
    warped = fields.warp_labels(labels, u_mm, grid, grid)
    assert warped.dtype == dtype
    assert set(warped.unique().tolist()) <= {0, 3, 120}
    assert torch.equal(fields.warp_labels(labels, torch.zeros_like(u_mm), grid, grid), labels)


def test_labels_move_by_whole_voxels_and_leave_zero_behind(grid: Grid) -> None:
    # 2²⁴ + 1 is the first whole number that single precision cannot hold.
    labels = torch.randint(2**24 + 1, 2**24 + 9, (1, 1, *grid.shape), dtype=torch.int32)
    u_vox = torch.zeros(1, grid.ndim, *grid.shape)
    u_vox[:, 0] = 2.0
    warped = fields.warp_labels(labels, fields.vox_to_mm(u_vox, grid), grid, grid)
    assert torch.equal(warped[..., :-2], labels[..., 2:])
    assert not warped[..., -2:].any()


def test_points_follow_an_affine_field(grid: Grid) -> None:
    matrix = affine_about(centre(grid), LINEAR)
    rng = np.random.default_rng(4)
    index = rng.uniform(0, np.array(grid.size) - 1, (20, grid.ndim))
    points = index @ grid.ijk_to_ras[:-1, :-1].T + grid.origin
    expected = points @ matrix[:-1, :-1].T + matrix[:-1, -1]
    found = fields.transform_points(points, affine_field(matrix, grid), grid)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_points_outside_the_grid_follow_its_border(grid: Grid) -> None:
    u_mm = affine_field(affine_about(centre(grid), LINEAR), grid)
    outside = grid.ijk_to_ras @ np.append(np.full(grid.ndim, -50.0), 1.0)
    found = fields.transform_points(outside[None, :-1], u_mm, grid)
    np.testing.assert_allclose(found[0] - outside[:-1], u_mm.flatten(2)[0, :, 0])


def test_no_points_stay_no_points(grid: Grid) -> None:
    u_mm = torch.zeros(1, grid.ndim, *grid.shape)
    found = fields.transform_points(np.zeros((0, grid.ndim)), u_mm, grid)
    assert found.shape == (0, grid.ndim)


def test_points_and_image_agree_on_the_direction(grid: Grid) -> None:
    """The brightest moving voxel shows where its fixed point is said to land."""
    u_vox = torch.zeros(1, grid.ndim, *grid.shape).double()
    u_vox[:, 0], u_vox[:, 1] = 2.0, -3.0
    u_mm = fields.vox_to_mm(u_vox, grid)
    fixed_index = np.full(grid.ndim, 4)
    fixed_point = (grid.ijk_to_ras @ np.append(fixed_index, 1.0))[:-1]
    landed = fields.transform_points(fixed_point[None], u_mm, grid)[0]
    moving_index = np.rint(grid.ras_to_ijk @ np.append(landed, 1.0))[:-1].astype(int)
    moving = torch.zeros(1, 1, *grid.shape).double()
    moving[(0, 0, *moving_index[::-1])] = 1.0
    warped = fields.warp(moving, u_mm, grid, grid)
    assert float(warped[(0, 0, *fixed_index[::-1])]) == pytest.approx(1.0)


# Composition, exponential, inverse


def index_affine(shape: tuple[int, ...], linear: np.ndarray) -> np.ndarray:
    return affine_about((np.array(shape[::-1]) - 1) / 2, linear)


def index_field(matrix: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    return apply_matrix(matrix - np.eye(len(shape) + 1), voxel_points(shape, DOUBLE))


@pytest.mark.parametrize("shape", [(14, 17), (11, 14, 17)])
def test_composition_of_affine_fields_is_the_matrix_product(shape: tuple[int, ...]) -> None:
    first, second = index_affine(shape, LINEAR), index_affine(shape, LINEAR[::-1, ::-1])
    u_vox, v_vox = index_field(first, shape), index_field(second, shape)
    counts = within(voxel_points(shape, DOUBLE) + u_vox, shape).expand_as(u_vox)
    assert counts.sum() > u_vox.numel() / 2
    found = fields.compose(u_vox, v_vox)
    torch.testing.assert_close(found[counts], index_field(second @ first, shape)[counts])
    assert not torch.allclose(found[counts], index_field(first @ second, shape)[counts])


@settings(max_examples=20)
@given(dim=dims, seed=seeds)
def test_composition_with_nothing_changes_nothing(dim: int, seed: int) -> None:
    u_vox = smooth_field((7, 8, 9)[-dim:], 2.0, seed)
    zero = torch.zeros_like(u_vox)
    torch.testing.assert_close(fields.compose(u_vox, zero), u_vox)
    torch.testing.assert_close(fields.compose(zero, u_vox), u_vox)


@settings(max_examples=20)
@given(dim=dims, amplitude=st.floats(0.0, 2.0), seed=seeds)
def test_inverse_undoes_a_smooth_field_both_ways(dim: int, amplitude: float, seed: int) -> None:
    shape = (14, 16, 18)[-dim:]
    u_vox = smooth_field(shape, amplitude, seed)
    w_vox, residual = fields.invert(u_vox)
    assert residual.shape == (1, 1, *shape)
    assert residual.max() < 2e-3
    torch.testing.assert_close(
        fields.compose(w_vox, u_vox).norm(dim=1, keepdim=True), residual, atol=1e-9, rtol=1e-6
    )
    counts = within(voxel_points(shape, DOUBLE) + u_vox, shape, margin=2.0)
    error = fields.compose(u_vox, w_vox).norm(dim=1, keepdim=True) * counts
    # Between voxels w is linear and the true inverse is not, by its second derivative.
    assert error.max() < 2e-3 + 0.05 * amplitude**2


def test_inverse_of_a_fold_says_so() -> None:
    shape = (8, 21)
    u_vox = torch.zeros(1, 2, *shape).double()
    u_vox[:, 0] = -2.5 * torch.sin(torch.linspace(-3, 3, 21).double()) * 2
    grid = Grid.from_spacing(shape, (1.0, 1.0))
    assert fields.jacobian_determinant(u_vox, grid).min() < 0
    assert fields.invert(u_vox)[1].max() > 0.1


@pytest.mark.parametrize("shape", [(22, 25), (19, 22, 25)])
def test_exponential_of_a_linear_velocity_is_the_matrix_exponential(shape: tuple[int, ...]) -> None:
    dim = len(shape)
    velocity = np.zeros((dim + 1, dim + 1))
    velocity[:dim, :dim] = (LINEAR[:dim, :dim] - np.eye(dim)) * 1.5
    velocity[:dim, dim] = -velocity[:dim, :dim] @ ((np.array(shape[::-1]) - 1) / 2)
    v_vox = apply_matrix(velocity, voxel_points(shape, DOUBLE))
    matrix = torch.linalg.matrix_exp(torch.from_numpy(velocity)).numpy()
    expected = index_field(matrix, shape)
    counts = within(voxel_points(shape, DOUBLE) + expected, shape, margin=3.0).expand_as(v_vox)
    assert counts.sum() > 1000 / 4
    found = fields.exponential(v_vox)
    torch.testing.assert_close(found[counts], expected[counts], atol=5e-3, rtol=0)
    assert not torch.allclose(v_vox[counts], expected[counts], atol=5e-3, rtol=0)


@settings(max_examples=20)
@given(dim=dims, amplitude=st.floats(0.1, 2.0), seed=seeds)
def test_exponential_does_not_fold_and_minus_v_inverts_it(
    dim: int, amplitude: float, seed: int
) -> None:
    shape = (14, 16, 18)[-dim:]
    grid = Grid.from_spacing(shape, (1.0,) * dim)
    v_vox = smooth_field(shape, amplitude, seed)
    u_vox, w_vox = fields.exponential(v_vox), fields.exponential(-v_vox)
    assert fields.jacobian_determinant(u_vox, grid).min() > 0
    counts = within(voxel_points(shape, DOUBLE) + u_vox, shape, margin=3.0)
    assert (fields.compose(u_vox, w_vox).norm(dim=1, keepdim=True) * counts).max() < 0.1


# Jacobian


def test_jacobian_of_an_affine_field_is_its_determinant(grid: Grid) -> None:
    linear = LINEAR[: grid.ndim, : grid.ndim]
    u_mm = affine_field(affine_about(centre(grid), LINEAR), grid)
    found = fields.jacobian_determinant(u_mm, grid)
    assert found.shape == (1, 1, *grid.shape)
    torch.testing.assert_close(found, torch.full_like(found, float(np.linalg.det(linear))))


def test_gradient_is_that_of_the_axes_of_the_grid(grid: Grid) -> None:
    linear = LINEAR[: grid.ndim, : grid.ndim]
    u_mm = affine_field(affine_about(centre(grid), LINEAR), grid)
    expected = grid.direction.T @ (linear - np.eye(grid.ndim)) @ grid.direction
    found = fields.displacement_gradient(u_mm, grid)
    assert found.shape == (1, grid.ndim, grid.ndim, *grid.shape)
    found = found.flatten(3)
    for voxel in (0, grid.voxels // 2, grid.voxels - 1):
        np.testing.assert_allclose(found[0, :, :, voxel], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("diagonal", "determinant"),
    [((-1, 1, 1), -1.0), ((1, -1, 1), -1.0), ((-1, -1, 1), 1.0), ((0, 1, 1), 0.0)],
    ids=["mirror", "other mirror", "half a turn", "collapse"],
)
def test_jacobian_knows_a_fold(diagonal: tuple[int, ...], determinant: float, grid: Grid) -> None:
    matrix = affine_about(centre(grid), np.diag(np.array(diagonal, dtype=float)))
    found = fields.jacobian_determinant(affine_field(matrix, grid), grid)
    torch.testing.assert_close(found, torch.full_like(found, determinant))


def test_single_slice_has_no_strain_through_it(oblique_grid: MakeGrid) -> None:
    grid = oblique_grid((1, 6, 7), (1.4, 1.1, 9.0))
    u_axes = torch.zeros(1, 3, *grid.shape).double()
    u_axes[:, 0] = 0.2 * 1.4 * torch.arange(7)
    u_mm = fields.rotate_to_world(u_axes, grid)
    found = fields.jacobian_determinant(u_mm, grid)
    torch.testing.assert_close(found, torch.full_like(found, 1.2))


def test_volume_change_is_the_mean_jacobian() -> None:
    """∫ det(I + ∇u) over the grid is its own volume when u vanishes at the border."""
    grid = Grid.from_spacing((41, 43), (0.5, 0.8))
    index = voxel_points(grid.shape, DOUBLE)
    bump = torch.sin(math.pi * index[:, :1] / 42) * torch.sin(math.pi * index[:, 1:] / 40)
    u_mm = torch.cat([bump, -1.5 * bump], dim=1)
    jacobian = fields.jacobian_determinant(u_mm, grid)[0, 0]
    inner = sample(jacobian[None, None], index[:, :, :-1, :-1] + 0.5)
    assert jacobian.min() < 0.9
    assert float(inner.mean()) == pytest.approx(1.0, abs=1e-3)
