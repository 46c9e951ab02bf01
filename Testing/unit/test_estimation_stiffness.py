"""The rank correlation by which estimated and true stiffness are compared."""

from __future__ import annotations

import pytest

from benchmarks.stiffness import agreement, spearman
from ElasticHyperRegLib import Elasticity
from ElasticHyperRegLib.estimation import EstimateOptions, estimate
from Testing.unit.fake_fields import ZonedField, evidence


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 400], 1),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1),
        ([1, 2, 3], [1, 3, 2], 0.5),
        ([1, 1, 2], [1, 2, 3], 0.75**0.5),
        ([1, 1, 1], [1, 2, 3], None),
        ([1, 2], [1, 2], None),
    ],
)
def test_spearman(a, b, expected):
    assert spearman(a, b) == (None if expected is None else pytest.approx(expected))


def test_two_tissues_make_no_order():
    best = {"left": Elasticity(0.0, 0.25), "right": Elasticity(0.0, 0.75)}
    found = estimate(ZonedField(best), evidence(), EstimateOptions("tre", step=0.25))
    assert agreement(found, best) == {"young": None, "mu": None, "sum": None}
