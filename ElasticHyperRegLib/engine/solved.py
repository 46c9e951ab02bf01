"""The solver as a registration uses it: alone, or going on from a network's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ..solver import Problem, Solution, SolverOptions, solve
from ..weights import ModelCard
from .request import RegistrationOptions

LEVELS = {2: 1, 3: 2}
"""Finest levels solved after a network, by dimension: of volumes the last alone leaves the answer
short of the solver's own.
"""
VOLUME_FINISH = 3
"""Iterations on the finest level after a model of volumes, unless told otherwise. On phantoms the
level before has then brought back what the model lacked, and more of the finest draws the inside of
even tissue away from the truth. After slices of a stack, which know nothing of each other, all are
done.
"""


def solved(
    problem: Problem,
    options: RegistrationOptions,
    start: torch.Tensor | None,
    progress: Callable[[float], None] = lambda fraction: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Solution:
    """The solver's answer, from ``start`` where a network has given one.

    From there only the finest levels are solved.

    Args:
        problem: what is to be solved.
        options: ``refine`` limits the iterations on the finest level.
        start: (N, D, *problem.fixed_grid.shape) RAS mm.
        progress: told the fraction done.
        cancelled: asked at every iteration.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    settings = solver_settings if start is None else refine_settings
    ndim = problem.fixed_grid.ndim
    return solve(problem, settings(options, ndim), start, progress, cancelled)


def usual_finish(options: RegistrationOptions, card: ModelCard | None) -> RegistrationOptions:
    """``options``, with the iterations after the model of ``card`` filled in."""
    if card is None or card.model.ndim == 2 or options.refine is not None:
        return options
    return replace(options, refine=VOLUME_FINISH)


def solver_settings(options: RegistrationOptions, ndim: int) -> SolverOptions:
    """Settings of the solver alone; ``refine`` limits the iterations on the finest level."""
    settings = SolverOptions.for_dimension(ndim)
    if options.refine is None:
        return settings
    *coarse, finest = settings.levels
    return replace(settings, levels=(*coarse, replace(finest, iterations=options.refine)))


def refine_settings(options: RegistrationOptions, ndim: int) -> SolverOptions:
    """Settings of the solver after a network: its finest levels, limited likewise."""
    settings = solver_settings(options, ndim)
    return replace(settings, levels=settings.levels[-LEVELS[ndim] :])
