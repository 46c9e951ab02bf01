"""What a model does to the validation pairs at fixed settings, and what that is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ElasticHyperRegLib.field import (
    jacobian_determinant,
    transform_points,
    warp_labels,
    warp_voxels,
)
from ElasticHyperRegLib.metrics import dice, mean_dice, tre_mm
from ElasticHyperRegLib.networks import Flow, RegistrationNetwork
from ElasticHyperRegLib.types import Grid, LabelMap

from .batches import Batch, collate
from .conditioning import condition, predict
from .data.pair import PairSample, PairSource
from .loss import Measure, masks_of, objective

FOLDS_WEIGHT = 20.0
"""Folds are charged to the score: a hundredth of the voxels folded costs 0.2 of Dice."""


@dataclass(frozen=True)
class Score:
    """Means over the validation pairs at one setting.

    Attributes:
        setting: (λ, μ) or (α,).
        objective: what the papers minimise.
        dice: mean over labels and over the pairs that show any; NaN where none does.
        folds: fraction of voxels where the displacement's det(I + ∇u) ≤ 0.
        tre_mm: mean over the pairs with landmarks of their mean error; NaN where none has any.
    """

    setting: tuple[float, ...]
    objective: float
    dice: float
    folds: float
    tre_mm: float = float("nan")

    @property
    def worth(self) -> float:
        """What the kept weights are chosen by: higher is better."""
        gain = -self.objective if np.isnan(self.dice) else self.dice
        return gain - FOLDS_WEIGHT * self.folds


def validate(
    model: RegistrationNetwork,
    source: PairSource,
    settings: tuple[tuple[float, ...], ...],
    window: int,
) -> list[Score]:
    """Every pair at every setting, the same for all tissues."""
    about = Measure(model.spec, source.spacing, window)
    device = next(model.parameters()).device
    rows: list[list[tuple[float, float, float, float]]] = [[] for _ in settings]
    for sample in _samples(source):
        pair = collate([sample]).to(device)
        for row, setting in zip(rows, settings, strict=True):
            u_vox = register_pair(model, pair, everywhere(setting)).displacement
            row.append(_measured(sample, pair, u_vox, setting, about))
    return [_score(setting, row) for setting, row in zip(settings, rows, strict=True)]


def _score(setting: tuple[float, ...], row: Sequence[tuple[float, float, float, float]]) -> Score:
    objective, overlap, folds, tre_mm = (list(column) for column in zip(*row, strict=True))
    return Score(
        setting,
        float(np.mean(objective)),
        _mean_of_known(overlap),
        float(np.mean(folds)),
        _mean_of_known(tre_mm),
    )


def _mean_of_known(values: Sequence[float]) -> float:
    """A pair that shows no tissue has no Dice, and one without landmarks no error."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def everywhere(setting: tuple[float, ...]) -> torch.Tensor:
    """Values (1, 1, H) of a setting that all tissues share."""
    return torch.tensor([[setting]])


def register_pair(model: RegistrationNetwork, pair: Batch, values: torch.Tensor) -> Flow:
    """All pairs of a batch at the same ``values`` (1, T, H); T is 1 for all tissues alike."""
    values = values.to(pair.fixed).expand(len(pair.fixed), -1, -1)
    with torch.inference_mode():
        return predict(model, pair, condition(model.spec, values, pair.fixed_labels))


def _samples(source: PairSource) -> Iterator[PairSample]:
    for index in range(len(source)):
        yield source.sample(index, np.random.default_rng(index))


def _measured(
    sample: PairSample,
    pair: Batch,
    u_vox: torch.Tensor,
    setting: tuple[float, ...],
    about: Measure,
) -> tuple[float, float, float, float]:
    """Objective, mean Dice, folds and landmark error of one pair, ``sample`` as a batch."""
    grid = Grid.from_spacing(tuple(pair.fixed.shape[2:]), about.spacing)
    u_mm = u_vox * u_vox.new_tensor(about.spacing).view(1, -1, *[1] * grid.ndim)
    chosen = condition(about.spec, everywhere(setting).to(u_vox), None)
    warped = warp_voxels(pair.moving, u_vox)
    found = objective(pair.fixed, warped, u_mm, chosen, about, masks_of(pair, u_vox)).total
    folds = (jacobian_determinant(u_mm, grid) <= 0).float().mean()
    return float(found), _mean_dice(pair, u_mm, grid), float(folds), _tre_mm(sample, u_mm, grid)


def _mean_dice(pair: Batch, u_mm: torch.Tensor, grid: Grid) -> float:
    if pair.fixed_labels is None or pair.moving_labels is None:
        return float("nan")
    warped = warp_labels(pair.moving_labels, u_mm, grid, grid)
    scores = dice(LabelMap(pair.fixed_labels, grid), LabelMap(warped, grid))
    return mean_dice(scores) if scores else float("nan")


def _tre_mm(sample: PairSample, u_mm: torch.Tensor, grid: Grid) -> float:
    """Mean landmark error of one pair in mm."""
    if sample.fixed_points is None or sample.moving_points is None:
        return float("nan")
    points, truth = (p.numpy() * grid.spacing for p in (sample.fixed_points, sample.moving_points))
    return float(tre_mm(transform_points(points, u_mm, grid), truth).mean())
