"""Which settings of one tissue are tried, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..types import Elasticity
from .options import EstimateOptions
from .settings import around, lattice
from .surface import best_of

Scores = Mapping[str, float]
Found = dict[Elasticity, Scores]
"""Setting → score by tissue, ``everywhere`` included."""

COARSEST = 0.25
GLIMPSE = 0.5
"""Step of the settings that are tried first, for something to be seen of the whole simplex."""


def explore(
    evaluate: Callable[[Elasticity], Scores],
    starts: Mapping[str, Elasticity],
    options: EstimateOptions,
    slack: float,
    seen: Callable[[Found], None] | None = None,
) -> Found:
    """Try the settings that the method asks for.

    Args:
        evaluate: setting → scores.
        starts: for each score that is to be raised, where its search starts.
        options: method and step.
        slack: of ``best_of``.
        seen: told what was tried so far, before the search goes into detail; corners and middles
            of the sides are then tried first.

    Returns:
        Everything that was tried, in that order.
    """
    first = options.step if options.method == "grid" else COARSEST
    found: Found = {}
    whole, corners = lattice(first), lattice(GLIMPSE)
    if seen is not None:
        _try(evaluate, [s for s in whole if s in corners], found)
        seen(found)
        if refinements(options):
            _try(evaluate, whole, found)
            seen(found)
    _try(evaluate, [*starts.values(), *whole], found)
    for step in refinements(options):
        for name, start in starts.items():
            best = best_of(scores_of(found, name), start, slack)
            _try(evaluate, around(best, step), found)
    return found


def refinements(options: EstimateOptions) -> list[float]:
    """The steps of the finer searches, each half the one before."""
    steps: list[float] = []
    while options.method == "coarse-to-fine" and (steps or [COARSEST])[-1] > options.step + 1e-9:
        steps.append((steps or [COARSEST])[-1] / 2)
    return steps


def budget(options: EstimateOptions, goals: int) -> int:
    """How many settings ``explore`` tries for so many scores, at most."""
    first = options.step if options.method == "grid" else COARSEST
    return len(lattice(first)) + goals * (1 + 8 * len(refinements(options)))


def scores_of(found: Mapping[Elasticity, Scores], name: str) -> dict[Elasticity, float]:
    """The score called ``name`` of every setting."""
    return {setting: scores[name] for setting, scores in found.items()}


def _try(
    evaluate: Callable[[Elasticity], Scores], settings: Sequence[Elasticity], found: Found
) -> None:
    for setting in settings:
        if setting not in found:
            found[setting] = evaluate(setting)
