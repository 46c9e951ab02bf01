"""Elastic constants against textbook values and against each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ElasticHyperRegLib import InputError
from ElasticHyperRegLib.materials import lame, young_poisson


@pytest.mark.parametrize(
    ("lam", "mu", "young", "poisson"),
    [
        (1.0, 1.0, 2.5, 0.25),
        (0.0, 3.0, 6.0, 0.0),
        (2.0, 0.0, 0.0, 0.5),
        (0.0, 0.0, 0.0, 0.0),
        (57.69230769, 38.46153846, 100.0, 0.3),
    ],
)
def test_known_constants(lam: float, mu: float, young: float, poisson: float) -> None:
    assert young_poisson(lam, mu) == pytest.approx((young, poisson))


@given(young=st.floats(1e-3, 1e6), poisson=st.floats(0.0, 0.499))
def test_lame_and_back(young: float, poisson: float) -> None:
    assert young_poisson(*lame(young, poisson)) == pytest.approx((young, poisson), rel=1e-9)


@given(lam=st.floats(0.0, 1e3), mu=st.floats(1e-3, 1e3))
def test_young_and_back(lam: float, mu: float) -> None:
    # ν close to ½ leaves few digits of 1 − 2ν, and so of λ.
    assert lame(*young_poisson(lam, mu)) == pytest.approx((lam, mu), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("constants", [(-1.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.nan)])
def test_impossible_lame_parameters_are_refused(constants: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="Lamé parameters λ=.*; expected values that are not neg"):
        young_poisson(*constants)


@pytest.mark.parametrize(
    "constants", [(-1.0, 0.3), (1.0, 0.5), (1.0, -0.1), (math.nan, 0.3), (1.0, math.nan)]
)
def test_impossible_young_and_poisson_are_refused(constants: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"E=.*; expected E not negative and ν in \[0, 0\.5\)"):
        lame(*constants)
