"""Segmentations and label map nodes ↔ tissue labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
import slicer
import torch
from vtkmodules.vtkCommonCore import reference
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from ..errors import InputError
from ..grid import grid_to_grid, map_points, outer_corners, window
from ..io.itk import array_to_sitk, geometry_of
from ..metrics.regions import label_boxes
from ..names import spelled_like
from ..tissues import TissueScheme
from ..types import Grid, Image, LabelMap
from .arrays import image_array
from .arrays import image_from_array as vtk_from_array
from .colors import eight_bits
from .geometry import matrix_to_numpy, matrix_to_vtk, placed_grid, volume_grid
from .nodes import Node, Scene, add_node, name_of
from .settings import Color
from .volumes import OUTPUT

BACKGROUND = "background"
BACKGROUND_COLOR = (90, 90, 90)
UNNAMED_COLOR = (200, 200, 200)
BINARY = "Binary labelmap"
LARGEST = np.iinfo(np.int32).max
LABEL = "ElasticHyperReg.Label"
"""Tag of a segment: the value that it had in the label map it was made of."""


class Part(NamedTuple):
    """Labels in a box (k, j, i) of a grid; nothing is labelled outside of it."""

    box: tuple[slice, ...]
    values: np.ndarray


def labels_from_node(node: Node, reference: Grid | Image) -> LabelMap:
    """Segmentation or label map node → labels on the grid of ``reference``.

    Segment names become tissue names; where segments overlap the smallest one counts, as in files
    (``io.merge_segments``): an organ stays within a body that was drawn whole. A label map is
    named by its own colour table, where it has one. Other geometries are resampled by nearest
    neighbour where they stand in the world.

    Args:
        node: vtkMRMLSegmentationNode or vtkMRMLLabelMapVolumeNode.
        reference: whose grid the labels get.

    Raises:
        InputError: another kind of node, nothing labelled, an unsuitable parent transform.
    """
    grid = reference.grid if isinstance(reference, Image) else reference
    if node is not None and node.IsA("vtkMRMLSegmentationNode"):
        values, names = _from_segmentation(node, grid)
    elif node is not None and node.IsA("vtkMRMLLabelMapVolumeNode"):
        values, names = _from_label_map(node, grid)
    else:
        given = "no labels" if node is None else f"{name_of(node)}, a {node.GetClassName()}"
        raise InputError(given, "a segmentation or a label map", "choose one")
    if not values.any():
        raise InputError(
            f"{name_of(node)} labels nothing inside the volume",
            "at least one voxel",
            "check that it belongs to this volume",
        )
    return LabelMap(torch.from_numpy(values)[None, None], grid, names, name_of(node))


def as_tissues(
    labels: LabelMap, scheme: TissueScheme | None = None, like: LabelMap | None = None
) -> LabelMap:
    """``labels`` as one side of a pair has them.

    Args:
        labels: of ``labels_from_node``.
        scheme: names the labels by its tissues; their values stay what they are.
        like: labels of the other side: tissues of the same name get its label values.

    Raises:
        InputError: labels that the scheme does not know.
    """
    if scheme is not None:
        labels = scheme.named(labels)
    return labels if like is None else _renumbered(spelled_like(labels, like), like)


def tissue_colors(node: Node, scheme: TissueScheme | None = None) -> dict[str, Color]:
    """Tissue name → colour, as the segmentation, the colour table or the scheme has it."""
    colors = {BACKGROUND: BACKGROUND_COLOR}
    if scheme is not None:
        return colors | {tissue.name: tissue.color for tissue in scheme.tissues}
    if node.IsA("vtkMRMLSegmentationNode"):
        segments = (segment for _, segment in _segments(node))
        return colors | {s.GetName(): eight_bits(s.GetColor()) for s in segments}
    table, names = _color_table(node), _table_names(node)
    if table is None:
        return colors
    for value in np.unique(image_array(node.GetImageData())).astype(int).tolist():
        rgba = [0.0] * 4
        if value and table.GetColor(value, rgba):
            colors[names.get(value, str(value))] = eight_bits(rgba)
    return colors


def node_from_labels(
    scene: Scene, labels: LabelMap, name: str, colors: dict[str, Color] | None = None
) -> Node:
    """New segmentation node with one segment for each label that occurs, named by its tissue."""
    node = add_node(scene, "Segmentation", name, OUTPUT)
    node.CreateDefaultDisplayNodes()
    fill_segmentation(node, labels, colors or {})
    return node


def fill_segmentation(node: Node, labels: LabelMap, colors: dict[str, Color]) -> None:
    """Replace the segments of a segmentation node by the labels that occur."""
    values = labels.data.detach().cpu().numpy()[0, 0]
    node.GetSegmentation().RemoveAllSegments()
    # Whole volumes of a hundred segments would fill the memory.
    for label, part in label_boxes(values.astype(np.int32, copy=False)).items():
        image = slicer.vtkOrientedImageData()
        image.DeepCopy(vtk_from_array((values[part] == label).astype(np.uint8)))
        first = np.array([axis.start for axis in reversed(part)])
        there = window(labels.grid, first, values[part].shape)
        image.SetGeometryFromImageToWorldMatrix(matrix_to_vtk(there.ijk_to_ras))
        tissue = labels.name_of(label)
        color = [part / 255 for part in colors.get(tissue, UNNAMED_COLOR)]
        key = node.AddSegmentFromBinaryLabelmapRepresentation(image, tissue, color)
        node.GetSegmentation().GetSegment(key).SetTag(LABEL, str(label))


def _from_label_map(node: Node, grid: Grid) -> tuple[np.ndarray, dict[int, str]]:
    own = volume_grid(node)
    values = image_array(node.GetImageData())
    if values.ndim != 3 or values.min() < 0 or not np.array_equal(values, np.rint(values)):
        raise InputError(f"{name_of(node)}, which is no label map", "whole numbers from 0 upwards")
    return _nearest(values.astype(np.int32), own, grid), _table_names(node)


def _table_names(node: Node) -> dict[int, str]:
    """Names of a label map's colour table, if the user made or loaded it.

    Slicer's own tables name label 1 "tissue" and so on, whatever it stands for.
    """
    table = _color_table(node)
    if table is None or not table.IsA("vtkMRMLColorTableNode"):
        return {}
    loaded = table.GetType() == table.File and table.GetSaveWithScene()
    if table.GetSingletonTag() or not (loaded or table.GetType() == table.User):
        return {}
    named = {value: table.GetColorName(value) for value in range(1, table.GetNumberOfColors())}
    return {value: str(name) for value, name in named.items() if name and name != "(none)"}


def _color_table(node: Node) -> Node:
    display = node.GetDisplayNode()
    return None if display is None else display.GetColorNode()


def _from_segmentation(node: Node, grid: Grid) -> tuple[np.ndarray, dict[int, str]]:
    if not node.GetSegmentation().CreateRepresentation(BINARY):
        raise InputError(
            f"{name_of(node)}, which cannot be turned into voxels",
            "a segmentation with a binary labelmap",
            "create that representation in the Segmentations module",
        )
    names: dict[int, str] = {}
    layers: dict[Node, Part] = {}  # several segments may share one image
    owners: dict[Node, dict[int, int]] = {}
    for value, (key, segment) in zip(_numbers(node), _segments(node), strict=True):
        image = node.GetBinaryLabelmapInternalRepresentation(key)
        names[value] = str(segment.GetName())
        if image is None or image.GetNumberOfPoints() == 0:
            continue
        if image not in layers:
            layers[image] = _part_of(grid, image_array(image), _segment_grid(node, image))
        owners.setdefault(image, {})[int(segment.GetLabelValue())] = value
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    if twice:
        raise InputError(
            f"{name_of(node)}: two segments named {min(twice)}", "each name once", "rename one"
        )
    return _painted(grid.shape, [(layers[image], owners[image]) for image in layers]), names


def _numbers(node: Node) -> list[int]:
    """Label of each segment: its own where all came from one label map, else 1 and so on."""
    told, segments = reference(""), [segment for _, segment in _segments(node)]
    own = [int(str(told)) for segment in segments if segment.GetTag(LABEL, told)]
    whole = len(own) == len(set(own)) == len(segments)
    return own if whole else list(range(1, len(segments) + 1))


def _painted(
    shape: tuple[int, ...], layers: Sequence[tuple[Part, Mapping[int, int]]]
) -> np.ndarray:
    """One map of all layers (part, label → number); of several at a voxel the smallest counts.

    Of two of one size the later one. In so many steps as there are layers, however many segments.
    """
    painted = np.zeros(shape, dtype=np.int32)
    smallest = np.full(shape, LARGEST, dtype=np.int32) if len(layers) > 1 else None
    for part, owner in layers:
        counts = np.bincount(part.values.ravel(), minlength=max(owner) + 1)
        numbers, sizes = np.zeros(len(counts), np.int32), np.full(len(counts), LARGEST, np.int32)
        for label, number in owner.items():
            numbers[label], sizes[label] = number, counts[label]
        here = numbers[part.values]
        if smallest is None:
            painted[part.box] = here
            continue
        size, there, least = sizes[part.values], painted[part.box], smallest[part.box]
        wins = (size < least) | ((size == least) & (here > there))
        there[wins], least[wins] = here[wins], size[wins]
    return painted


def _part_of(grid: Grid, values: np.ndarray, own: Grid) -> Part:
    """What labels on a grid of their own make of ``grid``, within the box that they cover."""
    places = map_points(grid_to_grid(own, grid), outer_corners(own))
    low = np.clip(np.floor(places.min(0)).astype(int), 0, np.asarray(grid.size) - 1)
    high = np.clip(np.ceil(places.max(0)).astype(int) + 1, low + 1, grid.size)
    box = tuple(slice(a, b) for a, b in zip(low[::-1].tolist(), high[::-1].tolist(), strict=True))
    shape = tuple((high - low)[::-1].tolist())
    return Part(box, _nearest(values, own, window(grid, low, shape)))


def _segments(node: Node) -> Iterator[tuple[str, Node]]:
    """(ID, segment) in the order of the table."""
    segmentation = node.GetSegmentation()
    for index in range(segmentation.GetNumberOfSegments()):
        key = segmentation.GetNthSegmentID(index)
        yield key, segmentation.GetSegment(key)


def _segment_grid(node: Node, image: Node) -> Grid:
    """World grid of a segment's image, whose indices need not begin at 0."""
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = image.GetExtent()[::2]
    return placed_grid(node, image.GetDimensions()[::-1], matrix_to_numpy(matrix) @ first)


