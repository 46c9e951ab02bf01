"""Input point files of elastix: a line ``point`` or ``index``, a line with their number, points.

Format: elastix manual, section on transformix (``-def``).
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..grid import map_points
from ..types import Grid
from .itk import ras_lps


def read_elastix(text: str, grid: Grid | None = None) -> np.ndarray:
    """Text of an elastix point file → (P, 3) RAS mm.

    Args:
        text: points in LPS mm after ``point``, in voxels (i, j, k) of ``grid`` after ``index``.
    """
    kind, _, rest = text.strip().partition("\n")
    kind = kind.strip().lower()
    if kind not in ("point", "index"):
        raise InputError(f"a first line of '{kind[:40]}'", "'point' or 'index' (elastix points)")
    count, _, rows = rest.strip().partition("\n")
    values = np.array(rows.split(), dtype=float).reshape(-1, 3)
    if len(values) != int(count):
        raise InputError(f"{len(values)} points where {int(count)} are announced", "all of them")
    if kind == "point":
        return ras_lps(values)
    if grid is None:
        raise InputError("points given as voxel indices", "points in mm", "export them as 'point'")
    return map_points(grid.ijk_to_ras, values)
