"""How far the solver goes as a registration uses it: alone, or on from a network's answer."""

from __future__ import annotations

from dataclasses import replace

from ..solver import SolverOptions
from ..weights import ModelCard
from .request import RegistrationOptions

LEVELS = {2: 1, 3: 2}
"""Finest levels solved after a network, by dimension: of volumes the last alone leaves the answer
short of the solver's own.
"""
VOLUME_FINISH = (16, 1)
"""Iterations on these two levels after a model of volumes, unless told otherwise. On phantoms the
first of them has then brought back what the model lacked, and more of the finest draws the inside
of even tissue away from the truth. After slices of a stack, which know nothing of each other, all
are done.
"""


def solver_settings(options: RegistrationOptions, ndim: int) -> SolverOptions:
    """Settings of the solver alone; ``refine`` limits the iterations on the finest level."""
    settings = SolverOptions.for_dimension(ndim)
    if options.refine is None:
        return settings
    *coarse, finest = settings.levels
    return replace(settings, levels=(*coarse, replace(finest, iterations=options.refine)))


def refine_settings(
    options: RegistrationOptions, ndim: int, card: ModelCard | None
) -> SolverOptions:
    """Settings of the solver after a network: its finest levels, limited likewise.

    Args:
        options: how to register.
        ndim: of the images.
        card: of the model; ``None`` leaves all iterations.
    """
    settings = solver_settings(options, ndim)
    levels = settings.levels[-LEVELS[ndim] :]
    if options.refine is None and card is not None and card.model.ndim == 3:
        finish = zip(levels, VOLUME_FINISH, strict=True)
        levels = tuple(replace(level, iterations=count) for level, count in finish)
    return replace(settings, levels=levels)
