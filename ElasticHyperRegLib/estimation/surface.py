"""How a score depends on the (λ, μ) of one tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan
from typing import Any

from ..types import Elasticity
from .settings import distance

SAME, HELD = "same setting", "held"
"""What the other tissues did while one was searched."""
TIE = 1e-6
UNDETERMINED = 0.5
"""A parameter that may take half of its range without a worse score is not determined."""


@dataclass(frozen=True)
class Surface:
    """Scores of one tissue over the settings that were tried.

    Attributes:
        tissue: whose (λ, μ) vary; ``everywhere`` for one setting for all.
        others: what the other tissues did meanwhile: ``same setting`` or ``held``.
        settings: the (λ, μ) tried.
        scores: of each, higher is better.
        chosen: the best, or what ``best_of`` takes in its place; where the evidence does not
            determine λ or μ, of all that are as good the nearest to the start of the search,
            which is the tissue's preset. In an ``Estimate`` the last surface of a tissue has what
            was chosen in the end, which the tissues together or a gradient may have found.
        tolerance: scores that differ by less are as good as each other.
        start: where the search started; ``None`` where that is not known.
    """

    tissue: str
    others: str
    settings: tuple[Elasticity, ...]
    scores: tuple[float, ...]
    chosen: Elasticity
    tolerance: float
    start: Elasticity | None = None

    @classmethod
    def over(
        cls, tissue: str, others: str, found: Mapping[Elasticity, float], how: Choice
    ) -> Surface:
        """Surface of what was ``found``, with its best setting."""
        chosen = best_of(found, how.start, how.slack)
        settings, scores = tuple(found), tuple(found.values())
        surface = cls(tissue, others, settings, scores, chosen, how.tolerance, how.start)
        if not surface.undetermined:
            return surface
        return replace(surface, chosen=min(surface.plausible, key=lambda s: distance(s, how.start)))

    @property
    def best(self) -> float:
        """The highest score."""
        return max(self.scores)

    @property
    def peak(self) -> Elasticity:
        """The setting of the highest score, however many others are as good."""
        return self.settings[self.scores.index(self.best)]

    @property
    def reached(self) -> float:
        """The score of what was chosen; NaN where that was found elsewhere, see ``chosen``."""
        scores = dict(zip(self.settings, self.scores, strict=True))
        return scores.get(self.chosen, nan)

    @property
    def plausible(self) -> tuple[Elasticity, ...]:
        """Settings whose score is within the tolerance of the best."""
        pairs = zip(self.settings, self.scores, strict=True)
        return tuple(s for s, score in pairs if score >= self.best - self.tolerance)

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """λ and μ → the lowest and highest plausible value."""
        lam, mu = [s.lam for s in self.plausible], [s.mu for s in self.plausible]
        return {"λ": (min(lam), max(lam)), "μ": (min(mu), max(mu))}

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Which of λ and μ may take half of their range or more without a worse score."""
        return tuple(n for n, (low, high) in self.spans.items() if high - low >= UNDETERMINED - TIE)

    def warning(self) -> str | None:
        """What the evidence leaves open, in one line; ``None`` where it determines both."""
        if not self.undetermined:
            return None
        ranges = ", ".join(f"{n} from {low:g} to {high:g}" for n, (low, high) in self.spans.items())
        return (
            f"{self.tissue}: the evidence does not determine {' and '.join(self.undetermined)}; "
            f"{ranges} score within {self.tolerance:.2g} of the best; "
            f"λ {self.chosen.lam:.3g}, μ {self.chosen.mu:.3g} is {self._origin()}"
        )

    def _origin(self) -> str:
        """Why what was chosen was."""
        if self.chosen == self.start:
            return "kept"
        if self.chosen in self.settings:
            return "taken as the nearest of them to where the search started"
        return "what all tissues together led to"

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        pairs = zip(self.settings, self.scores, strict=True)
        return {
            "tissue": self.tissue,
            "others": self.others,
            "chosen": [self.chosen.lam, self.chosen.mu],
            "tolerance": self.tolerance,
            "scores": [[s.lam, s.mu, score] for s, score in pairs],
        }


@dataclass(frozen=True)
class Choice:
    """How the best is chosen: ties go back towards ``start``; for ``slack`` see ``best_of``."""

    start: Elasticity
    tolerance: float
    slack: float = 0.0


def best_of(found: Mapping[Elasticity, float], start: Elasticity, slack: float = 0.0) -> Elasticity:
    """Of the settings that score less than the highest by ``slack`` at most the nearest to start.

    Without slack that is the best; of equal ones the nearest.
    """
    highest = max(found.values())
    equal = [setting for setting, score in found.items() if score >= highest - max(slack, TIE)]
    return min(equal, key=lambda setting: distance(setting, start))
