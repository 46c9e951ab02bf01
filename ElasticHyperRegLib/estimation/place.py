"""Where scores are taken: the voxels of the field's grid, seen from the moving image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan

import numpy as np
import torch

from ..grid import apply_matrix, precise, resample_labels, voxel_points
from ..types import Grid, LabelMap
from .evidence import Evidence

SMALLEST_WEIGHT = 1e-6


@dataclass(frozen=True, eq=False)
class Place:
    """The field's grid, the evidence about it and the device of the field.

    Args:
        grid: of the field.
        evidence: what is known about the pair.
        device: where the field is computed, and so the scores.
    """

    grid: Grid
    evidence: Evidence
    device: torch.device

    @cached_property
    def initial(self) -> np.ndarray:
        """A, (D+1, D+1) RAS mm."""
        given = self.evidence.initial
        return np.eye(self.grid.ndim + 1) if given is None else np.asarray(given, np.float64)

    @cached_property
    def _values(self) -> torch.Tensor:
        """Fixed label of each voxel of the grid, (1, 1, *grid.shape); 0 without labels."""
        labels = self.evidence.fixed_labels
        if labels is None:
            return torch.zeros(1, 1, *self.grid.shape, dtype=torch.int64, device=self.device)
        return resample_labels(labels, self.grid).data.long().to(self.device)

    @cached_property
    def _present(self) -> tuple[int, ...]:
        return tuple(int(value) for value in self._values.unique() if value != 0)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Tissues (label ≠ 0) of the fixed labels that the field's grid shows, by label value."""
        fixed = self.evidence.fixed_labels
        return tuple(dict.fromkeys(self._name(label, fixed) for label in self._present))

    @cached_property
    def numbers(self) -> torch.Tensor:
        """Number of each voxel's tissue, (1, 1, *grid.shape): 1 + its place in ``names``, or 0."""
        return self._numbered(self._values, self.evidence.fixed_labels)

    @cached_property
    def voxels(self) -> dict[str, int]:
        """How many voxels of the grid each tissue has."""
        counts = self.numbers.flatten().bincount(minlength=len(self.names) + 1)
        return dict(zip(self.names, counts[1:].tolist(), strict=True))

    def share(self, tissue: str, numbers: torch.Tensor) -> float:
        """How many of ``numbers`` (see there) are a tissue's; of another name, the background's."""
        own = 1 + self.names.index(tissue) if tissue in self.names else 0
        return float((numbers == own).float().mean()) if numbers.numel() else 0.0

    def _table(self, own: LabelMap | None) -> dict[int, int]:
        """Value in ``own`` → number of its tissue, in ascending order."""
        maps = (self.evidence.fixed_labels, self.evidence.moving_labels)
        named = [label for labels in maps if labels is not None for label in labels.names]
        names = {label: self._name(label, own) for label in sorted({*self._present, *named} - {0})}
        return {
            label: 1 + self.names.index(name) for label, name in names.items() if name in self.names
        }

    def moving_numbers(self, values: torch.Tensor) -> torch.Tensor:
        """Label values of the moving image → numbers of tissues; 0 what the fixed does not show."""
        return self._numbered(values, self.evidence.moving_labels)

    def numbered(self, labels: LabelMap) -> torch.Tensor:
        """Numbers of the tissues of either image's own label map, on its grid."""
        return self._numbered(labels.data, labels)

    def _numbered(self, values: torch.Tensor, own: LabelMap | None) -> torch.Tensor:
        table = self._table(own)
        values = values.long()
        if not table:
            return torch.zeros_like(values)
        # Looked up, not indexed: the labels of an atlas run to hundreds of millions.
        known, numbers = (
            torch.tensor(list(row), device=values.device) for row in (table, table.values())
        )
        place = torch.searchsorted(known, values).clamp_max(len(known) - 1)
        return torch.where(known[place] == values, numbers[place], 0)

    def by_tissue(self, values: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
        """Weighted means of ``values`` (1, 1, *grid.shape): over everything, then by tissue.

        Returns:
            (1 + len(names),); ``nan`` where there is no weight.
        """
        exact = values.to(precise(values.device))  # in float32 a sum of millions stands still
        counted = torch.ones_like(exact) if weight is None else weight.to(exact)
        both = torch.stack([(exact * counted).flatten(), counted.flatten()])
        parts = exact.new_zeros(2, len(self.names) + 1)
        parts = parts.index_add(1, self.numbers.flatten(), both)
        total, weights = torch.cat([parts.sum(1, keepdim=True), parts[:, 1:]], dim=1)
        means = total / weights.clamp_min(SMALLEST_WEIGHT)
        return torch.where(weights > SMALLEST_WEIGHT, means, nan).to(values)

    def _name(self, label: int, own: LabelMap | None) -> str:
        """Name of a value in ``own``; where that has none, in the other map."""
        maps = (own, self.evidence.fixed_labels, self.evidence.moving_labels)
        known = (m.names[label] for m in maps if m is not None and label in m.names)
        return next(known, str(label))


class Landing:
    """Where the voxels of the field's grid land in ``moving`` under φ(x) = A(x + d(x))."""

    def __init__(self, place: Place, moving: Grid) -> None:
        to_voxel = moving.ras_to_ijk @ place.initial
        like = torch.zeros((), device=place.device)
        voxels = voxel_points(place.grid.shape, like)
        self._base = apply_matrix(to_voxel @ place.grid.ijk_to_ras, voxels)
        self._linear = to_voxel.copy()
        self._linear[:-1, -1] = 0

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Voxels of ``moving``, (1, D, *grid.shape), from d of the same shape in RAS mm."""
        return self._base + apply_matrix(self._linear, d_mm)


def nearest(data: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Values of ``data`` (1, 1, *shape) at the voxels nearest to ``positions``, 0 outside.

    For label maps of any type and size: nothing but the voxels asked for is touched.

    Args:
        positions: (1, D, ...) in voxels, channels i, j, k.

    Returns:
        (1, 1, ...), of the type of ``data``.
    """
    flat = torch.zeros((), dtype=torch.int32, device=positions.device)
    inside = torch.ones((), dtype=torch.bool, device=positions.device)
    for axis, length in enumerate(data.shape[2:], start=1):  # k, j, i
        index = positions[0, -axis].round().to(torch.int32)
        kept = index.clamp(0, length - 1)
        inside = inside & (index == kept)
        flat = flat * length + kept
    values = data.flatten().index_select(0, flat.flatten()).view(flat.shape)
    return torch.where(inside, values, 0)[None, None]
