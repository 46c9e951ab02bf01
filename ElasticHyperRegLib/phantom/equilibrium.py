"""Static equilibrium of a linear elastic body with some displacements prescribed.

Solves div σ = 0, σ = λ tr(ε) I + 2μ ε, as the minimum of the energy W of ``energies`` with the
prescribed components held (small strains: the answer is taken as the displacement itself).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from ..energies import elastic_density
from ..errors import ElasticHyperRegError


@dataclass(frozen=True, eq=False)
class ElasticBody:
    """Stiffness on a grid with axes along the components of the displacement.

    Args:
        lam: λ (1, 1, *shape), at the base voxel of each cell between voxels.
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
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            energy = elastic_density(leaf, self.spacing, self.lam, self.mu).sum()
            return torch.autograd.grad(energy, leaf)[0]

    def diagonal(self) -> torch.Tensor:
        """Diagonal of the linear map ``force``, (1, D, *shape); 1 where no cell reaches."""
        dim, shape = len(self.spacing), self.mu.shape[2:]
        inside = functional.pad(self.mu.new_ones([1, 1, *(n - 1 for n in shape)]), [0, 1] * dim)
        rows = []
        for a in range(dim):
            row = torch.zeros_like(self.mu)
            for b in range(dim):
                c = inside * (2 * self.mu + self.lam if a == b else self.mu)
                row += (c + c.roll(1, -1 - b)) / self.spacing[b] ** 2
            rows.append(row)
        diagonal = torch.cat(rows, dim=1)
        return torch.where(diagonal > 0, diagonal, 1.0)


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
