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
    "described",
    "likeness",
    "local_ncc",
    "mind_ssc",
    "mse",
]

NCC, MIND = "ncc", "mind"


def described(name: str, image: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """What the measure of that name compares of an image, (N, C, *shape).

    Of the whole image: a part of it by itself may have other descriptors.

    Args:
        name: ``ncc``, which compares the image itself, or ``mind``.
        image: (N, 1, *shape).
        spacing: (i, j, k) mm.
    """
    return mind_ssc(image, spacing) if name == MIND else image


def likeness(
    name: str, fixed: torch.Tensor, window: int, mask: torch.Tensor | None = None
) -> Likeness:
    """The measure of that name against ``fixed``.

    Args:
        name: ``ncc`` or ``mind``.
        fixed: as ``described`` gives it, of intensities of order 1.
        window: side of the boxes of the NCC in voxels; MIND-SSC has patches of its own.
        mask: voxels of the fixed image that count, (N or 1, 1, *shape) in [0, 1].
    """
    return MindSSC(fixed, mask) if name == MIND else LocalNCC(fixed, window, mask)
