"""Limited-memory BFGS that gives back every step, so that it can be watched and left at any time.

Reference: Nocedal and Wright, Numerical Optimization, algorithm 7.4. Unlike ``torch.optim.LBFGS``
it takes a first guess of the inverse Hessian, and begins with a step of a sensible length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch

from ..grid import precise

MEMORY = 8
TRIALS = 8
SUFFICIENT = 1e-4

Function = Callable[[torch.Tensor], tuple[float, torch.Tensor]]
"""x → value and gradient."""
Metric = Callable[[torch.Tensor], torch.Tensor]
"""Gradient → about the inverse Hessian times it, up to a factor."""
Pairs = deque[tuple[torch.Tensor, torch.Tensor]]
"""Changes of x, and what they changed in the gradient."""


def descend(
    function: Function, x: torch.Tensor, metric: Metric, first: float
) -> Iterator[tuple[float, torch.Tensor]]:
    """Points from ``x`` on and the values there, each lower than the last, until none is found.

    Args:
        function: to be minimised.
        x: where to begin.
        metric: symmetric and positive.
        first: largest change of an element of ``x`` in the first step.
    """
    value, gradient = function(x)
    pairs: Pairs = deque(maxlen=MEMORY)
    while True:
        step = -_newton(gradient, pairs, metric)
        if not pairs:
            longest = float(step.abs().max())
            if longest == 0:
                return
            step = step * (first / longest)
        slope = dot(step, gradient)
        found = _search(function, x, step, (value, slope))
        if found is None:
            if not pairs:
                return
            pairs.clear()
            continue
        length, value, new = found
        change, bend = length * step, new - gradient
        if dot(change, bend) > 0:
            pairs.append((change, bend))
        x, gradient = x + change, new
        yield value, x


def _search(
    function: Function, x: torch.Tensor, step: torch.Tensor, now: tuple[float, float]
) -> tuple[float, float, torch.Tensor] | None:
    """Length that lowers the value enough, with the value and gradient there."""
    value, slope = now
    length = 1.0
    for _ in range(TRIALS):
        there, gradient = function(x + length * step)
        if there < value and there <= value + SUFFICIENT * length * slope:
            return length, there, gradient
        bend = there - value - length * slope  # of the parabola through what is known
        length *= min(0.5, max(0.1, -slope * length / (2 * bend))) if bend > 0 else 0.5
    return None


def _newton(gradient: torch.Tensor, pairs: Pairs, metric: Metric) -> torch.Tensor:
    """The inverse Hessian that ``pairs`` tell, times the gradient."""
    direction, weights = gradient, []
    for change, bend in reversed(pairs):
        weight = dot(change, direction) / dot(change, bend)
        direction = direction - weight * bend
        weights.append(weight)
    direction = metric(direction)
    if pairs:
        change, bend = pairs[-1]
        direction = direction * (dot(change, bend) / dot(bend, metric(bend)))
    for (change, bend), weight in zip(pairs, reversed(weights), strict=True):
        direction = direction + (weight - dot(bend, direction) / dot(change, bend)) * change
    return direction


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    """Scalar product, summed in double precision where the device has it."""
    return float((a * b).sum(dtype=precise(a.device)))
