"""What is said of a live field: the whole map, its Jacobian, and its figures on the live grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..engine import AlignedPair, RegistrationRequest
from ..engine.elasticity import tissue_names
from ..field import jacobian_determinant, transform_points, warp_labels, world_points
from ..grid import apply_matrix, resample_labels
from ..metrics import dice, folds_fraction, jacobian_summary, mean_dice, tre_mm
from ..types import Displacement, Grid, LabelMap

Record = dict[str, Any]


class Measure:
    """Measures fields of one pair on ``grid``; what does not depend on the field is kept.

    Args:
        request: with the evidence: labels of both images, landmarks.
        pair: with the initial alignment.
        grid: where fields are given.
    """

    def __init__(self, request: RegistrationRequest, pair: AlignedPair, grid: Grid) -> None:
        self._request, self._grid = request, grid
        rest = torch.zeros(1, grid.ndim, *grid.shape)
        self._initial, self._linear = np.array(pair.initial), np.array(pair.initial)
        self._linear[:-1, -1] = 0
        shift = np.array(pair.initial) - np.diag([*[1.0] * grid.ndim, 0.0])
        self._shift = apply_matrix(shift, world_points(grid, rest))
        self._labels: LabelMap | None = None
        self._lost: set[str] = set()
        if request.fixed_labels is not None and request.moving_labels is not None:
            self._labels = resample_labels(request.fixed_labels, grid)
            names = tissue_names(request.fixed_labels)
            self._lost = {*names.values()} - {*tissue_names(self._labels).values()}
        self._before = self._overlap(rest)

    def whole(self, d_mm: torch.Tensor) -> tuple[Displacement, torch.Tensor]:
        """The whole map u(x) = A(x + d(x)) − x and det(I + ∇u), on the processor."""
        self._shift = self._shift.to(d_mm.device)
        u_mm = apply_matrix(self._linear, d_mm) + self._shift
        jacobian = jacobian_determinant(u_mm, self._grid)
        return Displacement(u_mm.cpu(), self._grid), jacobian.cpu()

    def regularity(self, jacobian: torch.Tensor, final: bool) -> Record:
        """Folds and volume change; of its distribution the ends alone while it is not final."""
        if final:
            summary = jacobian_summary(jacobian)
        else:
            low, high = jacobian.aminmax()
            summary = {"min": float(low), "max": float(high)}
        return {"folds_fraction": folds_fraction(jacobian), "jacobian": summary}

    def evidence(self, u_mm: torch.Tensor) -> Record:
        """Overlap and landmark error before and after; what does not apply is absent."""
        request, record, after = self._request, Record(), self._overlap(u_mm)
        if self._before and after:
            record["mean_dice"] = {"before": mean_dice(self._before), "after": mean_dice(after)}
            record["dice"] = {
                tissue: {"before": self._before[tissue], "after": value}
                for tissue, value in after.items()
                if tissue in self._before
            }
        if request.fixed_points is not None and request.moving_points is not None:
            moved = transform_points(request.fixed_points, u_mm, self._grid, self._initial)
            record["tre_mm"] = {
                "before": float(tre_mm(request.fixed_points, request.moving_points).mean()),
                "after": float(tre_mm(moved, request.moving_points).mean()),
                "n": len(request.fixed_points),
            }
        return record

    def _overlap(self, u_mm: torch.Tensor) -> dict[str, float]:
        """Dice of each tissue; empty where one of the images has no labels."""
        moving = self._request.moving_labels
        if self._labels is None or moving is None:
            return {}
        data = warp_labels(moving.data, u_mm, self._grid, moving.grid)
        found = dice(self._labels, LabelMap(data, self._grid, moving.names))
        # A fixed tissue too small for this grid cannot be met, however good the field is.
        return {name: value for name, value in found.items() if name not in self._lost}
