"""How a score changes with λ and μ when the field is a minimum: the implicit function theorem.

At a minimum u of E(u; p) the slope ∇E is 0 whatever p is, so that du/dp = −H⁻¹ ∂ₚ∇E with the
Hessian H. A score s(u) then has ds/dp = −⟨w, ∂ₚ∇E⟩ where H w = ∇s, one linear system for all
parameters together. Near the minimum, where the live solver stops, it holds about so. See Domke,
Generic Methods for Optimization-Based Modeling, AISTATS 2012.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..solver.lbfgs import dot

PROBE_VOX = 0.1
"""Length of the differences that stand for second derivatives: a linearly interpolated image has
none but at its voxels' edges, and a step has to reach over some of them."""
ITERATIONS = 10
ENOUGH = 0.05
"""Part of the residual that may be left of the linear system."""


@dataclass(frozen=True, eq=False)
class Minimised:
    """What is known about E where it was minimised.

    Attributes:
        slope: u (1, D, *shape) in voxels → ∇E, likewise.
        share: u → ∂E/∂p, of the shape of p.
        metric: g → about H⁻¹ g, symmetric and positive.
    """

    slope: Callable[[torch.Tensor], torch.Tensor]
    share: Callable[[torch.Tensor], torch.Tensor]
    metric: Callable[[torch.Tensor], torch.Tensor]

    def pulled_back(self, u_vox: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """ds/dp for g = ∇s at the minimum ``u_vox``."""
        w, length = _probe(self._solved(u_vox, g))
        if length == 0:
            return torch.zeros_like(self.share(u_vox))
        return -(self.share(u_vox + w) - self.share(u_vox - w)) * (length / 2)

    def _solved(self, u_vox: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """w with H w = g, by conjugate gradients; as far as they come where H bends down.

        Reference: Nocedal and Wright, Numerical Optimization, algorithms 5.3 and 7.1.
        """
        here = self.slope(u_vox)
        w, residual = torch.zeros_like(g), g
        direction = better = self.metric(residual)
        size = first = float(dot(residual, better))
        for _ in range(ITERATIONS):
            probe, length = _probe(direction)
            if length == 0:
                return w
            curved = (self.slope(u_vox + probe) - here) * length
            bend = float(dot(direction, curved))
            if bend <= 0:
                return w if w.any() else direction
            step = size / bend
            w, residual = w + step * direction, residual - step * curved
            better = self.metric(residual)
            before, size = size, float(dot(residual, better))
            if size <= ENOUGH**2 * first:
                return w
            direction = better + (size / before) * direction
        return w


class _Solution(torch.autograd.Function):
    """p → the minimum, with the derivative of the theorem."""

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        solve: Callable[[torch.Tensor], tuple[torch.Tensor, Minimised]],
    ) -> torch.Tensor:
        u_vox, ctx.about = solve(values)
        ctx.save_for_backward(u_vox)
        return u_vox

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (u_vox,) = ctx.saved_tensors
        return ctx.about.pulled_back(u_vox, grads[0]), None


def solution(
    values: torch.Tensor, solve: Callable[[torch.Tensor], tuple[torch.Tensor, Minimised]]
) -> torch.Tensor:
    """The minimum for ``values``, differentiable in them.

    Args:
        values: p.
        solve: p → its minimum, and what is known about E there.
    """
    found: torch.Tensor = _Solution.apply(values, solve)  # type: ignore[no-untyped-call]
    return found


def _probe(direction: torch.Tensor) -> tuple[torch.Tensor, float]:
    """``direction`` made ``PROBE_VOX`` long at most, and by what it was divided; 0 for nothing."""
    length = float(direction.abs().max()) / PROBE_VOX
    return (direction / length if length else direction), length
