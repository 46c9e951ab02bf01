"""The objective on one level of the pyramid, as a function of the field on its grid."""

from __future__ import annotations

from copy import copy
from typing import TypeVar

import numpy as np
import torch

from ..energies import Coefficient, domain_mean, elastic_density
from ..grid import (
    apply_matrix,
    coarser,
    constant,
    resample,
    resize,
    sample_fractions,
    voxel_points,
)
from ..similarity import described, likeness
from ..similarity.likeness import LEAST_LANDED
from ..types import Grid
from .problem import Problem

Counting = TypeVar("Counting", bound="Objective")
Boxed = TypeVar("Boxed", float, torch.Tensor, Coefficient)


class Objective:
    """E(u) = mean((1 − Λ − Γ)·D) + mean(W(u)) at one resolution, one value a pair.

    D is 1 − cc², or that of MIND-SSC (``Likeness``). The first mean is over what of the fixed mask
    lands in the moving image and its mask, the second over all.

    Args:
        problem: what is to be solved.
        image_grid: where the images are compared.
        field_grid: where u lives, over the same extent, as coarse or coarser.
        window: side of the NCC box in voxels of ``image_grid``.
        boxed: look only at the box about what of the fixed mask is there, which alone counts:
            the same E for less.
    """

    def __init__(
        self,
        problem: Problem,
        image_grid: Grid,
        field_grid: Grid,
        window: int,
        boxed: bool = False,
    ) -> None:
        self.field_grid = field_grid
        self.lam = _coefficient(problem.lam, problem.fixed_grid, field_grid)
        self.mu = _coefficient(problem.mu, problem.fixed_grid, field_grid)
        lam_image = _coefficient(problem.lam, problem.fixed_grid, image_grid)
        mu_image = _coefficient(problem.mu, problem.fixed_grid, image_grid)
        fixed = resample(problem.fixed, problem.fixed_grid, image_grid)
        moving_grid = matching_grid(problem.moving_grid, image_grid)
        moving = resample(problem.moving, problem.moving_grid, moving_grid)
        self.moving_mask = _mask(problem.moving_mask, problem.moving_grid, moving_grid)
        fixed_mask = _mask(problem.fixed_mask, problem.fixed_grid, image_grid)
        self._whole = image_grid.shape
        self._box = _box(fixed_mask if boxed else None, self._whole)
        self.weight = self.boxed(1 - lam_image - mu_image)
        fixed = self.boxed(described(problem.similarity, fixed, image_grid.spacing))
        fixed_mask = None if fixed_mask is None else self.boxed(fixed_mask)
        initial = np.eye(image_grid.ndim + 1) if problem.initial is None else problem.initial
        world = _unit_cube(moving_grid) @ moving_grid.ras_to_ijk @ initial
        self._shape = tuple(fixed.shape[2:])
        points = _points(self._box, fixed)
        self._base = apply_matrix(world @ image_grid.ijk_to_ras, points).movedim(1, -1)
        linear = (world @ field_grid.ijk_to_ras)[: image_grid.ndim, : image_grid.ndim]
        self._linear = constant(linear, fixed)
        self.likeness = likeness(problem.similarity, fixed, window, fixed_mask)
        self._counted: torch.Tensor | None = None
        self.moving = described(problem.similarity, moving, moving_grid.spacing)

    def boxed(self, data: Boxed) -> Boxed:
        """What of ``data``, a number or (N, C, *image_grid.shape), is looked at."""
        if not isinstance(data, torch.Tensor):
            return data
        return data[(slice(None), slice(None), *self._box)].contiguous()

    def _positions(self, u_vox: torch.Tensor) -> torch.Tensor:
        """Where A(x + u(x)) lies in the moving image, (N, *shape, D), −1 to 1 across it."""
        moved = torch.einsum("ab,nb...->na...", self._linear, u_vox)
        return resize(moved, self._whole, self._box).movedim(1, -1).add_(self._base)

    def _sample(self, data: torch.Tensor, positions: torch.Tensor, mode: str) -> torch.Tensor:
        """Images continue their border outside, as boxes look that far; a mask ends there."""
        data = data.expand(positions.shape[0], *data.shape[1:])
        padding = "zeros" if mode == "nearest" else "border"
        return sample_fractions(data, positions, mode, padding)

    def _landed(self, positions: torch.Tensor) -> torch.Tensor:
        """1 at what lands in the moving image and in its mask, else 0: (N, 1, *shape)."""
        positions = positions.detach()
        if self.moving_mask is not None:
            return self._sample(self.moving_mask, positions, "nearest")
        return (positions.abs() <= 1).all(-1)[:, None].to(positions.dtype)

    def counting_from(self: Counting, *fields: torch.Tensor) -> Counting:
        """The same, where what lands in the moving image under all ``fields`` counts for any other.

        That is a function without jumps, and nothing is gained by carrying off what differs.
        Boxes of NCC look at nothing else then.
        """
        landed = torch.stack([self._landed(self._positions(u.detach())) for u in fields]).amin(0)
        fresh = copy(self)
        fresh._counted = landed
        share = self.likeness.mean(landed)
        if bool((share >= LEAST_LANDED).all()) and bool((share < 1).any()):
            fresh.likeness = self.likeness.within(landed)
        return fresh

    def dissimilarity(self, u_vox: torch.Tensor) -> torch.Tensor:
        """(1 − Λ − Γ)·D at each voxel that is looked at, (N, 1, *shape).

        What lands outside of the moving image or its mask is like nothing: D = 1.
        """
        apart, landed = self.compared(u_vox)
        return apart * landed + (1 - landed) * self.weight

    def similarity(self, u_vox: torch.Tensor) -> torch.Tensor:
        """The data term, (N,)."""
        apart, landed = self.compared(u_vox)
        return self.likeness.landed_mean(apart, self.weight, landed)

    def compared(self, u_vox: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(1 − Λ − Γ)·D wherever a voxel lands, and 1 where that is in what the moving image shows.

        (N, 1, *shape) each; the second, else 0, has no gradient.
        """
        positions = self._positions(u_vox)
        apart = 1 - self.likeness.map(self._sample(self.moving, positions, "bilinear"))
        landed = self._landed(positions) if self._counted is None else self._counted
        return apart * self.weight, landed

    def energy(self, u_vox: torch.Tensor) -> torch.Tensor:
        """The elastic term, (N,)."""
        spacing = self.field_grid.spacing
        scale = constant(spacing, u_vox).view(1, -1, *([1] * (u_vox.ndim - 2)))
        return domain_mean(elastic_density(u_vox * scale, spacing, self.lam, self.mu))

    def __call__(self, u_vox: torch.Tensor) -> torch.Tensor:
        """E(u), (N,); ``u_vox`` (N, D, *field_grid.shape) in voxels of the field's grid."""
        return self.similarity(u_vox) + self.energy(u_vox)


def _coefficient(value: Coefficient, grid: Grid, level: Grid) -> Coefficient:
    return resample(value, grid, level) if isinstance(value, torch.Tensor) else value


def _box(mask: torch.Tensor | None, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """From the first to the last voxel of a mask along each axis.

    Everything without a mask, or where it is empty.
    """
    whole = tuple(slice(0, length) for length in shape)
    if mask is None or not bool(mask.any()):
        return whole
    counted = (mask > 0).flatten(0, 1).any(0)
    box = []
    for axis in range(len(shape)):
        others = [other for other in range(len(shape)) if other != axis]
        places = counted.amax(others).nonzero()
        box.append(slice(int(places.min()), int(places.max()) + 1))
    return tuple(box)


def _points(box: tuple[slice, ...], like: torch.Tensor) -> torch.Tensor:
    """Voxel indices of the voxels of a box, (1, D, *its shape), channels i, j, k."""
    first = like.new_tensor([side.start for side in reversed(box)])
    points = voxel_points(tuple(side.stop - side.start for side in box), like)
    return points.add_(first.view(1, -1, *[1] * len(box)))


def _mask(mask: torch.Tensor | None, grid: Grid, level: Grid) -> torch.Tensor | None:
    return None if mask is None else resample(mask.float(), grid, level)


def matching_grid(moving: Grid, image_grid: Grid) -> Grid:
    """The moving image's grid, made as coarse as ``image_grid`` where that is coarser."""
    axes = np.abs(moving.direction.T @ image_grid.direction)
    wanted = axes @ np.asarray(image_grid.spacing) / axes.sum(axis=1)
    return coarser(moving, tuple(np.maximum(wanted, moving.spacing)))


def _unit_cube(grid: Grid) -> np.ndarray:
    """(D+1, D+1): voxel indices → −1 to 1 from face to face, as ``grid_sample`` counts."""
    matrix = np.eye(grid.ndim + 1)
    for axis, length in enumerate(grid.size):
        matrix[axis, axis] = 2 / length
        matrix[axis, -1] = 1 / length - 1
    return matrix
