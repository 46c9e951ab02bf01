"""Preset (λ, μ) of tissues, and what they mean as Young's modulus and Poisson's ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..errors import InputError
from ..materials import young_poisson
from ..types import Elasticity
from .files import Table, read_tables, tissue_folder

DIGITS = 12
"""0.3 is written as 0.3."""


@dataclass(frozen=True)
class Preset:
    """Starting values for a tissue.

    Attributes:
        name: unique, such as ``lung-brock``.
        title: for people.
        elasticity: relative weights on the simplex.
        source: where they come from.
        literature: measured (λ, μ) whose ratio ``elasticity`` keeps, where there are any.
    """

    name: str
    title: str
    elasticity: Elasticity
    source: str
    literature: tuple[float, float] | None = None

    @property
    def hint(self) -> str:
        """For people: the ratio λ/μ, what was measured, and the source."""
        value = self.elasticity
        ratio = "μ = 0" if value.mu == 0 else f"λ/μ {value.lam / value.mu:.3g}"
        measured = "" if self.literature is None else " as measured, λ {:g} and μ {:g}"
        return f"{ratio}{measured.format(*self.literature or ())}; {self.source}"


def normalised(lam: float, mu: float, weight: float) -> Elasticity:
    """Lamé parameters of any unit → weights of the same ratio λ/μ with λ + μ = ``weight``.

    Raises:
        InputError: a parameter is negative, both are zero, or the weight lies outside [0, 1].
    """
    if not (lam >= 0 and mu >= 0 and lam + mu > 0 and 0 <= weight <= 1):
        raise InputError(
            f"λ={lam:g}, μ={mu:g} for the weight {weight:g}",
            "parameters that are not negative nor both zero, and a weight in [0, 1]",
        )
    lam, mu = weight * lam / (lam + mu), weight * mu / (lam + mu)
    return Elasticity(round(lam, DIGITS), round(mu, DIGITS))


def relative_moduli(tissues: Mapping[str, Elasticity]) -> dict[str, tuple[float, float]]:
    """Tissue → (E, ν): Young's modulus relative to the stiffest tissue's, and Poisson's ratio."""
    moduli = {name: young_poisson(value.lam, value.mu) for name, value in tissues.items()}
    largest = max((young for young, _ in moduli.values()), default=0.0) or 1.0
    return {name: (young / largest, poisson) for name, (young, poisson) in moduli.items()}


@cache
def presets() -> dict[str, Preset]:
    """All presets of ``Resources/Tissues/presets.toml`` by name."""
    _, tables = read_tables(tissue_folder() / "presets.toml", "preset")
    found = [_preset(table) for table in tables]
    return {preset.name: preset for preset in found}


def _preset(table: Table) -> Preset:
    table.allow("name", "title", "poisson", "literature", "weight", "source")
    weight = float(table.values["weight"])
    if "literature" in table.values:
        lam, mu = table.numbers("literature", 2)
        literature = (lam, mu)
    else:
        poisson = float(table.values["poisson"])
        literature, lam, mu = None, 2 * poisson, 1 - 2 * poisson
    return Preset(
        table.text("name"),
        table.text("title"),
        normalised(lam, mu, weight),
        table.text("source"),
        literature,
    )
