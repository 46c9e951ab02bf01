"""Label maps as they come: what is odd about them, and what is filled.

Rules, each of them reported: label 0 in pockets that other tissues enclose goes to the tissue
nearest to it; label 0 elsewhere in the body goes to the scheme's rest. Islands and tissues of a
voxel are reported, never removed: a small lesion is one as well.
"""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
import torch

from ..grid import grid_to_grid, lie_in, map_points, resample_labels
from ..types import Grid, LabelMap
from .morphology import bounding_box, components

ISLAND_ML = 0.1
"""An island smaller than this, apart from the largest part of its tissue, is reported."""
POCKET_ML = 0.1
"""A pocket of label 0 up to this size is a gap between tissues, not a cavity."""

VOXEL_TOLERANCE = 0.05
"""Voxels by which two grids of the same scan may differ, as programs round their geometry."""


def find_flaws(labels: LabelMap) -> tuple[str, ...]:
    """Tissues of a single voxel, and small islands apart from the rest of their tissue."""
    values = labels.data.detach().cpu().numpy()[0, 0]
    voxel_ml = float(np.prod(labels.grid.spacing)) / 1000
    found = []
    for label in labels.present():
        if label == 0:
            continue
        name, mask = labels.name_of(label), values == label
        sizes = np.bincount(components(mask[bounding_box(mask, 0)]).ravel())[1:]
        small = sizes[1:][sizes[1:] * voxel_ml < ISLAND_ML]
        if sizes.sum() == 1:
            found.append(f"{name} is a single voxel")
        if len(small):
            islands = "a small island" if len(small) == 1 else f"{len(small)} small islands"
            found.append(f"{name}: {islands}, voxels in all: {small.sum()}")
    return tuple(found)


def fill_pockets(labels: LabelMap) -> tuple[LabelMap, tuple[str, ...]]:
    """Label 0 that tissues enclose, in pockets up to ``POCKET_ML``, goes to the nearest tissue.

    A pocket at the edge of the grid is not enclosed.
    """
    values = labels.data.detach().cpu().numpy()[0, 0]
    holes = components(values == 0)
    counts = np.bincount(holes.ravel())
    edge = np.zeros(len(counts), bool)
    for axis in range(holes.ndim):
        for end in (0, -1):
            edge[np.unique(holes.take(end, axis=axis))] = True
    voxel_ml = float(np.prod(labels.grid.spacing)) / 1000
    pockets = (counts * voxel_ml <= POCKET_ML) & ~edge
    pockets[0] = False
    gaps = pockets[holes]
    if not gaps.any():
        return labels, ()
    filled = _nearest(values, gaps, labels.grid)
    number = int(gaps.sum())
    text = f"{number} voxels without label between tissues went to the nearest tissue"
    data = torch.from_numpy(filled)[None, None]
    done = LabelMap(data, labels.grid, labels.names, labels.name)
    return done, (text,)


def fill_body(labels: LabelMap, body: torch.Tensor, rest: int) -> tuple[LabelMap, tuple[str, ...]]:
    """Label 0 inside ``body`` (1, 1, K, J, I) bool becomes ``rest``."""
    empty = (labels.data == 0) & body.to(labels.data.device)
    number = int(empty.sum())
    if not number:
        return labels, ()
    data = torch.where(empty, rest, labels.data).to(torch.int32)
    millilitres = number * float(np.prod(labels.grid.spacing)) / 1000
    took = labels.name_of(rest)
    text = f"{millilitres:.0f} mL of the body without a class of their own became {took}"
    done = LabelMap(data, labels.grid, labels.names, labels.name)
    return done, (text,)


def labels_on(labels: LabelMap, grid: Grid) -> tuple[LabelMap, tuple[str, ...]]:
    """``labels`` on another grid by geometry, nearest neighbour; 0 where they show nothing.

    Reports voxels that were resampled, that lie outside of ``grid``, and tissues that no voxel of
    it falls into.
    """
    moved = resample_labels(labels, grid, fill=0.0)
    if labels.grid.same_as(grid):
        return moved, ()
    lost = sorted(set(labels.present()) - set(moved.present()) - {0})
    found = [*_resampled(labels, grid), *_outside(labels, grid)]
    for label in lost:
        name, count = labels.name_of(label), int((labels.data == label).sum())
        found.append(f"{name}, {count} voxels, has none on the grid of the image")
    return moved, tuple(found)


def on_voxels_of(grid: Grid, labels: LabelMap) -> LabelMap:
    """``labels`` on ``grid`` where each of their voxels is one of its, else as they are.

    Programs cut segmentations to what is drawn, and count axes from either end: nothing is
    resampled by this, and no labelled voxel may lie outside.
    """
    if _drift_vox(labels.grid, grid) > VOXEL_TOLERANCE:
        return labels
    moved = resample_labels(labels, grid, fill=0.0)
    return moved if int((moved.data > 0).sum()) == int((labels.data > 0).sum()) else labels


def _drift_vox(one: Grid, other: Grid) -> float:
    """Voxels of ``other`` by which those of ``one`` lie beside its own, at most.

    Infinitely many where they are of another size.
    """
    steps = other.ras_to_ijk @ one.ijk_to_ras
    if round(abs(np.linalg.det(np.rint(steps)[:-1, :-1]))) != 1:
        return math.inf
    drift = np.abs(steps - np.rint(steps))[:-1]
    return float((drift @ np.array([*one.size, 1])).max())


def _resampled(labels: LabelMap, grid: Grid) -> list[str]:
    if _drift_vox(labels.grid, grid) <= VOXEL_TOLERANCE:
        return []
    return [f"the labels lie on other voxels, {labels.grid}, and were resampled"]


def _outside(labels: LabelMap, grid: Grid) -> list[str]:
    labelled = labels.data[0, 0].nonzero().flip(1).double().cpu().numpy()  # i, j, k
    places = map_points(grid_to_grid(labels.grid, grid), labelled)
    number = int((~lie_in(grid, places)).sum())
    if not number:
        return []
    told = f"{number} of {len(labelled)} labelled voxels lie outside of the image and were left out"
    return [told]


def _nearest(values: np.ndarray, gaps: np.ndarray, grid: Grid) -> np.ndarray:
    """``values`` with ``gaps`` filled by the label that is nearest in mm."""
    box = bounding_box(gaps, 1)
    seeds = sitk.GetImageFromArray(values[box].astype(np.int32))
    seeds.SetSpacing(grid.spacing)
    filter_ = sitk.SignedDanielssonDistanceMapImageFilter()
    filter_.UseImageSpacingOn()
    filter_.Execute(seeds)
    nearest = sitk.GetArrayFromImage(filter_.GetVoronoiMap())
    filled = values.copy()
    filled[box][gaps[box]] = nearest[gaps[box]]
    return filled
