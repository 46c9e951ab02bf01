"""The loss of a batch: the papers' objective at each pair's own setting, made equally loud."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from ElasticHyperRegLib.energies import diffusion_density, domain_mean, elastic_density
from ElasticHyperRegLib.field import warp_voxels
from ElasticHyperRegLib.networks import ModelSpec
from ElasticHyperRegLib.similarity import LocalNCC

from .batches import Batch
from .conditioning import Conditioning

LOUDNESS = 0.05


class Measure(NamedTuple):
    """How an objective is measured.

    Attributes:
        spec: the model.
        spacing: mm along i, j, k.
        window: side of the NCC box, voxels.
        coarser: boxes of further comparisons, each at half the resolution of the one before and
            with half its weight (CSAIN, eq. 3).
        shrink: voxels along each axis that the finest comparison takes together.
    """

    spec: ModelSpec
    spacing: tuple[float, ...]
    window: int
    coarser: tuple[int, ...] = ()
    shrink: int = 1

    def level(self, windows: tuple[int, ...], number: int) -> Measure:
        """For training the ``number`` coarsest levels of a pyramid with these windows alone."""
        finest, *rest = reversed(windows[:number])
        return self._replace(
            window=finest, coarser=tuple(rest), shrink=2 ** (len(windows) - number)
        )


class Masks(NamedTuple):
    """Where images are compared, (N, 1, *shape) on the fixed grid; ``None`` for everywhere.

    Attributes:
        fixed: the fixed images' own.
        moving: the moving images', as seen through the field.
    """

    fixed: torch.Tensor | None = None
    moving: torch.Tensor | None = None


class Objective(NamedTuple):
    """Per pair, (N,): (1 − Λ − Γ)·(1 − cc²), mean over the mask, and W, mean over the domain."""

    similarity: torch.Tensor
    energy: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """What the papers minimise, (N,)."""
        return self.similarity + self.energy


def objective(
    fixed: torch.Tensor,
    warped: torch.Tensor,
    u_mm: torch.Tensor,
    setting: Conditioning,
    about: Measure,
    masks: Masks = Masks(),  # noqa: B008, it is immutable
) -> Objective:
    """(1 − Λ − Γ)·NCC + W, or (1 − α)·NCC + α‖∇u‖², of the *displacement*, in float32.

    Args:
        fixed: (N, 1, *shape).
        warped: the moving images on the fixed grid, likewise.
        u_mm: (N, D, *shape) mm along the index axes.
        setting: of each pair.
        about: spacing, window and energy.
        masks: where the images are compared, as in the solver.
    """
    total, shares = fixed.new_zeros(len(fixed)), 0.0
    for number, window in enumerate((about.window, *about.coarser)):
        factor, share = about.shrink * 2**number, 0.5**number
        mask = None if masks.fixed is None else _pooled(masks.fixed, factor)
        ncc = LocalNCC(_pooled(fixed, factor), window, mask)
        weight = _pooled(setting.weight, factor)
        apart = (1 - ncc.map(_pooled(warped, factor))) * weight
        landed = None if masks.moving is None else _pooled(masks.moving, factor)
        total = total + share * ncc.landed_mean(apart, weight, landed)
        shares += share
    density = energy_density(u_mm, about.spacing, setting, about.spec)
    return Objective(total / shares, domain_mean(density))


def _pooled(data: torch.Tensor, factor: int) -> torch.Tensor:
    """Means of blocks of ``factor`` voxels a side; what is one number for all stays it."""
    if factor == 1 or max(data.shape[2:]) == 1:
        return data
    pool = functional.avg_pool2d if data.ndim == 4 else functional.avg_pool3d
    return pool(data.float(), factor)


def energy_density(
    u_mm: torch.Tensor, spacing: tuple[float, ...], setting: Conditioning, spec: ModelSpec
) -> torch.Tensor:
    """W of the model's regulariser at each voxel, (N, *shape)."""

    def spread(value: torch.Tensor) -> torch.Tensor:
        return value.expand(-1, 1, *u_mm.shape[2:])

    if spec.fixed_elasticity is not None:
        lam, mu = spec.fixed_elasticity
        return elastic_density(u_mm, spacing, lam * spread(setting.lam), mu * spread(setting.lam))
    if setting.mu is None:
        return diffusion_density(u_mm, spacing, spread(setting.lam))
    return elastic_density(u_mm, spacing, spread(setting.lam), spread(setting.mu))


def masks_of(batch: Batch, u_vox: torch.Tensor) -> Masks:
    """Where a batch is compared under a field (N, D, *shape); the moving masks end at the grid."""
    if batch.moving_mask is None:
        return Masks(batch.fixed_mask)
    mask = batch.moving_mask.to(u_vox.dtype)
    return Masks(batch.fixed_mask, warp_voxels(mask, u_vox.detach(), "nearest", 0.0))


def equally_loud(values: torch.Tensor, setting: Conditioning) -> torch.Tensor:
    """Objectives (N,) divided by the mean of 1 − Λ − Γ + 0.05, then averaged.

    Near λ+μ = 1 the objective is small whatever the field; undivided, training would only hear
    the settings of weak regularisation.
    """
    weight = setting.weight.flatten(1).mean(1)
    return (values / (weight + LOUDNESS)).mean()


def squared_distance(u_mm: torch.Tensor, truth_mm: torch.Tensor) -> torch.Tensor:
    """Mean of |u − u*|², mm²; both (N, D, *shape)."""
    return (u_mm - truth_mm).square().sum(1).mean()


def soft_dice_loss(
    fixed_labels: torch.Tensor, moving_labels: torch.Tensor, u_vox: torch.Tensor
) -> torch.Tensor:
    """1 − mean soft Dice of the classes above 0, the moving ones warped linearly.

    Of each pair those that one of its maps shows; pairs without any count nothing.
    """
    shown = torch.cat([fixed_labels, moving_labels], 1)
    total = u_vox.new_zeros(len(u_vox))
    classes = u_vox.new_zeros(len(u_vox))
    for label in (n for n in shown.unique().tolist() if n > 0):
        there = (shown == label).flatten(1).any(1)
        fixed = (fixed_labels == label).float()
        warped = warp_voxels((moving_labels == label).float(), u_vox)
        overlap = 2 * (fixed * warped).flatten(1).sum(1)
        size = (fixed + warped).flatten(1).sum(1)
        total = total + there * (1 - overlap / size.clamp_min(1))
        classes = classes + there
    return (total / classes.clamp_min(1)).sum() / (classes > 0).sum().clamp_min(1)