def _nearest(values: np.ndarray, own: Grid, wanted: Grid) -> np.ndarray:
    """Labels on another grid, nearest neighbour where they stand in the world, 0 outside."""
    values = values.astype(np.int32)
    if own.same_as(wanted, tolerance_mm=1e-6):
        return values
    given = array_to_sitk(values, own)
    nearest = sitk.sitkNearestNeighbor
    found = sitk.Resample(given, interpolator=nearest, defaultPixelValue=0, **geometry_of(wanted))
    return sitk.GetArrayFromImage(found)


def _renumbered(labels: LabelMap, like: LabelMap) -> LabelMap:
    """``labels`` with the values that ``like`` has for the same names; others get new ones."""
    known = {name: value for value, name in like.names.items()}
    if not labels.names or not known:
        return labels
    free = iter(range(max(known.values()) + 1, max(known.values()) + 2 + max(labels.present())))
    table = {0: 0}
    for value in labels.present():
        if value:
            name = labels.names.get(value)
            table[value] = known[name] if name in known else next(free)
    names = {table[v]: labels.names[v] for v in table if v in labels.names}
    lookup = np.zeros(max(table) + 1, dtype=np.int32)
    lookup[list(table)] = list(table.values())
    data = torch.from_numpy(lookup[labels.data.numpy()])
    return LabelMap(data, labels.grid, {**like.names, **names}, labels.name)
