"""DICOM RT structure sets: contours drawn on slices, filled on the grid of the scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..grid import map_points
from ..types import Grid
from .itk import ras_lps
from .segments import Segment

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
TILT = 0.5
"""Contours may leave their slice by so much of the slice spacing."""
ONE_PLANE = 0.2
"""Contours that all lie no farther than this part of it from a slice were drawn on the slices."""
WITHIN = 0.9
"""Share of a hole that lies within what it is cut out of: its wall may be that one's too."""


def read_rtstruct(path: Path, dataset: Any, grid: Grid) -> tuple[list[Segment], tuple[str, ...]]:
    """Structures of an RTSTRUCT on ``grid``, a voxel being inside where its centre is.

    Of the contours on one plane one that lies within another is a hole; others are put together.
    A plane stands for the slices nearest to it, up to half the distance between planes.

    Args:
        path: of the file, for messages.
        dataset: as pydicom reads it.
        grid: of the scan that it was drawn on.

    Returns:
        The structures, and what there is to remark.

    Raises:
        InputError: matplotlib is missing; or no structure has closed contours, or contours cut
            across the slices of ``grid``.
    """
    named = dataset.get("StructureSetROISequence") or []
    names = {int(roi.ROINumber): str(roi.ROIName) for roi in named}
    segments, remarks = [], []
    for structure in dataset.get("ROIContourSequence") or []:
        number = int(structure.ReferencedROINumber)
        name = names.get(number, str(number))
        contours, damaged = _contours(structure)
        if damaged:
            remarks.append(f"{name}: {damaged} contours without points were left out")
        planes, outside = _planes(path, name, contours, grid)
        if outside:
            remarks.append(f"{name}: {outside} contours lie outside the image")
        if planes:
            mask, bare = _stacked(planes, grid)
            segments.append(Segment(name, mask))
            if bare:
                remarks.append(f"{name}: {bare} slices between its contours have none")
    if not segments:
        raise InputError(
            f"{path}: no structure with closed contours in the image",
            "at least one structure that is drawn on this scan",
            "check that they belong together",
        )
    return segments, tuple(remarks)


def _contours(structure: Any) -> tuple[list[np.ndarray], int]:
    """(P, 3) LPS mm of each closed contour with an area; and how many hold no points."""
    found, damaged = [], 0
    for contour in structure.get("ContourSequence") or []:
        if str(contour.get("ContourGeometricType", "")) not in CLOSED:
            continue
        numbers = np.asarray(contour.get("ContourData") or [], dtype=np.float64)
        if not numbers.size or numbers.size % 3 or not np.isfinite(numbers).all():
            damaged += 1
        elif numbers.size >= 9:
            found.append(numbers.reshape(-1, 3))
    return found, damaged


def _planes(
    path: Path, name: str, contours: Iterable[np.ndarray], grid: Grid
) -> tuple[dict[float, np.ndarray], int]:
    """Slice position k → (J, I) bool; and how many contours lie outside the grid."""
    drawn: list[tuple[float, np.ndarray]] = []
    outside = 0
    for points in contours:
        ijk = map_points(grid.ras_to_ijk, ras_lps(points))
        if np.ptp(ijk[:, 2]) > TILT:
            raise InputError(
                f"{path}: contours of {name} that are not parallel to the slices of the image",
                "the scan that they were drawn on",
                "give that scan, or export the structures as a label map",
            )
        k = float(ijk[:, 2].mean())
        if not -0.5 <= k <= grid.shape[0] - 0.5:
            outside += 1
            continue
        drawn.append((k, ijk[:, :2]))
    return _by_plane(drawn, grid.shape[1:]), outside


def _by_plane(
    drawn: list[tuple[float, np.ndarray]], shape: tuple[int, ...]
) -> dict[float, np.ndarray]:
    """What outlines (i, j) at k enclose, plane by plane.

    Coordinates are rounded in many files, which on an oblique scan moves outlines of one slice
    apart: outlines that were drawn on the slices of this scan go to those.
    """
    on_slices = all(abs(k - round(k)) <= ONE_PLANE for k, _ in drawn)
    planes: dict[float, list[np.ndarray]] = defaultdict(list)
    for k, outline in drawn:
        planes[round(k, 0 if on_slices else 2)].append(outline)
    return {k: _together([_filled(o, shape) for o in own]) for k, own in planes.items()}


def _together(insides: list[np.ndarray]) -> np.ndarray:
    """One that lies within the larger ones is a hole, others are added; doubled ones count once."""
    once = {inside.tobytes(): inside for inside in insides}.values()
    whole = np.zeros_like(insides[0])
    for inside in sorted(once, key=np.count_nonzero, reverse=True):
        hole = np.count_nonzero(inside & whole) > WITHIN * np.count_nonzero(inside)
        whole = whole & ~inside if hole else whole | inside
    return whole


def _filled(corners: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(J, I) bool: pixel centres inside the polygon of ``corners`` (i, j)."""
    try:
        from matplotlib.path import Path as Outline
    except ImportError as error:
        raise InputError(
            "an RT structure set",
            "the package matplotlib to fill its contours with",
            'run pip install "elastic-hyperreg[dicom]"',
        ) from error
    low = np.maximum(np.ceil(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(corners.max(axis=0)), np.array(shape[::-1]) - 1).astype(int)
    inside = np.zeros(shape, bool)
    if (high < low).any():
        return inside
    i, j = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
    centres = np.column_stack([i.ravel(), j.ravel()])
    outline = Outline(np.vstack([corners, corners[:1]]), closed=True)
    inside[low[1] : high[1] + 1, low[0] : high[0] + 1] = outline.contains_points(centres).reshape(
        i.shape
    )
    return inside


def _stacked(planes: dict[float, np.ndarray], grid: Grid) -> tuple[np.ndarray, int]:
    """(K, J, I) bool, and how many slices between the first and the last plane have none."""
    where = np.array(sorted(planes))
    step = float(np.median(np.diff(where))) if len(where) > 1 else 1.0
    reach = max(step, 1.0) / 2 + 1e-6
    mask = np.zeros(grid.shape, bool)
    bare = 0
    for k in range(grid.shape[0]):
        nearest = where[np.argmin(np.abs(where - k))]
        if abs(nearest - k) <= reach:
            mask[k] = planes[float(nearest)]
        elif where[0] < k < where[-1]:
            bare += 1
    return mask, bare
