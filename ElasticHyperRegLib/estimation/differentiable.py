"""A field whose λ and μ have a gradient, and the way up along it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch

from ..engine.field_model import FieldModel
from ..errors import InputError
from ..types import Elasticity

if TYPE_CHECKING:
    from .options import EstimateOptions

RATE = 0.3
INSIDE = 0.01
"""The ascent begins at least so far inside the simplex: on its border the gradient vanishes."""


class DifferentiableField(FieldModel, Protocol):
    """A ``FieldModel`` that also answers numbers with a gradient: a frozen network, the solver."""

    def predict(self, values: torch.Tensor) -> torch.Tensor:
        """As ``displacement``, differentiable in ``values``.

        Args:
            values: (T, 2), λ and μ of each of ``tissues``, or (1, 2) where there are none.

        Returns:
            d, (1, D, *grid.shape) RAS mm.
        """


def require_gradient(field: FieldModel, options: EstimateOptions) -> None:
    """Refuse the method ``gradient`` where the field has none.

    Raises:
        InputError: it has no ``predict``.
    """
    if options.method == "gradient" and not hasattr(field, "predict"):
        raise InputError(
            f"the method gradient with {field.name}, whose field has no derivatives by λ and μ",
            "a field that has",
            "use the method grid or coarse-to-fine",
        )


def ascend(
    start: list[Elasticity],
    score: Callable[[torch.Tensor], torch.Tensor],
    iterations: int,
    device: torch.device,
) -> None:
    """Climb from ``start``; ``score`` sees every point of the way, the start first.

    Adam on three logits a tissue whose softmax is (λ, μ, 1 − λ − μ), so that the path stays on the
    simplex by itself.

    Args:
        start: (λ, μ) of each of T tissues.
        score: (T, 2) → the number to be raised, differentiable.
        iterations: points of the path.
        device: where the numbers live.

    Reference: Kingma and Ba, Adam, ICLR 2015.
    """
    parts = torch.tensor([[s.lam, s.mu, 1 - s.lam - s.mu] for s in start], device=device)
    logits = parts.clamp_min(INSIDE).log().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=RATE)
    for _ in range(iterations):
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = -score(logits.softmax(1)[:, :2])
            loss.backward()
        optimizer.step()
