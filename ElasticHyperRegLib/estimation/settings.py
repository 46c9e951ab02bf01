"""One choice of λ and μ for a whole field, and the lattices that choices are looked for on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine.elasticity import EVERYWHERE
from ..engine.request import DEFAULT_ELASTICITY
from ..types import Elasticity

Given = Elasticity | tuple[float, float]
DIGITS = 10


@dataclass(frozen=True)
class Setting:
    """(λ, μ) of some tissues, and of everything else.

    Args:
        default: of what ``tissues`` does not name.
        tissues: by tissue name.
    """

    default: Elasticity
    tissues: Mapping[str, Elasticity] = field(default_factory=dict)

    @classmethod
    def read(
        cls, value: Setting | Given | Mapping[str, Given], default: Given = DEFAULT_ELASTICITY
    ) -> Setting:
        """(λ, μ), or tissue → (λ, μ) where ``everywhere`` names what is left."""
        if isinstance(value, Setting):
            return value
        if not isinstance(value, Mapping):
            return cls(_elasticity(value))
        tissues = {name: _elasticity(pair) for name, pair in value.items()}
        rest = tissues.pop(EVERYWHERE, _elasticity(default))
        return cls(rest, tissues)

    @property
    def key(self) -> tuple[Elasticity, tuple[tuple[str, Elasticity], ...]]:
        """Equal settings have equal keys."""
        return self.default, tuple(sorted(self.tissues.items(), key=lambda item: item[0]))

    def of(self, tissue: str) -> Elasticity:
        """(λ, μ) of ``tissue``."""
        return self.tissues.get(tissue, self.default)

    def with_tissue(self, tissue: str, value: Elasticity) -> Setting:
        """The same but for one tissue; ``everywhere`` changes the default."""
        if tissue == EVERYWHERE:
            return Setting(value, self.tissues)
        return Setting(self.default, {**self.tissues, tissue: value})


def lattice(step: float) -> list[Elasticity]:
    """Settings of the simplex λ + μ ≤ 1 in steps of ``step``, (n + 1)(n + 2)/2 for n = 1/step.

    Each is a neighbour of the one before: a solver that starts from its last field has little way
    to go.
    """
    n = round(1 / step)
    rows = []
    for i in range(n + 1):
        row = [_at(i, j, n) for j in range(n + 1 - i)]
        rows += row if i % 2 == 0 else row[::-1]
    return rows


def around(centre: Elasticity, step: float) -> list[Elasticity]:
    """The neighbours of ``centre`` at ``step``, sideways and diagonal, within the simplex."""
    shifts = (-1, 0, 1)
    points = [
        (round(centre.lam + a * step, DIGITS), round(centre.mu + b * step, DIGITS))
        for a in shifts
        for b in shifts
        if (a, b) != (0, 0)
    ]
    return [Elasticity(x, y) for x, y in points if min(x, y) >= 0 and x + y <= 1 + 1e-9]


def distance(a: Elasticity, b: Elasticity) -> float:
    """How far two settings are apart on the simplex."""
    return (a.lam - b.lam) ** 2 + (a.mu - b.mu) ** 2


def _at(i: int, j: int, n: int) -> Elasticity:
    return Elasticity(round(i / n, DIGITS), round(j / n, DIGITS))


def _elasticity(value: Given) -> Elasticity:
    return value if isinstance(value, Elasticity) else Elasticity(*value)
