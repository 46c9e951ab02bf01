"""The objectives: what makes one field better than another; higher is better.

A term is given the elastic part d, (1, D, *grid.shape) RAS mm, and returns (1 + tissues,) scores:
of the whole, then of each of ``Place.names``, ``nan`` for a tissue without evidence of its own.
All of them are differentiable in d but ``HardDice``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import nan

import numpy as np
import torch

from ..engine import RegistrationOptions, RegistrationRequest
from ..engine.prepare import prepare, problem_of
from ..field import jacobian_determinant, mm_to_vox, with_initial
from ..grid import apply_matrix, coarser, precise, resample, sample
from ..solver.objective import Objective
from ..types import Grid, LabelMap
from .evidence import given
from .place import Landing, Place, nearest

FOLD_PENALTY = 10.0
"""One percent of folds weighs as much as a tenth of the correlation."""
FOLD_WIDTH = 0.02
"""Softness of the step from fold to no fold, in units of det(I + ∇d)."""
WINDOW = 9
"""Side of the NCC box in voxels of the field's grid."""


class Term(ABC):
    """One objective at one ``Place``."""

    tolerance: float
    """Scores that differ by less say the same."""
    cautious = False
    """Whether a setting nearer to the start of the search is taken that lacks the tolerance.

    For an objective that weak regularisation always raises: it tells which settings follow the
    images far enough, and not which of these is right (discrepancy principle; Morozov, 1966).
    """

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Scores (1 + tissues,)."""

    @abstractmethod
    def statement(self) -> str:
        """What was compared, and what can therefore no longer be judged."""

    def share(self, tissue: str) -> float:
        """What part of the whole score is a tissue's: one in their number, in a mean over them.

        The background has no score of its own, and is taken for one of them.
        """
        return 1 / max(1, len(self.place.names))

    def _only_whole(self, value: torch.Tensor) -> torch.Tensor:
        return torch.cat([value.view(1), value.new_full((len(self.place.names),), nan)])


class HardDice(Term):
    """Dice of every tissue under nearest-neighbour warping.

    The numbers of ``metrics.dice``, counted on the device of the field and for one pass of it.
    """

    tolerance = 0.01

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        labels = given(place.evidence.moving_labels, "moving labels")
        self._landing = Landing(place, labels.grid)
        self._data = labels.data.to(place.device)
        self._kinds = len(place.names) + 1
        self._fixed = place.numbers.flatten() * self._kinds

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Mean Dice of the tissues, then that of each."""
        warped = self.place.moving_numbers(nearest(self._data, self._landing(d_mm))).flatten()
        table = (self._fixed + warped).bincount(minlength=self._kinds**2)
        table = table.view(self._kinds, self._kinds)  # fixed by warped
        by_tissue = (2 * table.diagonal() / (table.sum(0) + table.sum(1)))[1:].float()
        return torch.cat([by_tissue.mean().view(1), by_tissue])

    def statement(self) -> str:
        """The labels are used up."""
        return (
            f"Dice of {', '.join(self.place.names)}: chosen on the very labels that it would be "
            "scored on; judge it by other labels or by landmarks"
        )


class SoftDice(Term):
    """Mean of 2 Σ f w / (Σ f² + Σ w²) over the tissues, f and w their share of each voxel.

    Reference: Milletari et al., V-Net, 3DV 2016.
    """

    tolerance = 0.01

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        labels = given(place.evidence.fixed_labels, "fixed labels")
        moving = given(place.evidence.moving_labels, "moving labels")
        spacing = np.maximum(moving.grid.spacing, min(place.grid.spacing))
        self._grid = coarser(moving.grid, tuple(spacing))
        self._landing = Landing(place, self._grid)
        self._fixed = self._shares(labels, place.grid)
        self._moving = self._shares(moving, self._grid)

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """One score for all tissues together."""
        warped = sample(self._moving, self._landing(d_mm), fill=0.0)
        f, w = self._fixed.flatten(2), warped.flatten(2)
        both = f.square().sum(2) + w.square().sum(2)
        return self._only_whole((2 * (f * w).sum(2) / both).mean())

    def statement(self) -> str:
        """The labels are used up."""
        return (
            f"soft Dice of {', '.join(self.place.names)} together: chosen on the very labels that "
            "it would be scored on; judge it by other labels or by landmarks"
        )

    def _shares(self, labels: LabelMap, grid: Grid) -> torch.Tensor:
        """Share of each tissue in each voxel of ``grid``, (1, tissues, *grid.shape)."""
        numbers = self.place.numbered(labels)
        shares = [
            resample((numbers == number).float(), labels.grid, grid)
            for number in range(1, len(self.place.names) + 1)
        ]
        return torch.cat(shares, dim=1).to(self.place.device)


