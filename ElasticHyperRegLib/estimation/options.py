"""How λ and μ are to be looked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine.request import DEFAULT_ELASTICITY
from ..errors import InputError
from ..types import Elasticity

METHODS = ("grid", "coarse-to-fine", "gradient")
OBJECTIVES = ("dice", "soft-dice", "tre", "similarity", "folds")


def possible_objectives(labels: bool, points: bool) -> tuple[str, ...]:
    """Those of ``OBJECTIVES`` that the evidence allows, what tells most about tissues first.

    Args:
        labels: both images have labels.
        points: both have landmarks.
    """
    overlap, landmarks = ("dice", "soft-dice"), ("tre",)
    return (*(overlap if labels else ()), *(landmarks if points else ()), "similarity", "folds")


def parse_objective(text: str) -> dict[str, float]:
    """``dice`` or ``dice=1,similarity=0.5`` → objective → weight.

    Raises:
        InputError: another form, or an objective named twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            weight = float(number) if number else 1.0
        except ValueError as error:
            raise InputError(
                f"the objective '{text}'", "NAME or NAME=WEIGHT,… as in dice=1,similarity=0.5"
            ) from error
        if name.strip() in found:
            raise InputError(f"the objective '{name.strip()}' twice", "each objective once")
        found[name.strip()] = weight
    return found


@dataclass(frozen=True)
class EstimateOptions:
    """How to look for the (λ, μ) that suit one pair.

    Args:
        objective: one of ``OBJECTIVES``, or several with their weights (a mapping, or in words:
            ``dice=1, similarity=0.5``), whose weighted sum is maximised:

            - ``dice``: overlap of the labels, tissue by tissue;
            - ``soft-dice``: differentiable overlap of all tissues together;
            - ``tre``: minus the mean landmark error in mm;
            - ``similarity``: local NCC of the images less ten times the fraction of folds;
            - ``folds``: minus the fraction of folds.
        method: ``grid`` (every setting of the simplex λ + μ ≤ 1 in steps of ``step``),
            ``coarse-to-fine`` (steps of 1/4, then halved about the best down to ``step`` or less)
            or ``gradient`` (steps of 1/4, then gradient ascent from the best; needs a
            differentiable field and no hard Dice).
        step: spacing of the grid in λ and μ; 0.1 makes 66 settings.
        elasticity: (λ, μ) that the search starts from and goes back to on ties.
        tissues: the same for single tissues, such as presets.
        sweeps: times that every tissue is searched alone while the others are held, for a field
            that obeys tissues; 0 stays with one setting everywhere at a time, several times as
            fast.
        iterations: of the gradient ascent.

    Raises:
        InputError: a value is out of range.
    """

    objective: str | Mapping[str, float] = "dice"
    method: str = "grid"
    step: float = 0.1
    elasticity: Elasticity = DEFAULT_ELASTICITY
    tissues: Mapping[str, Elasticity] = field(default_factory=dict)
    sweeps: int = 1
    iterations: int = 30

    def __post_init__(self) -> None:
        if not isinstance(self.objective, (str, Mapping)):
            raise InputError(
                f"the objective {self.objective!r}", "a name, or a mapping of names to weights"
            )
        self._check_weights()
        if self.method not in METHODS:
            raise InputError(f"the method '{self.method}'", " or ".join(METHODS))
        if not 0.01 <= self.step <= 0.5 or abs(1 / self.step - round(1 / self.step)) > 1e-6:
            raise InputError(
                f"a step of {self.step:g}", "a step of 0.01 to 0.5 that divides 1", "0.1 is usual"
            )
        if self.sweeps < 0 or self.iterations < 1:
            raise InputError(
                f"{self.sweeps} sweeps and {self.iterations} iterations",
                "no negative number of sweeps and at least one iteration",
            )
        if self.method == "gradient" and "dice" in self.weights:
            raise InputError(
                "the objective dice with the method gradient",
                "an objective that has a gradient",
                "use soft-dice, tre or similarity, or the method grid",
            )

    @property
    def weights(self) -> dict[str, float]:
        """Objective → weight."""
        if isinstance(self.objective, str):
            return parse_objective(self.objective)
        return {name: float(weight) for name, weight in self.objective.items()}

    def start_of(self, tissue: str) -> Elasticity:
        """(λ, μ) that the search of ``tissue`` starts from."""
        return self.tissues.get(tissue, self.elasticity)

    def _check_weights(self) -> None:
        unknown = [name for name in self.weights if name not in OBJECTIVES]
        if unknown:
            raise InputError(f"the objective '{unknown[0]}'", ", ".join(OBJECTIVES))
        values = self.weights.values()
        if not all(math.isfinite(weight) and weight > 0 for weight in values) or not values:
            raise InputError(
                f"objective weights {dict(self.weights)}", "at least one, each a number above 0"
            )
