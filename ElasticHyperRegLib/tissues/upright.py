"""A scan turned upright, at about 2 mm for morphology, and the way back to its own voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch

from ..io.itk import to_sitk
from ..types import Image
from .morphology import Lattice

FINE_MM = 1.9
"""Voxels are averaged in whole blocks up to about this size."""


@dataclass(frozen=True, eq=False)
class UprightScan:
    """A scan with k upwards (superior), j backwards (posterior), i to the left.

    Attributes:
        values: (K, J, I) voxels of the scan.
        blocks: voxels along (i, j, k) that make one voxel of ``coarse``.
        lattice: geometry of ``coarse``.
        coarse: mean over ``blocks``, float32.
    """

    values: np.ndarray
    blocks: tuple[int, ...]
    lattice: Lattice
    coarse: np.ndarray
    _upright: sitk.Image
    _orientation: str

    @classmethod
    def of(cls, image: Image, dtype: torch.dtype) -> UprightScan:
        """3D ``image`` of any orientation, its voxels as ``dtype``."""
        scan = to_sitk(image.data.to(dtype), image.grid)
        upright = sitk.DICOMOrient(scan, "LPS")
        values = sitk.GetArrayFromImage(upright)
        spacing = upright.GetSpacing()
        blocks = tuple(max(1, round(FINE_MM / s)) for s in spacing)
        lattice = Lattice(tuple(n * s for n, s in zip(blocks, spacing, strict=True)))
        orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(
            scan.GetDirection()
        )
        return cls(values, blocks, lattice, _averaged(values, blocks), upright, orientation)

    def fine(self, coarse: np.ndarray) -> np.ndarray:
        """``coarse`` with every voxel repeated, on the voxels of ``values``."""
        for axis, step in enumerate(self.blocks[::-1]):
            coarse = coarse.repeat(step, axis=axis) if step > 1 else coarse
        return coarse[tuple(slice(n) for n in self.values.shape)]

    def turned_back(self, labels: np.ndarray) -> torch.Tensor:
        """``labels`` on the voxels of ``values`` → (1, 1, K, J, I) int32 as the scan lies."""
        picture = sitk.GetImageFromArray(labels)
        picture.CopyInformation(self._upright)
        back = sitk.GetArrayFromImage(sitk.DICOMOrient(picture, self._orientation))
        return torch.from_numpy(back.astype(np.int32))[None, None]


def _averaged(values: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """Mean over whole ``blocks`` (i, j, k) of voxels, float32; the far edges are continued."""
    steps = blocks[::-1]
    pad = [(0, -n % step) for n, step in zip(values.shape, steps, strict=True)]
    padded = np.pad(values, pad, mode="edge")
    k, j, i = (n // step for n, step in zip(padded.shape, steps, strict=True))
    split = padded.reshape(k, steps[0], j, steps[1], i, steps[2])
    return split.mean(axis=(1, 3, 5), dtype=np.float32)
