"""Measures of a registration: overlap, surfaces, landmarks, field, intensity.

What cannot be measured is absent: a tissue that cannot be scored has no key. A single number that
does not exist (``mean_dice`` of nothing, ``ncc`` of a constant image) is ``nan``.
"""

from .field import (
    folds_fraction,
    inverse_consistency_mm,
    jacobian_by_tissue,
    jacobian_summary,
)
from .intensity import ncc
from .landmarks import tre_mm, tre_summary
from .overlap import dice, mean_dice
from .regions import check_common_tissue
from .surface import (
    SurfaceDistances,
    hd95_mm,
    mask_hd95_mm,
    surface_distance_mm,
    surface_distances,
)

__all__ = [
    "SurfaceDistances",
    "check_common_tissue",
    "dice",
    "folds_fraction",
    "hd95_mm",
    "inverse_consistency_mm",
    "jacobian_by_tissue",
    "jacobian_summary",
    "mask_hd95_mm",
    "mean_dice",
    "ncc",
    "surface_distance_mm",
    "surface_distances",
    "tre_mm",
    "tre_summary",
]
