"""Distances between the surfaces of tissues, in mm.

The surface of a tissue is its voxels with a face neighbour outside it; beyond the grid everything
is outside. An axis of a single voxel has no faces: one slice is measured within its plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..types import LabelMap
from .regions import tissues

VoxelsOf = Callable[[np.ndarray, tuple[float, ...]], sitk.Image]
"""Mask and spacing → the voxels between which distances are taken, 1 in an image."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """From every surface voxel of one map to the nearest of the other, in mm.

    Attributes:
        fixed_to_warped: (P,), one for each surface voxel of the fixed tissue.
        warped_to_fixed: (Q,), one for each surface voxel of the warped tissue.
    """

    fixed_to_warped: np.ndarray
    warped_to_fixed: np.ndarray

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles."""
        directed = (self.fixed_to_warped, self.warped_to_fixed)
        return max(float(np.percentile(distances, 95)) for distances in directed)

    @property
    def mean(self) -> float:
        """Mean symmetric distance: the mean over the voxels of both surfaces."""
        both = np.concatenate([self.fixed_to_warped, self.warped_to_fixed])
        return float(both.mean(dtype=np.float64))


def surface_distances(
    fixed_labels: LabelMap, warped_labels: LabelMap
) -> dict[str, SurfaceDistances]:
    """Distances of each tissue that is present in both maps, by tissue name.

    A tissue that is absent in either map has no surface to measure to and has no key.

    Raises:
        InputError: the maps lie on different grids.
    """
    return _between(fixed_labels, warped_labels, _surface)


def _between(
    fixed_labels: LabelMap, warped_labels: LabelMap, voxels_of: VoxelsOf
) -> dict[str, SurfaceDistances]:
    spacing = fixed_labels.grid.spacing
    flat = [axis for axis, n in enumerate(fixed_labels.grid.shape) if n == 1]
    # SimpleITK has no one-dimensional images, so at most one axis of three is dropped.
    flat = flat[: fixed_labels.grid.ndim - 2]
    spacing = tuple(np.delete(spacing[::-1], flat)[::-1])
    found = {}
    for tissue in tissues(fixed_labels, warped_labels):
        fixed, warped = (mask.squeeze(tuple(flat)) for mask in tissue.masks)
        if fixed.any() and warped.any():
            chosen = [voxels_of(mask, spacing) for mask in (fixed, warped)]
            found[tissue.name] = _distances(*chosen)
    return found


def hd95_mm(fixed_labels: LabelMap, warped_labels: LabelMap) -> dict[str, float]:
    """95th percentile Hausdorff distance in mm by tissue name; see ``surface_distances``."""
    found = surface_distances(fixed_labels, warped_labels)
    return {name: distances.hd95 for name, distances in found.items()}


def mask_hd95_mm(fixed_labels: LabelMap, warped_labels: LabelMap) -> dict[str, float]:
    """As ``hd95_mm``, but over all voxels of a tissue: 0 wherever both maps show it.

    The published tables of ACDC fit this. It is smaller, and the more so the thicker the tissue.
    """
    found = _between(fixed_labels, warped_labels, _padded)
    return {name: distances.hd95 for name, distances in found.items()}


def surface_distance_mm(fixed_labels: LabelMap, warped_labels: LabelMap) -> dict[str, float]:
    """Mean symmetric surface distance in mm by tissue name; see ``surface_distances``."""
    found = surface_distances(fixed_labels, warped_labels)
    return {name: distances.mean for name, distances in found.items()}


def _distances(fixed: sitk.Image, warped: sitk.Image) -> SurfaceDistances:
    """Of the voxels that are 1 in two images."""
    maps = [_distance_to(image) for image in (fixed, warped)]
    on = [sitk.GetArrayViewFromImage(image) != 0 for image in (fixed, warped)]
    return SurfaceDistances(maps[1][on[0]], maps[0][on[1]])


def _padded(mask: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    """The mask as an image of 0 and 1 that is one voxel larger on every side."""
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing(spacing)
    return image


def _surface(mask: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    """Its surface voxels likewise."""
    image = _padded(mask, spacing)
    return sitk.BinaryContour(image, fullyConnected=False, backgroundValue=0, foregroundValue=1)


def _distance_to(surface: sitk.Image) -> np.ndarray:
    """Distance (*shape) in mm to the nearest voxel of ``surface``, 0 on it."""
    signed = sitk.SignedMaurerDistanceMap(surface, squaredDistance=False, useImageSpacing=True)
    # Negative where the surface is thick enough to have an inside of its own.
    return np.maximum(sitk.GetArrayViewFromImage(signed), 0)
