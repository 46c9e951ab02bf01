"""Likeness of intensities."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..errors import InputError
from .regions import masked_values

CHUNK = 2**22
"""Voxels that are held in double precision at once."""


def ncc(fixed: torch.Tensor, warped: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Global Pearson correlation of two images, −1 to 1; ``nan`` where one of them is constant.

    Args:
        fixed: (1, 1, *shape), any intensity unit.
        warped: the same shape.
        mask: voxels that count (non-zero), of the same shape; all of them without a mask.

    Raises:
        InputError: the shapes differ or the mask is empty.
    """
    if fixed.shape != warped.shape:
        raise InputError(f"a warped image of shape {tuple(warped.shape)}", f"{tuple(fixed.shape)}")
    f, w = masked_values(fixed, mask), masked_values(warped, mask)
    if f.min() == f.max() or w.min() == w.max():
        return math.nan
    mean_f, mean_w = f.mean(dtype=np.float64), w.mean(dtype=np.float64)
    products = np.zeros(3)
    for first in range(0, f.size, CHUNK):
        a = f[first : first + CHUNK].astype(np.float64) - mean_f
        b = w[first : first + CHUNK].astype(np.float64) - mean_w
        products += (a @ b, a @ a, b @ b)
    covariance, variance_f, variance_w = products
    return float(covariance / math.sqrt(variance_f * variance_w))
