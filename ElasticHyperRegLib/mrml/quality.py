"""The quality table of a result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..field import elastic_part, inverse_map, transform_points, warp_labels, world_points
from ..grid import coarser, resample_labels
from ..metrics import (
    dice,
    folds_fraction,
    hd95_mm,
    inverse_consistency_mm,
    jacobian_by_tissue,
    tre_mm,
)
from ..session.answer import Answer
from ..types import Grid, LabelMap
from .inputs import PairInputs


@dataclass(frozen=True)
class TissueQuality:
    """One row; what does not apply is ``None``.

    Attributes:
        name: of the tissue.
        dice: (before, after).
        hd95_mm: (before, after).
        volume_change: mean of J − 1 inside the tissue: 0.1 is ten per cent larger in the moving
            image.
        folds_fraction: of the tissue's voxels.
        strain: mean equivalent (von Mises) strain √(2/3 e:e) of the elastic part: how much the
            tissue's shape is changed.
        stress: 3 μ times that, the mean von Mises stress, relative to the highest of all tissues.
        residual: mean |div σ| inside the tissue, in the unit of μ per mm: the force by which the
            images hold it. ``None`` where the tissue is nowhere five voxels thick.
        residual_relative: RMS of div σ by RMS of ∇σ: 0 in elastic equilibrium, about 1 where the
            images alone hold the tissue in its shape.
    """

    name: str
    dice: tuple[float, float] | None
    hd95_mm: tuple[float, float] | None
    volume_change: float
    folds_fraction: float
    strain: float
    stress: float
    residual: float | None
    residual_relative: float | None


@dataclass(frozen=True)
class Quality:
    """The table and what holds for the whole map, measured on the grid of the live answers.

    Attributes:
        number: of the setting that was measured.
        tissues: one row a tissue, background excluded.
        folds_fraction: of all voxels.
        inverse_consistency_mm: ``mean``, ``p95``, ``max``; empty where nothing overlaps.
        tre_mm: ``before``, ``after``, ``n`` where there are landmarks; else empty.
    """

    number: int
    tissues: tuple[TissueQuality, ...]
    folds_fraction: float
    inverse_consistency_mm: dict[str, float]
    tre_mm: dict[str, float]


class Measure:
    """Measures results of one pair; safe to use in the background.

    Args:
        inputs: the pair.
        session: of the pair, whose answers are measured.
    """

    def __init__(self, inputs: PairInputs, session: Any) -> None:
        self.inputs, self.session = inputs, session
        self.grid: Grid = session.grid

    @cached_property
    def _labels(self) -> LabelMap | None:
        labels = self.inputs.labels
        if labels is None:
            return None
        return resample_labels(labels, self.grid, fill=0.0)

    @cached_property
    def _moving_grid(self) -> Grid:
        """Moving grid about as fine as ``grid``: the inverse of a fine one takes seconds."""
        moving = self.inputs.moving.grid
        spacing = np.maximum(moving.spacing, np.mean(self.grid.spacing))
        return coarser(moving, tuple(spacing))

    @cached_property
    def _before(self) -> tuple[dict[str, float], dict[str, float]]:
        return self._overlap(torch.zeros(1, 3, *self.grid.shape))

    def __call__(self, answer: Answer) -> Quality:
        """The table of one answer, on the grid."""
        u_mm = answer.displacement.u_mm.detach().cpu()
        jacobian = answer.jacobian.detach().cpu()
        initial = self.session.initial
        d_mm = elastic_part(u_mm, world_points(self.grid, u_mm), initial)
        w_mm = inverse_map(d_mm, self.grid, initial, self._moving_grid)
        return Quality(
            answer.number,
            self._rows(answer, u_mm, jacobian),
            folds_fraction(jacobian),
            inverse_consistency_mm(u_mm, w_mm, self.grid, self._moving_grid),
            self._landmarks(u_mm),
        )

    def _rows(
        self, answer: Answer, u_mm: torch.Tensor, jacobian: torch.Tensor
    ) -> tuple[TissueQuality, ...]:
        if self._labels is None:
            return ()
        (dice_0, hd95_0), (dice_1, hd95_1) = self._before, self._overlap(u_mm)
        folds = jacobian_by_tissue(jacobian, self._labels)
        mean = mean_by_tissue(jacobian, self._labels)
        read = self.session.readouts(answer).tissues
        highest = max((read[name]["von_mises_stress"] for name in folds), default=0.0) or 1.0
        return tuple(
            TissueQuality(
                name,
                _both(dice_0, dice_1, name),
                _both(hd95_0, hd95_1, name),
                mean[name] - 1,
                folds[name]["folds_fraction"],
                read[name]["von_mises_strain"],
                read[name]["von_mises_stress"] / highest,
                read[name].get("equilibrium_residual"),
                read[name].get("equilibrium_residual_relative"),
            )
            for name in folds
        )

    def _overlap(self, u_mm: torch.Tensor) -> tuple[dict[str, float], dict[str, float]]:
        moving = self.inputs.moving_labels
        if moving is None or self._labels is None:
            return {}, {}
        data = warp_labels(moving.data, u_mm, self.grid, moving.grid)
        warped = LabelMap(data, self.grid, moving.names, "warped labels")
        return dice(self._labels, warped), hd95_mm(self._labels, warped)

    def _landmarks(self, u_mm: torch.Tensor) -> dict[str, float]:
        fixed, moving = self.inputs.fixed_points, self.inputs.moving_points
        if fixed is None or moving is None:
            return {}
        moved = transform_points(fixed, u_mm, self.grid, self.session.initial)
        return {
            "before": float(tre_mm(fixed, moving).mean()),
            "after": float(tre_mm(moved, moving).mean()),
            "n": len(fixed),
        }


def mean_by_tissue(values: torch.Tensor, labels: LabelMap) -> dict[str, float]:
    """Mean inside each tissue, by its name; of J: its volume in the moving image over that here."""
    parts = {v: values[labels.data == v].double() for v in labels.present() if v}
    names = dict.fromkeys(labels.name_of(v) for v in parts)
    return {
        name: float(torch.cat([x for v, x in parts.items() if labels.name_of(v) == name]).mean())
        for name in names
    }


def _both(
    before: dict[str, float], after: dict[str, float], name: str
) -> tuple[float, float] | None:
    return (before[name], after[name]) if name in before and name in after else None
