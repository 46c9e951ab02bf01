"""Target registration error at landmarks."""

from __future__ import annotations

import numpy as np

from ..errors import InputError


def tre_mm(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Euclidean distance |predicted − truth| of each landmark.

    Args:
        predicted: (P, D) RAS mm, the fixed landmarks carried to the moving image.
        truth: (P, D) RAS mm, the same landmarks as found in the moving image.

    Returns:
        (P,) float64 in mm.

    Raises:
        InputError: the two lists differ in shape, are empty or hold a value that is not finite.
    """
    here = np.asarray(predicted, dtype=np.float64)
    there = np.asarray(truth, dtype=np.float64)
    if here.shape != there.shape or here.ndim != 2 or here.shape[1] not in (2, 3):
        raise InputError(
            f"landmarks of shapes {here.shape} and {there.shape}",
            "two lists (P, D) of the same landmarks, D = 2 or 3",
            "check that both files list the same points in the same order",
        )
    if here.size == 0 or not (np.isfinite(here).all() and np.isfinite(there).all()):
        raise InputError(
            f"{here.shape[0]} landmarks", "at least one, every coordinate a finite number"
        )
    return np.linalg.norm(here - there, axis=1)


def tre_summary(distances: np.ndarray) -> dict[str, float]:
    """``mean``, ``median``, ``p95`` and ``max`` in mm of the distances (P,) of ``tre_mm``."""
    return {
        "mean": float(np.mean(distances)),
        "median": float(np.median(distances)),
        "p95": float(np.percentile(distances, 95)),
        "max": float(np.max(distances)),
    }
