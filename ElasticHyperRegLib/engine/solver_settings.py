"""How far the solver goes as a registration uses it: alone, or on from a network's answer."""

from __future__ import annotations

from dataclasses import replace

from ..solver import Level, SolverOptions
from ..weights import ModelCard
from .request import RegistrationOptions

LEVELS = {2: 1, 3: 2}
"""Finest levels solved after a network of slices, by dimension: of volumes the last alone leaves
the answer short of the solver's own. All their iterations are done: slices of a stack know nothing
of each other.
"""
VOLUME_FINISH = (4, 8, 1)
"""Iterations after a model of volumes, unless told otherwise, on all three levels: the coarsest
brings back most of what the model lacked for an eighth of the price of the next. Every node goes
by itself there too, as the field is nearly right. On phantoms more of the finest level draws the
inside of even tissue away from the truth.
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
    levels = settings.levels
    if card is not None:
        hasty = options.refine is None
        levels = _after_volumes(levels, hasty) if card.model.ndim == 3 else levels[-LEVELS[ndim] :]
    if options.refine is not None:
        levels = (*levels[:-1], replace(levels[-1], iterations=options.refine))
    return replace(settings, levels=levels)


def _after_volumes(levels: tuple[Level, ...], hasty: bool) -> tuple[Level, ...]:
    """What follows a model of volumes; beyond the coarsest level all is done unless ``hasty``."""
    every = (VOLUME_FINISH[0], *(level.iterations for level in levels[1:]))
    counts = VOLUME_FINISH if hasty else every
    return tuple(
        replace(level, iterations=count, smoothing=0)
        for level, count in zip(levels, counts, strict=True)
    )
