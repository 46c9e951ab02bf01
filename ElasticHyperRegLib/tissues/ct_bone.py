"""Bone in a CT scan.

Arrays are (K, J, I) in HU with k upwards (superior), j backwards (posterior), i to the left.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .morphology import Lattice, components, fill_slices

BONE_HU = 160.0
CORTEX_HU = 280.0
CORTEX_FRACTION = 0.05
"""So much of a bone is brighter than its cortex, of contrast in a vein or kidney less."""
SMALLEST_ML = 0.5
SPONGY_HU = 80.0
SPONGY_MM = 8.0
"""Spongy bone is denser than muscle and lies so near to cortex or brighter spongy bone."""
GAPS_MM = 3.0
EDGE_MM = 2.0
MARROW_MM2 = 2000.0
"""A ring of bones, the pelvis or a rib cage, encloses more than marrow."""
CANAL_HU = (-10.0, 60.0)
CANAL_MM2 = 80.0
"""Holes of this density and of more than this area hold the spinal cord."""


def find_bone(
    hu: np.ndarray, tissue: np.ndarray, lattice: Lattice
) -> tuple[np.ndarray, np.ndarray]:
    """Bones with their marrow; other calcified tissue and metal count as bone.

    Returns:
        All of bone, and the part of it that is bone whatever its density, both bool.
    """
    bright = components(tissue & (hu > BONE_HU), lattice.voxels(SMALLEST_ML))
    inside = bright > 0
    dense = np.bincount(bright[inside], weights=hu[inside] > CORTEX_HU, minlength=1)
    kept = dense > CORTEX_FRACTION * np.bincount(bright[inside], minlength=1)
    bone = kept[bright]
    marrow = _marrow(hu, lattice.close(bone, GAPS_MM), lattice) & tissue
    smooth = sitk.GetArrayFromImage(sitk.BoxMean(sitk.GetImageFromArray(hu), (1, 1, 1)))
    spongy = lattice.close(bone, SPONGY_MM) & (smooth > SPONGY_HU) & tissue
    whole = bone | spongy | marrow
    return whole, lattice.erode(whole, EDGE_MM) | marrow


def _marrow(hu: np.ndarray, shell: np.ndarray, lattice: Lattice) -> np.ndarray:
    """What ``shell`` encloses slice by slice, but for the spinal canal and what is too large."""
    marrow = np.zeros_like(shell)
    pixel_mm2 = lattice.spacing[0] * lattice.spacing[1]
    low, high = CANAL_HU
    for k, holes in enumerate(fill_slices(shell) & ~shell):
        numbered = components(holes)
        counts = np.bincount(numbered.ravel())
        means = np.bincount(numbered.ravel(), weights=hu[k].ravel()) / counts
        area = counts * pixel_mm2
        canal = (area > CANAL_MM2) & (low < means) & (means < high)
        kept = (area < MARROW_MM2) & ~canal
        kept[0] = False
        marrow[k] = kept[numbered]
    return marrow
