"""The preview shows the right slices the right way round."""

from __future__ import annotations

import builtins
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

from ElasticHyperRegLib import Displacement, Grid, Image, InputError, LabelMap
from ElasticHyperRegLib.engine.request import (
    RegistrationOptions,
    RegistrationRequest,
    RegistrationResult,
)
from ElasticHyperRegLib.field import jacobian_determinant
from ElasticHyperRegLib.preview import render_preview
from ElasticHyperRegLib.preview.content import intensity_windows, plane_content, slice_weight
from ElasticHyperRegLib.preview.figure import summary
from ElasticHyperRegLib.preview.panels import (
    draw_difference,
    draw_image,
    draw_jacobian,
    jacobian_norm,
)
from ElasticHyperRegLib.preview.planes import Plane, choose_planes

AXES = np.eye(3)
ORIENTATIONS = [
    AXES,
    np.diag([-1, -1, 1]),  # as most CT: i towards left, j towards posterior
    AXES[:, [1, 2, 0]] * (1, -1, -1),  # sagittal slices, head first
    AXES[:, [0, 2, 1]] * (-1, 1, -1),  # coronal slices
]


def world_image(grid: Grid, axis: int) -> np.ndarray:
    """The R, A or S coordinate of every voxel."""
    indices = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")[::-1]
    return sum(grid.ijk_to_ras[axis, a] * indices[a] for a in range(grid.ndim))


def result_on(grid: Grid, u_mm: torch.Tensor | None = None, **request) -> RegistrationResult:
    u_mm = torch.zeros(1, grid.ndim, *grid.shape) if u_mm is None else u_mm
    image = Image(torch.randn(1, 1, *grid.shape), grid, "scan.nii.gz")
    displacement = Displacement(u_mm, grid)
    return RegistrationResult(
        request=RegistrationRequest(image, image, **request),
        initial=np.eye(grid.ndim + 1),
        displacement=displacement,
        inverse=displacement,
        warped=image,
        warped_labels=request.get("moving_labels"),
        jacobian=jacobian_determinant(u_mm, grid),
        metrics={"ncc": {"before": 0.2, "after": 0.9}, "folds_fraction": 0.0},
        stopped="converged",
    )


@pytest.mark.parametrize("direction", ORIENTATIONS)
@pytest.mark.parametrize(
    ("normal", "name", "letters"),
    [
        (2, "Axial", ("R", "L", "A", "P")),
        (1, "Coronal", ("R", "L", "S", "I")),
        (0, "Sagittal", ("A", "P", "S", "I")),
    ],
)
def test_planes_follow_the_radiological_convention(direction, normal, name, letters):
    """However the voxels are stored, the letters at the edges tell the truth."""
    grid = Grid.from_spacing((5, 6, 7), (1.0, 2.0, 3.0), direction=direction)
    plane = Plane(grid, normal, 2)
    assert plane.name == name
    assert plane.letters == letters
    leftwards = plane.cut(world_image(grid, plane.across))
    upwards = plane.cut(world_image(grid, plane.upwards))
    through = plane.cut(world_image(grid, normal))
    np.testing.assert_allclose(np.diff(leftwards, axis=1), plane.spacing[0])
    np.testing.assert_allclose(np.diff(upwards, axis=0), plane.spacing[1])
    assert np.ptp(through) == 0

    axes = Figure().subplots()
    draw_image(axes, plane, leftwards)
    assert axes.get_xlim()[0] > axes.get_xlim()[1], "the positive end stands on the left"
    assert axes.get_ylim()[0] < axes.get_ylim()[1], "the positive end stands on top"
    rows, columns = leftwards.shape
    assert np.ptp(axes.get_xlim()) == pytest.approx(columns * plane.spacing[0])
    assert np.ptp(axes.get_ylim()) == pytest.approx(rows * plane.spacing[1])
    assert axes.get_aspect() == 1


def test_slice_numbers_count_towards_ras():
    grid = Grid.from_spacing((5, 6, 7), (1.0, 2.0, 3.0), direction=np.diag([-1, -1, -1]))
    heights = [Plane(grid, 2, n).cut(world_image(grid, 2)).mean() for n in range(5)]
    assert heights == sorted(heights)


