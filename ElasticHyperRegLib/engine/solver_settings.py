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
COARSEST_AFTER_VOLUMES = 20
"""Iterations of the coarsest level after a model of volumes; the finer ones do all of theirs. With
fewer anywhere Dice and NCC stay, but vessels of a real lung meet less well.
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
        levels = _after_volumes(levels) if card.model.ndim == 3 else levels[-LEVELS[ndim] :]
    if options.refine is not None:
        levels = (*levels[:-1], replace(levels[-1], iterations=options.refine))
    return replace(settings, levels=levels)


def _after_volumes(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """All levels, on which every node goes by itself, as the field is nearly right."""
    coarsest = replace(levels[0], iterations=COARSEST_AFTER_VOLUMES, smoothing=0)
    return coarsest, *levels[1:]
