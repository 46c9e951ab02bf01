"""What a sensitivity overlay may show: the spread of the displacement, or of the volume change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # a shell that names spreads needs no torch
    import torch

    from ..estimation import Sensitivity

OFF = "off"
SHOWN = 99.9
"""Per cent of the voxels that the colours tell apart: the few above would leave the rest pale."""
LEAST = 1e-3
"""Of the last colour: what rounding alone makes is shown as nothing."""


@dataclass(frozen=True)
class Spread:
    """A standard deviation of the deformation over plausible settings.

    Attributes:
        key: in ``Sensitivity`` and its ``means``.
        unit: of the values; empty for none.
        decimals: of a figure.
    """

    key: str
    unit: str
    decimals: int

    def values(self, found: Sensitivity) -> torch.Tensor:
        """(1, 1, *grid.shape)."""
        return getattr(found, self.key)

    def most(self, found: Sensitivity) -> float:
        """What the last colour stands for, and all above."""
        return max(float(np.percentile(self.values(found).cpu().numpy(), SHOWN)), LEAST)

    def text(self, value: float) -> str:
        """A figure with its unit."""
        return f"{value:.{self.decimals}f} {self.unit}".rstrip()


SPREADS = {
    "displacement": Spread("displacement_sd_mm", "mm", 2),
    "volume": Spread("jacobian_sd", "", 3),
}
