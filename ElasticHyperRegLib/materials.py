"""Elastic constants: Lamé parameters ↔ Young's modulus and Poisson's ratio."""

from __future__ import annotations

from .errors import InputError


def young_poisson(lam: float, mu: float) -> tuple[float, float]:
    """(λ, μ) → (E, ν): E = μ(3λ+2μ)/(λ+μ), ν = λ/(2(λ+μ)), the three-dimensional relations.

    E has the unit of λ and μ. Both zero (no stiffness at all) gives E = 0 and ν = 0.

    Raises:
        InputError: λ or μ is negative.
    """
    if not (lam >= 0 and mu >= 0):
        raise InputError(f"Lamé parameters λ={lam:g}, μ={mu:g}", "values that are not negative")
    if lam + mu == 0:
        return 0.0, 0.0
    return mu * (3 * lam + 2 * mu) / (lam + mu), lam / (2 * (lam + mu))


def lame(young: float, poisson: float) -> tuple[float, float]:
    """(E, ν) → (λ, μ): λ = Eν/((1+ν)(1−2ν)), μ = E/(2(1+ν)).

    Raises:
        InputError: E is negative or ν lies outside [0, 0.5).
    """
    if not (young >= 0 and 0 <= poisson < 0.5):
        raise InputError(
            f"E={young:g}, ν={poisson:g}",
            "E not negative and ν in [0, 0.5)",
            "an incompressible material has no finite λ",
        )
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))
