"""Segments that may overlap → one label map, by a rule that is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..types import Grid, LabelMap


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment: its name and where it is, (K, J, I) bool."""

    name: str
    mask: np.ndarray


def merge_segments(
    segments: Sequence[Segment], grid: Grid, name: str
) -> tuple[LabelMap, tuple[str, ...]]:
    """Segments numbered from 1 in their order; where several overlap, the smallest one counts.

    A lesion drawn inside an organ that was drawn whole thus stays; of two of one size the later.

    Returns:
        The label map with names, and a line for each that lost voxels or is empty.

    Raises:
        InputError: no segment has a voxel.
    """
    sizes = [int(segment.mask.sum()) for segment in segments]
    if not any(sizes):
        raise InputError(f"{name}: no segment has a voxel", "at least one that is drawn")
    values = np.zeros(grid.shape, np.int32)
    for number in sorted(range(len(segments)), key=lambda n: (-sizes[n], n)):
        values[segments[number].mask] = number + 1
    left = np.bincount(values.ravel(), minlength=len(segments) + 1)[1:]
    remarks = []
    for segment, size, kept in zip(segments, sizes, left, strict=True):
        if size == 0:
            remarks.append(f"{segment.name} is empty")
        elif kept < size:
            lost = size - int(kept)
            remarks.append(f"{segment.name} gave {lost} of {size} voxels to smaller ones over it")
    names = {number: segment.name for number, segment in enumerate(segments, start=1)}
    data = torch.from_numpy(values)[None, None]
    return LabelMap(data, grid, names, name), tuple(remarks)
