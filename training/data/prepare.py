"""Steps that the preparation of several data sets shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.io import read_image, read_labels, to_sitk
from ElasticHyperRegLib.types import Grid, Image, LabelMap


def read_labelled(image_path: Path, labels_path: Path) -> tuple[Image, LabelMap]:
    """An image and its labels, which share a grid.

    Raises:
        InputError: a file is missing, damaged or not what it should be; the grids differ.
    """
    image, labels = read_image(image_path), read_labels(labels_path)
    require_grid(labels.grid, image.grid, labels_path, image_path)
    return image, labels


def require_grid(grid: Grid, expected: Grid, path: Path, expected_path: Path) -> None:
    """Refuse ``path`` unless its voxels lie where those of ``expected_path`` do."""
    if not grid.same_as(expected):
        raise InputError(
            f"{path}: {grid}",
            f"the grid of {expected_path.name}, {expected}",
            "check size, spacing and origin",
        )


def require_labels(labels: LabelMap, wanted: set[int], path: Path) -> None:
    """Refuse a label map that lacks one of ``wanted`` or holds anything else but background."""
    present = set(labels.present()) - {0}
    if present != wanted:
        missing, unknown = sorted(wanted - present), sorted(present - wanted)
        fault = f"without label {missing}" if missing else f"with unknown label {unknown}"
        raise InputError(f"{path}: {fault}", f"labels {sorted(wanted)}", "check the segmentation")


def isotropic(volume: Image | LabelMap, spacing_mm: float) -> np.ndarray:
    """``volume`` with cubic voxels of ``spacing_mm``, (K, J, I).

    The first voxel stays in place; images are interpolated linearly, labels take the nearest.
    """
    image = to_sitk(volume.data, volume.grid)
    grid = volume.grid
    size = [round(s * n / spacing_mm) for s, n in zip(grid.spacing, grid.size, strict=True)]
    nearest = isinstance(volume, LabelMap)
    resampled = sitk.Resample(
        image,
        [max(1, n) for n in size],
        sitk.Transform(),
        sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear,
        image.GetOrigin(),
        [spacing_mm] * grid.ndim,
        image.GetDirection(),
        0,
        image.GetPixelID(),
    )
    return sitk.GetArrayFromImage(resampled)


def window(stack: np.ndarray, centre: tuple[int, int], size: int) -> np.ndarray:
    """``size`` × ``size`` pixels about ``centre`` (j, i) of a stack (..., J, I), 0 outside it."""
    out = np.zeros((*stack.shape[:-2], size, size), stack.dtype)
    here, there = [], []
    for middle, length in zip(centre, stack.shape[-2:], strict=True):
        first = middle - size // 2
        begin, end = max(0, first), min(length, first + size)
        here.append(slice(begin, end))
        there.append(slice(begin - first, end - first))
    out[..., there[0], there[1]] = stack[..., here[0], here[1]]
    return out


def min_max(stack: np.ndarray) -> np.ndarray:
    """Every slice (last two axes) of ``stack`` taken to 0 … 1; a flat slice becomes 0."""
    low = stack.min(axis=(-2, -1), keepdims=True)
    span = stack.max(axis=(-2, -1), keepdims=True) - low
    return (stack - low) / np.where(span > 0, span, 1)
