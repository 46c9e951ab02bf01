"""What is asked of a registration, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..names import spelled_like
from ..types import Displacement, Elasticity, Image, LabelMap
from .sliding import SlidingBorder

if TYPE_CHECKING:
    import torch

Matrix = tuple[tuple[float, ...], ...]
NONE, AUTO = "none", "auto"

DEFAULT_ELASTICITY = Elasticity(0.05, 0.15)


@dataclass(frozen=True, eq=False)
class RegistrationRequest:
    """Everything a registration depends on; equal requests give equal fields.

    Args:
        fixed: image whose grid the result lives on.
        moving: image to be warped.
        fixed_labels: tissues of the fixed image, on its grid; they carry the per-tissue (λ, μ).
        moving_labels: the same tissues in the moving image, for metrics and warped labels only.
        fixed_mask: voxels of the fixed image where similarity counts (non-zero).
        moving_mask: likewise of the moving image.
        fixed_points: landmarks (P, 3) RAS mm in the fixed image, for metrics only.
        moving_points: the same landmarks in the moving image.
        options: how to register.

    A label that has a name in one of the two label maps alone has it in the other too.
    """

    fixed: Image
    moving: Image
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None
    fixed_mask: LabelMap | None = None
    moving_mask: LabelMap | None = None
    fixed_points: np.ndarray | None = None
    moving_points: np.ndarray | None = None
    options: RegistrationOptions = field(default_factory=lambda: RegistrationOptions())

    def __post_init__(self) -> None:
        fixed, moving = self.fixed_labels, self.moving_labels
        if fixed is not None and moving is not None:
            moving = spelled_like(moving, fixed)
            object.__setattr__(self, "fixed_labels", _named_like(fixed, moving))
            object.__setattr__(self, "moving_labels", _named_like(moving, fixed))


@dataclass(frozen=True)
class RegistrationOptions:
    """How to register.

    Args:
        elasticity: (λ, μ) of every tissue not named in ``tissues``.
        tissues: (λ, μ) by tissue name; needs ``fixed_labels``.
        initial: ``none``, ``translation``, ``rigid``, ``affine``, or the rows of a matrix
            (D+1, D+1), RAS mm, fixed points → moving points.
        model: ``none`` (the solver alone), ``auto`` (a trained model where one fits), or the
            name or folder of a model.
        sliding: borders along which tissues may slide; needs ``fixed_labels``.
        refine: iterations of the exact solver on the finest level, at most, after the network
            where there is one (0: the network alone); ``None``: all of them.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: of everything random (the sampling of the initial alignment).
        similarity: ``ncc`` (local NCC, within one modality), ``mind`` (MIND-SSC, across
            modalities and contrasts; no model knows it), or ``auto``: MIND-SSC where one image is
            a CT, the other is none, and no model is named.
    """

    elasticity: Elasticity = DEFAULT_ELASTICITY
    tissues: Mapping[str, Elasticity] = field(default_factory=dict)
    initial: str | Matrix = "affine"
    model: str = AUTO
    refine: int | None = None
    device: str = "auto"
    seed: int = 0
    sliding: tuple[SlidingBorder, ...] = ()
    similarity: str = AUTO


@dataclass(frozen=True, eq=False)
class RegistrationResult:
    """What a registration found.

    Attributes:
        initial: (D+1, D+1) RAS mm, fixed points → moving points: the initial alignment alone.
        displacement: the whole map on the fixed grid, initial alignment included.
        inverse: the whole inverse map on the moving grid (moving → fixed points).
        warped: moving image on the fixed grid, in its own intensity units.
        warped_labels: moving labels on the fixed grid, where they were given.
        jacobian: det(I + ∇u) of the whole map on the fixed grid (1, 1, K, J, I).
        metrics: the content of ``metrics.json``, less what reading and writing add to it.
        stopped: why the solver stopped, or that it did not run.
    """

    request: RegistrationRequest
    initial: np.ndarray
    displacement: Displacement
    inverse: Displacement
    warped: Image
    warped_labels: LabelMap | None
    jacobian: torch.Tensor
    metrics: dict[str, Any]
    stopped: str


def _named_like(labels: LabelMap, other: LabelMap) -> LabelMap:
    """``labels`` with the names that ``other`` has for values that occur without one."""
    own = labels.names
    lent = {
        label: name
        for label, name in other.names.items()
        if label not in own and name not in own.values()
    }
    if not lent:
        return labels
    here = labels.present()
    lent = {label: name for label, name in lent.items() if label in here}
    return replace(labels, names={**own, **lent}) if lent else labels


Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction done, 0 to 1."""
