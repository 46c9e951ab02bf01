"""Lungs left and right, and the airways, in a CT scan.

Arrays are (K, J, I) in HU with k upwards (superior), j backwards (posterior), i to the left.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .ct_body import TEXTURE_HU, Air, looks_like_lung
from .morphology import Lattice, components, reachable

LUNG_ML = 100.0
CUT_LUNG_ML = 5.0
TRACHEA_MM2 = (60.0, 900.0)
TRACHEA_ROUNDNESS = 0.7
TRACHEA_MM = 15.0
"""Least length of a chain of round sections that is taken for the trachea."""
AIRWAYS_ML = 120.0
AIRWAY_HU = range(20, 160, 20)
"""HU above air up to which the airways are followed, as far as they do not leak into the lung."""
LEAK_ML = 30.0
"""More than this gained in one step is a leak."""
WALL_MM = 2.0
SPINE_MM = 30.0
ACROSS = 0.15
"""A component with this fraction on either side of the midline holds both lungs."""
SPLIT_MM = (0.0, 2.0, 4.0, 6.0, 9.0, 12.0)
VESSELS_MM = 5.0


def find_lungs(hu: np.ndarray, air: Air, lattice: Lattice) -> np.ndarray:
    """Components of enclosed air that are lungs, airways still within them, bool.

    A lung is large, or cut by the upper end of an abdominal scan; stool and gas are neither dark
    and textured like one.
    """
    on_top = set(np.unique(air.enclosed[-1]))
    chosen = []
    for number, count in enumerate(np.bincount(air.enclosed.ravel())[1:], start=1):
        least = CUT_LUNG_ML if number in on_top else LUNG_ML
        if count < lattice.voxels(least):
            continue
        if looks_like_lung(hu[air.core & (air.enclosed == number)], air.level):
            chosen.append(number)
    return np.isin(air.enclosed, chosen)


def find_trachea(hu: np.ndarray, air: Air, lungs: np.ndarray, lattice: Lattice) -> np.ndarray:
    """The longest chain of round, dark sections in the upper half of the lungs or above, bool."""
    sections = np.zeros_like(lungs)
    levels = np.flatnonzero(lungs.any(axis=(1, 2)))
    if not levels.size:
        return sections
    for k in range((levels[0] + levels[-1]) // 2, len(hu)):
        sections[k] = _round_sections(hu[k], air.enclosed[k] > 0, air.level, lattice)
    chains = components(sections)
    lengths = [
        np.ptp(np.flatnonzero((chains == n).any(axis=(1, 2)))) + 1
        for n in range(1, min(10, int(chains.max())) + 1)
    ]
    if not lengths or max(lengths) * lattice.spacing[2] < TRACHEA_MM:
        return np.zeros_like(lungs)
    return chains == 1 + int(np.argmax(lengths))


def grow_airways(
    hu: np.ndarray, trachea: np.ndarray, lungs: np.ndarray, air: Air, lattice: Lattice
) -> np.ndarray:
    """Trachea and main bronchi, bool: dark air connected to ``trachea``, short of a leak.

    What they alone connect to the lungs, the rim of the trachea for one, is part of them.
    """
    airways = trachea
    if not trachea.any():
        return airways
    enclosed = air.enclosed > 0
    for step in AIRWAY_HU:
        grown = reachable(enclosed & ((hu < air.level + step) | trachea), trachea)
        size, before = int(grown.sum()), int(airways.sum())
        if size > lattice.voxels(AIRWAYS_ML) or size - before > lattice.voxels(LEAK_ML):
            break
        airways = grown
    airways = lattice.dilate(airways, WALL_MM) & enclosed
    rest = lungs & ~airways
    return airways | (rest & (components(rest, lattice.voxels(CUT_LUNG_ML)) == 0))


def find_midline(trachea: np.ndarray, dense: np.ndarray, lattice: Lattice) -> float:
    """Index i of the patient's middle: the trachea, else where most of the ``dense`` bone stands.

    That is the spine, also where half a chest is shown. Without bone, the middle of the slices.
    """
    if trachea.any():
        return float(np.argwhere(trachea)[:, 2].mean())
    if not dense.any():
        return (dense.shape[2] - 1) / 2
    window = np.ones(max(1, round(SPINE_MM / lattice.spacing[0])))
    return float(np.argmax(np.convolve(dense.sum(axis=(0, 1)), window, mode="same")))


def split_sides(lungs: np.ndarray, midline_i: float, lattice: Lattice) -> np.ndarray:
    """``lungs`` → 0 elsewhere, 1 left, 2 right.

    Where both lungs touch they are eroded until they part; every voxel then goes to the lung
    whose core it reaches first.
    """
    for radius in SPLIT_MM:
        cores = components(lattice.erode(lungs, radius))
        if radius and not cores.any():
            break
        sides, joined = _sides_of(cores, midline_i)
        markers = sides[cores]
        if not joined:
            break
    if radius == 0:
        return markers
    depth = sitk.SignedMaurerDistanceMap(
        sitk.GetImageFromArray(lungs.astype(np.uint8)), squaredDistance=False
    )
    seeds = sitk.GetImageFromArray(markers)
    flooded = sitk.MorphologicalWatershedFromMarkers(depth, seeds, markWatershedLine=False)
    return np.where(lungs, sitk.GetArrayFromImage(flooded), 0)


def fill_vessels(sides: np.ndarray, free: np.ndarray, lattice: Lattice) -> np.ndarray:
    """``sides`` with the vessels inside each lung filled, where ``free`` allows it."""
    filled = sides.copy()
    for side in (1, 2):
        closed = lattice.close(sides == side, VESSELS_MM)
        filled[closed & free & (filled == 0)] = side
    return filled


def _round_sections(
    hu: np.ndarray, enclosed: np.ndarray, level: float, lattice: Lattice
) -> np.ndarray:
    sections = components(enclosed)
    image = sitk.GetImageFromArray(sections)
    image.SetSpacing(lattice.spacing[:2])
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(image)
    low, high = TRACHEA_MM2
    kept = [
        n
        for n in shapes.GetLabels()
        if low <= shapes.GetPhysicalSize(n) <= high
        and shapes.GetRoundness(n) >= TRACHEA_ROUNDNESS
        and np.percentile(hu[sections == n], 25) < level + TEXTURE_HU
    ]
    return np.isin(sections, kept)


def _sides_of(cores: np.ndarray, midline_i: float) -> tuple[np.ndarray, bool]:
    """Side of every component (index 0: none), and whether one of them holds both lungs."""
    left = np.arange(cores.shape[2]) > midline_i
    total = np.bincount(cores.ravel())
    on_left = np.bincount(cores[:, :, left].ravel(), minlength=len(total))
    sides = np.where(2 * on_left > total, 1, 2).astype(np.uint8)
    sides[0] = 0
    smaller = np.minimum(on_left, total - on_left)[1:2]  # of the largest component
    return sides, bool((smaller > ACROSS * total[1:2]).any())