def test_pixels_know_where_they_lie(oblique_grid):
    """On an oblique grid: the points of a plane are the voxel centres that it shows."""
    grid = oblique_grid((5, 6, 7))
    truth = np.stack([world_image(grid, axis) for axis in range(3)])
    for normal in range(3):
        plane = Plane(grid, normal, 3)
        expected = np.stack([plane.cut(c) for c in truth]) + grid.origin.reshape(3, 1, 1)
        np.testing.assert_allclose(plane.points[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("direction", ORIENTATIONS)
def test_vectors_are_shown_along_the_screen(direction):
    grid = Grid.from_spacing((5, 6, 7), (1.0, 2.0, 3.0), direction=direction)
    vectors = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    for normal, (across, up) in {2: (1, 2), 1: (1, 3), 0: (2, 3)}.items():
        left, top = Plane(grid, normal, 0).in_plane(vectors)
        np.testing.assert_allclose(left, across)
        np.testing.assert_allclose(top, up)


@given(centre=st.tuples(*(st.integers(4, n - 5) for n in (20, 24, 28))))
def test_slices_go_through_what_is_labelled(centre):
    grid = Grid.from_spacing((20, 24, 28), (1.0, 1.0, 1.0))
    weight = np.zeros(grid.shape)
    weight[tuple(slice(c - 1, c + 2) for c in centre)] = 1
    axial, coronal, sagittal = choose_planes(grid, weight)
    assert (axial.index, coronal.index, sagittal.index) == centre


def test_without_movement_the_middle_is_shown(oblique_grid):
    grid = oblique_grid((9, 11, 13))
    planes = choose_planes(grid, slice_weight(result_on(grid)))
    assert [plane.grid.shape for plane in planes] == [grid.shape] * 3
    assert sorted(plane.index for plane in planes) == [4, 5, 6]


def test_labels_come_before_movement(oblique_grid):
    grid = oblique_grid((20, 20, 20))
    values = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
    values[0, 0, 14:17, 14:17, 14:17] = 1
    u_mm = torch.zeros(1, 3, *grid.shape)
    u_mm[:, :, 5, 5, 5] = 9
    labels = LabelMap(values, grid)
    assert slice_weight(result_on(grid, u_mm, fixed_labels=labels)).sum() == 27
    assert slice_weight(result_on(grid, u_mm)).argmax() == np.ravel_multi_index((5,) * 3, (20,) * 3)


def test_foam_that_moves_along_is_not_looked_at():
    grid = Grid.from_spacing((30, 30, 30), (3.0, 3.0, 3.0))
    hu = torch.full((1, 1, *grid.shape), -1000.0)
    hu[..., 4:12, :] = -900.0  # a table, as wide as the picture
    hu[..., 16:26, 8:22] = 40.0
    result = result_on(grid, torch.randn(1, 3, *grid.shape))
    request = replace(result.request, fixed=Image(hu, grid, "ct"))
    chosen = choose_planes(grid, slice_weight(replace(result, request=request)))
    assert 16 <= chosen[1].index < 26
    assert 8 <= chosen[2].index < 22


def test_volume_change_is_clear_over_air_and_folds_are_not(oblique_grid):
    grid = oblique_grid((8, 20, 20))
    hu = torch.full((1, 1, *grid.shape), -1000.0)
    hu[..., 4:16, 4:16] = 40.0
    hu[..., 8:12, 8:12] = -990.0  # enclosed, and so no air around a body
    result = result_on(grid)
    request = replace(result.request, fixed=Image(hu, grid, "ct"))
    result.jacobian[..., 1, 1] = -1.0
    plane = choose_planes(grid, np.ones(grid.shape))[0]
    content = plane_content(replace(result, request=request), plane, ((-1000, 40), (0, 1)))
    image = draw_jacobian(Figure().subplots(), content, jacobian_norm([content]))
    alpha = image.get_alpha()
    counts = {value: int((alpha == value).sum()) for value in (0.0, 1.0)}
    assert counts[0.0] > 120
    assert counts[1.0] > 100
    assert (alpha[content.jacobian <= 0] == 1).all()
    assert alpha[10, 10] == 1


def test_the_moving_panel_shows_the_initial_alignment(oblique_grid):
    """A moving image that is the fixed one elsewhere falls into place."""
    grid = oblique_grid((8, 9, 10))
    initial = np.eye(4)
    initial[:3, 3] = (40, -25, 10)
    elsewhere = Grid(grid.shape, initial @ grid.ijk_to_ras)
    result = result_on(grid)
    moving = Image(result.request.fixed.data, elsewhere)
    shift = torch.tensor([40.0, -25.0, 10.0]).view(1, 3, 1, 1, 1).expand(1, 3, *grid.shape)
    result = replace(
        result,
        request=replace(result.request, moving=moving),
        initial=initial,
        displacement=Displacement(shift, grid),
    )
    windows = intensity_windows(result.request.fixed, moving)
    assert windows[0] == windows[1]
    for plane in choose_planes(grid, slice_weight(result)):
        content = plane_content(result, plane, windows)
        np.testing.assert_allclose(content.moving, content.fixed, atol=1e-3)
        assert content.elastic_mm.max() < 1e-3


def test_windows_leave_out_padding_and_outliers():
    values = torch.linspace(0, 100, 8000).reshape(1, 1, 20, 20, 20)
    values[..., :4] = -2048
    values[0, 0, 0, 0, 5] = 30000
    grid = Grid.from_spacing((20, 20, 20), (1.0, 1.0, 1.0))
    low, high = intensity_windows(Image(values, grid), Image(values * 9 + 500, grid))[0]
    assert 0 <= low < 5
    assert 95 < high <= 101


def test_volume_change_is_shown_symmetrically_and_folds_stand_out(oblique_grid):
    result = result_on(oblique_grid((8, 9, 10)))
    plane = choose_planes(result.displacement.grid, slice_weight(result))[0]
    content = plane_content(result, plane, ((0, 1), (0, 1)))
    jacobian = np.ones_like(content.jacobian)
    jacobian[0], jacobian[1, 0], jacobian[2] = 2.0, -0.5, 0.5
    content = replace(content, jacobian=jacobian)
    norm = jacobian_norm([content])
    assert norm.vmin * norm.vmax == pytest.approx(1)
    assert norm.vmax == pytest.approx(2)
    image = draw_jacobian(Figure().subplots(), content, norm)
    shown = image.to_rgba(image.get_array())[..., :3]
    np.testing.assert_allclose(shown[3, 0], (1, 1, 1), atol=0.02)
    np.testing.assert_allclose(shown[1, 0], (1, 0, 1), atol=0.01)
    assert shown[0, 0, 0] > shown[0, 0, 2], "growing is red"
    assert shown[2, 0, 2] > shown[2, 0, 0], "shrinking is blue"


@pytest.mark.parametrize("shape", [(9, 16, 18), (14, 18)])
def test_a_picture_is_drawn(tmp_path, oblique_grid, shape):
    grid = oblique_grid(shape)
    u_mm = torch.randn(1, grid.ndim, *shape)
    labels = LabelMap(torch.ones(1, 1, *shape, dtype=torch.int32), grid)
    options = RegistrationOptions(initial="some/file.tfm")
    result = result_on(grid, u_mm, fixed_labels=labels, moving_labels=labels, options=options)
    before = matplotlib.get_backend()
    render_preview(result, tmp_path / "preview.png")
    picture = imread(tmp_path / "preview.png")
    assert picture.shape[1] > 1500
    assert np.ptp(picture[..., :3]) == pytest.approx(1, abs=0.1)
    assert matplotlib.get_backend() == before


def test_the_title_says_what_is_known():
    metrics = {
        "ncc": {"before": 0.5, "after": 0.91},
        "mean_dice": {"before": 0.7},
        "tre_mm": {"before": 10.2, "after": 1.2, "n": 36},
        "folds_fraction": 0.0012,
    }
    assert summary(metrics) == (
        "NCC 0.50 → 0.91   ·   landmark error 10.20 → 1.20 mm   ·   folds 0.12 %"
    )
    assert summary({}) == ""


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, oblique_grid, monkeypatch):
    honest = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return honest(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r'pip install "elastic-hyperreg\[cli\]"'):
        render_preview(result_on(oblique_grid()), tmp_path / "preview.png")


def test_pixels_that_a_scan_does_not_show_are_marked():
    grid = Grid.from_spacing((6, 7, 9), (1.0, 1.0, 1.0))
    u_mm = torch.zeros(1, 3, *grid.shape)
    u_mm[:, 0] = 3.0
    result = result_on(grid, u_mm)
    padded = result.request.fixed.data * 10 - 500
    padded[..., 0] = -2048.0  # what a CT scanner did not see
    request = replace(result.request, fixed=Image(padded, grid))
    result = replace(result, request=request)
    plane = Plane(grid, 2, 3)
    content = plane_content(result, plane, ((-1, 1), (-1, 1)))
    i = plane.voxels[0, 0].numpy()
    assert np.array_equal(content.unseen_moving, i == 0)
    assert np.array_equal(content.unseen_warped, (i == 0) | (i + 3 > 8))
    shown = draw_difference(Figure().subplots(), content, content.warped, content.unseen_warped)
    assert np.array_equal(np.ma.getmaskarray(shown.get_array()), content.unseen_warped)


def test_names_of_files_are_drawn_as_they_are(tmp_path, oblique_grid):
    result = result_on(oblique_grid())
    name = "CT$1_$2 胸部.nii.gz"  # neither a formula nor letters that the font has
    request = replace(result.request, fixed=replace(result.request.fixed, name=name))
    render_preview(replace(result, request=request), tmp_path / "p.png")
    assert imread(tmp_path / "p.png").size
