"""Every node against numpy truth, on oblique anisotropic volumes with parent transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkGeneralTransform
from vtkmodules.vtkImagingCore import vtkImageReslice

from ElasticHyperRegLib import Displacement, Grid, Image, InputError, LabelMap
from ElasticHyperRegLib.field import transform_points, warp
from ElasticHyperRegLib.grid import gaussian_smooth
from ElasticHyperRegLib.io import write_labels
from ElasticHyperRegLib.mrml import (
    image_from_node,
    labels_from_node,
    node_from_image,
    node_from_labels,
    points_from_node,
    transform_node_from_displacement,
)
from ElasticHyperRegLib.mrml.arrays import image_array
from ElasticHyperRegLib.mrml.geometry import matrix_to_vtk
from ElasticHyperRegLib.mrml.labels import LABEL, as_tissues, tissue_colors
from ElasticHyperRegLib.mrml.points import matched_points
from ElasticHyperRegLib.mrml.volumes import fill_volume
from ElasticHyperRegLib.tissues import load_scheme
from Testing.conftest import make_oblique_grid

TURN = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]])


def an_image(grid: Grid, dtype: str = "int16") -> Image:
    data = torch.arange(grid.voxels).reshape(1, 1, *grid.shape).float() - 100
    return Image(data, grid, "scan", dtype)


def under(scene, node, matrix: np.ndarray):
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "parent")
    parent.SetMatrixTransformToParent(matrix_to_vtk(matrix))
    node.SetAndObserveTransformNodeID(parent.GetID())
    return parent


def smooth_field(grid: Grid, size_mm: float = 3.0) -> torch.Tensor:
    return gaussian_smooth(torch.randn(1, 3, *grid.shape), (2, 2, 2)) * size_mm * 8


def blocks(grid: Grid, names: dict[int, str]) -> LabelMap:
    data = torch.zeros(1, 1, *grid.shape, dtype=torch.int32)
    for step, label in enumerate(names):
        data[0, 0, 2 + 2 * step : 4 + 2 * step, 2:8, 3:9] = label
    return LabelMap(data, grid, names, "tissues")


def test_image_round_trip_keeps_voxels_type_and_place(scene):
    image = an_image(make_oblique_grid())
    node = node_from_image(scene, image, "scan")
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ras = matrix.MultiplyPoint((3, 5, 2, 1))
    assert np.allclose(ras, image.grid.ijk_to_ras @ [3, 5, 2, 1], atol=1e-9)
    assert node.GetImageData().GetScalarComponentAsDouble(3, 5, 2, 0) == image.data[0, 0, 2, 5, 3]
    again = image_from_node(node)
    assert again.grid.same_as(image.grid, 1e-9)
    assert torch.equal(again.data, image.data)
    assert again.dtype == "int16"


def test_reading_copies_the_voxels(scene):
    node = node_from_image(scene, an_image(make_oblique_grid()), "scan")
    image = image_from_node(node)
    image_array(node.GetImageData())[...] = 0
    assert image.data.abs().max() > 0


def test_a_linear_parent_counts(scene):
    image = an_image(make_oblique_grid())
    node = node_from_image(scene, image, "scan")
    under(scene, node, TURN)
    assert np.allclose(image_from_node(node).grid.ijk_to_ras, TURN @ image.grid.ijk_to_ras)


def test_parents_of_parents_count(scene):
    image = an_image(make_oblique_grid())
    node = node_from_image(scene, image, "scan")
    parent = under(scene, node, TURN)
    under(scene, parent, TURN)
    assert np.allclose(image_from_node(node).grid.ijk_to_ras, TURN @ TURN @ image.grid.ijk_to_ras)


def test_a_bent_parent_is_refused(scene):
    grid = make_oblique_grid()
    node = node_from_image(scene, an_image(grid), "scan")
    bend = transform_node_from_displacement(scene, Displacement(smooth_field(grid), grid), "bend")
    node.SetAndObserveTransformNodeID(bend.GetID())
    with pytest.raises(InputError, match="scan stands under bend, which is not linear.*harden"):
        image_from_node(node)


def test_a_shearing_parent_is_refused(scene):
    node = node_from_image(scene, an_image(make_oblique_grid()), "scan")
    shear = np.eye(4)
    shear[0, 1] = 0.3
    under(scene, node, shear)
    with pytest.raises(InputError, match="scan stands under parent, which shears or stretches it"):
        image_from_node(node)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("vtkMRMLModelNode", "a vtkMRMLModelNode; expected a scalar volume"),
        ("vtkMRMLScalarVolumeNode", "holds no image"),
    ],
)
def test_what_is_no_volume_is_refused(scene, kind, message):
    with pytest.raises(InputError, match=message):
        image_from_node(scene.AddNewNodeByClass(kind, "thing"))


def test_nothing_is_refused():
    with pytest.raises(InputError, match="no volume"):
        image_from_node(None)


def test_label_map_keeps_its_values(scene):
    grid = make_oblique_grid()
    labels = blocks(grid, {2: "liver", 7: "lung"})
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "map")
    fill_volume(node, labels.data[0, 0].numpy().astype(np.uint8), grid)
    found = labels_from_node(node, grid)
    assert torch.equal(found.data, labels.data)
    assert found.names == {}


def test_segments_name_the_tissues(scene):
    grid = make_oblique_grid()
    labels = blocks(grid, {2: "liver", 7: "lung"})
    node = node_from_labels(scene, labels, "seg", {"liver": (200, 100, 0)})
    found = labels_from_node(node, grid)
    assert found.names == {2: "liver", 7: "lung"}
    assert torch.equal(found.data, labels.data)
    assert tissue_colors(node)["liver"] == (200, 100, 0)


def test_segments_that_have_no_labels_of_their_own_are_numbered(scene):
    grid = make_oblique_grid()
    labels = blocks(grid, {2: "liver", 7: "lung"})
    node = node_from_labels(scene, labels, "seg")
    node.GetSegmentation().GetNthSegment(0).RemoveTag(LABEL)  # as one that was drawn
    found = labels_from_node(node, grid)
    assert found.names == {1: "liver", 2: "lung"}
    assert torch.equal(found.data == 2, labels.data == 7)


def test_segments_under_a_parent_are_resampled_where_they_stand(scene):
    own = make_oblique_grid((9, 12, 14), (2.0, 2.0, 2.0))
    labels = blocks(own, {1: "liver"})
    node = node_from_labels(scene, labels, "seg")
    under(scene, node, TURN)
    moved = Grid(own.shape, TURN @ own.ijk_to_ras)
    assert torch.equal(labels_from_node(node, moved).data, labels.data)


def test_other_geometry_is_resampled_by_nearest_neighbour(scene):
    own, wanted = make_oblique_grid((9, 12, 14)), make_oblique_grid((11, 10, 12), (2, 1.3, 2), -15)
    labels = blocks(own, {3: "liver", 4: "lung"})
    node = node_from_labels(scene, labels, "seg")
    found = labels_from_node(node, wanted).data[0, 0].numpy()
    index = np.stack(np.meshgrid(*(np.arange(n) for n in wanted.shape), indexing="ij")[::-1], -1)
    world = index.reshape(-1, 3) @ wanted.ijk_to_ras[:3, :3].T + wanted.origin
    at = np.rint(world @ own.ras_to_ijk[:3, :3].T + own.ras_to_ijk[:3, 3]).astype(int)
    inside = ((at >= 0) & (at < own.size)).all(1)
    truth = np.zeros(len(at), dtype=int)
    i, j, k = at[inside].T
    truth[inside] = labels.data[0, 0].numpy()[k, j, i]
    assert (found.ravel() != truth).mean() < 0.002  # voxels half-way between two
    assert set(np.unique(found)) == {0, 3, 4}


def test_a_colour_table_that_the_user_loaded_names_the_labels(scene, tmp_path):
    grid = make_oblique_grid()
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    fill_volume(node, blocks(grid, {1: "", 2: ""}).data[0, 0].numpy().astype(np.uint8), grid)
    node.CreateDefaultDisplayNodes()
    file = tmp_path / "mine.ctbl"
    file.write_text("0 air 0 0 0 0\n1 lung 90 120 200 255\n2 liver 130 70 40 255\n")
    storage = scene.AddNewNodeByClass("vtkMRMLColorTableStorageNode")
    table = scene.AddNewNodeByClass("vtkMRMLColorTableNode", "mine")
    storage.SetFileName(str(file))
    assert storage.ReadData(table)
    assert table.GetType() == table.File
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    assert labels_from_node(node, grid).names == {1: "lung", 2: "liver"}
    table.SetSaveWithScene(False)  # as Slicer's own tables
    assert labels_from_node(node, grid).names == {}


@pytest.mark.parametrize("last", ["organ", "body"])
def test_the_smaller_of_overlapping_segments_counts(scene, last):
    grid = make_oblique_grid()
    first, second = blocks(grid, {1: "body"}), blocks(grid, {1: "organ"})
    second.data[0, 0, :3] = 0
    both = (first, second) if last == "organ" else (second, first)
    node, other = (node_from_labels(scene, labels, "seg") for labels in both)
    segment = other.GetSegmentation().GetNthSegment(0)
    node.GetSegmentation().AddSegment(segment)
    found = labels_from_node(node, grid)
    number = {name: label for label, name in found.names.items()}
    assert torch.equal(found.data == number["organ"], second.data == 1)
    body = int((found.data == number["body"]).sum())
    assert body == int(first.data.sum() - second.data.sum())


def test_segments_are_stored_no_larger_than_they_are(scene):
    grid = make_oblique_grid()
    labels = blocks(grid, {1: "lung", 2: "liver"})
    node = node_from_labels(scene, labels, "seg")
    for number in range(2):
        key = node.GetSegmentation().GetNthSegmentID(number)
        image = node.GetBinaryLabelmapInternalRepresentation(key)
        assert image.GetNumberOfPoints() < grid.voxels / 4
    assert torch.equal(labels_from_node(node, grid).data, labels.data)


def test_the_same_names_get_the_same_labels(scene):
    grid = make_oblique_grid()
    fixed = labels_from_node(node_from_labels(scene, blocks(grid, {1: "a", 2: "b"}), "f"), grid)
    node = node_from_labels(scene, blocks(grid, {1: "c", 2: "b", 3: "a"}), "m")
    moving = as_tissues(labels_from_node(node, grid), like=fixed)
    assert {n: v for v, n in moving.names.items()} == {"a": 1, "b": 2, "c": 3}
    assert [moving.name_of(int(moving.data[0, 0, k, 3, 4])) for k in (2, 4, 6)] == ["c", "b", "a"]


def test_a_scheme_names_labels_and_keeps_their_values(scene):
    grid = make_oblique_grid()
    scheme = load_scheme("phantom")
    tissue = next(t for t in scheme.tissues if t.label)
    node = node_from_labels(scene, blocks(grid, {1: tissue.name}), "seg")
    found = as_tissues(labels_from_node(node, grid), scheme)
    assert found.names[1] == tissue.name
    assert tissue_colors(node, scheme)[tissue.name] == tissue.color


def test_labels_beside_the_volume_are_refused(scene):
    far = make_oblique_grid()
    node = node_from_labels(scene, blocks(far, {1: "a"}), "seg")
    near = Grid.from_spacing((4, 4, 4), (1.0, 1.0, 1.0), (900.0, 0.0, 0.0))
    with pytest.raises(InputError, match="labels nothing inside the volume"):
        labels_from_node(node, near)


def test_two_segments_of_one_name_are_refused(scene):
    grid = make_oblique_grid()
    node = node_from_labels(scene, blocks(grid, {1: "a", 2: "a"}), "seg")
    with pytest.raises(InputError, match="two segments named a"):
        labels_from_node(node, grid)


def some_points(scene, name: str, points: dict[str, tuple[float, float, float]]):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for label, point in points.items():
        node.AddControlPoint(*point, label)
    return node


def test_points_with_a_parent(scene):
    node = some_points(scene, "P", {"tip": (1, 2, 3), "apex": (4, 5, 6)})
    under(scene, node, TURN)
    labels, points = points_from_node(node)
    assert labels == ["tip", "apex"]
    assert np.allclose(points, [[5 - 2, -7 + 1, 14], [5 - 5, -7 + 4, 17]])


def test_points_are_matched_by_label(scene):
    fixed = some_points(scene, "f", {"a": (0, 0, 0), "b": (1, 0, 0), "f-3": (2, 0, 0)})
    moving = some_points(scene, "m", {"m-3": (2, 9, 0), "b": (1, 9, 0), "x": (0, 9, 9)})
    here, there = matched_points(fixed, moving)
    assert np.allclose(here, [[1, 0, 0], [2, 0, 0]])
    assert np.allclose(there, [[1, 9, 0], [2, 9, 0]])


def test_a_list_that_was_renamed_keeps_its_landmarks(scene):
    fixed = some_points(scene, "inhale", {"F-1": (0, 0, 0), "F-2": (1, 0, 0)})
    moving = some_points(scene, "exhale", {"F_1-2": (1, 9, 0), "F_1-1": (0, 9, 0)})
    here, there = matched_points(fixed, moving)
    assert np.allclose(here, [[0, 0, 0], [1, 0, 0]])
    assert np.allclose(there, [[0, 9, 0], [1, 9, 0]])


def test_names_of_points_that_fit_are_enough(scene):
    fixed = some_points(scene, "f", {"T-1": (0, 0, 0), "T-2": (1, 0, 0)})
    moving = some_points(scene, "m", {"T-2": (1, 9, 0), "L-1": (5, 9, 0), "T-1": (0, 9, 0)})
    here, there = matched_points(fixed, moving)
    assert np.allclose(here, [[0, 0, 0], [1, 0, 0]])
    assert np.allclose(there, [[0, 9, 0], [1, 9, 0]])


@pytest.mark.parametrize("names", [("a", "b"), ("T-1", "L-1"), ("left-1", "right-1")])
def test_points_without_a_common_label_are_refused(scene, names):
    fixed, moving = (some_points(scene, f"of {n}", {n: (0, 0, 0)}) for n in names)
    with pytest.raises(InputError, match="without a label in common"):
        matched_points(fixed, moving)


def test_transform_carries_fixed_points_to_moving_ones(scene, warnings_as_errors):
    grid = make_oblique_grid()
    u_mm = smooth_field(grid)
    node = transform_node_from_displacement(scene, Displacement(u_mm, grid), "u")
    index = np.random.default_rng(1).uniform(-2, 14, (40, 3))  # some outside
    points = index @ grid.ijk_to_ras[:3, :3].T + grid.origin
    moved = [node.GetTransformFromParent().TransformPoint(p) for p in points]
    assert np.allclose(moved, transform_points(points, u_mm, grid), atol=1e-4)


def test_transform_shows_moving_points_where_they_came_from(scene, warnings_as_errors):
    grid = make_oblique_grid((12, 14, 14))
    u_mm = smooth_field(grid, 1.0)
    node = transform_node_from_displacement(scene, Displacement(u_mm, grid), "u")
    middle = grid.ijk_to_ras @ [7, 7, 6, 1]
    y = transform_points(middle[None, :3], u_mm, grid)[0]
    markup = some_points(scene, "m", {"y": tuple(y)})
    markup.SetAndObserveTransformNodeID(node.GetID())
    shown = [0.0] * 3
    markup.GetNthControlPointPositionWorld(0, shown)
    assert np.allclose(shown, middle[:3], atol=0.02)


def test_a_volume_under_the_transform_is_resampled_as_the_library_warps(scene):
    fixed = make_oblique_grid((8, 12, 14), (1.4, 1.1, 2.5), 25)
    origin = tuple((fixed.origin + [-14, -8, -8]).tolist())
    moving = Grid.from_spacing((16, 40, 36), (1.0, 0.9, 2.2), origin)
    u_mm = smooth_field(fixed, 1.0)
    image = Image(gaussian_smooth(torch.randn(1, 1, *moving.shape), (1, 1, 1)), moving, "m")
    node = node_from_image(scene, image, "moving")
    transform = transform_node_from_displacement(scene, Displacement(u_mm, fixed), "u")
    node.SetAndObserveTransformNodeID(transform.GetID())
    truth = warp(image.data, u_mm, fixed, moving)[0, 0].numpy()
    assert np.allclose(resampled(node, fixed), truth, atol=1e-4)


def resampled(node, grid: Grid) -> np.ndarray:
    """What Slicer shows of ``node`` at the voxels of ``grid``, (K, J, I)."""
    to_ijk = vtkGeneralTransform()
    to_ijk.PostMultiply()
    to_ijk.Concatenate(matrix_to_vtk(grid.ijk_to_ras))
    to_local = vtkGeneralTransform()
    node.GetParentTransformNode().GetTransformFromWorld(to_local)
    to_ijk.Concatenate(to_local)
    ras_to_ijk = vtkMatrix4x4()
    node.GetRASToIJKMatrix(ras_to_ijk)
    to_ijk.Concatenate(ras_to_ijk)
    reslice = vtkImageReslice()
    reslice.SetInputData(node.GetImageData())
    reslice.SetResliceTransform(to_ijk)
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputExtent(*(v for n in grid.size for v in (0, n - 1)))
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.Update()
    return image_array(reslice.GetOutput())


def test_a_segmentation_file_of_ours_opens_in_slicer(scene, tmp_path):
    grid = make_oblique_grid()
    labels = blocks(grid, {1: "lung", 2: "liver", 3: "bone"})
    write_labels(labels, tmp_path / "tissues.seg.nrrd")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage.SetFileName(str(tmp_path / "tissues.seg.nrrd"))
    assert storage.ReadData(node)
    segments = node.GetSegmentation()
    names = [segments.GetNthSegment(n).GetName() for n in range(segments.GetNumberOfSegments())]
    assert names == ["lung", "liver", "bone"]
    found = labels_from_node(node, grid)
    assert torch.equal(found.data, labels.data)
    assert found.names == {1: "lung", 2: "liver", 3: "bone"}
