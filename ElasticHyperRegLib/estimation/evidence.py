"""What a choice of λ and μ may rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..engine.request import AUTO, RegistrationRequest
from ..engine.similarity import similarity_of
from ..errors import InputError
from ..metrics import check_common_tissue
from ..types import Image, LabelMap
from .options import possible_objectives

Part = TypeVar("Part")

NEEDS: dict[str, tuple[str, ...]] = {
    "dice": ("fixed_labels", "moving_labels"),
    "soft-dice": ("fixed_labels", "moving_labels"),
    "tre": ("fixed_points", "moving_points"),
    "similarity": ("fixed", "moving"),
    "folds": (),
}


SMOOTH = {"dice": "soft-dice"}
"""Objective without a gradient → the one that tells the same and has one."""


def usual_objective(request: RegistrationRequest, method: str = "grid") -> str:
    """Labels tell most about tissues, then landmarks, then the images alone.

    For the method ``gradient`` one that has a gradient.
    """
    labels = request.fixed_labels is not None and request.moving_labels is not None
    points = request.fixed_points is not None and request.moving_points is not None
    best = possible_objectives(labels, points)[0]
    return SMOOTH.get(best, best) if method == "gradient" else best


@dataclass(frozen=True, eq=False)
class Evidence:
    """Images, labels and landmarks of one pair, each where it lies; none is required.

    Args:
        fixed: image, for the objective ``similarity``.
        moving: image likewise.
        fixed_labels: tissues of the fixed image: by them overlap is scored, landmarks, similarity
            and folds are told apart by tissue.
        moving_labels: the same tissues in the moving image.
        fixed_mask: voxels of the fixed image where similarity counts.
        moving_mask: likewise of the moving image.
        fixed_points: landmarks (P, D) RAS mm.
        moving_points: the same landmarks in the moving image.
        initial: A, (D+1, D+1) RAS mm, fixed → moving points: φ(x) = A(x + d(x)); the identity
            where it is missing.
        similarity: what likeness is measured by, as for ``RegistrationOptions``.
    """

    fixed: Image | None = None
    moving: Image | None = None
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None
    fixed_mask: LabelMap | None = None
    moving_mask: LabelMap | None = None
    fixed_points: np.ndarray | None = None
    moving_points: np.ndarray | None = None
    initial: np.ndarray | None = None
    similarity: str = AUTO

    @classmethod
    def of(cls, request: RegistrationRequest, initial: np.ndarray | None = None) -> Evidence:
        """Everything that a request holds, under the initial alignment that was found for it."""
        return cls(
            request.fixed,
            request.moving,
            request.fixed_labels,
            request.moving_labels,
            request.fixed_mask,
            request.moving_mask,
            request.fixed_points,
            request.moving_points,
            initial,
            similarity_of(request),
        )

    def check(self, weights: Mapping[str, float]) -> None:
        """Refuse objectives that this evidence does not allow.

        Raises:
            InputError: labels, landmarks or images are missing.
        """
        for objective in weights:
            missing = [name for name in NEEDS[objective] if getattr(self, name) is None]
            if missing:
                needed = " and ".join(name.replace("_", " ") for name in NEEDS[objective])
                raise InputError(
                    f"the objective {objective} without {missing[0].replace('_', ' ')}",
                    needed,
                    "give them, or use the objective similarity, which needs the images alone",
                )
        if self.fixed_labels and self.moving_labels and {"dice", "soft-dice"} & set(weights):
            check_common_tissue(self.fixed_labels, self.moving_labels)
        if "tre" in weights:
            counts = [len(np.asarray(p)) for p in (self.fixed_points, self.moving_points)]
            if counts[0] != counts[1] or not counts[0]:
                raise InputError(
                    f"{counts[0]} fixed and {counts[1]} moving landmarks",
                    "the same points in both, in the same order",
                )


def given(part: Part | None, name: str) -> Part:
    """A part of the evidence that has to be there.

    Raises:
        InputError: it is not.
    """
    if part is None:
        raise InputError(f"no {name}", f"{name} to estimate by")
    return part
