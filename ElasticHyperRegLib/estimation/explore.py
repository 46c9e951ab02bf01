"""Which settings of one tissue are tried, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ..types import Elasticity
from .options import EstimateOptions
from .settings import DIGITS, around, lattice
from .surface import best_of

Scores = Mapping[str, float]
Found = dict[Elasticity, Scores]
"""Setting → score by tissue, ``everywhere`` included."""

COARSEST = 0.25
GLIMPSE = 0.5
"""Step of the settings that are tried first, for something to be seen of the whole simplex."""


@dataclass(frozen=True, eq=False)
class Space:
    """Where settings are looked for, and how finely.

    Args:
        options: method and step.
        ratio: λ to μ, for a model that has one weight α = λ + μ for both; ``None``: all of
            λ + μ ≤ 1.
    """

    options: EstimateOptions
    ratio: Elasticity | None = None

    def lattice(self, step: float) -> list[Elasticity]:
        """All settings, in steps of ``step``."""
        if self.ratio is None:
            return lattice(step)
        return [self._at(number * step) for number in range(round(1 / step) + 1)]

    def around(self, centre: Elasticity, step: float) -> list[Elasticity]:
        """The neighbours of a setting."""
        if self.ratio is None:
            return around(centre, step)
        alpha = centre.lam + centre.mu
        return [self._at(a) for a in (alpha - step, alpha + step) if 0 <= a <= 1 + 1e-9]

    def _at(self, alpha: float) -> Elasticity:
        """λ + μ = α in the ratio."""
        ratio, alpha = cast(Elasticity, self.ratio), min(alpha, 1.0)
        share = ratio.lam / (ratio.lam + ratio.mu) if ratio.lam + ratio.mu > 0 else 0.0
        lam = round(share * alpha, DIGITS)
        return Elasticity(lam, round(alpha - lam, DIGITS))


def explore(
    evaluate: Callable[[Elasticity], Scores],
    starts: Mapping[str, Elasticity],
    space: Space,
    slack: float,
    besides: Sequence[Elasticity] = (),
    seen: Callable[[Found], None] | None = None,
) -> Found:
    """Try the settings that the method asks for.

    Args:
        evaluate: setting → scores.
        starts: for each score that is to be raised, where its search starts.
        space: of the settings.
        slack: of ``best_of``.
        besides: tried too.
        seen: told what was tried so far, before the search goes into detail; corners and middles
            of the sides are then tried first.

    Returns:
        Everything that was tried, in that order.
    """
    options = space.options
    first = options.step if options.method == "grid" else COARSEST
    found: Found = {}
    whole, corners = space.lattice(first), space.lattice(GLIMPSE)
    if seen is not None:
        _try(evaluate, [s for s in whole if s in corners], found)
        seen(found)
        if refinements(options):
            _try(evaluate, whole, found)
            seen(found)
    _try(evaluate, [*starts.values(), *besides, *whole], found)
    for step in refinements(options):
        for name, start in starts.items():
            best = best_of(scores_of(found, name), start, slack)
            _try(evaluate, space.around(best, step), found)
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
    return len(lattice(first)) + goals * (2 + 8 * len(refinements(options)))


def scores_of(found: Mapping[Elasticity, Scores], name: str) -> dict[Elasticity, float]:
    """The score called ``name`` of every setting."""
    return {setting: scores[name] for setting, scores in found.items()}


def _try(
    evaluate: Callable[[Elasticity], Scores], settings: Sequence[Elasticity], found: Found
) -> None:
    for setting in settings:
        if setting not in found:
            found[setting] = evaluate(setting)
