"""What a session is given besides the two images, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..engine.request import AUTO, DEFAULT_ELASTICITY, Matrix
from ..engine.sliding import SlidingBorder
from ..types import Displacement, Elasticity, LabelMap

if TYPE_CHECKING:
    import torch

Stage = Literal["preview", "network", "refined"]
"""How an answer came about: extrapolated from derivatives, by a network, by the solver."""


@dataclass(frozen=True, eq=False)
class SessionInputs:
    """What may be known about a pair besides its images; meanings as in ``RegistrationRequest``.

    Args:
        moving_labels: tissues of the moving image, for metrics and ``estimate``.
        fixed_mask: fixed voxels where similarity counts.
        moving_mask: likewise of the moving image.
        fixed_points: landmarks (P, D) RAS mm in the fixed image, for metrics and ``estimate``.
        moving_points: the same landmarks in the moving image.
        initial: ``none``, ``translation``, ``rigid``, ``affine``, or the rows of a matrix.
        seed: of the initial alignment's sampling.
        refine: iterations of the exact solver at full resolution in ``register``, and live after
            a network, at most, and from four on as many again with finer images; ``None`` leaves
            that to it.
        elasticity: (λ, μ) of every tissue for which none is given.
        sliding: borders along which tissues may slide.
        similarity: ``ncc``, ``mind`` or ``auto``.
    """

    moving_labels: LabelMap | None = None
    fixed_mask: LabelMap | None = None
    moving_mask: LabelMap | None = None
    fixed_points: np.ndarray | None = None
    moving_points: np.ndarray | None = None
    initial: str | Matrix = "affine"
    seed: int = 0
    refine: int | None = None
    elasticity: Elasticity = DEFAULT_ELASTICITY
    sliding: tuple[SlidingBorder, ...] = ()
    similarity: str = AUTO


@dataclass(frozen=True, eq=False)
class Answer:
    """One field on its way to the answer of one request, better than those before it.

    Attributes:
        number: of the request, as ``Session.submit`` gave it.
        elasticity: tissue → (λ, μ) that it belongs to, ``everywhere`` where tissues do not differ.
        stage: ``preview``, ``network`` or ``refined``.
        displacement: the whole map, initial alignment included, on ``Session.grid``.
        jacobian: det(I + ∇u) of the whole map, (1, 1, *grid.shape).
        metrics: ``folds_fraction``, ``jacobian`` (``min`` and ``max``; of a final answer all of
            ``jacobian_summary``), ``elasticity``, ``model``, ``device``; of a final answer also
            ``dice``, ``mean_dice`` and ``tre_mm`` where there is evidence, each with ``before``
            and ``after``, measured on ``Session.grid``.
        final: nothing better will follow for this number.
        seconds: from ``Session.submit`` to this answer.
    """

    number: int
    elasticity: Mapping[str, Elasticity]
    stage: Stage
    displacement: Displacement
    jacobian: torch.Tensor
    metrics: dict[str, Any]
    final: bool
    seconds: float
