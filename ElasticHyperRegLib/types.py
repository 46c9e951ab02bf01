"""The nouns of the library: grids, images, label maps, displacements, elasticity.

World coordinates are RAS+ millimetres, index axes are called i, j, k (i fastest), tensors are
``(N, C, K, J, I)`` in 3D and ``(N, C, J, I)`` in 2D. See CONVENTIONS.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    import torch

DIRECTION_TOLERANCE = 1e-3


def is_affine(matrix: np.ndarray) -> bool:
    """Whether a square matrix maps points with a 1 at the end to such points: last row 0 … 0 1."""
    return bool(np.allclose(matrix[-1], np.eye(len(matrix))[-1], rtol=0, atol=1e-9))


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxel centres in the world.

    Args:
        shape: voxels along (k, j, i) in 3D, (j, i) in 2D.
        ijk_to_ras: (D+1, D+1) float64, column vectors; maps (i, j, k, 1) to RAS mm. Its axes
            are orthogonal (ITK and Slicer volumes have no shear).

    Raises:
        InputError: the shape is not positive or the matrix is not an orthogonal, non-singular
            voxel-to-world matrix.
    """

    shape: tuple[int, ...]
    ijk_to_ras: np.ndarray

    def __post_init__(self) -> None:
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "ijk_to_ras", matrix)
        dim = len(shape)
        if dim not in (2, 3) or min(shape) < 1:
            raise InputError(f"a grid of shape {shape}", "2 or 3 positive sizes")
        if matrix.shape != (dim + 1, dim + 1) or not np.isfinite(matrix).all():
            raise InputError(
                f"an ijk_to_ras of shape {matrix.shape}", f"a finite {dim + 1}×{dim + 1} matrix"
            )
        if not is_affine(matrix):
            raise InputError(
                f"an ijk_to_ras whose last row is {matrix[-1].tolist()}",
                "0 … 0 1, as it maps column vectors",
            )
        if min(self.spacing) <= 0:
            raise InputError(f"a voxel spacing of {self.spacing} mm", "positive spacings")
        gram = self.direction.T @ self.direction
        if np.abs(gram - np.eye(dim)).max() > DIRECTION_TOLERANCE:
            raise InputError(
                "a grid with sheared axes", "orthogonal axes", "resample the image first"
            )
        matrix.setflags(write=False)

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, ...],
        spacing: tuple[float, ...],
        origin: tuple[float, ...] | None = None,
        direction: np.ndarray | None = None,
    ) -> Grid:
        """Grid from spacing (i, j, k order, mm), origin (RAS mm) and direction columns."""
        dim = len(shape)
        matrix = np.eye(dim + 1)
        axes = np.eye(dim) if direction is None else np.asarray(direction, dtype=np.float64)
        matrix[:dim, :dim] = axes * np.asarray(spacing, dtype=np.float64)
        if origin is not None:
            matrix[:dim, dim] = origin
        return cls(shape, matrix)

    @property
    def ndim(self) -> int:
        """Number of index axes, 2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels along (i, j, k)."""
        return self.shape[::-1]

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Voxel spacing along (i, j, k) in mm."""
        linear = self.ijk_to_ras[: self.ndim, : self.ndim]
        return tuple(float(v) for v in np.linalg.norm(linear, axis=0))

    @cached_property
    def direction(self) -> np.ndarray:
        """(D, D) unit columns: the world directions of the axes i, j, k."""
        return self.ijk_to_ras[: self.ndim, : self.ndim] / np.asarray(self.spacing)

    @property
    def origin(self) -> np.ndarray:
        """RAS position of voxel (0, 0, 0) in mm."""
        return self.ijk_to_ras[: self.ndim, self.ndim]

    @cached_property
    def ras_to_ijk(self) -> np.ndarray:
        """Inverse of ``ijk_to_ras``."""
        return np.linalg.inv(self.ijk_to_ras)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def same_as(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Whether both grids place every voxel at the same spot within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.size])).reshape(self.ndim, -1)
        corners = np.vstack([corners, np.ones(corners.shape[1])])
        offset = (self.ijk_to_ras - other.ijk_to_ras) @ corners
        return bool(np.abs(offset).max() <= tolerance_mm)

    def beside(self, other: Grid) -> str:
        """Size and place in words, and the axes where they are not those of ``other``."""
        sizes = "×".join(str(n) for n in self.size)
        spacing = "×".join(f"{s:.4g}" for s in self.spacing)
        told = f"{sizes} voxels of {spacing} mm from ({', '.join(f'{v:.1f}' for v in self.origin)})"
        if self.ndim == other.ndim and np.allclose(self.direction, other.direction, atol=1e-3):
            return told
        axes = (f"({', '.join(f'{v:.3g}' for v in axis)})" for axis in self.direction.T + 0.0)
        return f"{told} with axes along {', '.join(axes)}"

    def __repr__(self) -> str:
        sizes = "×".join(str(n) for n in self.size)
        return f"Grid({sizes} voxels, {'×'.join(f'{s:.4g}' for s in self.spacing)} mm)"


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar image: ``data`` (1, 1, K, J, I) float32 in its own units on ``grid``.

    ``dtype`` is the pixel type it had on disk, so that what is made of it can be written alike.
    """

    data: torch.Tensor
    grid: Grid
    name: str = "image"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _check_fits(self.data, self.grid, self.name)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Tissue labels: ``data`` (1, 1, K, J, I) int32 on ``grid``; ``names`` label → tissue."""

    data: torch.Tensor
    grid: Grid
    names: dict[int, str] = field(default_factory=dict)
    name: str = "labels"

    def __post_init__(self) -> None:
        _check_fits(self.data, self.grid, self.name)

    def name_of(self, label: int) -> str:
        """Tissue name of a label value; the number itself where no name is known."""
        return self.names.get(label, str(label))

    def present(self) -> tuple[int, ...]:
        """Label values that occur, ascending, background (0) included."""
        return tuple(int(v) for v in self.data.unique())


@dataclass(frozen=True, eq=False)
class Displacement:
    """``u_mm`` (N, D, K, J, I): RAS mm on the fixed ``grid``, pointing fixed → moving."""

    u_mm: torch.Tensor
    grid: Grid

    def __post_init__(self) -> None:
        given = tuple(self.u_mm.shape)
        if given[1:] != (self.grid.ndim, *self.grid.shape):
            raise InputError(
                f"a displacement of shape {given}", f"(N, {self.grid.ndim}, *{self.grid.shape})"
            )


@dataclass(frozen=True)
class Elasticity:
    """Relative weights (λ, μ) of one tissue: both in [0, 1], λ + μ ≤ 1."""

    lam: float
    mu: float

    def __post_init__(self) -> None:
        valid = 0 <= self.lam <= 1 and 0 <= self.mu <= 1 and self.lam + self.mu <= 1 + 1e-9
        if not valid:
            raise InputError(
                f"elasticity λ={self.lam:g}, μ={self.mu:g}",
                "λ and μ in [0, 1] with λ + μ ≤ 1",
                "choose smaller values",
            )


def _check_fits(data: torch.Tensor, grid: Grid, name: str) -> None:
    expected = (1, 1, *grid.shape)
    if tuple(data.shape) != expected:
        raise InputError(f"{name} with data of shape {tuple(data.shape)}", f"{expected}")
