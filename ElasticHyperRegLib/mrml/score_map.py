"""The heat map of an estimate, for shells to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .colors import eight_bits, score_rgb
from .settings import Color

if TYPE_CHECKING:
    from ..estimation.surface import Surface

EQUAL = 0.5
"""Part of the colours for scores that do not differ."""


@dataclass(frozen=True)
class Cell:
    """A square of the map: its middle, and its colour."""

    lam: float
    mu: float
    color: Color


@dataclass(frozen=True)
class HeatMap:
    """Scores over the triangle λ + μ ≤ 1.

    Attributes:
        low: the lowest score, in the first colour of ``score_rgb``.
        high: the highest score, in the last.
        side: of every cell; the cells lie side by side.
        cells: in the colour of the setting tried that lies nearest.
    """

    low: float
    high: float
    side: float
    cells: tuple[Cell, ...]


def heat_map(surface: Surface, steps: int) -> HeatMap:
    """Map of a response surface with so many cells along each axis."""
    low, high = min(surface.scores), max(surface.scores)
    scores = np.array(surface.scores)
    parts = (scores - low) / (high - low) if high > low else np.full(len(scores), EQUAL)
    colors = [eight_bits(rgb) for rgb in score_rgb(parts)]
    middles = (np.argwhere(np.tri(steps)[::-1]) + 0.5) / steps
    tried = np.array([(setting.lam, setting.mu) for setting in surface.settings])
    nearest = ((middles[:, None] - tried) ** 2).sum(2).argmin(1)
    cells = (
        Cell(lam, mu, colors[index])
        for (lam, mu), index in zip(middles.tolist(), nearest.tolist(), strict=True)
    )
    return HeatMap(low, high, 1 / steps, tuple(cells))
