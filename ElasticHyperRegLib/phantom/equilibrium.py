"""Static equilibrium of a linear elastic body with some displacements prescribed.

Solves div σ = 0, σ = λ tr(ε) I + 2μ ε, as the minimum of the energy W of ``energies`` with the
prescribed components held (small strains: the answer is taken as the displacement itself).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from ..energies import domain_mean, elastic_density
from ..errors import ElasticHyperRegError


@dataclass(frozen=True, eq=False)
class ElasticBody:
    """Stiffness on a grid with axes along the components of the displacement.

    Args:
        lam: λ (1, 1, *shape).
        mu: μ, likewise.
        spacing: mm along i, j, k.
    """

    lam: torch.Tensor
    mu: torch.Tensor
    spacing: tuple[float, ...]

    def force(self, u: torch.Tensor) -> torch.Tensor:
        """Gradient of the summed energy with respect to ``u`` (1, D, *shape) mm, per cell volume.

        It is zero at rest where no displacement is prescribed, and the reaction where one is.
        """
        cells = math.prod(n - 1 for n in self.mu.shape[2:])
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            density = elastic_density(leaf, self.spacing, self.lam, self.mu)
            return torch.autograd.grad(cells * domain_mean(density).sum(), leaf)[0]

    def diagonal(self) -> torch.Tensor:
        """Diagonal of the linear map ``force``, (1, D, *shape)."""
        dim = len(self.spacing)
        rows = []
        for a in range(dim):
            row = torch.zeros_like(self.mu)
            for b in range(dim):
                edges = self._edges(2 * self.mu + self.lam if a == b else self.mu, b)
                around = functional.pad(edges, [0, 0] * b + [1, 1])
                row += around.unfold(-1 - b, 2, 1).sum(-1)
            rows.append(row)
        return torch.cat(rows, dim=1)

    def _edges(self, stiffness: torch.Tensor, axis: int) -> torch.Tensor:
        """Of the edges along index axis ``axis``, by squared length: the mean of both ends.

        Edges on the border belong to fewer cells and count less.
        """
        for other in range(len(self.spacing)):
            if other != axis:
                halved = torch.ones_like(stiffness)
                halved.narrow(-1 - other, 0, 1).mul_(0.5)
                halved.narrow(-1 - other, -1, 1).mul_(0.5)
                stiffness = stiffness * halved
        return stiffness.unfold(-1 - axis, 2, 1).mean(-1) / self.spacing[axis] ** 2


def equilibrium(
    body: ElasticBody,
    prescribed: torch.Tensor,
    start: torch.Tensor,
    tolerance: float = 5e-4,
    iterations: int = 2000,
) -> torch.Tensor:
    """Displacement at rest, by conjugate gradients with a diagonal preconditioner.

    Args:
        prescribed: bool (1, D, *shape), components held at their value in ``start``.
        start: (1, D, *shape) mm, prescribed values and a first guess elsewhere.
        tolerance: stop when the free forces have fallen to this part of the forces of ``start``
            (in the norm of the preconditioner).

    Returns:
        u (1, D, *shape) mm.

    Raises:
        ElasticHyperRegError: the forces do not fall that far within ``iterations``.

    Reference: Shewchuk, An introduction to the conjugate gradient method (1994), B3.
    """
    scale = (~prescribed) / body.diagonal()
    u = start.clone()
    residual = -body.force(u) * ~prescribed
    direction = scale * residual
    norm = (residual * direction).sum()
    goal = tolerance**2 * norm
    for _ in range(iterations):
        if norm <= goal:
            return u
        force = body.force(direction)
        step = norm / (direction * force).sum()
        u += step * direction
        residual -= step * force * ~prescribed
        previous, norm = norm, (scale * residual.square()).sum()
        direction = scale * residual + (norm / previous) * direction
    raise ElasticHyperRegError(f"no equilibrium after {iterations} iterations")
