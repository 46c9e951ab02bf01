"""Displacements as MRML transforms: fixed → moving is Slicer's *from parent*, with no sign flip."""

from __future__ import annotations

import numpy as np
import slicer
import torch
from vtkmodules.vtkCommonDataModel import vtkImageData

from ..types import Displacement, Grid
from .arrays import image_array, new_image, touched
from .geometry import matrix_to_vtk
from .nodes import Node, Scene, add_node
from .volumes import OUTPUT


def transform_node_from_displacement(scene: Scene, displacement: Displacement, name: str) -> Node:
    """New grid transform node: what stands under it is shown as the displacement warps it.

    A volume under it is resampled as warped(x) = moving(x + u(x)). A point at y of the moving side
    is shown at the x with x + u(x) = y.

    Args:
        displacement: on any grid; moving → fixed displacements serve the inverse.
    """
    node = add_node(scene, "GridTransform", name, OUTPUT)
    fill_transform(node, displacement)
    return node


def fill_transform(node: Node, displacement: Displacement) -> None:
    """Give a grid transform node a new displacement."""
    field = GridField(displacement.grid)
    node.SetAndObserveTransformFromParent(field.transform)
    field.write(displacement.u_mm)


class GridField:
    """The displacement grid of a transform, edited in place; the identity at first.

    Args:
        grid: of the displacements to come.
        rim: voxels around it that do not move. Beyond the grid VTK goes on with its outermost
            voxels.

    Attributes:
        transform: vtkOrientedGridTransform, to be observed by a transform node.
    """

    def __init__(self, grid: Grid, rim: int = 0) -> None:
        image = new_image(
            tuple(length + 2 * rim for length in grid.shape), np.dtype(np.float32), components=3
        )
        image.SetOrigin(*(grid.origin - rim * grid.ijk_to_ras[:3, :3].sum(1)))
        image.SetSpacing(*grid.spacing)
        transform = slicer.vtkOrientedGridTransform()
        transform.SetInterpolationModeToLinear()  # what the library's own warp does
        direction = np.eye(4)
        direction[:3, :3] = grid.direction
        transform.SetGridDirectionMatrix(matrix_to_vtk(direction))
        transform.SetDisplacementGridData(image)
        self.transform = transform
        self._image: vtkImageData = image
        inner = slice(rim, -rim or None)
        self._vectors = image_array(image)[inner, inner, inner]

    def write(self, u_mm: torch.Tensor) -> None:
        """Show (1, 3, *grid.shape) RAS mm, fixed → moving; nothing is allocated."""
        np.stack(tuple(u_mm.detach()[0].cpu().numpy()), axis=-1, out=self._vectors)
        touched(self._image)
        self.transform.Modified()  # the node, and what stands under it, listens to this
