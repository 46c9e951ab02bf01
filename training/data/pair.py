"""What a network is trained on: pairs of images, and sources of such pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ElasticHyperRegLib.errors import InputError

SPLITS = ("train", "val", "test")
SPACING_TOLERANCE = 0.01
Window = tuple[float, float] | None
"""Lowest and highest intensity that a model sees, as 0 and 1; ``None``: each image's own."""


@dataclass(frozen=True, eq=False)
class PairSample:
    """One pair on one grid; ``shape`` is (k, j, i) or (j, i).

    Attributes:
        fixed: (1, *shape) float32, intensities of order 1.
        moving: likewise.
        fixed_labels: (1, *shape) int64; None where there are none.
        moving_labels: likewise.
        displacement: (D, *shape) float32 voxels, channels i, j, k, fixed → moving: the truth,
            where it is known (synthetic pairs).
        patient: who it was made of; pairs of one patient must stay in one split.
        fixed_mask: (1, *shape) bool, where the images are compared; None for everywhere.
        moving_mask: likewise.
        fixed_points: landmarks (P, D) float32 voxels i, j, k; None where there are none.
        moving_points: the same places, row by row.
    """

    fixed: torch.Tensor
    moving: torch.Tensor
    fixed_labels: torch.Tensor | None
    moving_labels: torch.Tensor | None
    displacement: torch.Tensor | None
    patient: str
    fixed_mask: torch.Tensor | None = None
    moving_mask: torch.Tensor | None = None
    fixed_points: torch.Tensor | None = None
    moving_points: torch.Tensor | None = None


class PairSource(Protocol):
    """A sequence of pairs that all have one shape and one spacing."""

    @property
    def spacing(self) -> tuple[float, ...]:
        """Mm along i, j, k."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along (k, j, i) or (j, i)."""

    @property
    def label_names(self) -> dict[int, str]:
        """Label value from 0 up, none left out → tissue; empty where there are no labels."""

    @property
    def patients(self) -> tuple[str, ...]:
        """Everyone the pairs are made of, each once."""

    def __len__(self) -> int:
        """Number of pairs; of an endless source, the pairs of one epoch."""

    def sample(self, index: int, rng: np.random.Generator) -> PairSample:
        """Pair ``index``; whatever is random in it is drawn from ``rng`` and nothing else.

        Raises:
            IndexError: no such pair.
        """


def same_spacing(a: PairSource, b: PairSource) -> bool:
    """Whether the pairs of both are as finely sampled."""
    near = len(a.spacing) == len(b.spacing)
    return near and np.allclose(a.spacing, b.spacing, rtol=SPACING_TOLERANCE)


def lattice_text(source: PairSource) -> str:
    """Size and spacing of its pairs, for people."""
    size = "×".join(str(n) for n in source.shape[::-1])
    return f"{size} voxels of {'×'.join(f'{s:.3g}' for s in source.spacing)} mm"


def refuse_shared_patients(splits: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse a patient that stands in two splits.

    Args:
        splits: name of a split → its patients (``PairSource.patients``).

    Raises:
        InputError: somebody stands in two.
    """
    homes: dict[str, str] = {}
    for split, patients in splits.items():
        for patient in patients:
            other = homes.setdefault(patient, split)
            if other != split:
                raise InputError(
                    f"{patient} stands in {other} and in {split}",
                    "each patient in one split",
                    "take it out of one of them",
                )
