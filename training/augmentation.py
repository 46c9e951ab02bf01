"""Varied pairs: one patient seen in more ways than was scanned; a function of the given draws."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError
from ElasticHyperRegLib.grid import sample, voxel_points

if TYPE_CHECKING:
    from .batches import Batch


@dataclass(frozen=True)
class AugmentationConfig:
    """How far the pairs of a batch are varied, each by itself; 0 leaves them as they are.

    Both images of a pair are turned and stretched alike, about the middle of the grid, so that
    the motion between them stays one that anatomy can make.

    Args:
        swap: probability that fixed and moving change places.
        turn: largest angle, degrees; in 3D about a random axis.
        stretch: largest relative change of the place looked at along each axis: s shows things
            1/(1 ± s) times as large.
        gamma: largest |ln γ| of x ↦ x^γ, the same in both images; intensities from 0 to 1.
    """

    swap: float = 0.0
    turn: float = 0.0
    stretch: float = 0.0
    gamma: float = 0.0

    def __post_init__(self) -> None:
        given = [getattr(self, item.name) for item in fields(self)]
        if min(given) < 0 or self.swap > 1 or self.stretch >= 1 or self.turn > 180:
            raise InputError(
                f"{self}", "0 or more; swap at most 1, stretch below 1, turn at most 180°"
            )


def augment(
    batch: Batch, spacing: tuple[float, ...], config: AugmentationConfig, rng: np.random.Generator
) -> Batch:
    """The batch varied by draws from ``rng``, of which none is made where all is 0.

    Args:
        spacing: mm along i, j, k.

    Raises:
        InputError: pairs with a known displacement, or with labels on one side alone, are to be
            swapped: one would need inverting, the other would lose its side.
    """
    if config.swap:
        batch = _swapped(batch, rng.random(len(batch.fixed)) < config.swap)
    if config.turn or config.stretch:
        batch = _moved(batch, spacing, config, rng)
    if config.gamma:
        power = np.exp(rng.uniform(-config.gamma, config.gamma, len(batch.fixed)))
        exponent = batch.fixed.new_tensor(power).view(-1, *[1] * (batch.fixed.ndim - 1))
        batch = replace(
            batch,
            fixed=batch.fixed.clamp(0, 1) ** exponent,
            moving=batch.moving.clamp(0, 1) ** exponent,
        )
    return batch


def check_swap(batch: Batch) -> None:
    """Refuse pairs that cannot change places, as ``augment`` does."""
    if batch.displacement is not None:
        raise InputError(
            "pairs whose displacement is known, to be swapped", "swap = 0 for synthetic pairs"
        )
    if (batch.fixed_labels is None) != (batch.moving_labels is None):
        raise InputError("pairs with labels on one side alone, to be swapped", "swap = 0 for them")


def _swapped(batch: Batch, chosen: np.ndarray) -> Batch:
    check_swap(batch)
    where = torch.from_numpy(chosen).view(-1, *[1] * (batch.fixed.ndim - 1))
    everywhere = torch.ones_like(batch.fixed, dtype=torch.bool)

    def exchanged(
        a: torch.Tensor | None, b: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        if a is None and b is None:
            return None, None
        a = everywhere if a is None else a  # only masks come alone
        b = everywhere if b is None else b
        return torch.where(where, b, a), torch.where(where, a, b)

    fixed, moving = exchanged(batch.fixed, batch.moving)
    assert fixed is not None and moving is not None  # images are never missing
    fixed_labels, moving_labels = exchanged(batch.fixed_labels, batch.moving_labels)
    fixed_mask, moving_mask = exchanged(batch.fixed_mask, batch.moving_mask)
    return replace(
        batch,
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
    )


def _moved(
    batch: Batch, spacing: tuple[float, ...], config: AugmentationConfig, rng: np.random.Generator
) -> Batch:
    """I′(x) = I(A x) and u′(x) = A⁻¹ u(A x), x in mm from the middle, A drawn for each pair."""
    shape = tuple(batch.fixed.shape[2:])
    scale = np.array(spacing)
    in_mm = [_matrix(len(shape), config, rng) for _ in range(len(batch.fixed))]
    in_vox = np.stack([a * scale[None] / scale[:, None] for a in in_mm])
    matrix = batch.fixed.new_tensor(in_vox)
    middle = batch.fixed.new_tensor([(n - 1) / 2 for n in reversed(shape)])
    middle = middle.view(1, -1, *[1] * len(shape))
    offset = voxel_points(shape, batch.fixed) - middle
    points = torch.einsum("nab,mb...->na...", matrix, offset) + middle

    def seen(data: torch.Tensor | None, fill: float | None = None) -> torch.Tensor | None:
        if data is None:
            return None
        return sample(data.float(), points, mode="nearest", fill=fill).to(data.dtype)

    u_vox = batch.displacement
    if u_vox is not None:
        back = torch.linalg.inv(matrix)
        u_vox = torch.einsum("nab,nb...->na...", back, sample(u_vox, points))
    return replace(
        batch,
        fixed=sample(batch.fixed, points),
        moving=sample(batch.moving, points),
        fixed_labels=seen(batch.fixed_labels),
        moving_labels=seen(batch.moving_labels),
        displacement=u_vox,
        fixed_mask=seen(batch.fixed_mask, 0.0),  # beyond the border nothing was scanned
        moving_mask=seen(batch.moving_mask, 0.0),
    )


def _matrix(ndim: int, config: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
    """Rotation times stretch, (D, D)."""
    angle = np.radians(rng.uniform(-config.turn, config.turn))
    axis = rng.normal(size=3) if ndim == 3 else np.array([0.0, 0.0, 1.0])
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    size = 1 + rng.uniform(-config.stretch, config.stretch, ndim)
    return turned[:ndim, :ndim] * size[None]
