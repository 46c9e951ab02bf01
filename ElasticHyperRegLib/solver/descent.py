"""Descent on one level: smooth updates composed onto the field, only improvements kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class _Adam:
    """Adam with its usual decays (Kingma and Ba, 2015), in place.

    The optimiser of PyTorch loads PyTorch's compiler, which takes two seconds of every process: on
    one slice that is longer than the registration.
    """

    DECAYS = (0.9, 0.999)
    EPSILON = 1e-4

    def __init__(self, parameter: torch.Tensor, step: float) -> None:
        self._parameter, self._step = parameter, step
        self._mean, self._square = (torch.zeros_like(parameter.detach()) for _ in range(2))
        self._count = 0

    @torch.no_grad()
    def step(self, gradient: torch.Tensor) -> None:
        """One step against ``gradient``."""
        self._count += 1
        first, second = self.DECAYS
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = self._square.sqrt().div_((1 - second**self._count) ** 0.5).add_(self.EPSILON)
        rate = self._step / (1 - first**self._count)
        self._parameter.addcdiv_(self._mean, scale, value=-rate)


def has_settled(values: Sequence[torch.Tensor], window: int, tolerance: float) -> bool:
    """Whether each pair's objective (N,) fell by less than ``tolerance`` in the last ``window``."""
    return len(values) > window and bool((values[-1 - window] - values[-1] < tolerance).all())


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
    objective = objective.counting_from(u_vox)
    spacing = objective.field_grid.spacing
    sigma = tuple(level.smoothing * min(spacing) / s for s in spacing)
    parameter = torch.zeros_like(u_vox, requires_grad=True)
    adam = _Adam(parameter, options.step)
    best = u_vox
    with torch.no_grad():
        value = objective(u_vox)
    trace, values = [float(value.mean())], []
    scale = u_vox[0, 0].numel()
    stopped = "iteration limit"
    for iteration in range(level.iterations):
        tick(iteration / level.iterations)
        update = exponential(gaussian_smooth(parameter, sigma), options.squarings)
        u = compose(u_vox, update)
        current = objective(u)
        adam.step(torch.autograd.grad(current.sum() * scale, parameter)[0])
        current = current.detach()
        better = current < value
        best = torch.where(better.view(-1, *([1] * (u.ndim - 1))), u.detach(), best)
        value = torch.where(better, current, value)
        trace.append(float(value.mean()))
        values.append(value)
        if has_settled(values, PATIENCE, options.tolerance):
            stopped = "converged"
            break
    return Descent(best, value, trace, stopped)
