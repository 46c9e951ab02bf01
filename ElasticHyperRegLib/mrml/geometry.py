"""Where nodes stand in the world."""

from __future__ import annotations

import json

import numpy as np
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from ..errors import InputError
from ..types import Grid
from .nodes import Node, name_of, role_of

LIVE = "transform"
"""Role of our grid transform: what stands under it is at home below it, not where it is shown."""

EXACT = "ElasticHyperReg.ijkToRas"
"""A volume node keeps spacing and directions apart, which costs the last bits of the matrix.

Equal requests give equal bits, so nodes of ours remember them.
"""
LAST_BITS = 1e-9


def matrix_to_numpy(matrix: vtkMatrix4x4) -> np.ndarray:
    """(4, 4) float64."""
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def matrix_to_vtk(matrix: np.ndarray) -> vtkMatrix4x4:
    """The same as a vtkMatrix4x4."""
    found = vtkMatrix4x4()
    found.DeepCopy(np.asarray(matrix, dtype=np.float64).ravel().tolist())
    return found


def placement(node: Node) -> np.ndarray:
    """(4, 4) RAS mm: the node's own coordinates → the world, through its parent transforms.

    A live transform of ours does not count: it shows the node elsewhere than it is.

    Raises:
        InputError: one of the parents is not linear.
    """
    matrix = np.eye(4)
    parent = node.GetParentTransformNode()
    while parent is not None and role_of(parent) != LIVE:
        if not parent.IsLinear():
            raise InputError(
                f"{name_of(node)} stands under {name_of(parent)}, which is not linear",
                "no transform or a linear one",
                "harden the transform on a copy of the node and choose that",
            )
        step = vtkMatrix4x4()
        parent.GetMatrixTransformToParent(step)
        matrix = matrix_to_numpy(step) @ matrix
        parent = parent.GetParentTransformNode()
    return matrix


def volume_grid(node: Node) -> Grid:
    """World grid of a volume node, parent transforms included.

    Raises:
        InputError: the node has no voxels, its axes are sheared, or as of ``placement``.
    """
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"{name_of(node)}, which holds no image", "a volume with voxels")
    return placed_grid(node, image.GetDimensions()[::-1], ijk_to_local(node))


def kept_matrix(node: Node) -> np.ndarray:
    """``ijk_to_local`` as the node itself holds it, with the last bits lost."""
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix_to_numpy(matrix)


def ijk_to_local(node: Node) -> np.ndarray:
    """(4, 4) RAS mm: voxels of a volume node → its own coordinates."""
    kept, given = kept_matrix(node), node.GetAttribute(EXACT)
    if not given:
        return kept
    exact = np.array(json.loads(given))
    return exact if np.allclose(exact, kept, rtol=0, atol=LAST_BITS) else kept


def placed_grid(node: Node, shape: tuple[int, ...], to_local: np.ndarray) -> Grid:
    """World grid of voxels that lie by ``to_local`` (4, 4) in the own coordinates of ``node``.

    Raises:
        InputError: as ``volume_grid``.
    """
    place = placement(node)
    try:
        return Grid(shape, place @ to_local)
    except InputError as error:
        parent = node.GetParentTransformNode()
        if parent is not None and _is_sound(shape, to_local):
            raise InputError(
                f"{name_of(node)} stands under {name_of(parent)}, which shears or stretches it",
                "a transform that turns and shifts",
                "resample the volume by that transform and choose the result",
            ) from error
        raise InputError(f"{name_of(node)}: {error}") from error


def _is_sound(shape: tuple[int, ...], ijk_to_ras: np.ndarray) -> bool:
    try:
        Grid(shape, ijk_to_ras)
    except InputError:
        return False
    return True


def set_volume_grid(node: Node, grid: Grid) -> None:
    """Let a volume node without parent transform stand on ``grid``."""
    node.SetIJKToRASMatrix(matrix_to_vtk(grid.ijk_to_ras))
    node.SetAttribute(EXACT, json.dumps(grid.ijk_to_ras.tolist()))
