"""Image similarity: local NCC, MIND-SSC and mean squared error."""

from __future__ import annotations

import torch

from .likeness import Likeness
from .mind import MindSSC, mind_ssc
from .mse import mse
from .ncc import LocalNCC, box_sum, local_ncc

__all__ = [
    "MIND",
    "NCC",
    "Likeness",
    "LocalNCC",
    "MindSSC",
    "box_sum",
    "likeness",
    "local_ncc",
    "mind_ssc",
    "mse",
]

NCC, MIND = "ncc", "mind"


def likeness(
    name: str,
    fixed: torch.Tensor,
    spacing: tuple[float, ...],
    window: int,
    mask: torch.Tensor | None,
) -> Likeness:
    """The measure of that name against ``fixed``.

    Args:
        name: ``ncc`` or ``mind``.
        fixed: (N, 1, *shape), intensities of order 1.
        spacing: (i, j, k) mm.
        window: side of the boxes of the NCC in voxels; MIND-SSC has patches of its own.
        mask: voxels of the fixed image that count, (N or 1, 1, *shape) in [0, 1].
    """
    return MindSSC(fixed, spacing, mask) if name == MIND else LocalNCC(fixed, window, mask)
