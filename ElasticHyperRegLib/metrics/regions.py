"""Parts of a volume that are measured alone: the voxels of a mask, the tissues of a label map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch

from ..errors import InputError
from ..names import spelled_like
from ..types import LabelMap

Box = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Tissue:
    """Where one tissue is, cut to ``box``, the smallest box that holds it in every map.

    Attributes:
        name: of the tissue; labels that share a name are one tissue.
        box: slices (k, j, i) of the grid.
        masks: one boolean array for each label map, all of the shape of ``box``.
    """

    name: str
    box: Box
    masks: tuple[np.ndarray, ...]


def to_array(data: torch.Tensor) -> np.ndarray:
    """(1, 1, *shape) tensor on any device → (*shape) array, without a copy on the processor."""
    return data.detach().cpu().numpy()[0, 0]


def masked_values(values: torch.Tensor, mask: torch.Tensor | None) -> np.ndarray:
    """Flat ``values`` where ``mask`` (same shape) is not zero; all of them without a mask.

    Raises:
        InputError: the mask has another shape or holds no voxel.
    """
    flat = values.detach().cpu().numpy().reshape(-1)
    if mask is None:
        return flat
    if mask.shape != values.shape:
        raise InputError(f"a mask of shape {tuple(mask.shape)}", f"{tuple(values.shape)}")
    picked = flat[mask.detach().cpu().numpy().reshape(-1) != 0]
    if picked.size == 0:
        raise InputError("an empty mask", "at least one voxel that is not zero")
    return picked


def tissues(*maps: LabelMap) -> Iterator[Tissue]:
    """Each tissue (label ≠ 0) that occurs in any of ``maps``, in the order of the label values.

    Tissues are matched by name, whatever the case: two programs may have numbered them differently.
    A label that its own map does not name has the name that it has in another one.

    Raises:
        InputError: the maps lie on different grids.
    """
    for other in maps[1:]:
        if not other.grid.same_as(maps[0].grid):
            one = maps[0]
            raise InputError(
                f"{other.name} on a grid of {other.grid.beside(one.grid)}",
                f"the grid of {one.name}, {one.grid.beside(other.grid)}",
                "resample one of the label maps onto the other's grid",
            )
    maps = (*maps[:1], *(spelled_like(other, maps[0]) for other in maps[1:]))
    arrays = [to_array(labels.data).astype(np.int32, copy=False) for labels in maps]
    boxes = [label_boxes(array) for array in arrays]
    groups: dict[str, list[list[int]]] = {}
    for label in sorted(set().union(*boxes)):
        for number, found in enumerate(boxes):
            if label in found:
                name = _name(label, (maps[number], *maps))
                groups.setdefault(name, [[] for _ in maps])[number].append(label)
    for name, own in groups.items():
        box = _hull([boxes[n][label] for n, labels in enumerate(own) for label in labels])
        masks = (np.isin(array[box], labels) for array, labels in zip(arrays, own, strict=True))
        yield Tissue(name, box, tuple(masks))


def check_common_tissue(one: LabelMap, other: LabelMap) -> None:
    """Refuse two label maps of which no tissue is in both: nothing of them can be compared.

    Raises:
        InputError: they share none.
    """
    maps = (one, spelled_like(other, one))
    labels = [label_boxes(to_array(own.data).astype(np.int32, copy=False)) for own in maps]
    shown = [
        {_name(n, (own, *maps)) for n in found} for own, found in zip(maps, labels, strict=True)
    ]
    if shown[0].isdisjoint(shown[1]):
        names = [", ".join(sorted(found)[:4]) or "none" for found in shown]
        raise InputError(
            f"label maps without a common tissue ({names[0]}; {names[1]})",
            "the same tissues in both, by name or by number",
            "name them alike, or give a tissue scheme that knows both",
        )


def _name(label: int, maps: tuple[LabelMap, ...]) -> str:
    """The first of ``maps`` that names ``label`` decides."""
    return next((labels.names[label] for labels in maps if label in labels.names), str(label))


def label_boxes(array: np.ndarray) -> dict[int, Box]:
    """Smallest box (k, j, i) of every label but 0, ascending, found in one pass over the volume."""
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()
    shapes.Execute(sitk.GetImageFromArray(array))
    boxes = {}
    for label in shapes.GetLabels():
        box = shapes.GetBoundingBox(label)
        first, size = box[: array.ndim], box[array.ndim :]
        boxes[label] = tuple(slice(a, a + n) for a, n in zip(first, size, strict=True))[::-1]
    return boxes


def _hull(boxes: list[Box]) -> Box:
    return tuple(
        slice(min(part.start for part in axis), max(part.stop for part in axis))
        for axis in zip(*boxes, strict=True)
    )
