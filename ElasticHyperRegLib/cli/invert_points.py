"""Points against the direction of a transform."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..io import apply_to_points

STEPS = 40
TOLERANCE_MM = 1e-4
DIFFERENCE_MM = 0.05
FACTORS = (1.0, 0.5, 0.2, 0.05)


def invert_points(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """x with T(x) = y for each y of ``points``, (P, 3) RAS mm, by damped Newton steps.

    A step is shortened until it helps. A point that is not found keeps the best x: compare T(x)
    with y.
    """
    found = points.astype(np.float64)
    residual = apply_to_points(transform, found) - points
    for _ in range(STEPS):
        far = np.flatnonzero(np.linalg.norm(residual, axis=1) > TOLERANCE_MM)
        if not len(far):
            break
        step = np.einsum(
            "pab,pb->pa", np.linalg.pinv(_gradient(transform, found[far])), residual[far]
        )
        for factor in FACTORS:
            if not len(far):
                break
            there = found[far] - factor * step
            left = apply_to_points(transform, there) - points[far]
            better = np.linalg.norm(left, axis=1) < np.linalg.norm(residual[far], axis=1)
            found[far[better]], residual[far[better]] = there[better], left[better]
            far, step = far[~better], step[~better]
    return found


def _gradient(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    """∂T/∂x by central differences, (P, 3, 3)."""
    columns = []
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = DIFFERENCE_MM
        ahead = apply_to_points(transform, points + shift)
        behind = apply_to_points(transform, points - shift)
        columns.append((ahead - behind) / (2 * DIFFERENCE_MM))
    return np.stack(columns, axis=2)
