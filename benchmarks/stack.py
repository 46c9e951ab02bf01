"""A stack of thick slices as the cardiac models see it, cut from the middle of any volume."""

from __future__ import annotations

import numpy as np

from ElasticHyperRegLib.types import Grid

SHAPE, SPACING_MM = (10, 128, 128), (1.8, 1.8, 10.0)
NAME = f"{'×'.join(map(str, SHAPE[::-1]))}"


def stack_in(whole: Grid) -> Grid:
    """Ten slices of 128 × 128 pixels about the middle of ``whole``."""
    middle = whole.ijk_to_ras @ np.append((np.array(whole.size) - 1) / 2, 1)
    corner = middle[:3] - (np.array(SHAPE[::-1]) - 1) / 2 * SPACING_MM
    return Grid.from_spacing(SHAPE, SPACING_MM, tuple(corner))
