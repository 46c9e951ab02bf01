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
VOLUME_FINISH = (12, 1)
"""Iterations on these two levels after a model of volumes, unless told otherwise. On phantoms the
first of them has then brought back what the model lacked, and more of the finest draws the inside
of even tissue away from the truth. After slices of a stack, which know nothing of each other, all
are done.
"""


def solver_settings(
    options: RegistrationOptions, ndim: int, card: ModelCard | None
) -> SolverOptions:
    """Settings of the solver alone, or of its finest levels after a model.

    Args:
        options: ``refine`` limits the iterations on the finest level.
        ndim: of the images.
        card: of the model; ``None`` for the solver alone.
    """
    settings = SolverOptions.for_dimension(ndim)
    levels = settings.levels if card is None else settings.levels[-LEVELS[ndim] :]
    if options.refine is not None:
        levels = (*levels[:-1], replace(levels[-1], iterations=options.refine))
    elif card is not None and card.model.ndim == 3:
        finish = zip(levels, VOLUME_FINISH, strict=True)
        levels = tuple(replace(level, iterations=count) for level, count in finish)
    return replace(settings, levels=levels)
