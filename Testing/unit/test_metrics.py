"""Metrics against closed forms, against SimpleITK's own filters and against brute force."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ElasticHyperRegLib import Grid, InputError, LabelMap, metrics
from ElasticHyperRegLib.field import jacobian_determinant, rotate_to_axes
from ElasticHyperRegLib.grid import apply_matrix, voxel_points

MakeGrid = Callable[..., Grid]


def label_map(array: np.ndarray, grid: Grid, **names: int) -> LabelMap:
    data = torch.as_tensor(array.astype(np.int32))[None, None]
    return LabelMap(data, grid, {label: name for name, label in names.items()})


def grid_2d_or_3d(dim: int, n: int = 12) -> Grid:
    spacing = (1.5, 0.7, 3.0)[:dim]
    return Grid.from_spacing((n, n + 2, n + 5)[-dim:], spacing)


def ball(grid: Grid, centre: tuple[float, ...], radius: float) -> np.ndarray:
    points = apply_matrix(grid.ijk_to_ras, voxel_points(grid.shape, torch.zeros(1).double()))[0]
    offset = points - torch.tensor(centre).double().view(-1, *[1] * grid.ndim)
    return (offset.norm(dim=0) <= radius).numpy()


# Overlap


@pytest.mark.parametrize("dim", [2, 3])
def test_dice_agrees_with_simpleitk(dim: int) -> None:
    grid = grid_2d_or_3d(dim)
    rng = np.random.default_rng(3)
    fixed, warped = rng.integers(0, 4, (2, *grid.shape))
    found = metrics.dice(label_map(fixed, grid), label_map(warped, grid))
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(warped))
    expected = {str(label): measures.GetDiceCoefficient(label) for label in (1, 2, 3)}
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 6.0, 12.0])
def test_dice_of_two_balls_is_their_lens(shift: float) -> None:
    radius = 10.0
    grid = Grid.from_spacing((48, 24, 36), (1.0, 1.0, 0.5), (-18.0, -12.0, -12.0))
    fixed = label_map(ball(grid, (-shift / 2, 0.1, 0.1), radius), grid)
    warped = label_map(ball(grid, (shift / 2, 0.1, 0.1), radius), grid)
    lens = math.pi * (4 * radius + shift) * (2 * radius - shift) ** 2 / 12
    expected = lens / (4 / 3 * math.pi * radius**3)
    assert metrics.dice(fixed, warped)["1"] == pytest.approx(expected, abs=0.01)


def test_dice_says_which_tissues_are_missing() -> None:
    grid = Grid.from_spacing((2, 4), (1.0, 1.0))
    fixed = label_map(np.array([[1, 1, 0, 2], [1, 1, 0, 2]]), grid, lung=1, liver=2, bone=7)
    warped = label_map(np.array([[0, 1, 1, 0], [0, 1, 1, 0]]), grid)
    assert metrics.dice(fixed, warped) == {"lung": 0.5, "liver": 0.0}


def test_labels_of_one_name_are_one_tissue() -> None:
    grid = Grid.from_spacing((1, 4), (1.0, 1.0))
    names = {10: "lung", 11: "lung"}
    fixed = LabelMap(torch.tensor([[[[10, 10, 11, 0]]]], dtype=torch.int32), grid, names)
    warped = LabelMap(torch.tensor([[[[11, 10, 11, 0]]]], dtype=torch.int32), grid)
    assert metrics.dice(fixed, warped) == {"lung": 1.0}


def test_mean_dice() -> None:
    assert metrics.mean_dice({"lung": 0.5, "liver": 0.0, "bone": 1.0}) == 0.5
    assert math.isnan(metrics.mean_dice({}))


def test_maps_on_other_grids_are_refused() -> None:
    here = Grid.from_spacing((3, 4), (1.0, 1.0))
    there = Grid.from_spacing((3, 4), (1.0, 1.0), (5.0, 0.0))
    labels = np.ones((3, 4))
    with pytest.raises(InputError, match="expected the grid of labels") as error:
        metrics.dice(label_map(labels, here), label_map(labels, there))
    assert "\n" not in str(error.value)


# Surfaces


@pytest.mark.parametrize(("axis", "shift_mm"), [(0, 2.8), (1, 2.2), (2, 5.0)])
def test_shifted_box_on_an_oblique_grid(axis: int, shift_mm: float, oblique_grid: MakeGrid) -> None:
    grid = oblique_grid((16, 16, 16), (1.4, 1.1, 2.5))
    box = np.zeros(grid.shape)
    box[4:10, 4:10, 4:10] = 1
    moved = np.roll(box, 2, axis=2 - axis)
    found = metrics.hd95_mm(label_map(box, grid, bone=1), label_map(moved, grid))
    assert found == pytest.approx({"bone": shift_mm}, rel=1e-5)


def test_concentric_balls_are_the_difference_of_their_radii_apart() -> None:
    grid = Grid.from_spacing((48, 48, 48), (0.5, 0.5, 0.5))
    centre = (12.0, 12.0, 12.0)
    small, large = (label_map(ball(grid, centre, r), grid, liver=1) for r in (6.0, 9.0))
    assert metrics.surface_distance_mm(small, large)["liver"] == pytest.approx(3.0, abs=0.1)
    assert metrics.hd95_mm(small, large)["liver"] == pytest.approx(3.0, abs=0.4)


@pytest.mark.parametrize("dim", [2, 3])
def test_identical_maps_have_no_distance(dim: int) -> None:
    grid = grid_2d_or_3d(dim)
    labels = label_map(np.random.default_rng(0).integers(0, 3, grid.shape), grid)
    assert metrics.hd95_mm(labels, labels) == {"1": 0.0, "2": 0.0}
    assert metrics.surface_distance_mm(labels, labels) == {"1": 0.0, "2": 0.0}


def test_largest_surface_distance_is_simpleitks_hausdorff_distance() -> None:
    grid = Grid.from_spacing((14, 20, 18), (1.5, 0.7, 3.0))
    fixed = ball(grid, (12.0, 6.5, 20.0), 5.8)
    warped = ball(grid, (15.0, 7.5, 21.0), 4.5)
    found = metrics.surface_distances(label_map(fixed, grid), label_map(warped, grid))["1"]
    contours = []
    for mask in (fixed, warped):
        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(grid.spacing)
        contours.append(sitk.BinaryContour(image))
    expected = sitk.HausdorffDistanceImageFilter()
    expected.Execute(*contours)
    directed = (found.fixed_to_warped, found.warped_to_fixed)
    assert max(d.max() for d in directed) == pytest.approx(expected.GetHausdorffDistance())
    average = expected.GetAverageHausdorffDistance()
    assert sum(d.mean() for d in directed) / 2 == pytest.approx(average, rel=1e-5)


def surface_points(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    padded = np.pad(mask, 1)
    inside = np.ones_like(padded)
    for axis in range(mask.ndim):
        inside &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return np.argwhere(padded & ~inside) * np.asarray(spacing[::-1])


@settings(max_examples=20)
@given(dim=st.sampled_from([2, 3]), seed=st.integers(0, 1000), fill=st.floats(0.1, 0.95))
def test_surface_distances_agree_with_brute_force(dim: int, seed: int, fill: float) -> None:
    grid = grid_2d_or_3d(dim, n=4)
    fixed, warped = np.random.default_rng(seed).random((2, *grid.shape)) < fill
    fixed.flat[0] = warped.flat[-1] = True
    pairs = (surface_points(mask, grid.spacing) for mask in (fixed, warped))
    apart = np.linalg.norm(np.subtract.outer(*pairs).diagonal(axis1=1, axis2=3), axis=2)
    directed = apart.min(axis=1), apart.min(axis=0)
    maps = label_map(fixed, grid), label_map(warped, grid)
    hd95 = max(np.percentile(d, 95) for d in directed)
    assert metrics.hd95_mm(*maps)["1"] == pytest.approx(hd95, rel=1e-5)
    mean = np.concatenate(directed).mean()
    assert metrics.surface_distance_mm(*maps)["1"] == pytest.approx(mean, rel=1e-5)


def test_tissue_that_is_missing_in_one_map_has_no_surface_distance() -> None:
    grid = Grid.from_spacing((4, 6), (1.0, 1.0))
    fixed = np.zeros(grid.shape)
    fixed[1:3, 1:3], fixed[1:3, 4] = 1, 2
    maps = label_map(fixed, grid), label_map(fixed == 1, grid)
    assert set(metrics.hd95_mm(*maps)) == {"1"}
    assert set(metrics.surface_distance_mm(*maps)) == {"1"}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_slice_of_a_volume_is_measured_in_its_plane(axis: int) -> None:
    flat = Grid.from_spacing((9, 12), (0.8, 1.3))
    fixed, warped = np.zeros((2, *flat.shape), dtype=bool)
    fixed[2:7, 2:7], warped[2:7, 3:10] = True, True
    shape = np.insert(flat.shape, axis, 1)
    spacing = np.insert((1.3, 0.8), axis, 20.0)[::-1]
    slice_grid = Grid.from_spacing(tuple(shape), tuple(spacing))
    expected = metrics.surface_distance_mm(label_map(fixed, flat), label_map(warped, flat))
    maps = (label_map(np.expand_dims(mask, axis), slice_grid) for mask in (fixed, warped))
    assert metrics.surface_distance_mm(*maps) == pytest.approx(expected, rel=1e-6)


# Landmarks


def test_tre_is_the_distance_not_its_root() -> None:
    truth = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [10.0, 10.0, 10.0]])
    predicted = truth + [[3.0, 0.0, -4.0], [0.0, 0.0, 0.0], [0.0, 16.0, 0.0]]
    distances = metrics.tre_mm(predicted, truth)
    np.testing.assert_allclose(distances, [5.0, 0.0, 16.0])
    summary = metrics.tre_summary(distances)
    assert summary == pytest.approx({"mean": 7.0, "median": 5.0, "p95": 14.9, "max": 16.0})


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [
        (np.zeros((3, 3)), np.zeros((4, 3))),
        (np.zeros((3, 4)), np.zeros((3, 4))),
        (np.zeros(3), np.zeros(3)),
        (np.zeros((0, 3)), np.zeros((0, 3))),
        (np.full((2, 3), np.nan), np.zeros((2, 3))),
    ],
)
def test_landmarks_that_do_not_match_are_refused(predicted: np.ndarray, truth: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        metrics.tre_mm(predicted, truth)


# Field


def test_folds_are_counted_inside_the_mask() -> None:
    jacobian = torch.tensor([[[[-1.0, 0.0, 0.5, 2.0], [1.0, 1.0, math.nan, 1.0]]]])
    mask = torch.tensor([[[[1, 0, 0, 1], [1, 1, 0, 0]]]])
    assert metrics.folds_fraction(jacobian) == 3 / 8
    assert metrics.folds_fraction(jacobian, mask) == 1 / 4


def test_jacobian_summary_of_known_values() -> None:
    values = torch.linspace(1.0, 3.0, 101, dtype=torch.float64).view(1, 1, 1, 101)
    summary = metrics.jacobian_summary(values)
    std_log = float(values.log().std(correction=0))
    expected = {"min": 1.0, "max": 3.0, "p01": 1.02, "p99": 2.98, "std_log": std_log}
    assert summary == pytest.approx(expected)


def test_folds_do_not_enter_the_logarithm() -> None:
    jacobian = torch.tensor([-5.0, 0.0, 0.5, 2.0]).view(1, 1, 2, 2)
    assert metrics.jacobian_summary(jacobian)["std_log"] == pytest.approx(math.log(2))
    assert "std_log" not in metrics.jacobian_summary(-jacobian.abs())


def test_jacobian_of_each_tissue() -> None:
    grid = Grid.from_spacing((3, 4, 5), (1.0, 1.0, 2.0))
    labels = np.zeros(grid.shape)
    labels[:, :2, :3], labels[1, 2:, 4] = 1, 5
    jacobian = torch.full((1, 1, *grid.shape), 7.0)
    jacobian[0, 0, :, :2, :3] = 2.0
    jacobian[0, 0, 1, 2, 4], jacobian[0, 0, 1, 3, 4] = -1.0, 1.0
    found = metrics.jacobian_by_tissue(jacobian, label_map(labels, grid, lung=1, bone=5))
    assert list(found) == ["lung", "bone"]
    everywhere_2 = {"min": 2.0, "max": 2.0, "p01": 2.0, "p99": 2.0, "std_log": 0.0}
    assert found["lung"] == pytest.approx({"folds_fraction": 0.0, **everywhere_2})
    bone = {"folds_fraction": 0.5, "min": -1.0, "max": 1.0}
    assert {key: found["bone"][key] for key in bone} == bone


@pytest.mark.parametrize("measure", [metrics.folds_fraction, metrics.jacobian_summary])
def test_masks_that_do_not_fit_are_refused(measure: Callable[..., object]) -> None:
    jacobian = torch.ones(1, 1, 3, 4)
    with pytest.raises(InputError, match="an empty mask; expected at least one voxel"):
        measure(jacobian, torch.zeros(1, 1, 3, 4))
    with pytest.raises(InputError, match="a mask of shape"):
        measure(jacobian, torch.ones(1, 1, 4, 3))


def test_jacobian_that_does_not_fit_the_labels_is_refused() -> None:
    grid = Grid.from_spacing((3, 4), (1.0, 1.0))
    with pytest.raises(InputError, match="a Jacobian of shape"):
        metrics.jacobian_by_tissue(torch.ones(1, 1, 4, 3), label_map(np.ones((3, 4)), grid))


@pytest.mark.parametrize("shape", [(10, 12), (8, 9, 10)])
def test_jacobian_of_a_smooth_field_agrees_with_simpleitk(
    shape: tuple[int, ...], oblique_grid: MakeGrid
) -> None:
    grid = oblique_grid(shape, (1.4, 1.1, 2.5))
    points = voxel_points(shape, torch.zeros(1).double())
    u_mm = torch.cat(
        [torch.sin(points[:, [a]] * 0.4 + points[:, [a - 1]] * 0.3) for a in range(len(shape))],
        dim=1,
    )
    # The filter of SimpleITK ignores the direction, so it is given the field along the grid's axes.
    along_axes = rotate_to_axes(u_mm, grid)[0].movedim(0, -1).contiguous().numpy()
    image = sitk.GetImageFromArray(along_axes, isVector=True)
    image.SetSpacing(grid.spacing)
    expected = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(image))
    inner = (slice(1, -1),) * len(shape)
    found = jacobian_determinant(u_mm, grid)[0, 0].numpy()
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-6)


def affine_pair(fixed: Grid, moving: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """A small affine map as u on ``fixed`` and its exact inverse as w on ``moving``."""
    matrix = np.eye(4)
    matrix[:3] += np.array([[0.02, -0.03, 0.01, 0.3], [0, -0.01, 0.02, -0.2], [0.01, 0, 0.03, 0.1]])
    fields = []
    for grid, linear in ((fixed, matrix), (moving, np.linalg.inv(matrix))):
        index = voxel_points(grid.shape, torch.zeros(1).double())
        fields.append(apply_matrix((linear - np.eye(4)) @ grid.ijk_to_ras, index))
    return fields[0], fields[1]


def test_exact_inverse_is_consistent_on_two_oblique_grids(oblique_grid: MakeGrid) -> None:
    fixed = oblique_grid((8, 9, 10), (1.4, 1.1, 2.5))
    moving = oblique_grid((12, 16, 11), (1.7, 1.0, 2.1), degrees=10.0)
    u_mm, w_mm = affine_pair(fixed, moving)
    found = metrics.inverse_consistency_mm(u_mm, w_mm, fixed, moving)
    assert found == pytest.approx({"mean": 0.0, "p95": 0.0, "max": 0.0}, abs=1e-9)


@pytest.mark.parametrize("shape", [(7, 9), (6, 7, 9)])
def test_error_of_an_inverse_is_given_in_mm(
    shape: tuple[int, ...], oblique_grid: MakeGrid, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = oblique_grid(shape, (1.4, 1.1, 2.5))
    u_mm = torch.zeros(1, len(shape), *shape)
    w_mm = torch.zeros_like(u_mm)
    w_mm[:, 0], w_mm[:, 1] = 3.0, -4.0
    w_mm[:, :, shape[0] // 2] = 0.0
    errors = np.full(shape, 5.0)
    errors[shape[0] // 2] = 0.0
    expected = {"mean": errors.mean(), "p95": 5.0, "max": 5.0}
    whole = metrics.inverse_consistency_mm(u_mm, w_mm, grid, grid)
    assert whole == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr("ElasticHyperRegLib.metrics.field.SLAB_VOXELS", 2 * math.prod(shape[1:]))
    assert metrics.inverse_consistency_mm(u_mm, w_mm, grid, grid) == pytest.approx(whole)


def test_points_that_leave_the_moving_grid_do_not_count() -> None:
    grid = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 2.0))
    u_mm = torch.zeros(1, 3, *grid.shape)
    u_mm[..., 3:] = 100.0
    w_mm = torch.zeros_like(u_mm)
    nothing = {"mean": 0.0, "p95": 0.0, "max": 0.0}
    assert metrics.inverse_consistency_mm(u_mm, w_mm, grid, grid) == nothing
    assert metrics.inverse_consistency_mm(u_mm + 100.0, w_mm, grid, grid) == {}


def test_field_on_the_wrong_grid_is_refused() -> None:
    fixed, moving = (Grid.from_spacing(shape, (1.0, 1.0)) for shape in ((3, 4), (5, 6)))
    u_mm = torch.zeros(1, 2, 3, 4)
    with pytest.raises(InputError, match="a displacement of shape"):
        metrics.inverse_consistency_mm(u_mm, u_mm, fixed, moving)


# Intensity


@pytest.mark.parametrize("shape", [(8, 9), (5, 6, 7)])
def test_ncc_is_the_correlation(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ElasticHyperRegLib.metrics.intensity.CHUNK", 17)
    rng = np.random.default_rng(1)
    fixed = rng.normal(1000.0, 1.0, (1, 1, *shape)).astype(np.float32)
    warped = fixed + rng.normal(-500.0, 1.0, fixed.shape).astype(np.float32)
    mask = rng.random(fixed.shape) < 0.4
    tensors = [torch.from_numpy(array) for array in (fixed, warped, mask)]
    expected = np.corrcoef(fixed.ravel(), warped.ravel())[0, 1]
    assert metrics.ncc(*tensors[:2]) == pytest.approx(expected, abs=1e-6)
    expected = np.corrcoef(fixed[mask], warped[mask])[0, 1]
    assert metrics.ncc(*tensors) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=20)
@given(gain=st.floats(0.01, 100), offset=st.floats(-1000, 1000), sign=st.sampled_from([-1, 1]))
def test_ncc_ignores_gain_and_offset(gain: float, offset: float, sign: int) -> None:
    image = torch.linspace(-2, 3, 60).double().view(1, 1, 3, 4, 5).sin()
    assert metrics.ncc(image, sign * gain * image + offset) == pytest.approx(sign, abs=1e-9)


def test_ncc_of_a_constant_image_does_not_exist() -> None:
    image = torch.rand(1, 1, 4, 5)
    assert math.isnan(metrics.ncc(image, torch.full_like(image, 0.1)))


def test_ncc_of_images_that_do_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="a warped image of shape"):
        metrics.ncc(torch.ones(1, 1, 4, 5), torch.ones(1, 1, 5, 4))


# Real images


@pytest.mark.shared_data
def test_heart_between_two_phases_agrees_with_simpleitk(shared_data: Path) -> None:
    folder = shared_data / "acdc" / "testing" / "patient101"
    images = [sitk.ReadImage(folder / f"patient101_frame{n}_gt.nii.gz") for n in ("01", "14")]
    size, spacing = images[0].GetSize(), images[0].GetSpacing()
    grid = Grid.from_spacing(size[::-1], spacing)
    maps = [label_map(sitk.GetArrayFromImage(image), grid, rv=1, wall=2, lv=3) for image in images]
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(*(sitk.Cast(image, sitk.sitkUInt8) for image in images))
    dice = metrics.dice(maps[0], maps[1])
    expected = [measures.GetDiceCoefficient(label) for label in (1, 2, 3)]
    assert list(dice) == ["rv", "wall", "lv"]
    assert list(dice.values()) == pytest.approx(expected)
    forth, back = metrics.hd95_mm(maps[0], maps[1]), metrics.hd95_mm(maps[1], maps[0])
    assert forth == back
    assert all(1 < value < 40 for value in forth.values())
