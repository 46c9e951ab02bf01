"""Scalar volume nodes ↔ images."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..io import image_from_array
from ..types import Grid, Image
from .arrays import image_array
from .arrays import image_from_array as to_vtk
from .geometry import set_volume_grid, volume_grid
from .nodes import Node, Scene, add_node, name_of

OUTPUT = "output"
"""Role of nodes that hold a result and are not live."""


def image_from_node(node: Node) -> Image:
    """Scalar volume node → image where it stands in the world; the voxels are copied.

    Linear parent transforms count; a live transform of ours does not.

    Raises:
        InputError: no volume, no voxels, several values a voxel, an unsuitable parent transform.
    """
    if not hasattr(node, "IsA"):
        given = "no volume" if node is None else f"{node!r:.60}, no node of the scene"
        raise InputError(given, "a scalar volume", "choose one")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(
            f"{name_of(node)}, a {node.GetClassName()}", "a scalar volume", "choose one"
        )
    grid = volume_grid(node)
    values = image_array(node.GetImageData())
    if values.ndim != 3:
        raise InputError(
            f"{name_of(node)} with {values.shape[-1]} values a voxel",
            "one value a voxel",
            "extract one component",
        )
    return image_from_array(values, grid, name_of(node))


def node_from_image(scene: Scene, image: Image, name: str) -> Node:
    """New scalar volume node with the voxels of ``image``, in the pixel type it came with."""
    values = image.data.detach().cpu().numpy()[0, 0]
    node = add_node(scene, "ScalarVolume", name, OUTPUT)
    fill_volume(node, as_stored(values, np.dtype(image.dtype)), image.grid)
    return node


def as_stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``values`` in another pixel type; integers are rounded and kept within its range."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    return values.astype(dtype)


def fill_volume(node: Node, values: np.ndarray, grid: Grid) -> None:
    """Voxels (K, J, I) on ``grid`` into a volume node; in place where the size is the same."""
    set_volume_grid(node, grid)
    node.SetAndObserveImageData(to_vtk(values))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
