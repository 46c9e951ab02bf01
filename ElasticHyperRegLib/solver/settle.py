"""The way down on one level by itself of every node: L-BFGS in the metric of an elastic body.

From a field that is nearly right it comes lower in ten passes than smooth updates that are composed
(``descent``) in forty; from far away it ends in the nearest valley.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

import torch

from ..energies import Coefficient
from .descent import Descent, Tick, has_settled
from .elastic_metric import ElasticMetric
from .folds import fold_penalty
from .lbfgs import Function, Metric, Slope, descend
from .objective import Objective
from .problem import Level, SolverOptions

PULL = 0.1
"""About how much the images curve the objective, for a displacement in voxels."""
SOFTEST = 0.05
"""Stiffness λ + 2μ that is at least assumed where steps are measured."""
FIRST_VOX = 0.3
"""Largest change in the first pass, in voxels of the field's grid."""
WINDOW = 5
"""Passes over which the objective gains hardly anything when it has settled."""

Energy = Callable[[torch.Tensor], torch.Tensor]
"""u (N, D, *shape) in voxels → (N,)."""


def charged(energy: Energy, u_vox: torch.Tensor) -> torch.Tensor:
    """The objective of each field, and what its folds cost, (N,)."""
    return energy(u_vox) + fold_penalty(u_vox)


def sum_and_slope(energy: Energy, u_vox: torch.Tensor) -> tuple[torch.Tensor, Slope]:
    """``charged``, summed over the voxels (N,), and the way to its gradient."""
    with torch.enable_grad():
        unknown = u_vox.detach().requires_grad_()
        value = unknown[0, 0].numel() * charged(energy, unknown)
        total = value.sum()
    return value.detach(), lambda: torch.autograd.grad(total, unknown)[0]


def at_once(function: Function, u_vox: torch.Tensor) -> tuple[torch.Tensor, Slope]:
    """``function`` with its gradient found now, not after its value was looked at."""
    value, slope = function(u_vox)
    gradient = slope()
    return value, lambda: gradient


def smoother(metric: ElasticMetric, stiffness: float) -> Metric:
    """About the inverse Hessian where the mean of λ + 2μ is ``stiffness``."""
    return lambda gradient: metric.solve(gradient, PULL, max(SOFTEST, stiffness))


def passes(
    energy: Energy,
    u_vox: torch.Tensor,
    metric: ElasticMetric,
    stiffness: float,
    ahead: bool = False,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What ``charged`` comes to, (N,), and fields: ``u_vox``, then lower ones as long as there are.

    Args:
        energy: the objective; may raise to stop.
        u_vox: (N, D, *shape), where to begin.
        metric: on that grid.
        stiffness: λ + 2μ, the mean over what is there.
        ahead: find gradients before a field is given: whoever is given it may stop at once then.
    """
    function: Function = partial(sum_and_slope, energy)
    function = partial(at_once, function) if ahead else function
    smooth = smoother(metric, stiffness)
    for value, lower in descend(function, u_vox.detach(), smooth, FIRST_VOX):
        yield value / u_vox[0, 0].numel(), lower


def settle(
    objective: Objective, u_vox: torch.Tensor, level: Level, options: SolverOptions, tick: Tick
) -> Descent:
    """As ``descent.descend``; the objective includes what folds cost."""
    objective = objective.counting_from(u_vox)
    metric = ElasticMetric(objective.field_grid, u_vox)
    stiffness = _mean(objective.lam) + 2 * _mean(objective.mu)
    tick(0.0)
    found = passes(objective, u_vox, metric, stiffness)
    value, u_vox = next(found)
    trace, values = [float(value.mean())], [value]
    for number, (value, u_vox) in enumerate(islice(found, level.iterations), start=1):
        tick(number / level.iterations)
        trace.append(float(value.mean()))
        values.append(value)
        if has_settled(values, WINDOW, options.tolerance):
            return Descent(u_vox, value, trace, "converged")
    stopped = "converged" if len(trace) <= level.iterations else "iteration limit"
    return Descent(u_vox, value, trace, stopped)


def _mean(coefficient: Coefficient) -> float:
    return float(coefficient.mean()) if isinstance(coefficient, torch.Tensor) else coefficient
