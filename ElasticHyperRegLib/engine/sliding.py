"""Borders along which tissues may slide: a band of low resistance to shear, and what it did.

An organ that glides (lung in the chest wall, liver under the abdominal wall) shears what lies
between it and its surroundings by far more than either tissue allows. In a band about the border
Γ falls towards ``shear`` times its value, while Λ, the resistance to a change of volume, stays:
the two sides part along the border, not across it. Soft surroundings would follow everywhere,
stiff ones would be dragged along; the band does neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InputError
from ..field import displacement_gradient
from ..grid import gaussian_smooth, lengths
from ..types import Grid, LabelMap
from .distance import signed_distance_mm

OTHERS = "rest"
"""As the second side of a border: everything that is not the first."""


@dataclass(frozen=True)
class SlidingBorder:
    """The border between two tissues.

    Args:
        one: tissue on one side.
        other: tissue on the other side, or ``OTHERS``.
        width_mm: of the band, half of it on either side; half as wide a one left more of the
            surroundings of a breathing liver dragged along (`benchmarks/sliding.py`).
        shear: what is left of μ on the border itself, 0 to 1.

    Raises:
        InputError: a width or a factor out of range, or the same tissue twice.
    """

    one: str
    other: str = OTHERS
    width_mm: float = 20.0
    shear: float = 0.05

    def __post_init__(self) -> None:
        if self.one == self.other:
            raise InputError(f"a border between {self.one} and {self.other}", "two tissues")
        if not (0 < self.width_mm < math.inf and 0 <= self.shear <= 1):
            raise InputError(
                f"a sliding band of {self.width_mm:g} mm with {self.shear:g} of the shear weight",
                "a width above 0 mm and a factor from 0 to 1",
            )

    @property
    def name(self) -> str:
        """As it stands in the metrics."""
        return f"{self.one}|{self.other}"


def bands(
    labels: LabelMap, names: Mapping[int, str], borders: Sequence[SlidingBorder]
) -> torch.Tensor:
    """What is left of Γ, 0 to 1, (1, 1, *shape); the softest border counts where they meet.

    Args:
        labels: of the fixed image.
        names: label → tissue of all labels present.
        borders: that may slide.

    Raises:
        InputError: a border of a tissue that is not there.
    """
    factor = torch.ones_like(labels.data, dtype=torch.float32)
    for border in borders:
        inside = _closeness(*_sides(labels, names, border), labels.grid, border.width_mm)
        factor = torch.minimum(factor, 1 - (1 - border.shear) * inside)
    return factor


def shear_at(
    d_mm: torch.Tensor, labels: LabelMap, names: Mapping[int, str], border: SlidingBorder
) -> dict[str, float]:
    """How far the sides slid past each other.

    With n the normal of the border, ∇d n − (n·∇d n) n is the change of the tangential
    displacement per mm along n; its length is the shear.

    Args:
        d_mm: (1, D, *shape) RAS mm on the grid of ``labels``: the elastic part, as the rotation
            of an alignment would pass for shear.

    Returns:
        ``shear_mean``, ``shear_p95`` (mm per mm) over the band's inner half, where it is widest
        open, and ``slip_mm``: the mean shear of the whole band times its width.
    """
    one, other = _sides(labels, names, border)
    grid = labels.grid
    closeness = _closeness(one, other, grid, border.width_mm)[0, 0]
    normal = _normal(one, grid)
    along = torch.einsum("nab...,nb...->na...", displacement_gradient(d_mm, grid), normal)
    tangential = along - (along * normal).sum(1, keepdim=True) * normal
    shear = lengths(tangential)[0].double().numpy()
    inner, band = (shear[(closeness > least).numpy()] for least in (0.5, 0.0))
    if inner.size == 0:
        return {}
    return {
        "shear_mean": float(inner.mean()),
        "shear_p95": float(np.percentile(inner, 95)),
        "slip_mm": float(band.mean() * border.width_mm),
    }


def check_sides(labels: LabelMap, names: Mapping[int, str], border: SlidingBorder) -> None:
    """Refuse a border of a tissue that is not there.

    Raises:
        InputError: one of its sides is no tissue of ``labels``.
    """
    _sides(labels, names, border)


def _sides(
    labels: LabelMap, names: Mapping[int, str], border: SlidingBorder
) -> tuple[torch.Tensor, torch.Tensor]:
    """Voxels (1, 1, *shape), bool, of both sides."""
    one = _voxels_of(border.one, labels, names)
    other = ~one if border.other == OTHERS else _voxels_of(border.other, labels, names)
    return one, other


def _voxels_of(tissue: str, labels: LabelMap, names: Mapping[int, str]) -> torch.Tensor:
    own = [label for label, name in names.items() if name == tissue]
    if not own:
        raise InputError(
            f"a sliding border of {tissue}",
            f"tissues of {labels.name}: {', '.join(sorted(set(names.values())))}",
            "correct the name",
        )
    return torch.isin(labels.data, torch.tensor(own, dtype=labels.data.dtype))


def _closeness(one: torch.Tensor, other: torch.Tensor, grid: Grid, width_mm: float) -> torch.Tensor:
    """1 on the border, falling to 0 at half the width on either side: (1, 1, *shape).

    The border lies where both sides are near, so the distance to it is that to the farther side;
    half a voxel less, as it runs between voxel centres: half of what one measures across it.
    """
    distance = torch.maximum(_distance_mm(one, grid), _distance_mm(other, grid))
    steps = _normal(one, grid) / distance.new_tensor(grid.spacing).view(1, -1, *[1] * grid.ndim)
    across = lengths(steps)[:, None].clamp_min(1 / max(grid.spacing))
    distance = (distance - 0.5 / across).clamp_min(0)
    return (1 - distance / (width_mm / 2)).clamp(0, 1)


def _distance_mm(mask: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Distance to the nearest voxel of ``mask``, 0 inside: (1, 1, *shape)."""
    return signed_distance_mm(mask, grid).clamp_min(0)


def _normal(one: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Unit normals of the surfaces about ``one``, along i, j, k: (1, D, *shape).

    Of a smoothed distance: that to a slanted border of thick slices is a staircase, whose treads
    hide much of what glides along it. Half a slice is enough, and keeps close surfaces apart.
    """
    distance = signed_distance_mm(one, grid)
    distance = gaussian_smooth(distance, tuple(max(grid.spacing) / s / 2 for s in grid.spacing))
    dims = [distance.ndim - 1 - axis for axis in range(grid.ndim)]
    parts = [
        torch.gradient(distance, spacing=grid.spacing[axis], dim=dim)[0]
        if distance.shape[dim] > 1
        else torch.zeros_like(distance)
        for axis, dim in enumerate(dims)
    ]
    gradient = torch.cat(parts, dim=1)
    return gradient / lengths(gradient)[:, None].clamp_min(1e-6)
