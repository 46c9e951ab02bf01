"""What a displacement makes of the images: warped image and labels, and what of them is seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..field import warp_labels
from ..field.warp import moving_positions
from ..grid import sample
from ..types import Grid, Image, LabelMap
from .prepare import Side

EDGE_VOX = 0.5


@dataclass(frozen=True, eq=False)
class Outcome:
    """The moving side on the fixed grid under one map.

    Attributes:
        warped: the moving image in its own units; its lowest value where it shows nothing.
        counted: voxels (1, 1, *shape), bool, that land where the moving image counts.
        labels: the moving labels, nearest neighbour, where they were given.
    """

    warped: Image
    counted: torch.Tensor
    labels: LabelMap | None


def outcome(moving: Side, labels: LabelMap | None, u_mm: torch.Tensor, fixed: Grid) -> Outcome:
    """Warp the moving side by ``u_mm`` (1, D, *fixed.shape) RAS mm.

    Half a voxel beyond the outermost centres still belongs to the image, as in ITK.
    """
    image = moving.image
    positions = moving_positions(u_mm, fixed, image.grid)
    size = positions.new_tensor(image.grid.size).view(1, -1, *[1] * fixed.ndim)
    inside = (positions >= -EDGE_VOX) & (positions <= size - EDGE_VOX)
    visible = inside.all(dim=1, keepdim=True)
    warped = torch.where(visible, sample(image.data, positions), image.data.min())
    counted = visible
    if moving.mask is not None:
        counted = visible & (sample(moving.mask.to(image.data), positions) > 0.5)
    return Outcome(
        Image(warped, fixed, "warped", image.dtype),
        counted,
        None if labels is None else _warped_labels(labels, u_mm, fixed),
    )


def _warped_labels(labels: LabelMap, u_mm: torch.Tensor, fixed: Grid) -> LabelMap:
    data = warp_labels(labels.data, u_mm, fixed, labels.grid)
    return LabelMap(data, fixed, labels.names, "warped labels")
