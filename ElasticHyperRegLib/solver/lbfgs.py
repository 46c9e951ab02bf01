"""Limited-memory BFGS that gives back every step, so that it can be watched and left at any time.

Reference: Nocedal and Wright, Numerical Optimization, algorithm 7.4. Unlike ``torch.optim.LBFGS``
it takes a first guess of the inverse Hessian, begins with a step of a sensible length, treats
every member of a batch by itself, and asks for a gradient only where it goes on from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from ..grid import precise

MEMORY = 8
TRIALS = 8
SUFFICIENT = 1e-4
LEAST = 1e-300

Slope = Callable[[], torch.Tensor]
"""Gradient (N, ...), found when it is asked for, once."""
Function = Callable[[torch.Tensor], tuple[torch.Tensor, Slope]]
"""x (N, ...) → values (N,) and the way to the gradient."""
Metric = Callable[[torch.Tensor], torch.Tensor]
"""Gradient → about the inverse Hessian times it, up to a factor."""


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the batch stands."""

    x: torch.Tensor
    value: torch.Tensor
    slope: Slope


@dataclass(eq=False)
class _Pair:
    """A change of x and what it changed in the gradient; ``weight`` 1/⟨change, bend⟩, or 0."""

    change: torch.Tensor
    bend: torch.Tensor
    weight: torch.Tensor


def descend(
    function: Function, x: torch.Tensor, metric: Metric, first: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Values and points, ``x`` itself first, until no member of the batch gets lower.

    A member that is not lower than before is where it was.

    Args:
        function: to be minimised.
        x: where to begin, (N, ...).
        metric: symmetric and positive.
        first: largest change of an element of ``x`` in the first step.
    """
    now = _Point(x, *function(x))
    yield now.value, now.x
    gradient = now.slope()
    pairs: deque[_Pair] = deque(maxlen=MEMORY)
    scale = torch.ones_like(dot(x, x))
    ended = torch.zeros_like(scale, dtype=torch.bool)
    while not bool(ended.all()):
        step = _newton(gradient, pairs, metric, scale)
        fresh = sum((pair.weight for pair in pairs), torch.zeros_like(scale)) == 0
        length = _to_length(step, first) if bool(fresh.any()) else torch.ones_like(scale)
        step = _scaled(step, torch.where(fresh, -length, -1) * ~ended)
        new, moved = _search(function, now, gradient, step)
        ended |= fresh & ~moved
        for pair in pairs:
            pair.weight = pair.weight * moved
        if bool(moved.any()):
            yield new.value, new.x
            before, gradient = gradient, new.slope()
            change, bend = new.x - now.x, gradient - before
            product = dot(change, bend)
            weight = torch.where(product > 0, 1 / product.clamp(min=LEAST), 0)
            scale = torch.where(
                product > 0, product / dot(bend, metric(bend)).clamp(min=LEAST), scale
            )
            pairs.append(_Pair(change, bend, weight))
            now = new


def dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Scalar products (N,), in double precision where the device has it.

    Their sums are of single precision: PyTorch adds pairwise, and converting every element takes
    three times as long.
    """
    return (a * b).flatten(1).sum(1).to(precise(a.device))


def _search(
    function: Function, now: _Point, gradient: torch.Tensor, step: torch.Tensor
) -> tuple[_Point, torch.Tensor]:
    """Along ``step`` to where the value is low enough; which members came there (N,)."""
    slope = dot(step, gradient)
    length, moved = torch.ones_like(slope), slope >= 0  # nothing to be had there
    new, came = now, torch.zeros_like(moved)
    slopes: list[tuple[torch.Tensor, Slope]] = []
    for _ in range(TRIALS):
        x = _added(now.x, step, length)  # of members that have moved it is not looked at
        value, there = function(x)
        enough = now.value + SUFFICIENT * length * slope
        here = (value < now.value) & (value <= enough) & ~moved
        if bool(here.all()):  # as a rule
            return _Point(x, value, there), here
        if bool(here.any()):
            slopes.append((here, there))
        new = _Point(
            torch.where(_wide(here, x), x, new.x),
            torch.where(here, value, new.value),
            partial(_together, gradient, slopes),
        )
        moved, came = moved | here, came | here
        if bool(moved.all()):
            break
        bend = value - now.value - length * slope  # of the parabola through what is known
        lowest = (-slope * length / (2 * bend)).clamp(0.1, 0.5)
        length = length * torch.where(bend > 0, lowest, 0.5)
    return new, came


def _together(gradient: torch.Tensor, slopes: list[tuple[torch.Tensor, Slope]]) -> torch.Tensor:
    """The gradient of each member where it came; ``gradient`` of those that came nowhere."""
    for here, slope in slopes:
        gradient = torch.where(_wide(here, gradient), slope(), gradient)
    return gradient


def _newton(
    gradient: torch.Tensor, pairs: deque[_Pair], metric: Metric, scale: torch.Tensor
) -> torch.Tensor:
    """The inverse Hessian that ``pairs`` tell, times the gradient."""
    direction, weights = gradient, []
    for pair in reversed(pairs):
        weight = pair.weight * dot(pair.change, direction)
        direction = _added(direction, pair.bend, -weight)
        weights.append(weight)
    direction = _scaled(metric(direction), scale)
    for pair, weight in zip(pairs, reversed(weights), strict=True):
        more = weight - pair.weight * dot(pair.bend, direction)
        direction = _added(direction, pair.change, more)
    return direction


def _to_length(step: torch.Tensor, first: float) -> torch.Tensor:
    """What makes the largest element of each member ``first``; 0 where there is none."""
    longest = step.abs().flatten(1).amax(1)
    return torch.where(longest > 0, first / longest, 0)


def _added(data: torch.Tensor, more: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """data + factor · more, in one go over the memory."""
    return torch.addcmul(data, more, _wide(factor, data).to(data.dtype))


def _scaled(data: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return data * _wide(factor, data).to(data.dtype)


def _wide(factor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(N,) → (N, 1, …) with the axes of ``like``."""
    return factor.view(-1, *[1] * (like.ndim - 1))
