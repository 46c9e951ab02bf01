"""Descent on one level: smooth updates composed onto the field, only improvements kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..field import compose, exponential
from ..grid import gaussian_smooth
from .objective import Objective
from .problem import Level, SolverOptions

PATIENCE = 10
Tick = Callable[[float], None]
"""Told the fraction of the iterations done before each one; may raise to stop."""


@dataclass(frozen=True, eq=False)
class Descent:
    """What a level came to: best field, its objective (N,), accepted values, why it stopped."""

    u_vox: torch.Tensor
    value: torch.Tensor
    trace: list[float]
    stopped: str


def descend(
    objective: Objective,
    u_vox: torch.Tensor,
    level: Level,
    options: SolverOptions,
    tick: Tick,
) -> Descent:
    """Minimise ``objective`` from ``u_vox`` (N, D, *field_grid.shape) in voxels.

    The unknown is p with u = u₀ ∘ (id + G p), G a Gaussian: a smooth update composed onto the
    field the level began with, so that a large motion is built from small regular ones. Adam
    (Kingma and Ba, 2015) proposes, a proposal is accepted for a pair when it lowers that pair's
    objective, and the last accepted field is what comes back: the objective never rises.
    """
    spacing = objective.field_grid.spacing
    sigma = tuple(level.smoothing * min(spacing) / s for s in spacing)
    parameter = torch.zeros_like(u_vox, requires_grad=True)
    adam = torch.optim.Adam([parameter], lr=options.step, eps=1e-4)
    best = u_vox
    with torch.no_grad():
        value = objective(u_vox)
    trace = [float(value.mean())]
    scale = u_vox[0, 0].numel()
    stopped = "iteration limit"
    for iteration in range(level.iterations):
        tick(iteration / level.iterations)
        update = exponential(gaussian_smooth(parameter, sigma), options.squarings)
        u = compose(u_vox, update)
        current = objective(u)
        adam.zero_grad()
        (current.sum() * scale).backward()
        adam.step()
        current = current.detach()
        better = current < value
        best = torch.where(better.view(-1, *([1] * (u.ndim - 1))), u.detach(), best)
        value = torch.where(better, current, value)
        trace.append(float(value.mean()))
        if iteration >= PATIENCE and trace[-1 - PATIENCE] - trace[-1] < options.tolerance:
            stopped = "converged"
            break
    return Descent(best, value, trace, stopped)
