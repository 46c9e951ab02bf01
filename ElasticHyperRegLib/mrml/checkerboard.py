"""Squares of the fixed volume beside squares of the warped one."""

from __future__ import annotations

import numpy as np
import torch

from ..field import to_grid, warp
from ..grid import coarser, resample, voxel_points
from ..types import Displacement, Grid
from .arrays import image_array, new_image, touched
from .geometry import set_volume_grid
from .grey import grey_window, set_grey_window
from .nodes import Node, Scene, add_node
from .volumes import image_from_node

ROLE = "checkerboard"
MOST_VOXELS = 2**20
"""The board is coarser than a large volume, so that it follows a dragged slider."""
SQUARES = 8


class Checkerboard:
    """One volume node, fixed and warped by turns, written in place.

    Args:
        scene: vtkMRMLScene.
        anchor: the transform node, which remembers the board's node.
        fixed_node: scalar volume.
        moving_node: scalar volume.
    """

    def __init__(self, scene: Scene, anchor: Node, fixed_node: Node, moving_node: Node) -> None:
        fixed, self._moving = image_from_node(fixed_node), image_from_node(moving_node)
        grid = _board_grid(fixed.grid)
        self._fixed = resample(fixed.data, fixed.grid, grid)
        self._squares = _squares(grid)
        self._sides = fixed_node, moving_node
        self.grid = grid
        self.node = anchor.GetNodeReference(ROLE)
        if self.node is None:
            self.node = add_node(scene, "ScalarVolume", "Checkerboard", ROLE)
            anchor.SetNodeReferenceID(ROLE, self.node.GetID())
        self._image = new_image(grid.shape, np.dtype(np.float32))
        set_volume_grid(self.node, grid)
        self.node.SetAndObserveImageData(self._image)
        if self.node.GetDisplayNode() is None:
            self.node.CreateDefaultDisplayNodes()

    def write(self, displacement: Displacement) -> None:
        """Show a new displacement; both sides in the window of their own volume."""
        u_mm = to_grid(displacement.u_mm, displacement.grid, self.grid)
        warped = warp(self._moving.data, u_mm, self.grid, self._moving.grid)
        (low, high), (moving_low, moving_high) = map(grey_window, self._sides)
        scale = (high - low) / (moving_high - moving_low)
        board = torch.where(self._squares, self._fixed, (warped - moving_low) * scale + low)
        torch.from_numpy(image_array(self._image)).copy_(board[0, 0])
        touched(self._image)
        set_grey_window(self.node, (low, high))


def _board_grid(fixed: Grid) -> Grid:
    factor = max(1.0, (fixed.voxels / MOST_VOXELS) ** (1 / 3))
    return fixed if factor == 1 else coarser(fixed, tuple(factor * s for s in fixed.spacing))


def _squares(grid: Grid) -> torch.Tensor:
    """True in every other cube (1, 1, *shape), ``SQUARES`` along the longest axis."""
    extent = [n * s for n, s in zip(grid.size, grid.spacing, strict=True)]
    side_mm = max(extent) / SQUARES
    spacing = torch.tensor(grid.spacing).view(1, 3, 1, 1, 1)
    steps = torch.floor(voxel_points(grid.shape, spacing) * spacing / side_mm)
    return steps.sum(1, keepdim=True) % 2 == 0