class Landmarks(Term):
    """Minus the mean distance of the landmarks in mm."""

    tolerance = 0.1

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        evidence = place.evidence
        self._points = _channels(given(evidence.fixed_points, "fixed landmarks"), place)
        self._truth = _channels(given(evidence.moving_points, "moving landmarks"), place)
        self._voxels = apply_matrix(place.grid.ras_to_ijk, self._points).float()
        self._owners = nearest(place.numbers, self._voxels).flatten()

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Minus the mean distance, of all landmarks and of those in each tissue."""
        moved = sample(d_mm, self._voxels).to(precise(d_mm.device))
        there = self._points + with_initial(moved, self._points, self.place.initial)
        distances = (there - self._truth).square().sum(1).clamp_min(1e-12).sqrt().flatten().float()
        return torch.stack([-distances.mean(), *self._by_tissue(-distances)])

    def share(self, tissue: str) -> float:
        """Landmarks in it, of all; one in the number of tissues where it has none."""
        return self.place.share(tissue, self._owners) or super().share(tissue)

    def _by_tissue(self, values: torch.Tensor) -> list[torch.Tensor]:
        owned = [self._owners == 1 + number for number in range(len(self.place.names))]
        return [values[here].mean() if here.any() else values.new_tensor(nan) for here in owned]

    def statement(self) -> str:
        """The landmarks are used up."""
        return (
            f"error of {self._truth.shape[2]} landmarks: chosen on the very landmarks that it "
            "would be scored on; judge it by others or by labels"
        )


class Folds(Term):
    """Minus the fraction of folds, with the step at det(I + ∇d) = 0 made soft."""

    tolerance = 0.001

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Minus the fraction, of everything and by tissue."""
        jacobian = jacobian_determinant(d_mm, self.place.grid)
        return -self.place.by_tissue((-jacobian / FOLD_WIDTH).sigmoid())

    def share(self, tissue: str) -> float:
        """Voxels of it, of all."""
        return self.place.share(tissue, self.place.numbers)

    def statement(self) -> str:
        """Nothing is used up."""
        return "folds of the field, which use up no evidence"


class Similarity(Term):
    """Mean likeness of the images, less ``FOLD_PENALTY`` times the fraction of folds."""

    tolerance = 0.02
    cautious = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        evidence = place.evidence
        request = RegistrationRequest(
            given(evidence.fixed, "fixed image"),
            given(evidence.moving, "moving image"),
            fixed_mask=evidence.fixed_mask,
            moving_mask=evidence.moving_mask,
            options=RegistrationOptions(similarity=evidence.similarity),
        )
        problem = problem_of(prepare(request), (0.0, 0.0), place.initial, place.device)
        self._objective = Objective(problem, place.grid, place.grid, WINDOW)
        compared = self._objective.likeness
        self._counts = ~place.by_tissue(compared.fixed[:, :1], compared.mask).isnan()
        self._folds = Folds(place)

    def __call__(self, d_mm: torch.Tensor) -> torch.Tensor:
        """Likeness less folds, of everything that counts and by tissue."""
        apart, landed = self._objective.compared(mm_to_vox(d_mm, self.place.grid))
        mask = self._objective.likeness.mask
        likeness = 1 - self.place.by_tissue(apart, landed if mask is None else landed * mask)
        # What lands nowhere in the moving image is like nothing.
        likeness = torch.where(self._counts, likeness.nan_to_num(0.0), nan)
        return likeness + FOLD_PENALTY * self._folds(d_mm)

    def share(self, tissue: str) -> float:
        """Voxels of it that count, of all that do."""
        mask = self._objective.likeness.mask
        counted = self.place.numbers if mask is None else self.place.numbers[mask > 0]
        return self.place.share(tissue, counted)

    def statement(self) -> str:
        """No labels are used up."""
        return (
            "likeness of the images less folds, which uses up no label and no landmark; it favours "
            f"weak regularisation, so by itself a gain of {self.tolerance:g} or less moves nothing"
        )


TERMS: dict[str, type[Term]] = {
    "dice": HardDice,
    "soft-dice": SoftDice,
    "tre": Landmarks,
    "similarity": Similarity,
    "folds": Folds,
}


def _channels(points: np.ndarray, place: Place) -> torch.Tensor:
    """(P, D) → (1, D, P, 1, …) on the device, with as many axes as a volume."""
    found = torch.as_tensor(np.asarray(points), dtype=precise(place.device), device=place.device)
    return found.T.reshape(1, place.grid.ndim, -1, *[1] * (place.grid.ndim - 1))
