"""Binary morphology in millimetres on arrays (K, J, I), by SimpleITK."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True)
class Lattice:
    """Array geometry: voxel ``spacing`` along (i, j, k) in mm.

    A radius is rounded to whole voxels, at least one along every axis that is fine enough.
    """

    spacing: tuple[float, ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(np.prod(self.spacing)) / 1000

    def voxels(self, volume_ml: float) -> int:
        """Number of voxels that fill ``volume_ml``, at least one."""
        return max(1, round(volume_ml / self.voxel_ml))

    def radius(self, radius_mm: float) -> tuple[int, ...]:
        """Radius in voxels along (i, j, k)."""
        return tuple(round(radius_mm / s) for s in self.spacing)

    def dilate(self, mask: np.ndarray, radius_mm: float) -> np.ndarray:
        """Voxels within about ``radius_mm`` of ``mask``.

        Steps to the faces and steps to the corners in turn, for what is nearly a ball: many times
        faster than a filter that visits every voxel of a ball.
        """
        radius = self.radius(radius_mm)
        for step in range(max(radius)):
            axes = [mask.ndim - 1 - a for a, r in enumerate(radius) if step < r]
            mask = _stepped(mask, axes, corners=step % 2 == 1)
        return mask

    def erode(self, mask: np.ndarray, radius_mm: float) -> np.ndarray:
        """Voxels of ``mask`` farther than ``radius_mm`` from what is not; edges count as mask."""
        return ~self.dilate(~mask, radius_mm)

    def open(self, mask: np.ndarray, radius_mm: float) -> np.ndarray:
        """What a ball of ``radius_mm`` inside ``mask`` can reach."""
        return self.dilate(self.erode(mask, radius_mm), radius_mm)

    def close(self, mask: np.ndarray, radius_mm: float) -> np.ndarray:
        """``mask`` and the gaps that a ball of ``radius_mm`` cannot enter."""
        return self.erode(self.dilate(mask, radius_mm), radius_mm)


def dilate_faces(mask: np.ndarray) -> np.ndarray:
    """``mask`` and every voxel that shares a face with it."""
    return _stepped(mask, list(range(mask.ndim)), corners=False)


def components(mask: np.ndarray, smallest: int = 1) -> np.ndarray:
    """Face-connected components of ``smallest`` voxels or more, numbered from 1, largest first."""
    numbered = sitk.ConnectedComponent(_image(mask))
    return sitk.GetArrayFromImage(sitk.RelabelComponent(numbered, smallest))


def bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """Slices around ``mask`` and ``margin`` voxels more; everything where ``mask`` is empty."""
    if not mask.any():
        return (slice(None),) * mask.ndim
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        used = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(0, int(used[0]) - margin), int(used[-1]) + 1 + margin))
    return tuple(box)


def fill_slices(mask: np.ndarray) -> np.ndarray:
    """``mask`` (K, J, I) with the holes of every slice k filled; a hole reaches no slice edge."""
    return np.stack([_bools(sitk.BinaryFillhole(_image(layer))) for layer in mask])


def reachable(allowed: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Components of ``allowed`` that contain a voxel of ``seeds``."""
    return _bools(sitk.BinaryReconstructionByDilation(_image(seeds & allowed), _image(allowed)))


def _image(mask: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(mask.astype(np.uint8))


def _bools(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image) > 0


def _stepped(mask: np.ndarray, axes: list[int], corners: bool) -> np.ndarray:
    """``mask`` grown by one voxel along each of ``axes``, ``corners`` included or not."""
    grown = mask.copy()
    for axis in axes:
        before = np.moveaxis(grown.copy() if corners else mask, axis, 0)
        after = np.moveaxis(grown, axis, 0)
        after[1:] |= before[:-1]
        after[:-1] |= before[1:]
    return grown
