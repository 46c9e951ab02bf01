"""Fields whose best (λ, μ) is known because it was put there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch

from ElasticHyperRegLib import Elasticity, Grid, Image, InputError, LabelMap
from ElasticHyperRegLib.estimation import Evidence
from ElasticHyperRegLib.field import world_points
from ElasticHyperRegLib.grid import apply_matrix
from Testing.conftest import make_oblique_grid

SHIFT_VOX = 4.0
GRID = make_oblique_grid((12, 20, 40), (1.5, 1.2, 2.0))
NAMES = {1: "left", 2: "right"}


class ZonedField:
    """Each half of the grid moves by the true shift at its best (λ, μ), by less elsewhere.

    The part of the shift that is reached falls by ``slope`` for each unit of distance on the
    simplex. Without ``tissues`` both halves obey the setting of everything.

    Args:
        best: setting of ``left`` and ``right``.
        tissues: those that it obeys.
        slope: 0 makes a field that no setting changes.
    """

    name = "zoned"

    def __init__(
        self, best: Mapping[str, Elasticity], tissues: tuple[str, ...] = (), slope: float = 1.6
    ) -> None:
        self.grid, self.best, self.tissues, self.slope = GRID, best, tissues, slope
        self.asked: list[tuple[Elasticity, dict[str, Elasticity]]] = []

    def displacement(self, default: Elasticity, tissues: Mapping[str, Elasticity]) -> torch.Tensor:
        if set(tissues) - set(self.tissues):
            raise InputError(f"λ and μ for {', '.join(tissues)}", "tissues that it knows")
        self.asked.append((default, dict(tissues)))
        values = [tissues.get(name, default) for name in NAMES.values()]
        return self._field(torch.tensor([[v.lam, v.mu] for v in values]))

    def _field(self, values: torch.Tensor) -> torch.Tensor:
        """From the (λ, μ) of left and right, (2, 2)."""
        best = torch.tensor([[self.best[n].lam, self.best[n].mu] for n in NAMES.values()])
        away = (values - best).square().sum(1).clamp_min(1e-12).sqrt()
        reached = (1 - self.slope * away).clamp_min(0) if self.slope else torch.ones(2)
        zones = zone_of(self.grid)
        part = torch.where(zones == 1, reached[0], reached[1])
        return part * torch.as_tensor(SHIFT_MM, dtype=torch.float32).view(1, 3, 1, 1, 1)


class SmoothField(ZonedField):
    """The same, with a gradient by λ and μ."""

    def predict(self, values: torch.Tensor) -> torch.Tensor:
        rows = values if self.tissues else values.expand(2, 2)
        return self._field(rows)


SHIFT_MM = GRID.ijk_to_ras[:3, 1] * SHIFT_VOX


@cache
def zone_of(grid: Grid) -> torch.Tensor:
    """1 where i is in the first half of the grid, 2 elsewhere."""
    zones = torch.ones(1, 1, *grid.shape, dtype=torch.int64)
    zones[..., grid.size[0] // 2 :] = 2
    return zones


@cache
def evidence() -> Evidence:
    """Labels, landmarks and images of two blocks, all moved by the true shift along j."""
    fixed, moving = (labels_at(offset) for offset in (0, SHIFT_VOX))
    indices = np.array([[8, 6, 5], [12, 9, 7], [28, 6, 5], [33, 9, 7.0]])
    points = np.c_[indices, np.ones(4)] @ GRID.ijk_to_ras[:3].T
    return Evidence(
        fixed=picture(fixed, 0.0),
        moving=picture(moving, SHIFT_VOX),
        fixed_labels=fixed,
        moving_labels=moving,
        fixed_points=points,
        moving_points=points + SHIFT_MM,
    )


def labels_at(offset: float) -> LabelMap:
    """A block of each tissue in its zone, ``offset`` voxels along j."""
    data = torch.zeros(1, 1, *GRID.shape, dtype=torch.int32)
    first = 4 + int(offset)
    data[..., 3:9, first : first + 7, 5:15] = 1
    data[..., 3:9, first : first + 7, 25:35] = 2
    return LabelMap(data, GRID, dict(NAMES))


def picture(labels: LabelMap, offset: float) -> Image:
    """Bright blocks with a texture that moves along."""
    x = apply_matrix(GRID.ras_to_ijk, world_points(GRID, torch.zeros(1)))
    texture = (0.9 * x[:, :1]).sin() + (0.8 * (x[:, 1:2] - offset)).sin() + (1.1 * x[:, 2:]).sin()
    return Image((100 + 50 * (labels.data > 0) + 12 * texture).float(), GRID)
