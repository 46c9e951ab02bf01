"""The rank correlation by which estimated and true stiffness are compared."""

from __future__ import annotations

import pytest

from benchmarks.stiffness import Remembered, agreement, alone, favourite, mean_sd, spearman
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
    assert agreement(found.elasticity, best) == {"young": None, "mu": None, "sum": None}


def test_a_tissue_alone_takes_what_suits_it_and_every_field_is_made_once():
    best = {"left": Elasticity(0.0, 0.25), "right": Elasticity(0.0, 0.75)}
    field = ZonedField(best, tissues=("left", "right"))
    kept = Remembered(field)
    surfaces = [alone(kept, evidence(), {name: 1.0}, 0.25) for name in ("dice", "tre")]
    for found in surfaces:
        assert {surface.tissue: favourite(surface) for surface in found} == best
    assert len(field.asked) == 2 * (1 + 15)  # the default, and the lattice


def test_means_leave_out_phantoms_without_an_order():
    assert mean_sd([1.0, 0.0, None]) == "+0.50 ± 0.71 (1 without)"
    assert mean_sd([None]) == "none to tell"
