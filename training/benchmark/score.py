"""What fields make of the labels of a table's pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ElasticHyperRegLib.engine import RegistrationRequest
from ElasticHyperRegLib.field import jacobian_determinant, warp_labels
from ElasticHyperRegLib.metrics import dice, folds_fraction, hd95_mm, mask_hd95_mm, mean_dice
from ElasticHyperRegLib.types import LabelMap


@dataclass(frozen=True)
class Row:
    """One line of a table, means over its pairs.

    Attributes:
        model: as it was asked for.
        pairs: how many.
        class_dice: tissue → Dice, over the pairs that show it in either map; absent from one of
            them is 0.
        mean_dice: over the pairs that show any tissue, of the mean over a pair's tissues.
        mean_dice_sd: standard deviation over the pairs.
        hd95_mm: over pairs, of the mean over the tissues that both maps show; NaN where there is
            none.
        folds_fraction: voxels with det(I + ∇u) ≤ 0 of the displacement.
        seconds_per_pair: of the registration alone; of the choice of λ and μ nothing.
        parameters: how λ and μ were chosen.
        by_scored_labels: whether the labels that are scored here chose them.
        labels_in_training: whether the model's loss saw labels beside the images.
        velocity_folds_fraction: folds of the velocity, as the published code counts.
        mask_hd95_mm: as ``hd95_mm``, over all voxels of a tissue, which the published figures fit.
    """

    model: str
    pairs: int
    class_dice: Mapping[str, float]
    mean_dice: float
    mean_dice_sd: float
    hd95_mm: float
    folds_fraction: float
    seconds_per_pair: float
    parameters: str
    by_scored_labels: bool = False
    labels_in_training: bool = False
    velocity_folds_fraction: float | None = None
    mask_hd95_mm: float | None = None


@dataclass(frozen=True, eq=False)
class Fields:
    """What was found for every pair.

    Attributes:
        u_mm: (N, D, *shape) RAS mm, fixed → moving.
        seconds: a pair.
        velocity_mm: (N, D, *shape), where there is one.
    """

    u_mm: torch.Tensor
    seconds: float
    velocity_mm: torch.Tensor | None = None


def score(cases: Sequence[RegistrationRequest], fields: Fields, model: str, parameters: str) -> Row:
    """The row of ``fields``, which belong to ``cases`` in order."""
    overlaps, distances, of_masks = [], [], []
    for case, u_mm in zip(cases, fields.u_mm.split(1), strict=True):
        grid, moving = case.fixed.grid, case.moving_labels
        if case.fixed_labels is None or moving is None:
            continue
        warped = LabelMap(warp_labels(moving.data, u_mm, grid, moving.grid), grid, moving.names)
        overlaps.append(dice(case.fixed_labels, warped))
        distances.append(list(hd95_mm(case.fixed_labels, warped).values()))
        of_masks.append(list(mask_hd95_mm(case.fixed_labels, warped).values()))
    tissues = dict.fromkeys(name for overlap in overlaps for name in overlap)
    means = [mean_dice(overlap) for overlap in overlaps if overlap]
    velocity = fields.velocity_mm
    return Row(
        model=model,
        pairs=len(cases),
        class_dice={t: _mean([o[t] for o in overlaps if t in o]) for t in tissues},
        mean_dice=_mean(means),
        mean_dice_sd=float(np.std(means)) if means else float("nan"),
        hd95_mm=_mean([_mean(found) for found in distances if found]),
        mask_hd95_mm=_mean([_mean(found) for found in of_masks if found]),
        folds_fraction=_folds(cases, fields.u_mm),
        seconds_per_pair=fields.seconds,
        parameters=parameters,
        velocity_folds_fraction=None if velocity is None else _folds(cases, velocity),
    )


def _folds(cases: Sequence[RegistrationRequest], u_mm: torch.Tensor) -> float:
    found = [
        folds_fraction(jacobian_determinant(u, case.fixed.grid))
        for case, u in zip(cases, u_mm.split(1), strict=True)
    ]
    return _mean(found)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
